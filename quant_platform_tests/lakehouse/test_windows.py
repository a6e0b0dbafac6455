"""Windows against brute force over every session of a small calendar."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.errors import CalendarError
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS, span

HOLIDAY = date(2024, 1, 15)
NEAR = [(p, day) for p, day in enumerate(CALENDAR.sessions) if day.year >= 2023]
"""Ordinals around those that the tests ask for; more only takes time."""
several = settings(deadline=None, max_examples=60)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    return Window(
        "branch/bars",
        lookback=draw(st.integers(0, 30)),
        block=draw(st.sampled_from([0, 0, 1, 2, 7, 21])),
        own=draw(st.booleans()),
    )


@st.composite
def days(draw: st.DrawFn) -> tuple[date, date, date]:
    """First and last requested session, and the start of history."""
    start = draw(st.integers(0, 80))
    first = draw(st.integers(start, start + 30))
    last = draw(st.integers(first, min(first + 30, len(SESSIONS) - 1)))
    return SESSIONS[first], SESSIONS[last], SESSIONS[start]


def needed(wanted: SessionRange, window: Window, session: date) -> set[date]:
    """Sessions that a value of ``session`` may depend on, by the words of the contract."""
    end = CALENDAR.ordinal(session) - (1 if window.own else 0)
    begin = CALENDAR.ordinal(session) - window.lookback
    return {
        day for position, day in NEAR if begin <= position <= end and day >= wanted.history_start
    }


@several
@given(windows(), days())
def test_a_range_loads_what_each_of_its_sessions_needs_and_nothing_ahead(
    window: Window, asked: tuple[date, date, date]
) -> None:
    wanted = span(*asked)
    loaded = wanted.loaded(window)
    assert loaded == sorted(set(loaded))
    every = set().union(*(needed(wanted, window, session) for session in wanted.sessions))
    if window.own:
        every = {day for day in every if day < wanted.first}
        assert all(day < wanted.first for day in loaded)
    assert every <= set(loaded)
    assert all(wanted.history_start <= day <= wanted.last for day in loaded)
    reach = CALENDAR.ordinal(wanted.first) - window.reach
    assert all(CALENDAR.ordinal(day) >= reach for day in loaded)


@several
@given(windows(), days())
def test_loaded_sessions_are_counted_from_the_start_of_the_first_block(
    window: Window, asked: tuple[date, date, date]
) -> None:
    wanted = span(*asked)
    start = wanted.first
    if window.block:
        while CALENDAR.ordinal(start) % window.block:
            start = CALENDAR.offset(start, -1)
    start = max(start, wanted.history_start)
    begin = CALENDAR.ordinal(start) - window.lookback
    end = CALENDAR.ordinal(wanted.first) - 1 if window.own else CALENDAR.ordinal(wanted.last)
    assert wanted.loaded(window) == [
        day for position, day in NEAR if begin <= position <= end and day >= wanted.history_start
    ]


@several
@given(windows(), days())
def test_bounds_are_what_a_run_of_one_session_loads(
    window: Window, asked: tuple[date, date, date]
) -> None:
    wanted = span(*asked)
    for session in wanted.sessions:
        first, last = wanted.bounds(window, session)
        alone = span(session, session, history=wanted.history_start)
        assert list(CALENDAR.sessions[first : last + 1]) == alone.loaded(window)


@several
@given(windows(), days())
def test_sessions_of_one_block_load_from_the_same_one(
    window: Window, asked: tuple[date, date, date]
) -> None:
    wanted = span(*asked)
    if not window.block:
        return
    begins: dict[date, set[int]] = {}
    for session in wanted.sessions:
        block = CALENDAR.block_start(session, window.block)
        begins.setdefault(block, set()).add(wanted.bounds(window, session)[0])
    assert all(len(found) == 1 for found in begins.values())


@several
@given(windows(), days(), st.sets(st.integers(0, 119)))
def test_spoilt_sessions_are_those_that_need_a_bad_one(
    window: Window, asked: tuple[date, date, date], positions: set[int]
) -> None:
    wanted = span(*asked)
    bad = {SESSIONS[position]: f"cause {position}" for position in positions}
    expected = {}
    for session in wanted.sessions:
        # Sessions before the start of history do not exist, whoever calls them bad.
        culprits = {day for day in bad if day in needed(wanted, window, session)}
        if culprits:
            expected[session] = (max(culprits), bad[max(culprits)])
    there = {day: cause for day, cause in bad.items() if day >= wanted.history_start}
    assert wanted.spoilt(window, there) == expected


@several
@given(windows(), days(), st.sets(st.integers(0, 119), max_size=4))
def test_readers_are_the_sessions_that_would_load_a_changed_one(
    window: Window, asked: tuple[date, date, date], positions: set[int]
) -> None:
    wanted = span(*asked)
    changed = {SESSIONS[position] for position in positions}
    assert wanted.readers(window, changed) == {
        day
        for day in wanted.sessions
        if not changed.isdisjoint(span(day, day, history=wanted.history_start).loaded(window))
    }


def test_the_window_of_the_first_session_of_history_is_empty_for_its_own_table() -> None:
    wanted = span(SESSIONS[0], SESSIONS[3])
    assert wanted.loaded(Window("branch/state", 21, own=True)) == []
    assert wanted.loaded(Window("branch/bars", 21)) == SESSIONS[:4]


def test_a_window_without_blocks_reaches_its_look_back_alone() -> None:
    assert Window("branch/bars", 252).reach == 252
    assert Window("branch/bars", 252, 63).reach == 314


@pytest.mark.parametrize(
    "sessions",
    [
        (),
        (SESSIONS[0], SESSIONS[2]),
        (SESSIONS[0], SESSIONS[0]),
        (SESSIONS[1], SESSIONS[0]),
        (HOLIDAY,),
        (date(2024, 1, 12), HOLIDAY, date(2024, 1, 16)),
    ],
    ids=["none", "gap", "repeat", "disorder", "no session", "a holiday inside"],
)
def test_a_range_with_gaps_is_refused(sessions: tuple[date, ...]) -> None:
    with pytest.raises(CalendarError):
        SessionRange(CALENDAR, sessions, SESSIONS[0])


def test_a_range_over_a_holiday_has_no_gap() -> None:
    wanted = SessionRange(CALENDAR, (date(2024, 1, 12), date(2024, 1, 16)), SESSIONS[0])
    assert (wanted.first, wanted.last) == (date(2024, 1, 12), date(2024, 1, 16))


def test_history_may_start_on_a_day_that_is_no_session() -> None:
    wanted = span(date(2024, 1, 16), date(2024, 1, 16), history=date(2024, 1, 13))
    assert wanted.loaded(Window("branch/bars", 5)) == [date(2024, 1, 16)]
