"""What a contract is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import dataframely as dy
import polars as pl

from quant_platform.errors import ContractError
from quant_platform.lakehouse.rules import Rule

Upgrade = Callable[[pl.LazyFrame], pl.LazyFrame]


@dataclass(frozen=True)
class Contract:
    """The promise of one kind of table.

    Parameters
    ----------
    kind
        Last part of the table's name.
    schema
        Column types, keys, ranges, signs; units and timing in each column's description.
    version
        Schema version; a folder of its own on disk.
    grain
        One sentence: what one row is.
    external
        True for data from outside: partitioned by knowledge session, append-only, rows that break
        the schema go to quarantine. False for derived data: partitioned by session, and a row that
        breaks the schema fails the asset.
    rules
        What each session as a whole must pass, in the order in which they are reported.
    upgrades
        ``{v: f}``: f turns rows of version v into rows of version v + 1.
    """

    kind: str
    schema: type[dy.Schema]
    version: int
    grain: str
    external: bool = False
    rules: tuple[Rule, ...] = ()
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)

    @property
    def partition(self) -> str:
        """Column that says which partition a row belongs to."""
        return "knowledge_session" if self.external else "session"

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row."""
        return tuple(self.schema.primary_key())

    @cached_property
    def columns(self) -> dict[str, dy.Column]:
        """Columns by name, in their stored order."""
        return self.schema.columns()

    def empty(self) -> pl.DataFrame:
        """Return a frame with the right columns and no rows."""
        return pl.DataFrame(schema={n: c.dtype for n, c in self.columns.items()})

    def validate(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame in its stored column order, or say which rule it breaks and where."""
        missing = [name for name in self.columns if name not in frame.columns]
        surplus = [name for name in frame.columns if name not in self.columns]
        if missing or surplus:
            raise ContractError(
                f"table '{table}' got columns {surplus or 'none'} too many and lacks "
                f"{missing or 'none'}",
                expected=f"{list(self.columns)}",
                mend="return the contract's columns from the domain function",
            )
        wrong = {
            name: (frame.schema[name], column.dtype)
            for name, column in self.columns.items()
            if not column.validate_dtype(frame.schema[name])
        }
        if wrong:
            name, (found, expected) = next(iter(wrong.items()))
            raise ContractError(
                f"column '{name}' of table '{table}' is {found}",
                expected=f"{expected}",
                mend="cast it in the domain function",
            )
        ordered = frame.select(*self.columns)
        good, failure = self.schema.filter(ordered)
        if len(failure):
            counts = ", ".join(f"{rule} ({n} rows)" for rule, n in failure.counts().items())
            raise ContractError(
                f"table '{table}' breaks {counts}; the first rows are "
                f"{failure.invalid().head(3).to_dicts()}",
                expected="every row within its contract",
                mend="correct the function that made them; nothing was written",
            )
        return pl.DataFrame(good)

    def quarantine(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Split external rows into those that keep the contract and those that do not.

        Returns
        -------
        good, rejected
            ``rejected`` has the frame's columns plus ``rule``: the names of the rules broken,
            joined by ``", "``.
        """
        good, failure = self.schema.filter(frame.select(*self.columns))
        if not len(failure):
            return pl.DataFrame(good), frame.head(0).with_columns(rule=pl.lit("", pl.String))
        details = failure.details()
        rules = [name for name in details.columns if name not in self.columns]
        broken = pl.concat_list(
            pl.when(pl.col(rule).cast(pl.String) == "invalid").then(pl.lit(rule)) for rule in rules
        )
        rejected = details.select(*self.columns, rule=broken.list.drop_nulls().list.join(", "))
        return pl.DataFrame(good), rejected
