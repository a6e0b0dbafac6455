"""The settings of the market's regime: one file, ``assets_config/regimes.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from quant_platform.settings.base import Identifier, SettingsModel, described

RegimeLabel = Literal["RISK_ON", "NEUTRAL", "RISK_OFF", "STRESSED"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Loss = Annotated[float, Field(ge=-1.0, le=0.0)]


class BenchmarkSettings(SettingsModel):
    """The security whose prices say how the market does."""

    sleeve: Identifier = described("Sleeve that has its bars.")
    security_id: str = described(
        "Its stable key in that sleeve. Without bars of it no evening has a regime, and says so.",
        min_length=1,
    )


class StressedRule(SettingsModel):
    """STRESSED: a deep drawdown, or high volatility in a falling trend."""

    drawdown: Loss = described("A drawdown this deep or deeper is enough.", -0.20, unit="fraction")
    volatility: float = described(
        "Annualised volatility from which a falling trend is stress.", 0.30, unit="fraction", ge=0.0
    )
    trend: float = described("The trend that is falling: at most this.", -0.02, unit="fraction")


class RiskOffRule(SettingsModel):
    """RISK_OFF: volatility together with any of drawdown, trend, breadth."""

    volatility: float = described(
        "Annualised volatility that is needed.", 0.20, unit="fraction", ge=0.0
    )
    drawdown: Loss = described("A drawdown this deep or deeper.", -0.10, unit="fraction")
    trend: float = described("A trend below this.", 0.0, unit="fraction")
    breadth: Fraction = described("Breadth at most this.", 0.45, unit="share of securities")


class RiskOnRule(SettingsModel):
    """RISK_ON: all of low volatility, shallow drawdown, rising trend, wide breadth."""

    volatility: float = described(
        "Annualised volatility at most this.", 0.20, unit="fraction", ge=0.0
    )
    drawdown: Loss = described("A drawdown shallower than this.", -0.10, unit="fraction")
    trend: float = described("A trend of at least this.", 0.02, unit="fraction")
    breadth: Fraction = described("Breadth of at least this.", 0.55, unit="share of securities")


class SmoothingSettings(SettingsModel):
    """How many sessions confirm a change of label."""

    worsen_after: int = described(
        "Consecutive sessions at least as bad that confirm a worse label.",
        2,
        unit="sessions",
        ge=1,
        le=21,
    )
    improve_after: int = described(
        "Consecutive sessions at most as bad that confirm a better label.",
        5,
        unit="sessions",
        ge=1,
        le=63,
    )


class E1Settings(SettingsModel):
    """The rules of model E1, tried from the worst label to the best; NEUTRAL when none holds."""

    stressed: StressedRule = described("Rule of STRESSED.", StressedRule())
    risk_off: RiskOffRule = described("Rule of RISK_OFF.", RiskOffRule())
    risk_on: RiskOnRule = described("Rule of RISK_ON.", RiskOnRule())


_THROTTLES: dict[RegimeLabel, Fraction] = {
    "RISK_ON": 1.0,
    "NEUTRAL": 0.6,
    "RISK_OFF": 0.2,
    "STRESSED": 0.0,
}


class RegimeSettings(SettingsModel):
    """Everything in ``assets_config/regimes.yaml``."""

    benchmark: BenchmarkSettings = described("The security that stands for the market.")
    breadth_sleeve: Identifier = described(
        "Sleeve whose securities are counted for breadth: the share above their 200-session mean."
    )
    periods_per_year: int = described(
        "Sessions of a year, to annualise the benchmark's volatility: that of its calendar.",
        252,
        unit="sessions",
        ge=1,
        le=366,
    )
    max_missing_share: float = described(
        "An input is null, and the session has no label, when more than this share of its window "
        "has no bar of the benchmark.",
        0.05,
        unit="share of the window",
        ge=0.0,
        le=0.5,
    )
    e1: E1Settings = described("The rules of model E1.", E1Settings())
    throttle: dict[RegimeLabel, Fraction] = described(
        "By confirmed label: the share of gross exposure that it leaves.",
        _THROTTLES,
        unit="fraction",
        min_length=4,
    )
    smoothing: SmoothingSettings = described(
        "How many sessions confirm a change.", SmoothingSettings()
    )
