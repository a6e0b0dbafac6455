"""The rules of the regime's other labels: quadrant, market state, volatility state."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from quant_platform.settings.base import SettingsModel, described, refuse


class QuadrantRule(SettingsModel):
    """Growth x stress.

    Growth is the annualised mean return of 63 sessions. EXPANSION: high growth without stress;
    INFLATIONARY: high growth under stress; STAGNATION: low growth without stress; CRISIS: low
    growth under stress; NORMAL: growth that is neither high nor low.
    """

    growth: float = described(
        "Growth above this is high, below its negative low.", 0.05, unit="fraction a year", gt=0.0
    )
    stress: float = described("Stress above this is high.", 1.1, gt=0.0)


class MarketRule(SettingsModel):
    """bull_low_vol: calm and above its mean; bear_high_vol: either is gone; else sideways."""

    calm: float = described("VIX below which the market is calm.", 16.0, unit="points", gt=0.0)
    above: float = described(
        "Distance above the 200-session mean that a bull market has.", 0.02, unit="fraction", ge=0.0
    )
    nervous: float = described(
        "VIX above which the market is a bear's.", 25.0, unit="points", gt=0.0
    )
    below: float = described(
        "Distance to the 200-session mean below which it is as well.",
        -0.02,
        unit="fraction",
        le=0.0,
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.calm > self.nervous:
            raise refuse(
                f"calm {self.calm:g} is above nervous {self.nervous:g}",
                expected="calm at most nervous",
            )
        return self


class VolatilityRule(SettingsModel):
    """QUIET, NORMAL, TURBULENT, CRISIS by stress and turbulence; the worst that holds."""

    quiet: float = described("QUIET below this stress.", 0.7, gt=0.0)
    crisis: float = described("CRISIS from this stress on.", 1.8, gt=0.0)
    turbulence: float = described(
        "TURBULENT above this turbulence.", 0.7, unit="share of a year's sessions", ge=0.0, le=1.0
    )


class StressSettings(SettingsModel):
    """Stress: how wild the last ten sessions were, beside the quarter and beside the year."""

    ratio: float = described(
        "Weight of the sd of the last 10 returns over that of the last 62.", 0.7, ge=0.0
    )
    turbulence: float = described(
        "Weight of turbulence: where the mean squared standard score of the last 10 returns lies "
        "among all such means of a year.",
        0.6,
        ge=0.0,
    )


class StatesSettings(SettingsModel):
    """The rules of quadrant, market state and volatility state."""

    stress: StressSettings = described("What stress is made of.", StressSettings())
    quadrant: QuadrantRule = described("Rule of the quadrants.", QuadrantRule())
    market: MarketRule = described("Rule of the market state.", MarketRule())
    volatility: VolatilityRule = described("Rule of the volatility state.", VolatilityRule())
