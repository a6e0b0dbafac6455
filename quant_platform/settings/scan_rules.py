"""The rules of a scanner: written as filters or as blocks, asked as one list of comparisons.

1. A *filter* compares a column of the screener with a number, two numbers, another column, or,
   where the column is a name, with names.
2. A *block* (``volume``, ``volatility``, ``trend``, …) says the usual rules in fewer words.
3. Both become `Rule` s in the order in which they are asked: basic, market capitalisation,
   volatility, liquidity, recent performance, strategy. Rules about names are asked before anything
   is cut, because they say what is looked at.

Signs are handled once: a trend of direction ``short`` turns the ratings and returns of its checks
round, here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from quant_platform.settings.screener_fields import FIELDS, NAMES, NUMBERS, near_fields
from quant_platform.settings.wording import plain, quoted

Comparison = Literal["greater", "egreater", "less", "eless", "equal"]
Operation = Literal["greater", "egreater", "less", "eless", "equal", "in_range", "in", "not_in"]
_SINGLE: dict[str, Comparison] = {name: name for name in get_args(Comparison)}
NAMED = ("in", "not_in")
"""Operations on columns of names."""

_BELOW = {"greater", "egreater", "equal"}  # the threshold bounds the value from below
_ABOVE = {"less", "eless", "equal"}  # … from above
_TURNED: dict[Comparison, Comparison] = {
    "greater": "less",
    "egreater": "eless",
    "less": "greater",
    "eless": "egreater",
    "equal": "equal",
}


@dataclass(frozen=True)
class Rule:
    """One comparison that a scanner asks, as it stands in the audit.

    Parameters
    ----------
    name
        Name in the audit, such as ``Perf.1M greater`` or ``trend_adx``.
    left
        Column that is tested.
    comparison
        How.
    right
        Threshold, or the column that is one.
    by_exchange
        Thresholds of single exchanges, in the place of ``right``.
    group
        Checks of one group pass together where one of them does; empty for a rule of its own.
    """

    name: str
    left: str
    comparison: Comparison
    right: float | str
    by_exchange: Mapping[str, float] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True)
class NameRule:
    """One question about a name: whether a column is among some names, or is not."""

    left: str
    names: tuple[str, ...]
    among: bool


def rule_name(left: str, comparison: str, right: float | str = 0.0) -> str:
    """Name of a rule in the audit, such as ``Perf.1M greater`` or ``close greater SMA200``."""
    return f"{left} {comparison}{f' {right}' if isinstance(right, str) else ''}"


# -- columns and thresholds as they are written ----------------------------------------------------


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


# -- blocks ----------------------------------------------------------------------------------------

Amount = Annotated[float, Field(ge=0)]


class BoundsSettings(SettingsModel):
    """A lower and an upper bound, each of which may be left out."""

    min: float | None = described("At least this.", None)
    max: float | None = described("At most this.", None)

    @model_validator(mode="after")
    def _leaves_room(self) -> BoundsSettings:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise refuse(
                f"min {self.min:g} is above max {self.max:g}", expected="bounds that leave room"
            )
        return self

    def rules(self, left: str) -> list[Rule]:
        """Comparisons of a column with the bounds."""
        bounds: tuple[tuple[Comparison, float | None], ...] = (
            ("egreater", self.min),
            ("eless", self.max),
        )
        return [
            Rule(rule_name(left, comparison), left, comparison, bound)
            for comparison, bound in bounds
            if bound is not None
        ]


class VolumeSettings(SettingsModel):
    """How much is traded."""

    min: Amount | None = described("Least mean volume of 20 sessions.", None, unit="units")
    value_traded_min: Amount | None = described(
        "Least mean value traded of 20 sessions.", None, unit="money"
    )
    per_exchange: dict[str, Amount] = described(
        "Least mean value traded on single exchanges, in the place of value_traded_min.", {}
    )

    @model_validator(mode="after")
    def _has_a_floor(self) -> VolumeSettings:
        if self.per_exchange and self.value_traded_min is None:
            raise refuse(
                "per_exchange without value_traded_min",
                expected="the floor of all other exchanges",
                mend="add value_traded_min",
            )
        return self

    def rules(self) -> list[Rule]:
        """Comparisons that the block stands for."""
        rules = []
        if self.value_traded_min is not None:
            name = rule_name("Value.Traded", "egreater")
            floors = dict(self.per_exchange)
            rules.append(Rule(name, "Value.Traded", "egreater", self.value_traded_min, floors))
        if self.min is not None:
            name = rule_name("ADV.Shares", "egreater")
            rules.append(Rule(name, "ADV.Shares", "egreater", self.min))
        return rules


class VolatilitySettings(BoundsSettings):
    """How wild it may be."""

    atr_pct_max: Amount | None = described(
        "Largest mean true range of 14 bars over the close.", None, unit="fraction"
    )

    def rules(self, left: str = "Volatility.M") -> list[Rule]:
        """Comparisons that the block stands for."""
        rules = super().rules(left)
        if self.atr_pct_max is not None:
            rules.append(Rule(rule_name("ATRP", "eless"), "ATRP", "eless", self.atr_pct_max))
        return rules


class FloorSettings(SettingsModel):
    """A lower bound."""

    min: float = described("At least this.")


class MomentumSettings(SettingsModel):
    """Returns that the trend must have."""

    horizons: dict[NumberField, float] = described(
        "By column: the return that must be exceeded in the direction of the trend."
    )


Direction = Literal["long", "short"]
Timeframe = Literal["daily", "weekly", "monthly"]


class TrendRules(SettingsModel):
    """What is asked of a trend; every check that is named must pass, or one of them."""

    direction: Direction = described(
        "long, or short: ratings and returns are then asked to be as far below zero.", "long"
    )
    logic: Literal["AND", "OR"] = described("Whether all checks must pass, or one.", "AND")
    recommendation: FloorSettings | None = described("Rating Recommend.All.", None)
    adx: FloorSettings | None = described("Strength of the trend, ADX.", None)
    momentum: MomentumSettings | None = described("Returns over horizons.", None)
    confirmation_momentum: MomentumSettings | None = described(
        "Returns over longer horizons that must agree.", None
    )

    def rules(self, prefix: str = "trend") -> list[Rule]:
        """Comparisons that the block stands for.

        Parameters
        ----------
        prefix
            Beginning of their names.
        """
        rules = []
        if self.recommendation is not None:
            rules.append(
                self._turned(f"{prefix}_recommendation", "Recommend.All", self.recommendation.min)
            )
        if self.adx is not None:
            rules.append(Rule(f"{prefix}_adx", "ADX", "egreater", self.adx.min))
        for kind, block in (
            ("momentum", self.momentum),
            ("confirmation", self.confirmation_momentum),
        ):
            for left, least in block.horizons.items() if block is not None else ():
                name = f"{prefix}_{kind} {left}"
                rules.append(self._turned(name, left, least, "greater"))
        if self.logic == "AND":
            return rules
        return [Rule(r.name, r.left, r.comparison, r.right, group=f"{prefix}_any") for r in rules]

    def _turned(
        self, name: str, left: str, least: float, comparison: Comparison = "egreater"
    ) -> Rule:
        if self.direction == "short":
            return Rule(name, left, _TURNED[comparison], -least)
        return Rule(name, left, comparison, least)


class TrendSettings(TrendRules):
    """What is asked of the trend; only daily ratings and strengths exist."""

    timeframe: Timeframe = described(
        "Bars of the trend, for the record of a live provider.", "daily"
    )


class ScreensSettings(SettingsModel):
    """Trends of several time frames, each asked on its own."""

    daily: TrendRules | None = described("Checks of the daily trend.", None)
    weekly: TrendRules | None = described("Checks of the weekly trend.", None)
    monthly: TrendRules | None = described("Checks of the monthly trend.", None)

    @model_validator(mode="after")
    def _has_columns(self) -> ScreensSettings:
        for name in ("weekly", "monthly"):
            screen: TrendRules | None = getattr(self, name)
            if screen is not None and (screen.recommendation or screen.adx):
                raise refuse(
                    f"{name}: ratings and ADX are of daily bars",
                    expected="momentum over longer horizons, or Trend.W among them",
                )
        return self

    def rules(self) -> list[Rule]:
        """Comparisons of all screens; their names begin with the time frame."""
        screens = {"daily": self.daily, "weekly": self.weekly, "monthly": self.monthly}
        return [
            rule
            for name, screen in screens.items()
            if screen is not None
            for rule in screen.rules(name)
        ]


class PredictabilitySettings(SettingsModel):
    """How predictable it must be, on rebalance sessions; on others nothing passes."""

    entropy_place_max: Annotated[float, Field(ge=0, le=1)] | None = described(
        "Largest place of the permutation entropy among noise.", None, unit="fraction"
    )
    efficiency_place_min: Annotated[float, Field(ge=0, le=1)] | None = described(
        "Least place of the efficiency ratio among noise.", None, unit="fraction"
    )
    hurst_place_min: Annotated[float, Field(ge=0, le=1)] | None = described(
        "Least place of the Hurst exponent among noise.", None, unit="fraction"
    )

    def rules(self) -> list[Rule]:
        """Comparisons that the block stands for."""
        asked: tuple[tuple[str, Comparison, float | None], ...] = (
            ("Entropy.Place", "eless", self.entropy_place_max),
            ("Efficiency.Place", "egreater", self.efficiency_place_min),
            ("Hurst.Place", "egreater", self.hurst_place_min),
        )
        return [
            Rule(rule_name(left, comparison), left, comparison, bound)
            for left, comparison, bound in asked
            if bound is not None
        ]


# -- what no rule can show alone -------------------------------------------------------------------


def refuse_contradictions(rules: Sequence[Rule]) -> None:
    """Refuse a rule that stands twice, and rules that no number can pass together."""
    bounds: dict[str, dict[str, float]] = {}
    seen: set[str] = set()
    for rule in rules:
        if isinstance(rule.right, str) or rule.group:
            if rule.name in seen:
                raise refuse(f"{rule.name} is there twice", expected="each comparison once")
            seen.add(rule.name)
            continue
        of_field = bounds.setdefault(rule.left, {})
        if rule.comparison in of_field:
            raise refuse(
                f"{rule_name(rule.left, rule.comparison)} is there twice "
                f"({of_field[rule.comparison]:g} and {rule.right:g})",
                expected="each comparison of a column once",
                mend="keep the stricter one",
            )
        of_field[rule.comparison] = rule.right
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


Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9_]+:[^\s:]+$")]
Symbols = Annotated[tuple[Symbol, ...], Field(strict=False), AfterValidator(each_once("symbol"))]
"""Symbols, each once, sorted."""
