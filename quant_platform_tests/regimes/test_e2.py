"""Model E2: worth of each factor, the score, its labels and throttle, and what it degrades to."""

from __future__ import annotations

import math
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_platform.regimes.e2 import Score, e2_label, e2_score, e2_throttle, factor_worth
from quant_platform.regimes.inputs import Inputs
from quant_platform.regimes.smoothing import Smoothed
from quant_platform.settings.regimes import OF_SERIES, E2Settings, Factor
from quant_platform_tests.regimes.markets import CRASH, PLAIN, PLANTED, SESSIONS, SETTINGS, run

MODEL = SETTINGS.e2
BEST = Inputs(
    volatility=0.05,
    drawdown=0.0,
    trend=0.2,
    breadth=0.95,
    credit=3.0,
    term_structure=-6.0,
    cross_asset=0.3,
)
WORST = Inputs(
    volatility=0.9,
    drawdown=-0.5,
    trend=-0.2,
    breadth=0.05,
    credit=-4.0,
    term_structure=9.0,
    cross_asset=-0.3,
)
FIELDS: dict[Factor, str] = {factor: factor for factor in MODEL.weights}


def test_the_weights_are_those_of_the_specification_and_add_up_to_one() -> None:
    assert MODEL.weights == {
        "trend": 0.22,
        "volatility": 0.18,
        "credit": 0.18,
        "term_structure": 0.10,
        "breadth": 0.13,
        "drawdown": 0.09,
        "cross_asset": 0.10,
    }
    assert math.fsum(MODEL.weights.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("factor", list(MODEL.weights))
def test_each_factor_is_linear_between_its_knots_and_ends_at_0_and_1(factor: Factor) -> None:
    knots = MODEL.knots[factor]
    for value, worth in knots:
        assert factor_worth(factor, value, MODEL) == worth
    for (low, worth), (high, other) in pairwise(knots):
        middle = factor_worth(factor, (low + high) / 2, MODEL)
        assert middle == pytest.approx((worth + other) / 2)
    worths = [worth for _, worth in knots]
    # One direction only: a factor that is worth less both ways would say nothing.
    assert worths in (sorted(worths), sorted(worths, reverse=True))
    assert {min(worths), max(worths)} == {0.0, 1.0}
    assert factor_worth(factor, knots[0][0] - 99, MODEL) == worths[0]
    assert factor_worth(factor, knots[-1][0] + 99, MODEL) == worths[-1]


def test_the_edges_of_e1_are_worth_the_scores_at_which_their_labels_are_throttled() -> None:
    off, on, worst = SETTINGS.e1.risk_off, SETTINGS.e1.risk_on, SETTINGS.e1.stressed
    edges: list[tuple[Factor, float, float]] = [
        ("trend", on.trend, 0.65),
        ("trend", off.trend, 0.35),
        ("trend", worst.trend, 0.10),
        ("breadth", on.breadth, 0.65),
        ("breadth", off.breadth, 0.35),
        ("volatility", on.volatility, 0.50),
        ("volatility", worst.volatility, 0.10),
        ("drawdown", on.drawdown, 0.50),
        ("drawdown", worst.drawdown, 0.10),
    ]
    for factor, value, worth in edges:
        assert factor_worth(factor, value, MODEL) == pytest.approx(worth), factor


def test_the_best_and_the_worst_session() -> None:
    assert e2_score(BEST, MODEL) == Score(pytest.approx(1.0), tuple(MODEL.weights))
    assert e2_score(WORST, MODEL).value == 0.0


def test_a_score_by_hand() -> None:
    inputs = Inputs(
        volatility=0.15,  # 0.75
        drawdown=-0.05,  # 0.75
        trend=0.01,  # 0.50
        breadth=0.50,  # 0.50
        credit=1.0,  # 0.75
        term_structure=-1.0,  # 0.50
        cross_asset=0.05,  # 0.75
    )
    by_hand = 0.75 * (0.18 + 0.09 + 0.18 + 0.10) + 0.50 * (0.22 + 0.13 + 0.10)
    assert e2_score(inputs, MODEL).value == pytest.approx(by_hand)
    # Without the credit pair its weight is shared out.
    less = Inputs(**{**inputs.__dict__, "credit": None})
    assert e2_score(less, MODEL).value == pytest.approx((by_hand - 0.75 * 0.18) / 0.82)
    assert "credit" not in e2_score(less, MODEL).factors


@pytest.mark.parametrize("factor", list(MODEL.weights))
def test_a_factor_moves_the_score_by_its_weight(factor: Factor) -> None:
    worse = Inputs(**{**BEST.__dict__, FIELDS[factor]: getattr(WORST, FIELDS[factor])})
    assert e2_score(worse, MODEL).value == pytest.approx(1 - MODEL.weights[factor])


@pytest.mark.parametrize("lacking", ["volatility", "drawdown", "trend"])
def test_without_the_benchmark_there_is_no_score(lacking: str) -> None:
    score = e2_score(Inputs(**{**BEST.__dict__, lacking: None}), MODEL)
    assert score == Score(None)
    assert e2_label(score, MODEL) is None


def test_without_breadth_there_is_one() -> None:
    assert e2_score(Inputs(**{**BEST.__dict__, "breadth": None}), MODEL).value == pytest.approx(1)


def test_a_wilder_market_is_measured_by_what_is_usual_there() -> None:
    inputs = Inputs(volatility=0.45, drawdown=-0.15, trend=0.06, breadth=0.55)
    own = Inputs(volatility=0.15, drawdown=-0.05, trend=0.02, breadth=0.55)
    assert e2_score(inputs, MODEL, 3.0).value == pytest.approx(e2_score(own, MODEL).value)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (1.0, "RISK_ON"),
        (0.65, "RISK_ON"),
        (0.6499, "NEUTRAL"),
        (0.3501, "NEUTRAL"),
        (0.35, "RISK_OFF"),
        (0.0, "RISK_OFF"),
        (None, None),
    ],
)
def test_every_label_and_its_edges(value: float | None, label: str | None) -> None:
    assert e2_label(Score(value), MODEL) == label


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (0.0, (0.0, 0.0)),
        (0.10, (0.0, 0.0)),
        (0.225, (0.1, 0.15)),
        (0.35, (0.2, 0.3)),
        (0.425, (0.4, 0.5)),
        (0.50, (0.6, 0.7)),
        (0.575, (0.8, 0.85)),
        (0.65, (1.0, 1.0)),
        (0.9, (1.0, 1.0)),
    ],
)
def test_the_throttle_is_linear_between_its_knots(value: float, left: tuple[float, float]) -> None:
    held = Smoothed("NEUTRAL", confirmed=True)
    assert e2_throttle(Score(value), held, SETTINGS) == pytest.approx(left)


def test_before_the_first_confirmation_no_more_is_left_than_the_neutral_label_leaves() -> None:
    assert e2_throttle(Score(0.9), Smoothed("NEUTRAL"), SETTINGS) == (0.6, 0.7)
    assert e2_throttle(Score(0.1), Smoothed("NEUTRAL"), SETTINGS) == (0.0, 0.0)


def test_a_session_without_a_score_is_throttled_by_its_label() -> None:
    for label in ("RISK_ON", "NEUTRAL", "RISK_OFF"):
        held = Smoothed(label, confirmed=True)
        expected = SETTINGS.throttle[label], SETTINGS.new_positions[label]
        assert e2_throttle(Score(None), held, SETTINGS) == expected


any_value = st.one_of(st.none(), st.floats(-5, 5))


@given(st.lists(any_value, min_size=4, max_size=4), st.floats(0.05, 0.4))
def test_a_score_is_between_the_worths_it_is_made_of(
    others: list[float | None], volatility: float
) -> None:
    credit, term, breadth, cross = others
    inputs = Inputs(
        volatility=volatility,
        drawdown=-0.1,
        trend=0.01,
        breadth=breadth,
        credit=credit,
        term_structure=term,
        cross_asset=cross,
    )
    score = e2_score(inputs, MODEL)
    worths = [factor_worth(f, getattr(inputs, FIELDS[f]), MODEL) for f in score.factors]
    assert score.value is not None
    assert min(worths) - 1e-12 <= score.value <= max(worths) + 1e-12


# -- degradation -----------------------------------------------------------------------------------


def without(*names: str) -> pl.DataFrame:
    bars, actions, features, series = PLANTED
    kept = series.filter(~pl.col("series").is_in(list(names)))
    return run((bars, actions, features, kept), SESSIONS[: len(CRASH)])


@pytest.mark.parametrize(
    ("names", "lost"),
    [
        (["HYG"], ["credit"]),
        (["LQD"], ["credit"]),
        (["VIX3M"], ["term_structure"]),
        (["VIX"], ["term_structure"]),
        (["GLD"], ["cross_asset"]),
        (["TLT"], ["cross_asset"]),
        (["HYG", "LQD", "VIX", "VIX3M", "GLD", "TLT"], list(OF_SERIES)),
    ],
)
def test_a_series_that_is_lacking_is_recorded(names: list[str], lost: list[str]) -> None:
    made = without(*names)[260:]
    kept = ",".join(factor for factor in MODEL.weights if factor not in lost)
    assert set(made["e2_actual"]) == {kept}
    assert set(made["e2_requested"]) == {",".join(MODEL.weights)}
    assert made["e2_score"].null_count() == 0
    assert set(made["index_actual"]) == {"volatility_20" if "VIX" in names else "VIX"}
    plain = PLAIN[260:]
    assert not made["e2_score"].equals(plain["e2_score"])
    # E1 has nothing to do with them.
    for name in ("e1_raw", "e1_label", "e1_actual", "lacking", "quadrant_raw", "volatility_raw"):
        assert made[name].equals(plain[name])


def test_without_series_it_is_a_score_of_the_inputs_of_e1() -> None:
    made = without("HYG", "LQD", "VIX", "VIX3M", "GLD", "TLT")
    bare = SETTINGS.model_copy(update={"e2": MODEL.without(OF_SERIES)})
    asked = run(PLANTED, SESSIONS[: len(CRASH)], chosen=bare)
    assert made["e2_score"].equals(asked["e2_score"])
    assert set(asked["e2_requested"]) == {"trend,volatility,breadth,drawdown"}
    assert set(asked["e2_actual"][199:]) == set(asked["e2_requested"])


def test_an_observation_stands_for_a_week_and_no_longer() -> None:
    bars, actions, features, series = PLANTED
    ended = series.filter((pl.col("session") <= SESSIONS[300]) | (pl.col("series") != "VIX3M"))
    made = run((bars, actions, features, ended), SESSIONS[:310])
    assert made["term_structure"][300:305].to_list() == [PLAIN["term_structure"][300]] * 5
    assert made["term_structure"][305:].null_count() == 5
    assert "term_structure" not in made["e2_actual"][305]


def test_what_is_published_late_counts_from_then_on() -> None:
    """VIX3M of one session comes two sessions later; until then the one before stands."""
    bars, actions, features, series = PLANTED
    own = (pl.col("series") == "VIX3M") & (pl.col("session") == SESSIONS[300])
    late = series.with_columns(
        knowledge_session=pl.when(own).then(pl.lit(SESSIONS[302])).otherwise("knowledge_session"),
        known_at=pl.when(own).then(pl.col("known_at") + pl.duration(days=4)).otherwise("known_at"),
    )
    days = SESSIONS[:310]
    made = run((bars, actions, features, late), days)
    assert made["term_structure"][300] == PLAIN["term_structure"][299]
    assert made["term_structure"][301:].equals(PLAIN["term_structure"][301:310])
    assert run((bars, actions, features, late), days, cuts=range(298, 305)).equals(made)


def test_the_knots_ascend() -> None:
    shuffled = {**MODEL.knots, "credit": ((0.0, 0.5), (-2.0, 0.0))}
    with pytest.raises(ValueError, match="-2 comes after 0"):
        E2Settings(weights=MODEL.weights, knots=shuffled)
