"""Regime model E2: one score from 0, the worst, to 1, out of seven factors.

1. Each factor is mapped to [0, 1] by its knots, linear in between.
2. The score is their weighted mean. The weight of a factor that is lacking is shared out among the
   others, so that without the credit pair, VIX3M and the havens it is a score of E1's inputs; the
   row says which factors it has. Volatility, drawdown and trend are what the benchmark itself says:
   without one of them there is no score.
3. RISK_ON from one cut on, RISK_OFF at the other and below, NEUTRAL in between.
4. The throttle follows the score of the session, linear between its knots. A session without a
   score is throttled by its label in force, as in E1; before the first confirmation nothing is
   known well enough to leave more than the neutral label does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from quant_platform.regimes.inputs import Inputs
from quant_platform.regimes.smoothing import Smoothed
from quant_platform.settings.regimes import E2Settings, Factor, RegimeLabel, RegimeSettings

NEEDED: frozenset[Factor] = frozenset({"trend", "volatility", "drawdown"})
"""Without one of these the benchmark is not known."""


@dataclass(frozen=True)
class Score:
    """The score of one session.

    Parameters
    ----------
    value
        From 0 to 1; None while the benchmark is not known.
    factors
        What it was made of, in the order of the weights; none without a score.
    """

    value: float | None
    factors: tuple[Factor, ...] = ()


def e2_score(inputs: Inputs, settings: E2Settings, scale: float = 1.0) -> Score:
    """Weigh what is known of one session.

    Parameters
    ----------
    inputs
        What is known of the session.
    settings
        Weights and knots.
    scale
        How much wilder the market usually is than the one that the knots are written for.
    """
    known = _known(inputs, scale)
    factors = tuple(factor for factor in settings.factors if factor in known)
    if not known.keys() >= NEEDED or not factors:
        return Score(None)
    weight = math.fsum(settings.weights[factor] for factor in factors)
    worth = math.fsum(
        settings.weights[factor] * factor_worth(factor, known[factor], settings)
        for factor in factors
    )
    return Score(worth / weight, factors)


def factor_worth(factor: Factor, value: float, settings: E2Settings) -> float:
    """Map a factor to what it is worth, from 0 to 1."""
    places, worths = zip(*settings.knots[factor], strict=True)
    return float(np.interp(value, places, worths))


def e2_label(score: Score, settings: E2Settings) -> RegimeLabel | None:
    """Return the label of one session by itself; None without a score."""
    if score.value is None:
        return None
    if score.value >= settings.risk_on:
        return "RISK_ON"
    return "RISK_OFF" if score.value <= settings.risk_off else "NEUTRAL"


def e2_throttle(score: Score, held: Smoothed, settings: RegimeSettings) -> tuple[float, float]:
    """Return what is left of gross exposure and of new positions.

    Parameters
    ----------
    score
        The session's score.
    held
        The label in force after it.
    settings
        The throttles of both models.
    """
    risk, new = throttle_of(held.label, settings)
    if score.value is None:
        return risk, new
    places, risks, news = zip(*settings.e2.throttle, strict=True)
    by_score = (
        float(np.interp(score.value, places, risks)),
        float(np.interp(score.value, places, news)),
    )
    if held.confirmed:
        return by_score
    return min(by_score[0], risk), min(by_score[1], new)


def throttle_of(label: str, settings: RegimeSettings) -> tuple[float, float]:
    """Return what a label leaves of gross exposure and of new positions."""
    risk: dict[str, float] = dict(settings.throttle.items())
    new: dict[str, float] = dict(settings.new_positions.items())
    return risk[label], new[label]


def _known(inputs: Inputs, scale: float) -> dict[Factor, float]:
    """Return the factors that a session has, in units of the market that the knots are for."""

    def scaled(value: float | None) -> float | None:
        return None if value is None else value / scale

    values: dict[Factor, float | None] = {
        "trend": scaled(inputs.trend),
        "volatility": scaled(inputs.volatility),
        "credit": inputs.credit,
        "term_structure": inputs.term_structure,
        "breadth": inputs.breadth,
        "drawdown": scaled(inputs.drawdown),
        "cross_asset": scaled(inputs.cross_asset),
    }
    return {factor: value for factor, value in values.items() if value is not None}
