"""Filters of a scanner: a column of the screener compared with a number, a column, or names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeGuard, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from quant_platform.settings.base import SettingsModel, described, refuse
from quant_platform.settings.scan_rules import Comparison, NameRule, Rule, rule_name
from quant_platform.settings.screener_fields import FIELDS, NAMES, NUMBERS, near_fields
from quant_platform.settings.wording import plain, quoted

Operation = Literal["greater", "egreater", "less", "eless", "equal", "in_range", "in", "not_in"]
_SINGLE: dict[str, Comparison] = {name: name for name in get_args(Comparison)}
NAMED = ("in", "not_in")
"""Operations on columns of names."""


def echo(value: object) -> str:
    """Say what was found where a threshold or a name was due."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, (list, tuple)):
        return f"the list {plain(str(list(value)))}"
    if isinstance(value, dict):
        return "a mapping"
    return f"the text {quoted(value)}" if isinstance(value, str) else f"the number {value}"


def _known(among: Sequence[str]) -> Callable[[object], object]:
    """Return what refuses a name that is no column, with the names that come near it."""

    def check(name: object) -> object:
        if name in among:
            return name
        other = isinstance(name, str) and name in FIELDS
        near = near_fields(str(name), among)
        raise refuse(
            f"found {echo(name)}" + (f", a column of {FIELDS[str(name)].unit}" if other else ""),
            expected=" or ".join(near) if near else f"one of {', '.join(among)}",
            mend=f"write {near[0]}" if near else "",
        )

    return check


def _schema(among: Sequence[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(among)})


known_number = _known(NUMBERS)
"""Refuses what is no column of numbers."""
AnyField = Annotated[str, BeforeValidator(_known(tuple(FIELDS))), _schema(tuple(FIELDS))]
"""A column of the screener."""
NumberField = Annotated[str, BeforeValidator(known_number), _schema(NUMBERS)]
"""A column of the screener that is a number."""


def _finite(value: object) -> TypeGuard[float]:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= 1e300
        and math.isfinite(value)
    )


def _threshold(value: object, info: ValidationInfo) -> object:
    """Take what the operation compares with; anything else gets its sentence."""
    operation, left = info.data.get("operation"), info.data.get("left")
    if operation in NAMED:
        if isinstance(value, (list, tuple)) and value and all(isinstance(v, str) for v in value):
            return tuple(value)
        raise refuse(f"found {echo(value)}", expected=f"a list of names for operation {operation}")
    if isinstance(value, (list, tuple)) and operation in (None, "in_range"):
        if len(value) == 2 and all(_finite(bound) for bound in value):
            low, high = float(value[0]), float(value[1])
            if low > high:
                raise refuse(
                    f"the range from {low:g} to {high:g} holds no number",
                    expected="the lower bound first",
                )
            return low, high
    elif operation != "in_range":
        if _finite(value):
            return float(value)
        if isinstance(value, str) and value in NUMBERS and value != left:
            return value
    expected = "a number"
    if operation == "in_range":
        expected = "a list of two numbers, the lower first, for operation in_range"
    elif isinstance(value, str):
        near = near_fields(value, NUMBERS)
        expected = f"a number, or another column{f' such as {near[0]}' if near else ''}"
    raise refuse(f"found {echo(value)}", expected=expected)


_RIGHT_SCHEMA = {
    "anyOf": [
        {"type": "number"},
        {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        {"type": "string", "enum": list(NUMBERS)},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
    ]
}


class FilterSettings(SettingsModel):
    """One rule of a scanner: a screener column compared with a number, a column, or names."""

    left: AnyField = described("Column of the screener that is tested.")
    operation: Operation = described(
        "How it is compared: greater, egreater (at least), less, eless (at most), equal, in_range "
        "(both bounds included); of a column of names: in, not_in."
    )
    right: Annotated[
        float | tuple[float, float] | str | tuple[str, ...],
        BeforeValidator(_threshold),
        WithJsonSchema(_RIGHT_SCHEMA),
    ] = described(
        "The threshold in the column's unit, or the column that is one; for in_range the lower and "
        "upper bound; for in and not_in the names."
    )

    @model_validator(mode="before")
    @classmethod
    def _is_complete(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not {"left", "operation"} <= set(given):
            return given
        left, operation = given["left"], given["operation"]
        if "right" not in given:
            raise refuse("right is missing", expected="the threshold", mend="add the key")
        if left in NAMES and operation not in NAMED:
            raise refuse(
                f"{left} is a column of names, and the operation is {plain(str(operation))}",
                expected="in or not_in",
            )
        if left in NUMBERS and operation in NAMED:
            raise refuse(
                f"{left} is a number, and the operation is {operation}",
                expected="greater, egreater, less, eless, equal or in_range",
            )
        return given

    @property
    def comparisons(self) -> tuple[tuple[Comparison, float | str], ...]:
        """The rule as single comparisons; a range is one from below and one from above."""
        if self.operation in NAMED:
            return ()
        if isinstance(self.right, tuple):
            low, high = self.right
            return ("egreater", low), ("eless", high)
        return ((_SINGLE[self.operation], self.right),)


def filters_of(filters: Sequence[FilterSettings]) -> list[Rule]:
    """Comparisons of numbers among filters, in their order."""
    return [
        Rule(rule_name(f.left, comparison, right), f.left, comparison, right)
        for f in filters
        for comparison, right in f.comparisons
    ]


def names_of(filters: Sequence[FilterSettings]) -> list[NameRule]:
    """Questions about names among filters, in their order."""
    return [
        NameRule(f.left, tuple(map(str, f.right)), f.operation == "in")
        for f in filters
        if isinstance(f.right, tuple) and f.operation in NAMED
    ]


def each_once(what: str, *, ordered: bool = False) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Return what refuses a name that is listed twice, and sorts the names.

    Parameters
    ----------
    what
        What the names are of.
    ordered
        Whether the order in which they are written means something and is kept.
    """

    def check(names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise refuse(f"{plain(twice)} is listed twice", expected=f"each {what} once")
        return names if ordered else tuple(sorted(names))

    return check


Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9_]+:[^\s:]+$")]
Symbols = Annotated[tuple[Symbol, ...], Field(strict=False), AfterValidator(each_once("symbol"))]
"""Symbols, each once, sorted."""
