"""Windows against brute force over every session of a small calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.calendars import build_calendar
from quant_platform.errors import CalendarError
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
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
    assert set(loaded) == every


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


# -- two calendars ---------------------------------------------------------------------------------

COINS = build_calendar("24/7", horizon=CALENDAR.horizon, grace=timedelta(minutes=90))
DAYS = COINS.between(SESSIONS[0], SESSIONS[79])
"""From the first session of 2024 over weekends, holidays and a leap day."""


def coins(lookback: int = 1, begins: date | None = None) -> Window:
    return Window("crypto/returns", lookback, calendar=COINS, begins=begins)


@pytest.mark.parametrize(
    ("session", "first"),
    [
        (date(2024, 1, 10), date(2024, 1, 9)),
        (date(2024, 1, 8), date(2024, 1, 5)),
        (date(2024, 1, 16), date(2024, 1, 12)),
        (date(2024, 1, 2), date(2024, 1, 2)),
        (date(2024, 1, 3), date(2024, 1, 2)),
    ],
    ids=["midweek", "Monday", "after a holiday", "beginning", "second session"],
)
def test_a_session_reads_the_utc_days_since_the_one_before(session: date, first: date) -> None:
    wanted = span(session, session)
    assert wanted.loaded(coins()) == COINS.between(first, session)


def test_a_session_counts_its_look_back_in_its_own_sessions() -> None:
    session = date(2024, 2, 20)
    wanted = span(session, session)
    assert wanted.loaded(coins(lookback=20)) == COINS.between(date(2024, 1, 22), session)
    begins = date(2024, 2, 17)
    assert wanted.loaded(coins(lookback=20, begins=begins)) == COINS.between(begins, session)
    assert wanted.loaded(coins(lookback=20, begins=date(2024, 2, 21))) == []


@pytest.mark.parametrize(
    ("day", "read"),
    [
        (date(2024, 1, 13), ["2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11", "2024-01-12"]),
        (date(2024, 1, 15), ["2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11", "2024-01-12"]),
        (date(2024, 1, 4), ["2024-01-02", "2024-01-03", "2024-01-04"]),
    ],
    ids=["Saturday", "holiday", "beginning"],
)
def test_a_utc_day_reads_the_sessions_of_its_week(day: date, read: list[str]) -> None:
    wanted = SessionRange(COINS, (day,), SESSIONS[0])
    window = Window("instruments/returns", 7, calendar=CALENDAR)
    assert [str(session) for session in wanted.loaded(window)] == read


@st.composite
def foreign(draw: st.DrawFn) -> tuple[SessionRange, Window]:
    """Range on one calendar, and a window on a table of the other that may begin later."""
    outward = draw(st.booleans())
    output, other = (CALENDAR, COINS) if outward else (COINS, CALENDAR)
    own = SESSIONS[:60] if outward else DAYS[:80]
    first = draw(st.integers(0, len(own) - 1))
    last = draw(st.integers(first, min(first + 12, len(own) - 1)))
    start = DAYS[draw(st.integers(0, 40))]
    sessions = [day for day in own[first : last + 1] if day >= start]
    begins = draw(st.none() | st.sampled_from([day for day in DAYS if day >= start]))
    lookback = draw(st.sampled_from([1, 2, 7, 20, ALL_HISTORY]))
    if not sessions:
        sessions = [day for day in own if day >= start][:1]
    wanted = SessionRange(output, tuple(sessions), start)
    return wanted, Window("other/returns", lookback, calendar=other, begins=begins)


def read_abroad(wanted: SessionRange, window: Window, session: date) -> set[date]:
    """Sessions of the other calendar that one session reads, by the words of the contract."""
    known = [day for day in wanted.calendar.sessions if day <= session]
    since = known[max(len(known) - 1 - window.lookback, 0)]
    begins = max(wanted.history_start, window.begins or wanted.history_start)
    axis = COINS if window.calendar is COINS else CALENDAR
    return set(axis.between(max(since, begins), session)) if session >= begins else set()


@several
@given(foreign())
def test_a_window_abroad_is_the_days_of_the_sessions(case: tuple[SessionRange, Window]) -> None:
    wanted, window = case
    axis = wanted.axis(window)
    every = set()
    for session in wanted.sessions:
        expected = read_abroad(wanted, window, session)
        every |= expected
        for first, last in (wanted.bounds(window, session), wanted.needed(window, session)):
            assert set(axis.sessions[first : last + 1]) == expected
        alone = SessionRange(wanted.calendar, (session,), wanted.history_start)
        assert alone.loaded(window) == sorted(expected)
    assert wanted.loaded(window) == sorted(every)


@several
@given(foreign(), st.sets(st.sampled_from(DAYS), max_size=6))
def test_bad_and_changed_days_abroad_reach_those_that_read_them(
    case: tuple[SessionRange, Window], days: set[date]
) -> None:
    wanted, window = case
    begins = max(wanted.history_start, window.begins or wanted.history_start)
    chosen = {day for day in days if wanted.axis(window).contains(day) and day >= begins}
    hit = {
        session: max(chosen & read_abroad(wanted, window, session))
        for session in wanted.sessions
        if chosen & read_abroad(wanted, window, session)
    }
    assert wanted.readers(window, chosen) == set(hit)
    told = wanted.spoilt(window, {day: f"cause of {day}" for day in chosen})
    assert told == {session: (day, f"cause of {day}") for session, day in hit.items()}


@several
@given(windows(), days(), st.integers(0, 90))
def test_an_input_that_begins_later_has_nothing_before(
    window: Window, asked: tuple[date, date, date], position: int
) -> None:
    wanted = span(*asked)
    begins = max(SESSIONS[position], wanted.history_start)
    late = replace(window, begins=begins)
    loaded = wanted.loaded(late)
    assert all(day >= begins for day in loaded)
    # What it does read is what it would have read of an input without a beginning.
    since = [day for day in wanted.loaded(window) if day >= begins]
    assert loaded == since
    for session in wanted.sessions:
        first, last = wanted.bounds(late, session)
        assert list(CALENDAR.sessions[first : last + 1]) == span(
            session, session, history=wanted.history_start
        ).loaded(late)


def test_all_of_history_begins_where_the_input_does() -> None:
    wanted = span(SESSIONS[5], SESSIONS[7])
    assert wanted.loaded(Window("branch/actions", ALL_HISTORY)) == SESSIONS[:8]
    assert wanted.loaded(Window("branch/actions", ALL_HISTORY, begins=SESSIONS[3])) == SESSIONS[3:8]
    own = Window("branch/state", ALL_HISTORY, own=True)
    assert wanted.loaded(own) == SESSIONS[:5]


def test_a_window_learns_from_the_stage_of_its_input() -> None:
    begins = date(2024, 3, 1)
    assert Window("x/bars", 3).on(CALENDAR, COINS, begins) == Window(
        "x/bars", 3, calendar=COINS, begins=begins
    )
    assert Window("x/bars", 3).on(CALENDAR, CALENDAR, begins) == Window("x/bars", 3, begins=begins)
