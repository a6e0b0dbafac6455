"""The settings of the market's regime: one file, ``assets_config/regimes.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from quant_platform.settings.base import Identifier, SettingsModel, described, refuse
from quant_platform.settings.regime_states import StatesSettings

RegimeLabel = Literal["RISK_ON", "NEUTRAL", "RISK_OFF", "STRESSED"]
RegimeModel = Literal["e1", "e2"]
Factor = Literal[
    "trend", "volatility", "credit", "term_structure", "breadth", "drawdown", "cross_asset"
]
"""What model E2 weighs."""

OF_SERIES: tuple[Factor, ...] = ("credit", "term_structure", "cross_asset")
"""Factors that are taken from ``market/series``; the others are E1's inputs."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Loss = Annotated[float, Field(ge=-1.0, le=0.0)]
Fit = Annotated[float, Field(ge=-1.0, le=1.0)]


def _ascending(points: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    for before, after in pairwise(points):
        if after[0] <= before[0]:
            raise refuse(
                f"{after[0]:g} comes after {before[0]:g}",
                expected="knots that ascend, each with a value of its own",
                mend="put them in order",
            )
    return points


Knot = Annotated[tuple[float, Fraction], Field(strict=False)]
"""A value of a factor, and what it is worth: 0 is the worst, 1 the best."""
Knots = Annotated[tuple[Knot, ...], Field(strict=False, min_length=2), AfterValidator(_ascending)]
ThrottleKnot = Annotated[tuple[Fraction, Fraction, Fraction], Field(strict=False)]
"""A score, and what it leaves of gross exposure and of new positions."""
ThrottleKnots = Annotated[
    tuple[ThrottleKnot, ...], Field(strict=False, min_length=2), AfterValidator(_ascending)
]


class BenchmarkSettings(SettingsModel):
    """The security whose prices say how the market does."""

    sleeve: Identifier = described("Sleeve that has its bars.")
    security_id: str = described(
        "Its stable key in that sleeve. Without bars of it no evening has a regime, and says so.",
        min_length=1,
    )


class OtherMarketSettings(SettingsModel):
    """Another market with a regime of its own, on the calendar of its sleeve."""

    security_id: str = described("Stable key of its benchmark in the sleeve.", min_length=1)
    periods_per_year: int = described(
        "Sessions of a year of the sleeve's calendar.", 365, unit="sessions", ge=1, le=366
    )
    scale: float = described(
        "How much wilder this market usually is than the one that the rules are written for. Its "
        "volatility, drawdown, trend and growth are divided by it before a rule is asked.",
        1.0,
        gt=0.0,
        le=20.0,
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


class E2Settings(SettingsModel):
    """Model E2: a score from 0, the worst, to 1, and what follows from it."""

    weights: dict[Factor, Fraction] = described(
        "Weight of each factor in the score; those of factors that are lacking are shared out "
        "among the others. A factor of weight 0 is not asked for.",
        min_length=7,
    )
    knots: dict[Factor, Knots] = described(
        "By factor: pairs of a value and what it is worth, linear in between, constant beyond.",
        min_length=7,
    )
    risk_on: Fraction = described("RISK_ON from this score on.", 0.65, unit="score")
    risk_off: Fraction = described(
        "RISK_OFF at this score and below; NEUTRAL in between.", 0.35, unit="score"
    )
    throttle: ThrottleKnots = described(
        "Triples of a score, the share of gross exposure and that of new positions which it "
        "leaves, linear in between, constant beyond.",
        ((0.10, 0.0, 0.0), (0.35, 0.2, 0.3), (0.50, 0.6, 0.7), (0.65, 1.0, 1.0)),
    )

    @property
    def factors(self) -> tuple[Factor, ...]:
        """Factors that are asked for, in the order of the weights."""
        return tuple(factor for factor, weight in self.weights.items() if weight > 0)

    def without(self, factors: Sequence[Factor]) -> Self:
        """Return the model that does not ask for some factors."""
        weights = {f: 0.0 if f in factors else weight for f, weight in self.weights.items()}
        return self.model_copy(update={"weights": weights})


_THROTTLES: dict[RegimeLabel, Fraction] = {
    "RISK_ON": 1.0,
    "NEUTRAL": 0.6,
    "RISK_OFF": 0.2,
    "STRESSED": 0.0,
}
_NEW_POSITIONS: dict[RegimeLabel, Fraction] = {
    "RISK_ON": 1.0,
    "NEUTRAL": 0.7,
    "RISK_OFF": 0.3,
    "STRESSED": 0.0,
}


class RegimeSettings(SettingsModel):
    """Everything in ``assets_config/regimes.yaml``."""

    model: RegimeModel = described(
        "Model whose label and throttle everybody reads. Both are computed and stored.", "e1"
    )
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
    scale: float = described(
        "How much wilder the benchmark usually is than US stocks, for which the rules are written.",
        1.0,
        gt=0.0,
        le=20.0,
    )
    others: dict[Identifier, OtherMarketSettings] = described(
        "By sleeve: other markets with a regime of their own, in `<sleeve>/regime`, by the breadth "
        "of that sleeve. They are reported and throttle nobody.",
        {},
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
    e2: E2Settings = described("The factors of model E2.")
    throttle: dict[RegimeLabel, Fraction] = described(
        "By confirmed label: the share of gross exposure that it leaves.",
        _THROTTLES,
        unit="fraction",
        min_length=4,
    )
    new_positions: dict[RegimeLabel, Fraction] = described(
        "By confirmed label: the share of new positions that it leaves. Stored and reported; the "
        "account applies the throttle once, to its gross exposure.",
        _NEW_POSITIONS,
        unit="fraction",
        min_length=4,
    )
    fit: dict[Identifier, dict[RegimeLabel, Fit]] = described(
        "By strategy of scanners and confirmed label: how well the one does in the other, from -1 "
        "to 1. The score of a candidate is multiplied by max(0.1, 1 + fit); a strategy or label "
        "that is not named fits as well as badly.",
        {},
    )
    states: StatesSettings = described("The rules of the other labels.", StatesSettings())
    smoothing: SmoothingSettings = described(
        "How many sessions confirm a change.", SmoothingSettings()
    )

    @property
    def market(self) -> Self:
        """What ``market/regime`` depends on."""
        return self.model_copy(update={"others": {}, "fit": {}})

    def of_sleeve(self, sleeve: str) -> Self:
        """Return what the regime of another market depends on.

        The series are those of the US market: they say nothing of this one, and are not asked for.
        """
        other = self.others[sleeve]
        benchmark = BenchmarkSettings(sleeve=sleeve, security_id=other.security_id)
        return self.model_copy(
            update={
                "benchmark": benchmark,
                "breadth_sleeve": sleeve,
                "periods_per_year": other.periods_per_year,
                "scale": other.scale,
                "others": {},
                "fit": {},
                "e2": self.e2.without(OF_SERIES),
            }
        )
