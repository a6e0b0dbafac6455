"""A family of features: which function makes which column of a contract.

A feature is one pure function and one line of the contract, and the name ties them together. The
function of a column has the column's name. Where the column has a number in it, the function may
leave it out, and is given it: ``sma`` makes ``sma_20`` and ``sma_200``, each line of the contract
another length. A column that no function makes, and a function that no column names, are errors
when the graph is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, TypeVar

from quant_platform.errors import ContractError
from quant_platform.lakehouse.contracts import Contract
from quant_platform.lakehouse.contracts.feature import told

_NUMBER = re.compile(r"_(\d+)(?=_|$)")
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Family:
    """The functions of a contract's columns.

    Parameters
    ----------
    contract
        The contract.
    declared
        What a line declares that belongs to this family: ``unit`` for features, ``carried`` for
        the state of recursions.
    reads
        Columns of ``features_state`` that its functions look up.
    looks_at
        Columns of ``features_trend``, likewise, of the session itself.
    yearly
        Whether the rows that a function is asked for must lie in one calendar year.
    """

    def __init__(
        self,
        contract: Contract,
        declared: str = "unit",
        reads: tuple[str, ...] = (),
        looks_at: tuple[str, ...] = (),
        *,
        yearly: bool = False,
    ) -> None:
        self.contract = contract
        self.reads = reads
        self.looks_at = looks_at
        self.yearly = yearly
        self.declared = declared
        self.written: dict[str, Callable[..., Any]] = {}

    def column(self, function: _Function) -> _Function:
        """Enter a function; see the module for how its column is found.

        Parameters
        ----------
        function
            ``(context)`` for one column, ``(context, number)`` for one with a number.
        """
        self.written[function.__name__] = function
        return function

    @cached_property
    def functions(self) -> Mapping[str, Callable[[Any], Any]]:
        """Function of each column, by column, in the contract's order."""
        columns = self.contract.columns
        mine = [name for name in columns if told(columns[name], self.declared) is not None]
        found = {name: self._function_of(name) for name in mine}
        idle = set(self.written) - {stem for stem, _ in found.values()}
        if idle:
            raise ContractError(
                f"{self.contract.kind} has no column for the function '{min(idle)}'",
                expected="a line of the contract for every function",
                mend="add the line, or delete the function",
            )
        return {name: function for name, (_, function) in found.items()}

    @cached_property
    def longest(self) -> int:
        """Most sessions that a function of the family is given."""
        return max(self.window(name) for name in self.functions)

    @cached_property
    def state_sessions(self) -> int:
        """Sessions of ``features_state`` that some column reads; 0 if none does."""
        return max(int(told(self.contract.columns[name], "state", 0)) for name in self.functions)

    def warm_up(self, name: str) -> int:
        """Sessions that a column is made of.

        Parameters
        ----------
        name
            The column.
        """
        return int(told(self.contract.columns[name], "warm_up", 1))

    def window(self, name: str) -> int:
        """Sessions that the function of a column is given, up to each row.

        Parameters
        ----------
        name
            The column.
        """
        return int(told(self.contract.columns[name], "window", self.warm_up(name)))

    def _function_of(self, name: str) -> tuple[str, Callable[[Any], Any]]:
        if name in self.written:
            return name, self.written[name]
        number = _NUMBER.search(name)
        if number is not None:
            stem = name[: number.start()] + name[number.end() :]
            if stem in self.written:
                return stem, partial(_with_number, self.written[stem], int(number[1]))
        raise ContractError(
            f"no function makes the column '{name}' of {self.contract.kind}",
            expected="a function of that name, or of that name without its number",
            mend="write it in the family's module",
        )


def _with_number(function: Callable[[Any, int], Any], number: int, context: Any) -> Any:
    return function(context, number)
