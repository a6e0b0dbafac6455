"""Carried indicators against plain recursions over what was known, restarts and forgetting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quant_platform.features import state as module
from quant_platform.features.recursions import Vector
from quant_platform.features.state import FORGET_AFTER, advance_state, state_windows
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE
from quant_platform.settings import StateSettings
from quant_platform_tests.features.naive import (
    corrected,
    frame_of,
    handed,
    known,
    state_row,
    walk,
)
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS, bar, span

HISTORY = SESSIONS[0]
SETTINGS = StateSettings(replay_sessions=5)
TEN = SESSIONS[:10]


def run(
    rows: Sequence[Mapping[str, Any]],
    sessions: Sequence[date],
    cuts: Sequence[int] = (),
    settings: StateSettings = SETTINGS,
) -> pl.DataFrame:
    """Advance through sessions in one run, or in several that begin at the cuts."""
    windows = state_windows(settings)
    published = frame_of(rows)
    stored = FEATURES_STATE.empty()
    bounds = [0, *sorted(cuts), len(sessions)]
    for begin, end in pairwise(bounds):
        if begin == end:
            continue
        wanted = span(sessions[begin], sessions[end - 1], HISTORY)
        own = stored.filter(pl.col("session").is_in(wanted.loaded(windows["state"])))
        frames = {"bars": handed(published, windows["bars"], wanted), "state": own.lazy()}
        made = FEATURES_STATE.validate("x/features_state", advance_state(frames, settings, wanted))
        stored = pl.concat([stored, made])
    return stored


def too_late(row: Mapping[str, Any]) -> bool:
    """Tell whether a row came later than a replay of these tests reaches."""
    lateness = CALENDAR.ordinal(row["knowledge_session"]) - CALENDAR.ordinal(row["session"])
    return lateness >= SETTINGS.replay_sessions


def by_key(frame: pl.DataFrame) -> dict[tuple[date, str], dict[str, Any]]:
    return {(row["session"], row["security_id"]): row for row in frame.to_dicts()}


def assert_like_the_recursion(
    made: pl.DataFrame,
    rows: Sequence[Mapping[str, Any]],
    sessions: Sequence[date],
    *,
    forget_after: int = FORGET_AFTER,
) -> None:
    """Compare every row with the recursion over what was known by then and came within reach.

    A row that missed more than what came too late refused a replay: its state is then older than
    what was known, and says so.
    """
    found = by_key(made)
    for session in sessions:
        bars_of = known([row for row in rows if not too_late(row)], session)
        for security in {row["security_id"] for row in rows}:
            row = found.get((session, security))
            beyond = sum(
                too_late(late) and late["knowledge_session"] <= session
                for late in rows
                if late["security_id"] == security
            )
            if row is not None and row["revisions_missed"] > beyond:
                continue
            expected = state_row(bars_of.get(security, {}), session, forget_after)
            assert (row is None) == (expected is None), (session, security)
            if row is None or expected is None:
                continue
            for name, value in expected.items():
                told = f"{name} of {security} on {session}"
                if FEATURES_STATE.columns[name].dtype == pl.Float32 and value is not None:
                    assert row[name] == pytest.approx(value, rel=1e-6, abs=1e-6), told
                elif value is None or not isinstance(value, float):
                    assert row[name] == value, told
                else:
                    assert row[name] == pytest.approx(value, rel=1e-12, abs=1e-13), told


# -- without late news -----------------------------------------------------------------------------


def test_every_value_is_that_of_its_recursion() -> None:
    sessions = CALENDAR.between(date(2024, 1, 2), date(2024, 12, 31))
    gappy = [row for number, row in enumerate(walk("gappy", sessions, 2)) if number % 7 != 3]
    rows = [*walk("whole", sessions, 1), *gappy, *walk("young", sessions[190:], 3)]
    made = run(rows, sessions)
    assert_like_the_recursion(made, rows, sessions)
    assert made["restated_from"].null_count() == made.height
    assert made["revisions_missed"].sum() == 0


def test_warm_ups_are_those_of_the_contract() -> None:
    sessions = CALENDAR.between(date(2024, 1, 2), date(2024, 12, 31))
    made = run(walk("a", sessions, 1), sessions)
    for name, column in FEATURES_STATE.columns.items():
        warm_up = (column.metadata or {}).get("warm_up")
        if warm_up is not None:
            assert made[name].is_null().to_list() == [
                number < warm_up - 1 for number in range(len(sessions))
            ], name


def test_prices_that_never_move_have_no_rsi() -> None:
    rows = [bar("a", day) for day in SESSIONS[:30]]
    made = run(rows, SESSIONS[:30])
    assert made["rsi_14"].null_count() == 30
    assert made["ema_20"][-1] == 10.0
    moved = [*rows[:-1], bar("a", SESSIONS[29], 11.0)]
    assert run(moved, SESSIONS[:30])["rsi_14"][-1] == 100.0
    fallen = [*rows[:-1], bar("a", SESSIONS[29], 9.0)]
    assert run(fallen, SESSIONS[:30])["rsi_14"][-1] == 0.0


def test_a_market_without_any_bar_has_no_state() -> None:
    assert run([], TEN).equals(FEATURES_STATE.empty())
    assert run([], TEN, cuts=[3]).equals(FEATURES_STATE.empty())


# -- late news -------------------------------------------------------------------------------------


def test_a_correction_is_replayed_from_the_session_that_it_changes() -> None:
    rows = walk("a", TEN, 1)
    rows.append(corrected(rows[3], 1.5, late=2))
    made = run(rows, TEN)
    assert_like_the_recursion(made, rows, TEN)
    restated = made.select("session", "restated_from").drop_nulls()
    assert restated.rows() == [(TEN[5], TEN[3])]
    untouched = run(rows[:-1], TEN)
    assert made.head(5).equals(untouched.head(5))
    assert not made.tail(5).select("ema_20_state").equals(untouched.tail(5).select("ema_20_state"))


def test_a_late_bar_of_a_new_security_begins_its_state() -> None:
    rows = [*walk("a", TEN, 1), bar("b", TEN[2], 5.0, late=3)]
    made = run(rows, TEN)
    assert_like_the_recursion(made, rows, TEN)
    assert made.filter(pl.col("security_id") == "b")["session"].to_list() == TEN[5:]


def test_overlapping_corrections_are_all_kept() -> None:
    """The second replay begins before a row that arrived since, and takes it in again."""
    rows = walk("a", TEN, 1)
    rows += [
        corrected(rows[2], 1.5, late=3),
        corrected(rows[4], 0.5, late=2),
        corrected(rows[5], 2.0, late=2),
        corrected(rows[4], 0.7, late=4),
    ]
    made = run(rows, TEN, settings=StateSettings(replay_sessions=9))
    assert made["revisions_missed"].sum() == 0
    assert_like_the_recursion(made, rows, TEN)
    restated = made.select("session", "restated_from").drop_nulls().rows()
    assert restated == [(TEN[5], TEN[2]), (TEN[6], TEN[2]), (TEN[7], TEN[2]), (TEN[8], TEN[2])]


@pytest.mark.parametrize(("late", "missed"), [(4, 0), (5, 1), (7, 1)])
def test_what_comes_later_than_the_replay_reaches_is_counted_and_left_out(
    late: int, missed: int
) -> None:
    rows = walk("a", TEN, 1)
    news = corrected(rows[1], 1.5, late=late)
    made = run([*rows, news], TEN)
    arrived = 1 + late
    assert made["revisions_missed"].to_list() == [0] * arrived + [missed] * (10 - arrived)
    plain = run(rows, TEN)
    carried = ["ema_20_state", "gain_14_state", "close_state"]
    same = made.select(carried).equals(plain.select(carried))
    assert same == bool(missed)
    assert (made["restated_from"].null_count() == 10) == bool(missed)


def test_a_replay_that_would_lose_an_earlier_revision_is_refused_and_counted() -> None:
    """The first revision lies beyond the reach of the state that the second would begin from."""
    days = SESSIONS[:12]
    rows = walk("a", days, 1)
    first = corrected(rows[2], 1.5, late=4)
    second = corrected(rows[4], 0.5, late=4)
    made = run([*rows, first, second], days)
    assert made["revisions_missed"].to_list() == [0] * 8 + [1] * 4
    carried = made.select("ema_20_state", "gain_14_state")
    assert carried.equals(run([*rows, first], days).select(carried.columns))
    assert_like_the_recursion(made, [*rows, first, second], days)


def test_a_reach_of_nothing_replays_nothing() -> None:
    rows = walk("a", TEN, 1)
    news = corrected(rows[1], 1.5, late=1)
    made = run([*rows, news], TEN, settings=StateSettings(replay_sessions=0))
    assert made["revisions_missed"].to_list() == [0, 0, *[1] * 8]


@st.composite
def publications(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Two securities over ten sessions: gaps, late bars, corrections, some of them too late."""
    rows: list[dict[str, Any]] = []
    for security in "ab":
        for number, day in enumerate(TEN):
            versions = draw(
                st.lists(st.integers(0, min(8, 9 - number)), max_size=3, unique=True)
                if draw(st.integers(0, 3)) == 0
                else st.just([0])
            )
            rows += [
                bar(security, day, 10.0 + draw(st.integers(0, 6)), late=late) for late in versions
            ]
    return rows


@settings(max_examples=50)
@given(publications())
def test_states_are_those_of_what_was_known_within_reach(
    rows: list[dict[str, Any]],
) -> None:
    assert_like_the_recursion(run(rows, TEN), rows, TEN)


@settings(max_examples=15)
@given(publications(), st.sets(st.integers(1, 9)))
def test_a_restart_anywhere_changes_no_byte(rows: list[dict[str, Any]], cuts: set[int]) -> None:
    whole = run(rows, TEN)
    assert run(rows, TEN, cuts=list(range(1, 10))).equals(whole)
    assert run(rows, TEN, cuts=sorted(cuts)).equals(whole)


def ahead(values: Vector) -> Vector:
    """Take the next row's value, as a centred window or a join shifted the wrong way does."""
    return np.concatenate([values[1:], values[-1:]])


def normalised(values: Vector) -> Vector:
    """Divide by what everything that was asked for adds up to."""
    return np.asarray(values / max(np.nansum(np.abs(values)), 1.0))


@pytest.mark.parametrize("leak", [ahead, normalised])
def test_a_planted_look_ahead_makes_restarts_differ(
    monkeypatch: pytest.MonkeyPatch, leak: Callable[[Vector], Vector]
) -> None:
    honest = module.indicator
    monkeypatch.setattr(module, "indicator", lambda *told: leak(honest(*told)))
    rows = [bar("a", day, 10.0 + number) for number, day in enumerate(TEN)]
    column = ["ema_5"]
    whole, parts = run(rows, TEN), run(rows, TEN, cuts=[7])
    assert whole["ema_5"].count() > 2
    assert not parts.select(column).equals(whole.select(column))


@settings(max_examples=30)
@given(publications())
def test_a_revision_is_missed_only_when_one_came_too_late(rows: list[dict[str, Any]]) -> None:
    """Everything within reach of the first revision of a security is replayed."""
    reach = SETTINGS.replay_sessions
    whole = run(rows, TEN)
    for security in "ab":
        late = [
            (TEN.index(row["knowledge_session"]), TEN.index(row["session"]))
            for row in rows
            if row["security_id"] == security and row["knowledge_session"] > row["session"]
        ]
        made = whole.filter(pl.col("security_id") == security)
        if (
            max((arrival for arrival, _ in late), default=0)
            - min((day for _, day in late), default=0)
            < reach
        ):
            assert made["revisions_missed"].sum() == 0


@settings(max_examples=15)
@given(publications(), st.integers(0, 9))
def test_what_is_known_later_changes_nothing(rows: list[dict[str, Any]], position: int) -> None:
    session = TEN[position]
    earlier = [row for row in rows if row["knowledge_session"] <= session]
    spoilt = [
        row if row["knowledge_session"] <= session else row | {"close": row["close"] * 7}
        for row in rows
    ]
    upto = pl.col("session") <= session
    found = [run(some, TEN).filter(upto) for some in (rows, earlier, spoilt)]
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


# -- forgetting ------------------------------------------------------------------------------------


@pytest.fixture
def short_memory(monkeypatch: pytest.MonkeyPatch) -> int:
    """Forget after four idle sessions instead of a year."""
    monkeypatch.setattr(module, "FORGET_AFTER", 4)
    return 4


def test_a_year_without_a_bar_is_forgotten_and_a_day_less_is_not() -> None:
    sessions = CALENDAR.between(date(2023, 1, 3), date(2024, 6, 28))
    rows = [*walk("a", sessions, 1), *walk("b", sessions[:5], 2)]
    history = sessions[0]
    windows = state_windows(SETTINGS)
    wanted = span(history, sessions[-1], history)
    frames = {
        "bars": handed(frame_of(rows), windows["bars"], wanted),
        "state": FEATURES_STATE.empty().lazy(),
    }
    made = advance_state(frames, SETTINGS, wanted).filter(pl.col("security_id") == "b")
    assert made["session"].to_list() == sessions[: 5 + FORGET_AFTER - 1]
    assert made["idle"].to_list() == [0] * 5 + list(range(1, FORGET_AFTER))


def test_a_security_listed_again_begins_anew(short_memory: int) -> None:
    days = SESSIONS[:16]
    rows = [*walk("a", days, 1), *walk("b", days[:3], 2), *walk("b", days[9:], 3)]
    made = run(rows, days)
    assert_like_the_recursion(made, rows, days, forget_after=short_memory)
    again = made.filter(pl.col("security_id") == "b", pl.col("session") == days[9])
    assert again.select("bars", "idle").row(0) == (1, 0)
    for cuts in ([4], [6, 7, 9], list(range(1, 16))):
        assert run(rows, days, cuts=cuts).equals(made)


def test_a_late_bar_that_would_have_kept_it_keeps_it(short_memory: int) -> None:
    days = SESSIONS[:12]
    rows = [*walk("a", days, 1), *walk("b", days[:3], 2), bar("b", days[5], 20.0, late=2)]
    made = run(rows, days)
    assert_like_the_recursion(made, rows, days, forget_after=short_memory)
    seen = made.filter(pl.col("security_id") == "b")["session"].to_list()
    assert seen == [*days[:6], *days[7:9]]
    assert run(rows, days, cuts=list(range(1, 12))).equals(made)


def test_missed_revisions_of_a_forgotten_security_are_forgotten_with_it(short_memory: int) -> None:
    """A restart finds no row to carry the count on from, so an undisturbed run must not either."""
    days = SESSIONS[:16]
    old = walk("b", days[:6], 2)
    rows = [*walk("a", days, 1), *old, corrected(old[0], 2.0, late=5), *walk("b", days[12:], 3)]
    made = run(rows, days)
    counts = made.filter(pl.col("security_id") == "b").select("session", "revisions_missed").rows()
    assert counts == [
        *((day, int(day >= days[5])) for day in days[:9]),
        *((d, 0) for d in days[12:]),
    ]
    assert run(rows, days, cuts=list(range(1, 16))).equals(made)


def test_a_revision_missed_before_the_first_bar_is_not_remembered() -> None:
    days = SESSIONS[:12]
    rows = [*walk("a", days, 1), bar("b", days[0], 5.0, late=7), *walk("b", days[9:], 3)]
    made = run(rows, days)
    assert made.filter(pl.col("security_id") == "b")["revisions_missed"].to_list() == [0, 0, 0]
    assert run(rows, days, cuts=list(range(1, 12))).equals(made)


@settings(max_examples=20)
@given(publications(), st.sets(st.integers(1, 9)))
@example(rows=[bar("a", TEN[0]), bar("a", TEN[9])], cuts={5})
def test_restarts_and_forgetting_together_change_no_byte(
    rows: list[dict[str, Any]], cuts: set[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FORGET_AFTER", 3)
        whole = run(rows, TEN)
        assert run(rows, TEN, cuts=sorted(cuts)).equals(whole)
        assert_like_the_recursion(whole, rows, TEN, forget_after=3)


@pytest.mark.parametrize("security", ["a", "b"])
def test_securities_do_not_depend_on_one_another(security: str) -> None:
    rows = [*walk("a", TEN, 1), *walk("b", TEN[3:], 2), *walk("c", TEN[:4], 3)]
    rows.append(corrected(rows[2], 1.5, late=3))
    alone = [row for row in rows if row["security_id"] == security]
    whole = run(rows, TEN).filter(pl.col("security_id") == security)
    assert run(alone, TEN).equals(whole)
