"""Quadrant, market state, volatility state: every rule, its edges, and what lacks."""

from __future__ import annotations

import statistics
from itertools import pairwise

import numpy as np
import pytest

from quant_platform.regimes.inputs import Inputs, measured
from quant_platform.regimes.states import (
    market_state,
    quadrant,
    volatility_index,
    volatility_state,
)
from quant_platform_tests.regimes.markets import SETTINGS

RULES = SETTINGS.states


@pytest.mark.parametrize(
    ("growth", "stress", "label"),
    [
        (0.0501, 1.1, "EXPANSION"),
        (0.0501, 1.1001, "INFLATIONARY"),
        (0.05, 0.5, "NORMAL"),
        (0.05, 2.0, "NORMAL"),
        (-0.05, 2.0, "NORMAL"),
        (-0.0501, 1.1, "STAGNATION"),
        (-0.0501, 1.1001, "CRISIS"),
        (None, 1.0, None),
        (0.2, None, None),
    ],
)
def test_every_quadrant(growth: float | None, stress: float | None, label: str | None) -> None:
    assert quadrant(Inputs(growth=growth, stress=stress), RULES.quadrant) == label


@pytest.mark.parametrize(
    ("implied", "distance", "label"),
    [
        (15.99, 0.0201, "bull_low_vol"),
        (16.0, 0.0201, "sideways"),
        (15.99, 0.02, "sideways"),
        (25.0, -0.02, "sideways"),
        (25.01, 0.10, "bear_high_vol"),
        (12.0, -0.0201, "bear_high_vol"),
        (12.0, None, None),
    ],
)
def test_every_market_state(implied: float, distance: float | None, label: str | None) -> None:
    assert market_state(Inputs(implied=implied, distance=distance), RULES.market) == label


@pytest.mark.parametrize(
    ("stress", "turbulence", "label"),
    [
        (0.6999, 0.7, "QUIET"),
        (0.7, 0.7, "NORMAL"),
        (0.9, 0.7, "NORMAL"),
        (0.9, 0.7001, "TURBULENT"),
        (0.5, 0.7001, "TURBULENT"),
        (1.7999, 0.9, "TURBULENT"),
        (1.8, 0.9, "CRISIS"),
        (1.8, 0.1, "CRISIS"),
        (None, 0.5, None),
        (1.0, None, None),
    ],
)
def test_every_volatility_state(
    stress: float | None, turbulence: float | None, label: str | None
) -> None:
    inputs = Inputs(stress=stress, turbulence=turbulence)
    assert volatility_state(inputs, RULES.volatility) == label


def test_without_vix_it_is_the_volatility_of_the_benchmark() -> None:
    own = Inputs(volatility=0.12, distance=0.05)
    assert volatility_index(own) == (pytest.approx(12.0), "volatility_20")
    assert market_state(own, RULES.market) == "bull_low_vol"
    assert volatility_index(Inputs(implied=30.0, volatility=0.12)) == (30.0, "VIX")
    assert volatility_index(Inputs()) == (None, None)
    assert market_state(Inputs(distance=0.05), RULES.market) is None
    # Of a market that is three times as wild.
    wild = Inputs(volatility=0.36, distance=0.07, growth=0.14, stress=0.9)
    assert volatility_index(wild, 3.0)[0] == pytest.approx(12.0)
    assert market_state(wild, RULES.market, 3.0) == "bull_low_vol"
    assert quadrant(wild, RULES.quadrant, 3.0) == "NORMAL"


@pytest.mark.parametrize("length", [63, 251, 252, 300])
def test_growth_turbulence_and_stress_are_those_of_their_definition(length: int) -> None:
    """From the closes themselves, with the standard library."""
    path = 100 * np.exp(np.cumsum(np.random.default_rng(length).normal(0, 0.01, length)))
    inputs, closes = measured(path, {}, 0.5, SETTINGS), path.tolist()
    returns = [b / a - 1 for a, b in pairwise(closes)]
    assert inputs.growth == pytest.approx(statistics.fmean(returns[-62:]) * 252)
    if length < 252:
        assert inputs.turbulence is inputs.stress is None
        return
    year = returns[-251:]
    mean, sd = statistics.fmean(year), statistics.stdev(year)
    distance = [((r - mean) / sd) ** 2 for r in year]
    means = [statistics.fmean(distance[n : n + 10]) for n in range(len(distance) - 9)]
    below = sum(m < means[-1] for m in means)
    turbulence = (below + 0.5) / len(means)
    assert inputs.turbulence == pytest.approx(turbulence)
    ratio = statistics.stdev(returns[-10:]) / statistics.stdev(returns[-62:])
    assert inputs.stress == pytest.approx(0.7 * ratio + 0.6 * turbulence)


def test_a_market_that_does_not_move_has_no_stress() -> None:
    inputs = measured(np.full(252, 100.0), {}, 0.5, SETTINGS)
    assert inputs.turbulence is inputs.stress is None
    assert inputs.volatility == 0.0


def test_a_market_as_usual_has_a_stress_of_about_one() -> None:
    random = np.random.default_rng(11)
    closes = 100 * np.exp(np.cumsum(random.normal(0, 0.01, (400, 252)), axis=1))
    stresses = [measured(path, {}, 0.5, SETTINGS).stress for path in closes]
    assert statistics.fmean(s for s in stresses if s is not None) == pytest.approx(1.0, abs=0.06)
