"""Model E1: every rule and its edges."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from quant_platform.regimes.e1 import e1_label
from quant_platform.regimes.inputs import Inputs
from quant_platform.settings.regimes import E1Settings, E2Settings, RegimeLabel, RegimeSettings
from quant_platform_tests.regimes.markets import SETTINGS

RULES = E1Settings()
CALM = {"volatility": 0.10, "drawdown": -0.02, "trend": 0.05, "breadth": 0.7}


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({}, "RISK_ON"),
        # RISK_ON needs all four; the first three edges are still in, the next ones out.
        ({"volatility": 0.20, "trend": 0.02, "breadth": 0.55}, "RISK_ON"),
        ({"volatility": 0.2001}, "NEUTRAL"),
        ({"drawdown": -0.0999}, "RISK_ON"),
        ({"drawdown": -0.10}, "NEUTRAL"),
        ({"trend": 0.0199}, "NEUTRAL"),
        ({"breadth": 0.5499}, "NEUTRAL"),
        # RISK_OFF needs volatility and any of three.
        ({"volatility": 0.20, "drawdown": -0.10}, "RISK_OFF"),
        ({"volatility": 0.20, "trend": -0.0001}, "RISK_OFF"),
        ({"volatility": 0.20, "breadth": 0.45}, "RISK_OFF"),
        ({"volatility": 0.25, "trend": 0.0}, "NEUTRAL"),
        ({"volatility": 0.25, "drawdown": -0.0999, "breadth": 0.4501}, "NEUTRAL"),
        ({"volatility": 0.1999, "drawdown": -0.15, "trend": -0.05, "breadth": 0.2}, "NEUTRAL"),
        # STRESSED: the drawdown alone, or volatility with a falling trend.
        ({"drawdown": -0.20}, "STRESSED"),
        ({"drawdown": -0.1999}, "NEUTRAL"),
        ({"volatility": 0.30, "trend": -0.02}, "STRESSED"),
        ({"volatility": 0.2999, "trend": -0.02}, "RISK_OFF"),
        ({"volatility": 0.30, "trend": -0.0199}, "RISK_OFF"),
        ({"volatility": 0.90, "trend": 0.05}, "NEUTRAL"),
        # An input that is lacking leaves no label.
        *(({name: None}, None) for name in CALM),
        ({"drawdown": -0.5, "breadth": None}, None),
    ],
)
def test_every_rule_and_its_edges(
    change: Mapping[str, float | None], label: RegimeLabel | None
) -> None:
    assert e1_label(Inputs(**{**CALM, **change}), RULES) == label


def test_the_rules_are_settings() -> None:
    strict = E1Settings.model_validate({"risk_on": {"trend": 0.06}})
    assert e1_label(Inputs(**CALM), strict) == "NEUTRAL"


def test_a_wilder_market_is_judged_by_what_is_usual_there() -> None:
    wild = Inputs(volatility=0.55, drawdown=-0.25, trend=0.07, breadth=0.7)
    assert e1_label(wild, RULES) == "STRESSED"
    assert e1_label(wild, RULES, 3.0) == "RISK_ON"
    assert e1_label(Inputs(**CALM), RULES, 3.0) == "NEUTRAL"  # a trend of 5 % is none there


def test_the_shipped_file_says_what_the_models_say() -> None:
    """Rules, throttles and smoothing are the specification's; each is written out in the file."""
    bare = RegimeSettings(
        benchmark=SETTINGS.benchmark,
        breadth_sleeve=SETTINGS.breadth_sleeve,
        others=SETTINGS.others,
        e2=E2Settings(weights=SETTINGS.e2.weights, knots=SETTINGS.e2.knots),
        fit=SETTINGS.fit,
    )
    assert bare == SETTINGS
    assert SETTINGS.model == "e1"
    assert set(SETTINGS.fit) == {"trend", "mean_reversion"}
    assert SETTINGS.throttle == {"RISK_ON": 1.0, "NEUTRAL": 0.6, "RISK_OFF": 0.2, "STRESSED": 0.0}
    assert SETTINGS.new_positions == {
        "RISK_ON": 1.0,
        "NEUTRAL": 0.7,
        "RISK_OFF": 0.3,
        "STRESSED": 0.0,
    }
