"""The settings of one scanner: one file of ``assets_config/scanners/<asset class>/``.

The file's name is the scanner's name, its folder the asset class. A sleeve takes the scanners that
its own file lists under ``scanners``. A threshold has the unit of its screener column: returns are
fractions (0.02 is 2 %), slopes are percent, value traded is money.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from quant_platform.settings.asset_class import AssetClass
from quant_platform.settings.base import Identifier, SettingsModel, described, refuse
from quant_platform.settings.screener_fields import FIELDS, NUMBERS, near_fields
from quant_platform.settings.wording import plain, quoted


def _known(among: Sequence[str]) -> Callable[[object], object]:
    """Return what refuses a name that is no column, with the names that come near it."""

    def check(name: object) -> object:
        if name in among:
            return name
        other = isinstance(name, str) and name in FIELDS
        near = near_fields(str(name), among)
        raise refuse(
            f"found {_echo(name)}" + (f", a column of {FIELDS[str(name)].unit}" if other else ""),
            expected=" or ".join(near) if near else f"one of {', '.join(among)}",
            mend="" if not near else f"write {near[0]}",
        )

    return check


def _schema(among: Sequence[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(among)})


NumberField = Annotated[str, BeforeValidator(_known(NUMBERS)), _schema(NUMBERS)]
"""A column of the screener that is a number."""

Comparison = Literal["greater", "egreater", "less", "eless", "equal"]
Operation = Literal["greater", "egreater", "less", "eless", "equal", "in_range"]
SortOrder = Literal["desc", "asc"]

_BELOW = {"greater", "egreater", "equal"}  # the threshold bounds the value from below
_ABOVE = {"less", "eless", "equal"}  # … from above


def _finite(value: object) -> TypeGuard[float]:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= 1e300
        and math.isfinite(value)
    )


def _echo(value: object) -> str:
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, (list, tuple)):
        return f"the list {plain(str(list(value)))}"
    if isinstance(value, dict):
        return "a mapping"
    return f"the text {quoted(value)}" if isinstance(value, str) else f"the number {value}"


def _threshold(value: object, info: ValidationInfo) -> object:
    """Take a number, or two of them for ``in_range``; anything else gets its sentence."""
    operation = info.data.get("operation")
    if isinstance(value, (list, tuple)) and operation in (None, "in_range"):
        if len(value) == 2 and all(_finite(bound) for bound in value):
            low, high = float(value[0]), float(value[1])
            if low > high:
                raise refuse(
                    f"the range from {low:g} to {high:g} holds no number",
                    expected="the lower bound first",
                )
            return low, high
    elif operation != "in_range" and _finite(value):
        return float(value)
    expected = "a number"
    if operation == "in_range":
        expected = "a list of two numbers, the lower first, for operation in_range"
    raise refuse(f"found {_echo(value)}", expected=expected)


_RIGHT_SCHEMA = {
    "anyOf": [
        {"type": "number"},
        {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    ]
}


class FilterSettings(SettingsModel):
    """One rule of a scanner: a screener column compared with a number."""

    left: NumberField = described("Column of the screener that is tested.")
    operation: Operation = described(
        "How it is compared: greater, egreater (at least), less, eless (at most), equal, or "
        "in_range (both bounds included)."
    )
    right: Annotated[
        float | tuple[float, float],
        BeforeValidator(_threshold),
        WithJsonSchema(_RIGHT_SCHEMA),
    ] = described("The threshold in the column's unit; for in_range the lower and upper bound.")

    @model_validator(mode="before")
    @classmethod
    def _is_complete(cls, given: Any) -> Any:
        if isinstance(given, dict) and {"left", "operation"} <= set(given) and "right" not in given:
            raise refuse("right is missing", expected="the threshold", mend="add the key")
        return given

    @property
    def comparisons(self) -> tuple[tuple[Comparison, float], ...]:
        """The rule as single comparisons; a range is one from below and one from above."""
        if isinstance(self.right, tuple):
            return ("egreater", self.right[0]), ("eless", self.right[1])
        assert self.operation != "in_range"
        return ((self.operation, self.right),)


def rule_name(left: str, comparison: str) -> str:
    """Name of a rule in the audit, such as ``Perf.1M greater``."""
    return f"{left} {comparison}"


def _consistent(filters: tuple[FilterSettings, ...]) -> tuple[FilterSettings, ...]:
    """Refuse no rules, a rule that stands twice, and rules that no number can pass together."""
    if not filters:
        # Not a bound of the field: that would report a list whose only rule is bad as empty, too.
        raise refuse("an empty list", expected="at least one rule")
    bounds: dict[str, dict[str, float]] = {}
    for rule in filters:
        for comparison, threshold in rule.comparisons:
            of_field = bounds.setdefault(rule.left, {})
            if comparison in of_field:
                raise refuse(
                    f"{rule_name(rule.left, comparison)} is there twice "
                    f"({of_field[comparison]:g} and {threshold:g})",
                    expected="each comparison of a column once",
                    mend="keep the stricter one",
                )
            of_field[comparison] = threshold
    for left, of_field in bounds.items():
        for below in _BELOW & set(of_field):
            for above in _ABOVE & set(of_field):
                low, high = of_field[below], of_field[above]
                touches = below in {"egreater", "equal"} and above in {"eless", "equal"}
                if low > high or (low == high and not touches):
                    raise refuse(
                        f"no number is {below} {low:g} and {above} {high:g}, as {left} would "
                        "have to be",
                        expected="bounds that leave room",
                        mend="correct one of the two",
                    )
    return filters


def _each_once(what: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    def check(names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise refuse(f"{plain(twice)} is listed twice", expected=f"each {what} once")
        return tuple(sorted(names))

    return check


Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9_]+:[^\s:]+$")]

ScannerNames = Annotated[
    tuple[Identifier, ...], Field(strict=False, min_length=1), AfterValidator(_each_once("scanner"))
]
"""The scanners of a sleeve by name, sorted: the type of ``scanners`` in a sleeve's file."""


class ScannerSettings(SettingsModel):
    """Everything in one file of ``assets_config/scanners/<asset class>/``."""

    name: Identifier = described(
        "The scanner's name: the file's name without .yaml. May be left out; if it is given it "
        "must say the same."
    )
    asset_class: AssetClass = described(
        "What it looks at: the folder's name. May be left out; if it is given it must say the same."
    )
    description: str = described("What it is meant to find.", "", outside_hash=True)
    exclude_symbols: Annotated[
        tuple[Symbol, ...], Field(strict=False), AfterValidator(_each_once("symbol"))
    ] = described("Symbols that never pass, as EXCHANGE:TICKER.", ())
    sort_by: NumberField = described(
        "First cut: the column that decides which securities reach the filters.", "Value.Traded"
    )
    sort_order: SortOrder = described("desc: the largest first; asc: the smallest.", "desc")
    prefilter_limit: int = described(
        "First cut: how many securities reach the filters.", 300, unit="symbols", ge=1, le=100_000
    )
    filters: Annotated[
        tuple[FilterSettings, ...],
        Field(strict=False),
        AfterValidator(_consistent),
    ] = described("The rules, in the order in which they are asked; all must pass.")
    final_sort_by: NumberField = described(
        "Last cut: the column by which those that passed are ranked."
    )
    final_sort_order: SortOrder = described("desc: the largest first; asc: the smallest.", "desc")
    limit: int = described(
        "Last cut: how many are found at most.", unit="symbols", ge=1, le=100_000
    )

    @field_validator("limit")
    @classmethod
    def _fits(cls, limit: int, info: ValidationInfo) -> int:
        reached = info.data.get("prefilter_limit")
        if reached is not None and limit > reached:
            raise refuse(
                f"{limit} are to be found of the {reached} that prefilter_limit lets through",
                expected=f"at most {reached}",
                mend="lower limit or raise prefilter_limit",
            )
        return limit


def rules_of(scanner: ScannerSettings) -> Sequence[tuple[str, str, Comparison, float]]:
    """List a scanner's rules as (name, column, comparison, threshold), in their order."""
    return [
        (rule_name(rule.left, comparison), rule.left, comparison, threshold)
        for rule in scanner.filters
        for comparison, threshold in rule.comparisons
    ]
