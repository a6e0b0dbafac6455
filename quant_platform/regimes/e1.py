"""Regime model E1: four labels from volatility, drawdown, trend and breadth.

The rules are tried from the worst label to the best; where none holds the session is NEUTRAL. While
an input is lacking the session has no label of its own. The confirmed label says what is left of
risk.
"""

from __future__ import annotations

from quant_platform.regimes.inputs import Inputs
from quant_platform.settings.regimes import E1Settings, Factor, RegimeLabel

E1_FACTORS: tuple[Factor, ...] = ("trend", "volatility", "breadth", "drawdown")
"""What the model needs, all of it."""


def e1_label(inputs: Inputs, rules: E1Settings, scale: float = 1.0) -> RegimeLabel | None:
    """Return the label of one session by itself; None while an input is lacking.

    Parameters
    ----------
    inputs
        What is known of the session.
    rules
        The rules of the labels.
    scale
        How much wilder the market usually is than the one that the rules are written for.
    """
    if None in (inputs.volatility, inputs.drawdown, inputs.trend, inputs.breadth):
        return None
    volatility, drawdown, trend = (
        (value or 0.0) / scale for value in (inputs.volatility, inputs.drawdown, inputs.trend)
    )
    breadth = inputs.breadth or 0.0
    worst = rules.stressed
    if drawdown <= worst.drawdown:
        return "STRESSED"
    if volatility >= worst.volatility and trend <= worst.trend:
        return "STRESSED"
    off = rules.risk_off
    weak = drawdown <= off.drawdown or trend < off.trend or breadth <= off.breadth
    if volatility >= off.volatility and weak:
        return "RISK_OFF"
    on = rules.risk_on
    calm = volatility <= on.volatility and drawdown > on.drawdown
    if calm and trend >= on.trend and breadth >= on.breadth:
        return "RISK_ON"
    return "NEUTRAL"
