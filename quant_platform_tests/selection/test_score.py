"""Scores by hand: maps, product, penalty, regime, dominance, and the order that each asks for."""

from __future__ import annotations

from math import exp, log

import numpy as np
import polars as pl
import pytest

from quant_platform.selection.score import (
    FLOOR,
    PARTS,
    antifragility,
    fragility_penalty,
    parts_of,
    ranked,
    scored,
    standardised,
)
from quant_platform.settings.selection import Component, SelectionSettings

NAN = float("nan")
LONE = {
    "annual_return": [0.3],
    "annual_volatility": [0.2],
    "adv_money_20": [5e7],
    "skewness": [0.5],
    "kurtosis": [1.0],
    "upper_tail": [0.03],
    "tail": [-0.02],
    "observations": [252.0],
    "survival": [0.8],
    "efficiency": [0.3],
    "permutation_entropy": [0.9],
    "hurst_place": [0.9],
    "adx_14": [25.0],
    "recommend_all": [0.4],
    "recommend_ma": [0.6],
    "composite_score": [1.0],
}


def rows(**changed: list[float]) -> pl.DataFrame:
    """Candidates alike but for what is said."""
    count = len(next(iter(changed.values()), [0.0]))
    told = {name: values * count for name, values in LONE.items()} | changed
    return pl.DataFrame(told, schema=dict.fromkeys(told, pl.Float64))


def score(settings: SelectionSettings, *, fit: float = 0.0, **changed: list[float]) -> np.ndarray:
    candidates = rows(**changed)
    return scored(candidates, np.full(candidates.height, fit), settings).score


def test_ranks_share_their_mean_and_the_lone_one_is_the_middle() -> None:
    assert ranked(np.array([3.0, 1.0, 1.0, 2.0])) == pytest.approx([1.0, 0.175, 0.175, 0.67])
    assert ranked(np.array([NAN, 7.0])).tolist()[1] == 0.505
    assert np.isnan(ranked(np.array([NAN, 7.0]))[0])


def test_values_that_are_alike_are_nowhere() -> None:
    assert standardised(np.array([0.1, 0.1, 0.1])).tolist() == [0.0, 0.0, 0.0]
    assert standardised(np.array([1.0, 3.0])) == pytest.approx([-(0.5**0.5), 0.5**0.5])


def test_the_score_of_one_alone_is_that_of_the_table() -> None:
    """By hand: log-MPS of one candidate, whose ranks are 0.505 and whose loss is the largest."""
    settings = SelectionSettings(mode="log_mps_v3_2", signal="momentum")
    ranks = 3.0 + 0.0458 + 0.6263 + 0.0322 + 0.3485
    total = (
        ranks * log(0.505) + 0.2946 * log(0.1) + 1.4 * log(0.8) + 1.5348 * log(0.3) + 1.0 * log(0.5)
    )
    assert score(settings) == pytest.approx([exp(total) * 0.5], rel=1e-12)
    more = (1.0 + 1.0 + 0.5 + 0.5 + 1.0) * log(0.505)
    four = SelectionSettings(mode="v4", signal="momentum")
    assert score(four) == pytest.approx([exp(total + more) * 0.5], rel=1e-12)
    assert score(four, fit=0.2) == pytest.approx([exp(total + more) * 0.5 * 1.2], rel=1e-12)
    assert score(four, fit=-1.0) == pytest.approx([exp(total + more) * 0.5 * 0.1], rel=1e-12)


def test_the_additive_score_is_a_weighted_mean_without_penalty_and_regime() -> None:
    settings = SelectionSettings(mode="v2_1", signal="momentum")
    total = 3.0 + 0.0458 + 0.2946 + 0.6263 + 1.4 + 1.5348 + 0.0322 + 0.3485 + 1.0
    # One alone: logistic and pulled z of the middle are 0.5, ranks are 0.505.
    by_rank = 0.0458 + 0.2946 + 0.6263 + 1.4 + 0.0322 + 0.3485
    expected = (0.505 * by_rank + 0.5 * (3.0 + 1.5348 + 1.0)) / total
    assert score(settings, fit=-1.0) == pytest.approx([expected], rel=1e-12)


BETTER: dict[Component, dict[str, list[float]]] = {
    "momentum": {"annual_return": [0.1, 0.5]},
    "stability": {"annual_volatility": [0.5, 0.1]},
    "liquidity": {"adv_money_20": [1e6, 1e8]},
    "antifragility": {"upper_tail": [0.01, 0.05]},
    "survival": {"survival": [0.2, 0.8]},
    "efficiency": {"efficiency": [0.1, 0.4]},
    "entropy": {"permutation_entropy": [0.95, 0.8]},
    "hurst_clean": {"hurst_place": [0.5, 0.95]},
    "adx": {"adx_14": [10.0, 40.0]},
    "recommend_all": {"recommend_all": [-0.5, 0.5]},
    "recommend_ma": {"recommend_ma": [-0.5, 0.5]},
    "kurtosis": {"kurtosis": [9.0, 0.5]},
    "tail": {"tail": [-0.05, -0.01]},
    "composite_score": {"composite_score": [-1.0, 2.0]},
}


@pytest.mark.parametrize("component", BETTER)
def test_better_of_one_component_is_a_higher_score(component: Component) -> None:
    worse, better = score(SelectionSettings(signal=component), **BETTER[component])
    assert better > worse
    assert set(BETTER) | {"skewness"} == set(PARTS["v4"]) | {"composite_score"}


def test_who_reverts_is_as_far_from_the_random_walk_as_who_persists() -> None:
    walk, reverts, persists = score(SelectionSettings(), hurst_place=[0.5, 0.0625, 0.9375])
    assert reverts == persists > walk


def test_skewness_of_either_sign_costs_the_same_outside_of_antifragility() -> None:
    made = scored(rows(skewness=[-2.0, 0.1, 2.0]), np.zeros(3), SelectionSettings())
    left, middle, right = made.probabilities["skewness"]
    assert left == right < middle


def test_a_missing_value_is_the_middle_of_every_map() -> None:
    names = [name for name in LONE if name not in ("observations", "tail")]
    lacking = {name: [NAN] for name in names}
    made = scored(rows(**lacking).fill_nan(None), np.zeros(1), SelectionSettings())
    for component, probability in made.probabilities.items():
        if component != "tail":
            assert probability.tolist() == [0.5], component


def test_a_component_of_nothing_does_not_end_the_world() -> None:
    made = scored(rows(survival=[0.0, 1.0]), np.zeros(2), SelectionSettings())
    assert made.score[0] == pytest.approx(made.score[1] * FLOOR**1.4, rel=1e-9)


def test_half_of_the_score_is_lost_for_the_worst_days_of_the_session() -> None:
    found = fragility_penalty(np.array([-0.08, -0.02, 0.01, NAN]))
    assert found == pytest.approx([0.5, 0.125, 0.0, 0.25])
    assert fragility_penalty(np.array([NAN, NAN])).tolist() == [0.25, 0.25]


def test_antifragility_of_a_short_history_counts_for_less() -> None:
    found = antifragility(
        np.array([-1.0, 1.0, 1.0]), np.array([0.01, 0.03, 0.03]), np.array([252.0, 504.0, 63.0])
    )
    assert found == pytest.approx([0.0, 2.0, 0.5])


def test_the_signal_dominates_and_momentum_stays_small_beside_it() -> None:
    weights = {
        name: part.weight for name, part in parts_of(SelectionSettings(signal="adx")).items()
    }
    assert (weights["adx"], weights["momentum"], weights["efficiency"]) == (3.0, 0.5, 1.5348)
    own = {n: part.weight for n, part in parts_of(SelectionSettings()).items()}
    assert own["momentum"] == 3.0
    assert "composite_score" not in own
