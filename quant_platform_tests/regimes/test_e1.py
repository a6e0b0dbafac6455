"""Model E1: every rule, every input, and every label through the real chain."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.features.trend import trend_features
from quant_platform.lakehouse.contracts import contract_of
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.lakehouse.contracts.regime import REGIME
from quant_platform.lakehouse.contracts.securities import SECURITIES
from quant_platform.lakehouse.rules import judge
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.market.returns import session_returns
from quant_platform.regimes.e1 import E1Inputs, e1_label, regime, regime_windows
from quant_platform.settings import TrendSettings
from quant_platform.settings.regimes import E1Settings, RegimeLabel, RegimeSettings
from quant_platform.settings.returns import ReturnsSettings
from quant_platform_tests.lakehouse.small_lake import CALENDAR, bar, bars_frame
from quant_platform_tests.market.actions import action, actions_frame
from quant_platform_tests.scanners.chain import HISTORY, market, span
from quant_platform_tests.sources.markets import NYSE

SHIPPED = Path(__file__).parents[2] / "assets_config" / "regimes.yaml"
SETTINGS = RegimeSettings.model_validate(yaml.safe_load(SHIPPED.read_text("utf-8")))
Market = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]
"""Bars and actions with the benchmark, and trend features of the breadth sleeve."""
SESSIONS = CALENDAR.between(date(2022, 6, 1), date(2024, 6, 28))
INDEX = SETTINGS.benchmark.security_id
RULES = E1Settings()
DESCRIBED = pl.DataFrame(
    [
        {
            "knowledge_session": SESSIONS[at],
            "security_id": name,
            "known_at": datetime.combine(SESSIONS[at], time(20), UTC),
            "known_at_basis": "observed",
            "symbol": symbol,
            "name": name,
            "exchange": "AMEX",
            "asset_class": "etf",
            "listed_on": SESSIONS[0],
        }
        for at, name, symbol in (
            (0, INDEX, "AMEX:OLD"),
            (0, "a", "AMEX:A"),
            (300, INDEX, "AMEX:NEW"),
        )
    ],
    schema=SECURITIES.empty().schema,
)
"""The index is given another symbol on the way."""
CALM = {"volatility": 0.10, "drawdown": -0.02, "trend": 0.05, "breadth": 0.7}


# -- rules -----------------------------------------------------------------------------------------


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
    assert e1_label(E1Inputs(**{**CALM, **change}), RULES) == label


def test_the_rules_are_settings() -> None:
    strict = E1Settings.model_validate({"risk_on": {"trend": 0.06}})
    assert e1_label(E1Inputs(**CALM), strict) == "NEUTRAL"


def test_the_shipped_file_says_what_the_models_say() -> None:
    """Rules, throttles and smoothing are E1's own; each is written out in the file."""
    bare = RegimeSettings(benchmark=SETTINGS.benchmark, breadth_sleeve=SETTINGS.breadth_sleeve)
    assert bare == SETTINGS
    assert SETTINGS.throttle == {"RISK_ON": 1.0, "NEUTRAL": 0.6, "RISK_OFF": 0.2, "STRESSED": 0.0}


# -- the chain -------------------------------------------------------------------------------------


def handed(table: str, rows: pl.DataFrame, window: Window, wanted: SessionRange) -> pl.LazyFrame:
    partition = contract_of(table).partition
    return rows.filter(pl.col(partition).is_in(wanted.loaded(window))).lazy()


def run(
    market: Market,
    days: Sequence[date],
    cuts: Sequence[int] = (),
    chosen: RegimeSettings = SETTINGS,
) -> pl.DataFrame:
    """Compute sessions in one run, or in several that begin at the cuts, as the windows say."""
    windows = regime_windows(chosen)
    tables = dict(zip(("benchmark", "actions", "breadth"), market, strict=True))
    tables["securities"] = DESCRIBED
    made = REGIME.empty()
    for begin, end in pairwise([0, *sorted(cuts), len(days)]):
        wanted = SessionRange(CALENDAR, tuple(days[begin:end]), SESSIONS[0])
        frames = {
            name: handed(window.table, (tables | {"regime": made})[name], window, wanted)
            for name, window in windows.items()
        }
        made = pl.concat([made, REGIME.validate("market/regime", regime(frames, chosen, wanted))])
    return made


def planted(
    closes: Sequence[float], *, split: int | None = None, wrong: int | None = None, after: int = 0
) -> Market:
    """Bars of the index and of four securities like it, those through trend features.

    Parameters
    ----------
    closes
        One per session, in today's units.
    split
        Position of a 4-for-1 split of the index.
    wrong, after
        Position of a print of the index that is 30 % too low, and after how many sessions its
        correction is known.
    """
    days = SESSIONS[: len(closes)]
    wanted = SessionRange(CALENDAR, tuple(days), SESSIONS[0])
    units = [4.0 if split is not None and number >= split else 1.0 for number in range(len(days))]
    index = [
        bar(INDEX, day, close / unit) for day, close, unit in zip(days, closes, units, strict=True)
    ]
    others = [
        bar(name, day, close) for name in "abcd" for day, close in zip(days, closes, strict=True)
    ]
    if wrong is not None:
        right = index[wrong]["close"]
        index[wrong] = bar(INDEX, days[wrong], right * 0.7)
        index.append(bar(INDEX, days[wrong], right, late=after))
    actions = [] if split is None else [action(INDEX, days[split], 4.0)]
    features = trend_features({"bars": bars_frame(others).lazy()}, TrendSettings(), wanted)
    return (
        BARS.validate("etfs/bars", bars_frame(index)),
        actions_frame(actions),
        FEATURES_TREND.validate("instruments/features_trend", features),
    )


def walk(*stretches: tuple[int, float, float]) -> list[float]:
    """Make closes of stretches of (sessions, drift, swing): a zigzag around a drift."""
    close, closes = 100.0, []
    for sessions, drift, swing in stretches:
        for number in range(sessions):
            close *= math.exp(drift + (swing if number % 2 else -swing))
            closes.append(close)
    return closes


CRASH = walk((260, 0.001, 0.002), (60, -0.001, 0.016), (25, -0.02, 0.02), (140, 0.004, 0.004))
"""A calm rise, a choppy decline, a crash and a recovery."""
PLANTED = planted(CRASH)
PLAIN = run(PLANTED, SESSIONS[: len(CRASH)])


def test_every_label_is_reached_through_the_chain() -> None:
    assert set(PLAIN["e1_raw"].drop_nulls()) == set(SETTINGS.throttle)
    assert set(PLAIN["e1_label"]) == set(SETTINGS.throttle)
    order = PLAIN["e1_label"].to_list()
    firsts = [order.index(label) for label in ("NEUTRAL", "RISK_ON", "RISK_OFF", "STRESSED")]
    assert firsts == sorted(firsts)
    for row in PLAIN.iter_rows(named=True):
        said = SETTINGS.throttle[row["e1_label"]] if speaks(row) else None
        assert row["risk_multiplier"] == said
    # Twenty returns are twenty-one closes, of which one may be missing.
    assert [speaks(row) for row in PLAIN.iter_rows(named=True)].index(True) == 20


def speaks(row: Mapping[str, Any]) -> bool:
    """Whether the benchmark itself says anything; breadth is another sleeve's."""
    return any(row[name] is not None for name in ("volatility_20", "drawdown_63", "trend"))


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


def test_what_is_lacking_is_told() -> None:
    days = SESSIONS[: len(CRASH)]
    bars, actions, features = PLANTED
    ended = run((bars.filter(pl.col("session") <= days[250]), actions, features), days)
    nobody = run((bars.clear(), actions, features), days)
    other = SETTINGS.model_copy(
        update={"benchmark": SETTINGS.benchmark.model_copy(update={"security_id": "nobody"})}
    )
    unknown = run(PLANTED, days, chosen=other)
    told = "no volatility_20, drawdown_63, trend: benchmark"
    assert PLAIN["lacking"][10] == (
        f"{told} {INDEX} has too few bars up to {days[10]}; "
        "no breadth: nothing of instruments has a 200-session mean"
    )
    assert PLAIN["lacking"][199:].null_count() == len(CRASH) - 199
    assert (
        ended["lacking"][252]
        == f"no volatility_20: benchmark {INDEX} has no bars after {days[250]}"
    )
    assert nobody["lacking"][300] == f"{told} {INDEX} has no bars up to {days[300]}"
    assert unknown["lacking"][300] == f"{told} nobody is not in etfs/securities on {days[300]}"
    assert unknown["symbol"].null_count() == unknown["risk_multiplier"].null_count() == len(days)


def test_the_symbol_is_that_of_the_session_and_does_not_break_the_label() -> None:
    symbols = PLAIN["symbol"].to_list()
    assert symbols == ["AMEX:OLD"] * 300 + ["AMEX:NEW"] * (len(CRASH) - 300)
    assert PLAIN["benchmark"].unique().to_list() == [INDEX]
    assert PLAIN["confirmed"][299:].all()


def test_a_session_whose_inputs_are_lacking_is_a_warning() -> None:
    told = judge(REGIME.rules, PLAIN, SESSIONS[: len(CRASH)], partition="session")
    (rule,) = told["rule"].unique()
    assert (rule, told["severity"].unique().to_list()) == ("inputs_known", ["warning"])
    by_hand = PLAIN.select(
        pl.mean_horizontal(
            pl.col(name).is_not_null()
            for name in ("volatility_20", "drawdown_63", "trend", "breadth")
        )
    ).to_series()
    assert told["value"].to_list() == by_hand.to_list()
    assert told["passed"].to_list() == (by_hand == 1).to_list()
    assert not told["passed"][198]
    assert told["passed"][199]


def test_before_the_first_confirmation_it_is_neutral_and_says_so() -> None:
    first = PLAIN["confirmed"].to_list().index(True)
    assert first == 199 + SETTINGS.smoothing.improve_after - 1
    early = PLAIN.head(first)
    assert early["e1_label"].unique().to_list() == ["NEUTRAL"]
    assert PLAIN["confirmed"][first:].all()


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
    bars, actions, _ = planted(closes, **wrong)
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
    bars, actions, features = PLANTED
    days, day = SESSIONS[:301], pl.col("session")
    one = run((bars.filter(day != SESSIONS[290]), actions, features), days)
    row = one.row(300, named=True)
    closes = [close for at, close in enumerate(CRASH[:301]) if at != 290]
    returns = [b / a - 1 for a, b in pairwise(closes[-20:])]
    assert row["volatility_20"] == pytest.approx(statistics.stdev(returns) * math.sqrt(252))
    assert row["drawdown_63"] == pytest.approx(closes[-1] / max(closes[-62:]) - 1)
    short, long = statistics.fmean(closes[-49:]), statistics.fmean(closes[-199:])
    assert row["trend"] == pytest.approx(short / long - 1)
    assert row["e1_raw"] is not None
    without = day.is_in([SESSIONS[285], SESSIONS[290]]).not_()
    two = run((bars.filter(without), actions, features), days).row(300, named=True)
    assert two["volatility_20"] is None
    assert two["e1_raw"] is None
    assert None not in (two["drawdown_63"], two["trend"])
    strict = SETTINGS.model_copy(update={"max_missing_share": 0.0})
    bare = run((bars.filter(day != SESSIONS[290]), actions, features), days, chosen=strict)
    assert [
        bare.row(300, named=True)[name] for name in ("volatility_20", "drawdown_63", "trend")
    ] == [None, None, None]


def test_breadth_counts_those_that_have_a_mean() -> None:
    bars, actions, features = PLANTED
    day = SESSIONS[300]
    own = features.filter(pl.col("session") == day)
    some = own.with_columns(
        sma_200=pl.Series([1.0, 1e9, None, 1.0], dtype=pl.Float32), close=pl.lit(10.0)
    )
    others = features.filter(pl.col("session") != day)
    made = run((bars, actions, pl.concat([others, some])), SESSIONS[:301])
    assert made["breadth"][-1] == 2 / 3
    nothing = run((bars, actions, others), SESSIONS[:301])
    assert nothing["breadth"][-1] is None
    assert nothing["e1_raw"][-1] is None
    assert nothing["e1_label"][-1] == PLAIN["e1_label"][299]


@settings(deadline=None, max_examples=10)
@given(st.sets(st.integers(1, len(CRASH) - 1), max_size=12))
def test_a_range_has_the_bytes_of_its_parts(cuts: set[int]) -> None:
    assert run(PLANTED, SESSIONS[: len(CRASH)], cuts=sorted(cuts)).equals(PLAIN)


def test_single_days_have_the_bytes_of_a_range() -> None:
    days = SESSIONS[:345]
    made = run(PLANTED, days, cuts=range(255, 345))
    assert made.equals(PLAIN.head(345))


@pytest.mark.parametrize("at", [204, 262, 280, 330])
def test_what_is_known_later_changes_nothing(at: int) -> None:
    day = SESSIONS[at]
    news = planted(CRASH, split=285, wrong=WRONG, after=AFTER)
    plain = run(news, SESSIONS[: len(CRASH)])
    bars, actions, features = news
    later, wild = pl.col("knowledge_session") > day, pl.col("close") * 9
    corrections = [bar(INDEX, SESSIONS[at - back], 1.0, late=back + 1) for back in (0, 30, 190)]
    spoilt = (
        pl.concat(
            [
                bars.with_columns(close=pl.when(later).then(wild).otherwise("close")),
                bars_frame(corrections),
            ]
        ),
        pl.concat(
            [
                actions.filter(later.not_()),
                actions_frame([action(INDEX, SESSIONS[at - 20], 3.0, known=SESSIONS[at + 1])]),
            ]
        ),
        features.with_columns(
            close=pl.when(pl.col("session") > day).then(pl.col("close") / 9).otherwise("close")
        ),
    )
    made = run(spoilt, SESSIONS[: len(CRASH)])
    assert made.head(at + 1).equals(plain.head(at + 1))
    assert not made.equals(plain)


def test_a_benchmark_without_bars_leaves_the_label_where_it_is() -> None:
    bars, actions, features = PLANTED
    last = PLAIN["e1_label"].to_list().index("RISK_OFF")
    ended = bars.filter(pl.col("session") <= SESSIONS[last])
    made = run((ended, actions, features), SESSIONS[: last + 21])
    # One session of 21 may lack its bar; from the second on there is no volatility.
    assert made["e1_raw"][last + 1] is not None
    assert made["e1_raw"][last + 2 :].null_count() == 19
    assert made["e1_label"][last:].unique().to_list() == ["RISK_OFF"]
    assert made["confirmed"][last:].all()


def test_a_benchmark_without_bars_leaves_no_risk_that_nothing_speaks_for() -> None:
    bars, actions, features = PLANTED
    ended = bars.filter(pl.col("session") < SESSIONS[240])
    made = run((ended, actions, features), SESSIONS[:320])
    # The first session without a bar is within the tolerance.
    lapsed = 241 + SETTINGS.smoothing.improve_after - 1
    assert made["e1_label"][239:lapsed].unique().to_list() == ["RISK_ON"]
    assert made["e1_label"][lapsed:].unique().to_list() == ["NEUTRAL"]
    assert made["confirmed"][239:lapsed].all()
    assert not made["confirmed"][lapsed:].any()
    rest = list(made[lapsed:].iter_rows(named=True))
    silent = [number for number, row in enumerate(rest) if not speaks(row)]
    # No label is no reason to be careful for ever: in the end nothing is known, and it says so.
    assert silent == list(range(silent[0], len(rest)))
    assert {row["risk_multiplier"] for row in rest[: silent[0]]} <= {0.6}
    assert {row["risk_multiplier"] for row in rest[silent[0] :]} == {None}
    cut = run((ended, actions, features), SESSIONS[:320], cuts=range(238, 250))
    assert cut.equals(made)


def test_a_benchmark_that_nobody_knows_leaves_every_session_without_a_label() -> None:
    bars, actions, features = PLANTED
    made = run((bars.clear(), actions, features), SESSIONS[:250])
    assert made["e1_raw"].null_count() == made["volatility_20"].null_count() == 250
    assert not made["confirmed"].any()


def test_each_window_reaches_what_its_longest_input_needs() -> None:
    windows = regime_windows(SETTINGS)
    bars, actions, features = PLANTED
    days = SESSIONS[:301]
    at = SessionRange(CALENDAR, (days[-1],), SESSIONS[0])
    oldest = at.loaded(windows["benchmark"])[0]
    assert oldest == SESSIONS[300 - 199]
    for first, changed in ((oldest, True), (SESSIONS[300 - 200], False)):
        wild = pl.when(pl.col("session") == first).then(1.0).otherwise("close")
        made = run((bars.with_columns(close=wild), actions, features), days, cuts=[300])
        assert (made["trend"][-1] != PLAIN["trend"][300]) == changed
    assert len(at.loaded(windows["regime"])) == SETTINGS.smoothing.improve_after - 1
    assert {name: window.table for name, window in windows.items()} == {
        "securities": "etfs/securities",
        "benchmark": "etfs/bars",
        "actions": "etfs/actions",
        "breadth": "instruments/features_trend",
        "regime": "market/regime",
    }


# -- the embedded market ---------------------------------------------------------------------------


def test_the_shipped_benchmark_and_breadth_sleeve_are_those_of_the_embedded_market() -> None:
    """The market of the sources through the real stages; every session has all of E1's inputs."""
    windows, last = regime_windows(SETTINGS), date(2024, 3, 28)
    tables = {
        f"{sleeve}/{kind}": rows
        for sleeve in ("etfs", "instruments")
        for kind, rows in market(sleeve, last=last).items()
    }
    bars = tables[windows["benchmark"].table]
    (symbol,) = bars.filter(pl.col("security_id") == INDEX)["symbol"].unique()
    wanted = span(NYSE, HISTORY, last)
    frames = {
        name: tables[window.table].lazy() for name, window in windows.items() if name != "regime"
    } | {"regime": REGIME.empty().lazy()}
    made = REGIME.validate("market/regime", regime(frames, SETTINGS, wanted))
    assert made["session"].to_list() == list(wanted.sessions)
    assert made["symbol"].unique().to_list() == [symbol]
    # 200 closes; a session whose bars all came late has no breadth.
    later = made.slice(199)
    assert later["e1_raw"].null_count() <= 2
    assert later["trend"].null_count() == later["volatility_20"].null_count() == 0
    assert made["confirmed"].any()
    assert later["e1_raw"].n_unique() >= 3
