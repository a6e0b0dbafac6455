"""The other labels of a session: quadrant, market state, volatility state.

All from the inputs of the models, each None while one of its own is lacking.
"""

from __future__ import annotations

from quant_platform.regimes.inputs import Inputs
from quant_platform.settings.regime_states import MarketRule, QuadrantRule, VolatilityRule


def quadrant(inputs: Inputs, rule: QuadrantRule, scale: float = 1.0) -> str | None:
    """Return growth x stress of one session by itself.

    Parameters
    ----------
    inputs
        What is known of the session.
    rule
        What is high and what is low.
    scale
        How much wilder the market usually is than the one that the rule is written for.
    """
    if inputs.growth is None or inputs.stress is None:
        return None
    growth, stressed = inputs.growth / scale, inputs.stress > rule.stress
    if growth > rule.growth:
        return "INFLATIONARY" if stressed else "EXPANSION"
    if growth < -rule.growth:
        return "CRISIS" if stressed else "STAGNATION"
    return "NORMAL"


def volatility_index(inputs: Inputs, scale: float = 1.0) -> tuple[float | None, str | None]:
    """Return the volatility that the market state looks at, in points, and what it is.

    Without VIX it is the benchmark's own of 20 sessions, which lacks the premium of insurance and
    comes later.
    """
    if inputs.implied is not None:
        return inputs.implied, "VIX"
    if inputs.volatility is not None:
        return 100 * inputs.volatility / scale, "volatility_20"
    return None, None


def market_state(inputs: Inputs, rule: MarketRule, scale: float = 1.0) -> str | None:
    """Return the market state of one session by itself; parameters as for :func:`quadrant`."""
    index, _ = volatility_index(inputs, scale)
    if index is None or inputs.distance is None:
        return None
    distance = inputs.distance / scale
    if index > rule.nervous or distance < rule.below:
        return "bear_high_vol"
    return "bull_low_vol" if index < rule.calm and distance > rule.above else "sideways"


def volatility_state(inputs: Inputs, rule: VolatilityRule) -> str | None:
    """Return the volatility state of one session by itself: the worst whose rule holds."""
    if inputs.stress is None or inputs.turbulence is None:
        return None
    if inputs.stress >= rule.crisis:
        return "CRISIS"
    if inputs.turbulence > rule.turbulence:
        return "TURBULENT"
    return "QUIET" if inputs.stress < rule.quiet else "NORMAL"
