"""The market's regime by both models and its other labels, smoothed, at each session's cutoff."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import Rule, share_known

INPUTS = ["volatility_20", "drawdown_63", "trend", "breadth"]
"""What model E1 judges a session by."""
_LABELS = ["RISK_ON", "NEUTRAL", "RISK_OFF", "STRESSED"]
_QUADRANTS = ["EXPANSION", "NORMAL", "INFLATIONARY", "STAGNATION", "CRISIS"]
_MARKET_STATES = ["bull_low_vol", "sideways", "bear_high_vol"]
_VOLATILITY_STATES = ["QUIET", "NORMAL", "TURBULENT", "CRISIS"]


def _raw(labels: list[str], what: str) -> dy.Enum:
    return dy.Enum(
        labels, nullable=True, description=f"{what} of this session alone; null while inputs lack."
    )


def _label(labels: list[str], what: str, neutral: str) -> dy.Enum:
    return dy.Enum(labels, description=f"{what} in force: the last confirmed; else {neutral}.")


def _confirmed() -> dy.Bool:
    return dy.Bool(
        description="Whether sessions confirmed the label. False: the neutral one by default, "
        "before the first confirmation or since the evidence for a better one ran out."
    )


def _candidate(labels: list[str]) -> dy.Enum:
    return dy.Enum(
        labels, nullable=True, description="Label on its way to confirmation; null for none."
    )


def _streak() -> dy.UInt32:
    return dy.UInt32(description="Consecutive sessions that speak for the candidate.")


def _share(what: str) -> dy.Float64:
    return dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description=f"Share of {what} that is left, fraction; null where the benchmark says "
        "nothing.",
    )


def _number(what: str) -> dy.Float64:
    return dy.Float64(nullable=True, description=f"{what}; null before, or without its series.")


class Regime(dy.Schema):
    """Regime of one benchmark at one session's cutoff: models E1 and E2, and the other labels."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    benchmark = dy.String(
        primary_key=True, min_length=1, description="Stable security key of the benchmark."
    )
    symbol = dy.String(
        nullable=True,
        min_length=3,
        description="EXCHANGE:TICKER of the benchmark as of the session; null if nobody had "
        "described it by then.",
    )
    model = dy.Enum(["e1", "e2"], description="The model that everybody reads.")
    label = _label(_LABELS, "Label of that model", "NEUTRAL")
    confirmed = _confirmed()
    risk_multiplier = _share("gross exposure")
    position_multiplier = _share("new positions")
    session_return = dy.Float64(
        nullable=True,
        description="Return of the benchmark since the session before, fraction, signed; null "
        "without both closes.",
    )
    volatility_20 = dy.Float64(
        nullable=True,
        min=0,
        description="Annualised sd of 20 daily returns, fraction; null before.",
    )
    drawdown_63 = dy.Float64(
        nullable=True,
        min=-1,
        max=0,
        description="Last close / highest of 63 sessions - 1, fraction, <= 0; null before.",
    )
    trend = dy.Float64(
        nullable=True,
        description="Mean of 50 sessions / mean of 200 - 1, fraction, signed; null before.",
    )
    breadth = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Share of securities above their SMA200; null where none has one.",
    )
    credit_z = _number("HYG / LQD against its 252 sessions, standard deviations, signed")
    term_structure = _number("VIX - VIX3M, points, signed: positive is inverted")
    cross_asset = _number(
        "Return over 63 sessions less the mean of those of GLD and TLT, fraction, signed"
    )
    volatility_index = dy.Float64(
        nullable=True,
        min=0,
        description="Volatility that the market state looks at, points; null before.",
    )
    index_requested = dy.String(description="VIX, or volatility_20 where no series is asked for.")
    index_actual = dy.String(nullable=True, description="What volatility_index is; null for none.")
    distance_200 = dy.Float64(
        nullable=True,
        description="Last close / mean of 200 sessions - 1, fraction, signed; null before.",
    )
    growth = dy.Float64(
        nullable=True,
        description="Mean of 62 returns a year, fraction, signed; null before 63 closes.",
    )
    turbulence = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Share of the year's sessions whose last 10 returns were less wild, by their "
        "mean squared standard score; null before 252 closes.",
    )
    stress = dy.Float64(
        nullable=True,
        min=0,
        description="Score: weighted sum of turbulence and of the sd of 10 returns over that of "
        "62; null before 252 closes.",
    )
    e1_raw = _raw(_LABELS, "Label by E1")
    e1_label = _label(_LABELS, "Label by E1", "NEUTRAL")
    e1_confirmed = _confirmed()
    e1_candidate = _candidate(_LABELS)
    e1_streak = _streak()
    e1_risk_multiplier = _share("gross exposure")
    e1_position_multiplier = _share("new positions")
    e1_requested = dy.String(description="Inputs that E1 needs, separated by commas.")
    e1_actual = dy.String(
        nullable=True, description="Those that made its raw label: all, or null while one lacks."
    )
    e2_score = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Score of E2 from 0, the worst, to 1; null while the benchmark is not known.",
    )
    e2_raw = _raw(_LABELS, "Label by E2")
    e2_label = _label(_LABELS, "Label by E2", "NEUTRAL")
    e2_confirmed = _confirmed()
    e2_candidate = _candidate(_LABELS)
    e2_streak = _streak()
    e2_risk_multiplier = _share("gross exposure")
    e2_position_multiplier = _share("new positions")
    e2_requested = dy.String(description="Factors that E2 asks for, separated by commas.")
    e2_actual = dy.String(
        nullable=True, description="Those that made its score; null without a score."
    )
    quadrant_raw = _raw(_QUADRANTS, "Growth x stress")
    quadrant_label = _label(_QUADRANTS, "Growth x stress", "NORMAL")
    quadrant_confirmed = _confirmed()
    quadrant_candidate = _candidate(_QUADRANTS)
    quadrant_streak = _streak()
    market_raw = _raw(_MARKET_STATES, "Market state")
    market_label = _label(_MARKET_STATES, "Market state", "sideways")
    market_confirmed = _confirmed()
    market_candidate = _candidate(_MARKET_STATES)
    market_streak = _streak()
    volatility_raw = _raw(_VOLATILITY_STATES, "Volatility state")
    volatility_label = _label(_VOLATILITY_STATES, "Volatility state", "NORMAL")
    volatility_confirmed = _confirmed()
    volatility_candidate = _candidate(_VOLATILITY_STATES)
    volatility_streak = _streak()
    lacking = dy.String(
        nullable=True, description="Which of E1's inputs are lacking, and why; null if none is."
    )

    @dy.rule()
    def what_is_lacking_is_told(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Give a reason where an input has no value, and only there."""
        return pl.any_horizontal(pl.col(INPUTS).is_null()) == pl.col("lacking").is_not_null()


def _factors_known() -> Rule:
    """Share of a session's scores that are made of all that was asked for."""
    whole = pl.col("e2_actual").eq_missing(pl.col("e2_requested")).sum()
    return Rule(
        "factors_known",
        "warning",
        pl.when(pl.col("rows") > 0).then(pl.col("scores_whole") / pl.col("rows")),
        1.0,
        "at_least",
        {"scores_whole": whole},
    )


REGIME = Contract(
    kind="regime",
    schema=Regime,
    version=2,
    grain="one benchmark at one session's cutoff",
    rules=(share_known(INPUTS, "inputs"), _factors_known()),
)
