"""Blocks of a scanner: ``volume``, ``volatility``, ``trend``, …: the usual rules in fewer words.

Signs are handled once: a trend of direction ``short`` turns the ratings and returns of its checks
round, here and nowhere else.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from quant_platform.settings.base import SettingsModel, described, refuse
from quant_platform.settings.scan_filters import NumberField
from quant_platform.settings.scan_rules import Comparison, Rule, rule_name

_TURNED: dict[Comparison, Comparison] = {
    "greater": "less",
    "egreater": "eless",
    "less": "greater",
    "eless": "egreater",
    "equal": "equal",
}

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
