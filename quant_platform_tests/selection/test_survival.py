"""Stresses that are found, gold that is followed, signs that are turned once."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from quant_platform.selection.direction import signs_of, turned
from quant_platform.selection.evidence import evidence
from quant_platform.selection.gold import SESSIONS, fidelity
from quant_platform.selection.score import values_of
from quant_platform.selection.survival import stress_windows, survival
from quant_platform.settings.selection import SelectionSettings, StressSettings

STRESS = StressSettings(lookback=60, window=5, loss=0.05, most=3)


def quiet() -> np.ndarray:
    return np.full(60, 0.0005)


def market() -> np.ndarray:
    """Return a market that fell twice, by a tenth and by less."""
    benchmark = quiet()
    benchmark[10:15], benchmark[40:45] = -0.02, -0.015
    return benchmark


def test_the_worst_windows_are_found_the_worst_first_and_none_overlaps() -> None:
    found = stress_windows(market(), STRESS)
    assert [first for first, _ in found] == [10, 40]
    assert found[0][1] == pytest.approx(0.98**5 - 1)
    assert stress_windows(quiet(), STRESS) == []
    assert stress_windows(market()[:4], STRESS) == []


def test_a_window_with_a_gap_of_the_benchmark_is_none() -> None:
    torn = market()
    torn[12] = np.nan
    assert [first for first, _ in stress_windows(torn, STRESS)] == [40]


def test_who_lost_less_survived_and_who_was_not_there_did_not() -> None:
    path = market()
    young = path / 2
    young[:20] = np.nan
    found = survival(path, np.stack([path / 2, path * 2, young, -path], axis=1), STRESS)
    assert found.windows.tolist() == [2, 2, 1, 2]
    assert found.share.tolist()[:2] == [1.0, 0.0]
    assert np.isnan(found.share[2])
    assert found.share[3] == 1.0


def test_a_security_that_saw_two_of_three_is_judged_by_all_three() -> None:
    path = market()
    path[25:30] = -0.03
    late = path / 2
    late[:20] = np.nan
    found = survival(path, late[:, None], STRESS)
    assert (found.windows.tolist(), found.share.tolist()) == ([2], [pytest.approx(2 / 3)])


def test_a_token_is_compared_between_the_sessions_of_gold() -> None:
    """Gold trades five days of seven; the token makes its Monday's move over the weekend."""
    days = [date(2022, 1, 3) + timedelta(days=n) for n in range(240)]
    sessions = [day for day in days if day.isoweekday() < 6][: SESSIONS + 10]
    days = [day for day in days if day <= sessions[-1]]
    gold = np.random.default_rng(1).normal(0.0, 0.01, len(sessions))
    token = np.zeros((len(days), 2))
    for session, value in zip(sessions, gold, strict=True):
        place = days.index(session) - (2 if session.isoweekday() == 1 and session != days[0] else 0)
        token[place, 0] = value
    token[:, 1] = np.random.default_rng(2).normal(0.0, 0.01, len(days))
    correlation, gap = fidelity(days, token, sessions, gold)
    assert correlation[0] == pytest.approx(1.0)
    assert abs(gap[0]) < 1e-9
    assert abs(correlation[1]) < 0.5
    lost = token.copy()
    lost[-60:] = np.nan
    assert np.isnan(fidelity(days, lost, sessions, gold)[0]).all()


def test_the_signs_of_a_short_are_turned_once() -> None:
    """A short that falls looks to every figure like a long that rises by the mirrored returns."""
    path = np.random.default_rng(3).normal(-0.002, 0.01, (252, 2))
    short, long = evidence(-path, 60, 252), evidence(path, 60, 252)
    assert short["annual_return"] == pytest.approx(-long["annual_return"])
    assert short["skewness"] == pytest.approx(-long["skewness"])
    assert short["tail"] == pytest.approx(-long["upper_tail"])
    assert short["annual_volatility"] == pytest.approx(long["annual_volatility"])
    rows = pl.DataFrame(
        {"composite_score": [2.0, 2.0], "recommend_all": [0.5, 0.5], "recommend_ma": [1.0, 1.0]}
    )
    both = turned(rows, np.array([1.0, -1.0]))
    assert both["direction"].to_list() == ["long", "short"]
    assert both["composite_score"].to_list() == [2.0, -2.0]
    assert both["recommend_all"].to_list() == [0.5, -0.5]


def test_the_most_bearish_short_is_the_best() -> None:
    falls = np.stack([np.full(252, -0.004), np.full(252, -0.001)], axis=1)
    falls += np.random.default_rng(4).normal(0.0, 0.01, (252, 1))
    figures = pl.DataFrame(evidence(-falls, 60, 252)).with_columns(
        *(
            pl.lit(0.0).alias(name)
            for name in ("adv_money_20", "survival", "efficiency", "permutation_entropy")
        ),
        *(
            pl.lit(0.0).alias(name)
            for name in ("hurst_place", "adx_14", "recommend_all", "recommend_ma")
        ),
        composite_score=pl.lit(0.0),
    )
    deep, shallow = values_of(figures, SelectionSettings(directions=("short",)))["momentum"]
    assert deep > shallow


def test_with_both_directions_each_is_judged_in_that_of_its_momentum() -> None:
    momentum = np.array([0.2, -0.1, np.nan])
    assert signs_of(momentum, ("long", "short")).tolist() == [1.0, -1.0, 1.0]
    assert signs_of(momentum, ("short",)).tolist() == [-1.0, -1.0, -1.0]
