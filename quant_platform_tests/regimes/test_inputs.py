"""The inputs of the regime: each by its definition, as known at the cutoff."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.returns import session_returns
from quant_platform.settings.returns import ReturnsSettings
from quant_platform_tests.lakehouse.small_lake import CALENDAR
from quant_platform_tests.regimes.markets import (
    CRASH,
    PLAIN,
    PLANTED,
    SESSIONS,
    SETTINGS,
    planted,
    run,
    walk,
)

RULES = SETTINGS.e1


@pytest.mark.parametrize("at", [19, 20, 61, 62, 198, 199, 250, 300, 335, 400])
def test_every_input_is_that_of_its_definition(at: int) -> None:
    """From the closes themselves, with the standard library."""
    row = PLAIN.row(at, named=True)
    closes = CRASH[: at + 1]
    returns = [b / a - 1 for a, b in pairwise(closes[-21:])]
    expected = {
        "volatility_20": statistics.stdev(returns) * math.sqrt(252) if at >= 20 else None,
        "drawdown_63": closes[-1] / max(closes[-63:]) - 1 if at >= 62 else None,
        "trend": statistics.fmean(closes[-50:]) / statistics.fmean(closes[-200:]) - 1
        if at >= 199
        else None,
        "breadth": float(closes[-1] > statistics.fmean(closes[-200:])) if at >= 199 else None,
    }
    for name, value in expected.items():
        if value is None:
            assert row[name] is None, name
        else:
            assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    assert (row["e1_raw"] is None) == (at < 199)


def test_a_split_of_the_benchmark_changes_nothing() -> None:
    whole = run(planted(CRASH, split=285), SESSIONS[: len(CRASH)])
    for name in ("volatility_20", "drawdown_63", "trend"):
        np.testing.assert_allclose(whole[name], PLAIN[name], rtol=1e-9, atol=1e-12)
    assert whole["e1_label"].equals(PLAIN["e1_label"])


RISING = walk((330, 0.001, 0.002))
"""Calm to the end: whatever is not RISK_ON after the warm-up is the doing of a wrong print."""
WRONG, AFTER = 260, 8


def jumps(closes: Sequence[float], **wrong: int) -> pl.DataFrame:
    """Volatility of the 20 latest `returns`, as a model that chains them would have it."""
    bars, actions, *_ = planted(closes, **wrong)
    wanted = SessionRange(CALENDAR, tuple(SESSIONS[: len(closes)]), SESSIONS[0])
    frames = {"bars": bars.lazy(), "actions": actions.lazy()}
    made = session_returns(frames, ReturnsSettings(), wanted)
    sd = pl.col("total").rolling_std(20)
    return made.select("session", volatility=sd * math.sqrt(252))


def test_a_corrected_print_leaves_nothing_once_the_correction_is_known() -> None:
    """The wrong close is a crash while nobody knows better; the path has no jump afterwards."""
    days = SESSIONS[: len(RISING)]
    plain = run(planted(RISING), days)
    made = run(planted(RISING, wrong=WRONG, after=AFTER), days)
    known = WRONG + AFTER
    believed = made[WRONG:known]
    assert set(believed["e1_raw"]) <= {"STRESSED", "NEUTRAL"}
    assert min(believed["volatility_20"]) > 0.4
    assert (believed["e1_raw"] != plain["e1_raw"][WRONG:known]).all()
    measured = ["volatility_20", "drawdown_63", "trend", "breadth", "e1_raw"]
    assert made[known:].select(measured).equals(plain[known:].select(measured))
    assert set(made["e1_raw"][known:]) == {"RISK_ON"}
    calm = known + SETTINGS.smoothing.improve_after - 1
    assert set(made["e1_label"][calm:]) == {"RISK_ON"}


def test_returns_would_keep_a_corrected_print_as_two_jumps() -> None:
    """The twin: of chained returns the volatility has them long after the correction is known."""
    still = pl.col("session").is_between(SESSIONS[WRONG + AFTER], SESSIONS[WRONG + 20])
    chained = jumps(RISING, wrong=WRONG, after=AFTER).filter(still)["volatility"].to_list()
    assert len(chained) == 21 - AFTER
    assert min(chained) > RULES.stressed.volatility
    assert max(jumps(RISING).filter(still)["volatility"]) < RULES.risk_on.volatility


@pytest.mark.parametrize("cuts", [[WRONG], [WRONG + AFTER], [WRONG + 3, 265, 290], range(255, 275)])
def test_a_correction_and_a_split_leave_the_range_its_parts(cuts: Sequence[int]) -> None:
    news = planted(RISING, split=264, wrong=WRONG, after=AFTER)
    days = SESSIONS[:300]
    assert run(news, days, cuts=cuts).equals(run(news, days))


def test_a_bar_may_be_lacking_as_far_as_the_tolerance_goes() -> None:
    """One of 21 closes; with two lacking there is no volatility, and no label."""
    bars, actions, features, series = PLANTED
    days, day = SESSIONS[:301], pl.col("session")
    one = run((bars.filter(day != SESSIONS[290]), actions, features, series), days)
    row = one.row(300, named=True)
    closes = [close for at, close in enumerate(CRASH[:301]) if at != 290]
    returns = [b / a - 1 for a, b in pairwise(closes[-20:])]
    assert row["volatility_20"] == pytest.approx(statistics.stdev(returns) * math.sqrt(252))
    assert row["drawdown_63"] == pytest.approx(closes[-1] / max(closes[-62:]) - 1)
    short, long = statistics.fmean(closes[-49:]), statistics.fmean(closes[-199:])
    assert row["trend"] == pytest.approx(short / long - 1)
    assert row["e1_raw"] is not None
    without = day.is_in([SESSIONS[285], SESSIONS[290]]).not_()
    two = run((bars.filter(without), actions, features, series), days).row(300, named=True)
    assert two["volatility_20"] is None
    assert two["e1_raw"] is None
    assert None not in (two["drawdown_63"], two["trend"])
    strict = SETTINGS.model_copy(update={"max_missing_share": 0.0})
    bare = run((bars.filter(day != SESSIONS[290]), actions, features, series), days, chosen=strict)
    assert [
        bare.row(300, named=True)[name] for name in ("volatility_20", "drawdown_63", "trend")
    ] == [None, None, None]


def test_breadth_counts_those_that_have_a_mean() -> None:
    bars, actions, features, series = PLANTED
    day = SESSIONS[300]
    own = features.filter(pl.col("session") == day)
    some = own.with_columns(
        sma_200=pl.Series([1.0, 1e9, None, 1.0], dtype=pl.Float32), close=pl.lit(10.0)
    )
    others = features.filter(pl.col("session") != day)
    made = run((bars, actions, pl.concat([others, some]), series), SESSIONS[:301])
    assert made["breadth"][-1] == 2 / 3
    nothing = run((bars, actions, others, series), SESSIONS[:301])
    assert nothing["breadth"][-1] is None
    assert nothing["e1_raw"][-1] is None
    assert nothing["e1_label"][-1] == PLAIN["e1_label"][299]
