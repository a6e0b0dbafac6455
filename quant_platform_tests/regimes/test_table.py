"""The table: every label through the real chain, ranges, knowledge, and what is lacking."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.contracts.regime import REGIME
from quant_platform.lakehouse.rules import judge
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.series import published_series
from quant_platform.regimes import table as module
from quant_platform.regimes.inputs import Inputs, Vector
from quant_platform.regimes.states import market_state, quadrant, volatility_state
from quant_platform.regimes.table import TRACKS, regime, regime_windows
from quant_platform_tests.lakehouse.small_lake import CALENDAR, bar, bars_frame
from quant_platform_tests.market.actions import action, actions_frame
from quant_platform_tests.regimes.markets import (
    CRASH,
    INDEX,
    PLAIN,
    PLANTED,
    SESSIONS,
    SETTINGS,
    planted,
    run,
    speaks,
)
from quant_platform_tests.scanners.chain import HISTORY, SOURCES, market, span
from quant_platform_tests.sources.markets import NYSE

WRONG, AFTER = 260, 8
Paths = dict[date, Vector]


def test_every_label_is_reached_through_the_chain() -> None:
    assert set(PLAIN["e1_raw"].drop_nulls()) == set(SETTINGS.throttle)
    assert set(PLAIN["e1_label"]) == set(SETTINGS.throttle)
    e2 = {"RISK_ON", "NEUTRAL", "RISK_OFF"}
    assert set(PLAIN["e2_raw"].drop_nulls()) == set(PLAIN["e2_label"]) == e2
    order = PLAIN["e1_label"].to_list()
    firsts = [order.index(label) for label in ("NEUTRAL", "RISK_ON", "RISK_OFF", "STRESSED")]
    assert firsts == sorted(firsts)
    for row in PLAIN.iter_rows(named=True):
        said = SETTINGS.throttle[row["e1_label"]] if speaks(row) else None
        assert row["risk_multiplier"] == row["e1_risk_multiplier"] == said
        new = SETTINGS.new_positions[row["e1_label"]] if speaks(row) else None
        assert row["position_multiplier"] == row["e1_position_multiplier"] == new
    # Twenty returns are twenty-one closes, of which one may be missing.
    assert [speaks(row) for row in PLAIN.iter_rows(named=True)].index(True) == 20


@pytest.mark.parametrize("model", ["e1", "e2"])
def test_who_reads_the_regime_reads_the_chosen_model_and_both_are_stored(model: str) -> None:
    days = SESSIONS[: len(CRASH)]
    made = run(PLANTED, days, chosen=SETTINGS.model_copy(update={"model": model}))
    for name in ("label", "confirmed", "risk_multiplier", "position_multiplier"):
        assert made[name].equals(made[f"{model}_{name}"].alias(name)), name
    assert set(made["model"]) == {model}
    read = ["model", "label", "confirmed", "risk_multiplier", "position_multiplier"]
    assert made.drop(read).equals(PLAIN.drop(read))
    assert not made["e1_label"].equals(made["e2_label"].alias("e1_label"))


@pytest.mark.parametrize("track", TRACKS)
def test_before_the_first_confirmation_every_label_is_the_neutral_one(track: str) -> None:
    ladder = TRACKS[track]
    confirmed = PLAIN[f"{track}_confirmed"].to_list()
    first = confirmed.index(True)
    assert all(confirmed[first:])
    assert set(PLAIN[f"{track}_label"][:first]) == {ladder.neutral}
    raw = PLAIN[f"{track}_raw"].to_list()
    assert 1 <= first - next(at for at, label in enumerate(raw) if label is not None) <= 4
    assert set(raw) - {None} <= set(ladder.labels)


def test_the_other_labels_come_from_the_same_inputs() -> None:
    for row in PLAIN.iter_rows(named=True):
        inputs = Inputs(
            volatility=row["volatility_20"],
            distance=row["distance_200"],
            implied=row["volatility_index"] if row["index_actual"] == "VIX" else None,
            growth=row["growth"],
            turbulence=row["turbulence"],
            stress=row["stress"],
        )
        rules = SETTINGS.states
        assert row["quadrant_raw"] == quadrant(inputs, rules.quadrant)
        assert row["market_raw"] == market_state(inputs, rules.market)
        assert row["volatility_raw"] == volatility_state(inputs, rules.volatility)
    assert len(set(PLAIN["quadrant_label"])) >= 3
    assert set(PLAIN["market_label"]) == set(TRACKS["market"].labels)
    assert len(set(PLAIN["volatility_label"])) >= 3


def test_what_is_lacking_is_told() -> None:
    days = SESSIONS[: len(CRASH)]
    bars, actions, features, series = PLANTED
    ended = run((bars.filter(pl.col("session") <= days[250]), actions, features, series), days)
    nobody = run((bars.clear(), actions, features, series), days)
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
    assert set(told["severity"]) == {"warning"}
    inputs, factors = (told.filter(rule=rule) for rule in ("inputs_known", "factors_known"))
    assert inputs.height + factors.height == told.height
    by_hand = PLAIN.select(
        pl.mean_horizontal(
            pl.col(name).is_not_null()
            for name in ("volatility_20", "drawdown_63", "trend", "breadth")
        )
    ).to_series()
    assert inputs["value"].to_list() == by_hand.to_list()
    assert inputs["passed"].to_list() == (by_hand == 1).to_list()
    assert not inputs["passed"][198]
    assert inputs["passed"][199]
    # The credit pair is the last that E2 gets together.
    assert factors["passed"].to_list() == [at >= 251 for at in range(len(CRASH))]


def test_before_the_first_confirmation_it_is_neutral_and_says_so() -> None:
    first = PLAIN["confirmed"].to_list().index(True)
    assert first == 199 + SETTINGS.smoothing.improve_after - 1
    early = PLAIN.head(first)
    assert early["e1_label"].unique().to_list() == ["NEUTRAL"]
    assert PLAIN["confirmed"][first:].all()


@settings(max_examples=10)
@given(st.sets(st.integers(1, len(CRASH) - 1), max_size=12))
def test_a_range_has_the_bytes_of_its_parts(cuts: set[int]) -> None:
    assert run(PLANTED, SESSIONS[: len(CRASH)], cuts=sorted(cuts)).equals(PLAIN)


def test_single_days_have_the_bytes_of_a_range() -> None:
    days = SESSIONS[:345]
    made = run(PLANTED, days, cuts=range(255, 345))
    assert made.equals(PLAIN.head(345))


def ahead(honest: Callable[..., Paths]) -> Callable[..., Paths]:
    """Give each session the closes up to the next one, as a join shifted the wrong way does."""

    def leaking(*told: Any) -> Paths:
        paths = honest(*told)
        days = sorted(paths)
        return {day: paths[later] for day, later in zip(days, [*days[1:], days[-1]], strict=True)}

    return leaking


def normalised(honest: Callable[..., dict[str, Paths]]) -> Callable[..., dict[str, Paths]]:
    """Divide every observation by the mean of all that were asked for."""

    def leaking(*told: Any) -> dict[str, Paths]:
        return {
            name: {
                day: values / np.nanmean(np.concatenate(list(own.values())))
                for day, values in own.items()
            }
            for name, own in honest(*told).items()
        }

    return leaking


@pytest.mark.parametrize(
    ("function", "leak", "column"),
    [
        ("closes_by_session", ahead, "volatility_20"),
        ("series_by_session", normalised, "volatility_index"),
    ],
)
def test_a_planted_look_ahead_makes_ranges_differ(
    function: str, leak: Callable[..., Any], column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    days, cuts = SESSIONS[:300], [255, 256, 290]
    monkeypatch.setattr(module, function, leak(getattr(module, function)))
    whole, parts = run(PLANTED, days), run(PLANTED, days, cuts=cuts)
    assert whole[column].count() > 250
    assert not parts[column].equals(whole[column])


@pytest.mark.parametrize("at", [204, 262, 280, 330])
def test_what_is_known_later_changes_nothing(at: int) -> None:
    day = SESSIONS[at]
    news = planted(CRASH, split=285, wrong=WRONG, after=AFTER)
    plain = run(news, SESSIONS[: len(CRASH)])
    bars, actions, features, series = news
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
        # What is published later, and a later version of what was.
        pl.concat(
            [
                series.with_columns(value=pl.when(later).then(1.0).otherwise("value")),
                series.filter(pl.col("session") == SESSIONS[at - 3]).with_columns(
                    knowledge_session=pl.lit(SESSIONS[at + 1]),
                    known_at=pl.col("known_at") + pl.duration(days=9),
                    value=pl.lit(1.0),
                ),
            ]
        ),
    )
    made = run(spoilt, SESSIONS[: len(CRASH)])
    assert made.head(at + 1).equals(plain.head(at + 1))
    assert not made.equals(plain)


def test_a_benchmark_without_bars_leaves_the_label_where_it_is() -> None:
    bars, actions, features, series = PLANTED
    last = PLAIN["e1_label"].to_list().index("RISK_OFF")
    ended = bars.filter(pl.col("session") <= SESSIONS[last])
    made = run((ended, actions, features, series), SESSIONS[: last + 21])
    # One session of 21 may lack its bar; from the second on there is no volatility.
    assert made["e1_raw"][last + 1] is not None
    assert made["e1_raw"][last + 2 :].null_count() == 19
    assert made["e1_label"][last:].unique().to_list() == ["RISK_OFF"]
    assert made["confirmed"][last:].all()


def test_a_benchmark_without_bars_leaves_no_risk_that_nothing_speaks_for() -> None:
    bars, actions, features, series = PLANTED
    ended = bars.filter(pl.col("session") < SESSIONS[240])
    made = run((ended, actions, features, series), SESSIONS[:320])
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
    cut = run((ended, actions, features, series), SESSIONS[:320], cuts=range(238, 250))
    assert cut.equals(made)


def test_a_benchmark_that_nobody_knows_leaves_every_session_without_a_label() -> None:
    bars, actions, features, series = PLANTED
    made = run((bars.clear(), actions, features, series), SESSIONS[:250])
    assert made["e1_raw"].null_count() == made["volatility_20"].null_count() == 250
    assert not made["confirmed"].any()


def test_each_window_reaches_what_its_longest_input_needs() -> None:
    windows = regime_windows(SETTINGS)
    bars, actions, features, series = PLANTED
    days = SESSIONS[:301]
    at = SessionRange(CALENDAR, (days[-1],), SESSIONS[0])
    oldest = at.loaded(windows["benchmark"])[0]
    assert oldest == SESSIONS[300 - 251] == at.loaded(windows["series"])[0]
    for name, first, changed in (
        ("trend", SESSIONS[300 - 199], True),
        ("trend", SESSIONS[300 - 200], False),
    ):
        wild = pl.when(pl.col("session") == first).then(1.0).otherwise("close")
        made = run((bars.with_columns(close=wild), actions, features, series), days, cuts=[300])
        assert (made[name][-1] != PLAIN[name][300]) == changed, (name, first)
    strict = SETTINGS.model_copy(update={"max_missing_share": 0.0})
    for first, lacking in ((oldest, True), (SESSIONS[300 - 252], False)):
        gone = bars.filter(pl.col("session") != first)
        made = run((gone, actions, features, series), days, cuts=[300], chosen=strict)
        assert (made["turbulence"][-1] is None) == lacking
    for first, changed in ((oldest, True), (SESSIONS[300 - 252], False)):
        wild = pl.when(pl.col("session") == first).then(1.0).otherwise("value")
        spoilt = series.with_columns(value=wild)
        made = run((bars, actions, features, spoilt), days, cuts=[300])
        assert (made["credit_z"][-1] != PLAIN["credit_z"][300]) == changed
    assert len(at.loaded(windows["regime"])) == SETTINGS.smoothing.improve_after - 1
    assert {name: window.table for name, window in windows.items()} == {
        "securities": "etfs/securities",
        "benchmark": "etfs/bars",
        "actions": "etfs/actions",
        "breadth": "instruments/features_trend",
        "series": "market/series",
        "regime": "market/regime",
    }


def test_the_shipped_benchmark_and_breadth_sleeve_are_those_of_the_embedded_market() -> None:
    """The market of the sources through the real stages; every session has all of E1's inputs."""
    windows, last = regime_windows(SETTINGS), date(2024, 3, 28)
    tables = {
        f"{sleeve}/{kind}": rows
        for sleeve in ("etfs", "instruments")
        for kind, rows in market(sleeve, last=last).items()
    }
    within = span(NYSE, HISTORY, last)
    tables["market/series"] = published_series(SOURCES["etfs"], "market", within).rows
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
    whole = made.slice(251)
    assert (whole["e2_actual"] == whole["e2_requested"]).mean() > 0.98
    assert set(whole["index_actual"]) == {"VIX"}
    assert whole["turbulence"].null_count() == 0
    assert made["confirmed"].any()
    assert later["e1_raw"].n_unique() >= 3
