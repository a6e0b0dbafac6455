"""Features across splits: the units change and nothing else, whenever the split became known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.features.state import FORGET_AFTER, advance_state, state_windows
from quant_platform.features.trend import trend_features, trend_windows
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.bars import published_bars
from quant_platform.market.reference import published_actions
from quant_platform.settings import StateSettings, TrendSettings
from quant_platform_tests.features.naive import (
    corrected,
    frame_of,
    handed,
    in_units_of,
    known,
    split_raw,
    state_row,
    trend_row,
    walk,
)
from quant_platform_tests.lakehouse.small_lake import CALENDAR, bar, span
from quant_platform_tests.market.actions import action, actions_frame
from quant_platform_tests.sources.markets import DIRTY, NYSE

SESSIONS = CALENDAR.between(date(2022, 1, 3), date(2023, 6, 30))
HISTORY = SESSIONS[0]
TREND = TrendSettings()
STATE = StateSettings(replay_sessions=5)
SCALE_FREE = (
    "sma_50_slope",
    "performance_21",
    "performance_252",
    "volatility_21",
    "high_252_distance",
    "volume_ratio_20",
    "bars_252",
)
IN_PRICES = ("close", "sma_20", "sma_50", "sma_200")
Rows = Sequence[Mapping[str, Any]]

EX = {SESSIONS[150]: 4.0, SESSIONS[290]: 7.0, SESSIONS[296]: 0.2, SESSIONS[303]: 2.0}


def trend(rows: Rows, actions: Rows, asked: Sequence[date], cuts: Sequence[int] = ()) -> Any:
    """Compute trend features in one run, or in several that begin at the cuts."""
    windows, made = trend_windows(), []
    for begin, end in pairwise([0, *sorted(cuts), len(asked)]):
        wanted = span(asked[begin], asked[end - 1], HISTORY)
        frames = {
            "bars": handed(frame_of(rows), windows["bars"], wanted),
            "actions": handed(actions_frame(actions), windows["actions"], wanted),
        }
        made.append(
            FEATURES_TREND.validate("x/features_trend", trend_features(frames, TREND, wanted))
        )
    return pl.concat(made)


def state(rows: Rows, actions: Rows, asked: Sequence[date], cuts: Sequence[int] = ()) -> Any:
    """Advance the state in one run, or in several that begin at the cuts."""
    windows, stored = state_windows(STATE), FEATURES_STATE.empty()
    for begin, end in pairwise([0, *sorted(cuts), len(asked)]):
        wanted = span(asked[begin], asked[end - 1], asked[0])
        frames = {
            "bars": handed(frame_of(rows), windows["bars"], wanted),
            "actions": handed(actions_frame(actions), windows["actions"], wanted),
            "state": stored.filter(pl.col("session").is_in(wanted.loaded(windows["state"]))).lazy(),
        }
        made = FEATURES_STATE.validate("x/features_state", advance_state(frames, STATE, wanted))
        stored = pl.concat([stored, made])
    return stored


def close_to(found: Any, expected: Any, told: str) -> None:
    if expected is None or not isinstance(expected, float):
        assert found == expected, told
    else:
        assert found == pytest.approx(expected, rel=4e-7, abs=2e-5), told


# -- trend -----------------------------------------------------------------------------------------

WHOLE = walk("a", SESSIONS, 1)
RAW = [*split_raw(WHOLE, EX), *walk("b", SESSIONS, 2)]
ACTIONS = [action("a", ex, ratio) for ex, ratio in EX.items()]
WINDOW = SESSIONS[286:312]


def test_a_split_is_no_jump_in_any_trend_feature() -> None:
    """The same walk without a split has the same features, prices in other units."""
    made = trend(RAW, ACTIONS, WINDOW).filter(pl.col("security_id") == "a")
    plain = trend(WHOLE, [], WINDOW)
    assert made.height == len(WINDOW)
    for row, same in zip(made.iter_rows(named=True), plain.iter_rows(named=True), strict=True):
        told = f"{row['session']}"
        quoted = 1.0
        for ex, ratio in EX.items():
            quoted *= ratio if ex <= row["session"] else 1.0
        for name in SCALE_FREE:
            close_to(row[name], same[name], f"{name} {told}")
        for name in IN_PRICES:
            assert row[name] == pytest.approx(same[name] / quoted, rel=4e-7), f"{name} {told}"


def test_without_its_action_a_split_is_a_jump() -> None:
    """What the action is needed for: the twin that the test above would fail."""
    made = trend(RAW, ACTIONS[:1] + ACTIONS[2:], WINDOW).filter(pl.col("security_id") == "a")
    assert made.filter(pl.col("session") == SESSIONS[291])["performance_21"].item() < -0.7


LATE_ACTIONS = [
    action("a", SESSIONS[150], 4.0),
    # Known late, corrected late, and known in time but wrong at first.
    action("a", SESSIONS[290], 7.0, known=SESSIONS[294]),
    action("a", SESSIONS[296], 0.5, known=SESSIONS[280]),
    action("a", SESSIONS[296], 0.2, known=SESSIONS[299]),
    action("a", SESSIONS[303], 3.0, known=SESSIONS[295]),
    action("a", SESSIONS[303], 2.0, known=SESSIONS[301]),
    action("a", SESSIONS[330], 5.0, known=SESSIONS[288]),
]
LATE_ROWS = [
    *RAW,
    corrected(RAW[289], 1.1, late=3),
    corrected(RAW[295], 0.9, late=1),
    corrected(RAW[302], 1.2, late=6),
]


def test_trend_features_follow_what_was_known_of_splits() -> None:
    made = trend(LATE_ROWS, LATE_ACTIONS, WINDOW)
    rows = {(row["session"], row["security_id"]): row for row in made.to_dicts()}
    assert len(rows) == 2 * len(WINDOW)
    for (session, security), row in rows.items():
        splits = [a for a in LATE_ACTIONS if a["security_id"] == security]
        bars = in_units_of(session, known(LATE_ROWS, session)[security], splits)
        expected = trend_row(bars, session, HISTORY, TREND.max_missing_share)
        assert expected is not None
        for name, value in expected.items():
            close_to(row[name], value, f"{name} of {security} on {session}")


@pytest.mark.parametrize("chunk", [1, 5])
def test_a_range_of_trend_over_splits_has_the_bytes_of_its_parts(chunk: int) -> None:
    whole = trend(LATE_ROWS, LATE_ACTIONS, WINDOW)
    cuts = range(chunk, len(WINDOW), chunk)
    assert trend(LATE_ROWS, LATE_ACTIONS, WINDOW, cuts).equals(whole)


def later_spoilt(actions: Rows, day: date) -> list[dict[str, Any]]:
    return [
        dict(row) | ({"value": row["value"] * 3} if row["knowledge_session"] > day else {})
        for row in actions
    ]


@pytest.mark.parametrize("position", [3, 4, 8, 9, 12, 14])
def test_splits_known_later_change_no_trend_feature(position: int) -> None:
    day = WINDOW[position]
    upto = pl.col("session") <= day
    made = trend(LATE_ROWS, LATE_ACTIONS, WINDOW)
    earlier = [row for row in LATE_ACTIONS if row["knowledge_session"] <= day]
    assert trend(LATE_ROWS, earlier, WINDOW).filter(upto).equals(made.filter(upto))
    spoilt = trend(LATE_ROWS, later_spoilt(LATE_ACTIONS, day), WINDOW)
    assert spoilt.filter(upto).equals(made.filter(upto))
    assert not spoilt.equals(made)


# -- state -----------------------------------------------------------------------------------------

LONG = SESSIONS[:260]
STATE_EX = {SESSIONS[40]: 7.0, SESSIONS[210]: 0.2}


def test_a_split_is_no_jump_in_the_state() -> None:
    rows = split_raw(walk("a", LONG, 3), STATE_EX)
    made = state(rows, [action("a", ex, ratio) for ex, ratio in STATE_EX.items()], LONG)
    plain = state(walk("a", LONG, 3), [], LONG)
    for row, same in zip(made.iter_rows(named=True), plain.iter_rows(named=True), strict=True):
        quoted = 1.0
        for ex, ratio in STATE_EX.items():
            quoted *= ratio if ex <= row["session"] else 1.0
        close_to(row["rsi_14"], same["rsi_14"], f"rsi of {row['session']}")
        for name in ("ema_20_state", "ema_200_state", "gain_14_state", "close_state"):
            expected = same[name] / quoted
            assert row[name] == pytest.approx(expected, rel=1e-11, abs=1e-13), row["session"]
    assert made["restated_from"].null_count() == made.height
    # Without the action Wilder's loss takes the cliff in.
    jump = state(rows, [], LONG).filter(pl.col("session") == SESSIONS[40])
    assert jump["rsi_14"].item() < 20


def test_a_split_without_a_bar_on_its_ex_session_changes_the_units_all_the_same() -> None:
    days = SESSIONS[:8]
    rows = [bar("a", day, 40.0) for day in days[:4]] + [bar("a", day, 10.0) for day in days[6:]]
    made = state(rows, [action("a", days[5], 4.0)], days)
    assert made["close_state"].to_list() == [40.0] * 5 + [10.0] * 3
    assert made["loss_14_state"].to_list() == [0.0] * 8


def test_a_split_that_is_known_late_is_replayed_from_its_ex_session() -> None:
    days = SESSIONS[:10]
    rows = split_raw(walk("a", days, 4), {days[4]: 4.0})
    on_time = state(rows, [action("a", days[4], 4.0)], days)
    late = state(rows, [action("a", days[4], 4.0, known=days[7])], days)
    assert late["restated_from"].to_list() == [None] * 7 + [days[4], None, None]
    drop = pl.exclude("restated_from")
    assert late.select(drop)[7:].equals(on_time.select(drop)[7:])
    assert late["loss_14_state"][5] > on_time["loss_14_state"][5]
    # Beyond the reach of a replay it is counted.
    missed = state(rows, [action("a", days[4], 4.0, known=days[9])], days)
    assert missed["revisions_missed"].to_list() == [0] * 9 + [1]


TEN = SESSIONS[:10]


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two securities over ten sessions: gaps, late bars, and splits known early, late, twice."""
    rows, actions = [], []
    for security in "ab":
        for number, day in enumerate(TEN):
            usual = draw(st.integers(0, 3))
            versions = (
                draw(st.lists(st.integers(0, min(4, 9 - number)), max_size=2, unique=True))
                if usual == 0
                else [0]
            )
            rows += [
                bar(security, day, 10.0 + draw(st.integers(0, 6)), late=late) for late in versions
            ]
        for number in draw(st.sets(st.integers(1, 9), max_size=2)):
            arrivals = st.sets(
                st.integers(max(number - 3, 0), min(number + 6, 9)), min_size=1, max_size=2
            )
            actions += [
                action(security, TEN[number], draw(st.sampled_from([2.0, 0.2])), known=TEN[known])
                for known in draw(arrivals)
            ]
    return rows, actions


@settings(max_examples=15)
@given(markets(), st.sets(st.integers(1, 9), max_size=4))
def test_a_restart_anywhere_among_splits_changes_no_byte(
    market: tuple[list[dict[str, Any]], list[dict[str, Any]]], cuts: set[int]
) -> None:
    whole = state(*market, TEN)
    assert state(*market, TEN, cuts=sorted(cuts)).equals(whole)


@settings(max_examples=25)
@given(markets(), st.integers(0, 9))
def test_states_follow_what_was_known_of_splits(
    market: tuple[list[dict[str, Any]], list[dict[str, Any]]], position: int
) -> None:
    """Where nothing was missed the state is the recursion over the bars in today's units."""
    rows, actions = market
    made = state(*market, TEN)
    for row in made.filter(pl.col("revisions_missed") == 0).iter_rows(named=True):
        session, security = row["session"], row["security_id"]
        splits = [a for a in actions if a["security_id"] == security]
        bars = in_units_of(session, known(rows, session)[security], splits)
        expected = state_row(bars, session, FORGET_AFTER)
        assert expected is not None
        for name in ("close_state", "ema_20_state", "gain_14_state", "loss_14_state", "bars"):
            value = pytest.approx(expected[name], rel=1e-11, abs=1e-12)
            assert row[name] == value, (name, security, session)
    day, upto = TEN[position], pl.col("session") <= TEN[position]
    spoilt = state(rows, later_spoilt(actions, day), TEN)
    assert spoilt.filter(upto).equals(made.filter(upto))


# -- the embedded market ---------------------------------------------------------------------------


def test_the_embedded_markets_splits_leave_no_jump() -> None:
    """Splits, dirt and delistings through the real source; without the actions it jumps."""
    history = date(2022, 12, 1)
    days = NYSE.between(history, date(2023, 12, 29))
    wanted = SessionRange(NYSE, tuple(days), history)
    bars = published_bars(DIRTY, "instruments", wanted).rows
    actions = published_actions(DIRTY, "instruments", wanted).rows
    splits = actions.filter(pl.col("kind") == "split", pl.col("session").is_in(days))
    assert splits.height > 2
    gone = actions.filter(pl.col("kind") == "delisting", pl.col("session").is_in(days))
    assert gone.height > 0
    cells = splits.select("security_id", "session")

    def moves(frames: Mapping[str, pl.LazyFrame]) -> tuple[pl.Series, pl.DataFrame]:
        """Close over the mean carried to it, on ex sessions; and the trend features."""
        made = FEATURES_TREND.validate("x/features_trend", trend_features(frames, TREND, wanted))
        empty = FEATURES_STATE.empty().lazy()
        carried = FEATURES_STATE.validate(
            "x/features_state", advance_state({**frames, "state": empty}, STATE, wanted)
        )
        apart = (
            carried.join(
                made.select("session", "security_id", "sma_20"), on=["session", "security_id"]
            )
            .join(cells, on=["session", "security_id"])
            .drop_nulls(["ema_20", "sma_20"])
        )
        return apart["close_state"] / apart["ema_20"], made

    frames = {"bars": bars.lazy(), "actions": actions.lazy()}
    smooth, made = moves(frames)
    assert smooth.is_between(0.7, 1.4).all()
    cliffs, _ = moves({"bars": bars.lazy()})
    assert len(cliffs) == len(smooth) > 1
    assert not cliffs.is_between(0.7, 1.4).any()
    # What is delisted has no bar and no row any more.
    after = made.join(gone.select("security_id", ex="session"), on="security_id")
    assert after.height > 0
    assert (after["session"] < after["ex"]).all()
