"""Arithmetic on sessions: ordinals, windows, cutoffs, knowledge sessions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_platform.calendars import build_calendar
from quant_platform.errors import CalendarError

HORIZON = date(2027, 12, 31)
NYSE = build_calendar("XNYS", horizon=HORIZON, grace=timedelta(minutes=90))
CRYPTO = build_calendar("24/7", horizon=HORIZON, grace=timedelta(minutes=90))
calendars = st.sampled_from([NYSE, CRYPTO])
instants = st.datetimes(
    min_value=datetime(1989, 6, 1),  # noqa: DTZ001  the zone is given below
    max_value=datetime(2027, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def test_ordinals_count_sessions() -> None:
    assert NYSE.ordinal(NYSE.sessions[0]) == 0
    assert NYSE.ordinal(date(2024, 7, 5)) == NYSE.ordinal(date(2024, 7, 3)) + 1
    assert CRYPTO.ordinal(date(2024, 7, 5)) == CRYPTO.ordinal(date(2024, 7, 3)) + 2


def test_a_day_that_is_no_session_is_refused_with_its_neighbours() -> None:
    with pytest.raises(CalendarError, match=r"2024-07-03 or 2024-07-05"):
        NYSE.ordinal(date(2024, 7, 4))
    with pytest.raises(CalendarError, match="outside"):
        NYSE.ordinal(date(1980, 1, 2))
    with pytest.raises(CalendarError, match="outside"):
        NYSE.cutoff(date(2031, 1, 2))


def test_offset_steps_over_holidays_and_weekends() -> None:
    assert NYSE.offset(date(2024, 7, 3), 1) == date(2024, 7, 5)
    assert NYSE.offset(date(2024, 7, 8), -2) == date(2024, 7, 3)
    assert NYSE.offset(date(2024, 7, 8), 0) == date(2024, 7, 8)
    with pytest.raises(CalendarError, match="leaves calendar"):
        NYSE.offset(NYSE.sessions[0], -1)
    with pytest.raises(CalendarError, match="leaves calendar"):
        NYSE.offset(NYSE.sessions[-1], 1)


def test_between_takes_days_that_are_no_sessions() -> None:
    assert NYSE.between(date(2024, 7, 4), date(2024, 7, 7)) == [date(2024, 7, 5)]
    assert NYSE.between(date(2024, 7, 6), date(2024, 7, 7)) == []
    with pytest.raises(CalendarError, match="outside"):
        NYSE.between(date(2024, 7, 6), date(2028, 1, 1))


def test_a_window_counts_sessions_and_shortens_only_at_the_start_of_history() -> None:
    session = date(2024, 1, 3)
    assert NYSE.window(session, 2, not_before=None) == [
        date(2023, 12, 29),
        date(2024, 1, 2),
        session,
    ]
    assert NYSE.window(session, 2, not_before=date(2024, 1, 1)) == [date(2024, 1, 2), session]
    assert NYSE.window(session, 0, not_before=session) == [session]
    with pytest.raises(CalendarError, match="before the start of history"):
        NYSE.window(session, 2, not_before=date(2024, 1, 4))
    with pytest.raises(CalendarError, match="leaves calendar"):
        NYSE.window(NYSE.sessions[3], 4, not_before=None)
    with pytest.raises(CalendarError, match="zero or more"):
        NYSE.window(session, -1, not_before=None)


def test_the_cutoff_is_the_midnight_after_plus_grace() -> None:
    assert NYSE.cutoff(date(2024, 3, 1)) == datetime(2024, 3, 2, 1, 30, tzinfo=UTC)
    assert NYSE.cutoff(date(2024, 3, 1)) > NYSE.close(date(2024, 3, 1))


def test_the_knowledge_session_is_the_first_whose_cutoff_is_not_before() -> None:
    friday, monday = date(2024, 3, 1), date(2024, 3, 4)
    cutoff = NYSE.cutoff(friday)
    assert NYSE.knowledge_session(cutoff) == friday
    assert NYSE.knowledge_session(cutoff + timedelta(microseconds=1)) == monday
    assert NYSE.knowledge_session(datetime(2024, 3, 2, 12, tzinfo=UTC)) == monday
    assert CRYPTO.knowledge_session(datetime(2024, 3, 2, 12, tzinfo=UTC)) == date(2024, 3, 2)
    assert NYSE.knowledge_session(datetime(1980, 1, 1, tzinfo=UTC)) == NYSE.sessions[0]
    with pytest.raises(CalendarError, match="horizon"):
        NYSE.knowledge_session(NYSE.cutoff(NYSE.sessions[-1]) + timedelta(microseconds=1))
    with pytest.raises(CalendarError, match="time zone"):
        NYSE.knowledge_session(datetime(2024, 3, 2, 12))  # noqa: DTZ001


@given(calendar=calendars, known_at=instants)
def test_knowledge_session_by_its_definition(calendar, known_at) -> None:
    session = calendar.knowledge_session(known_at)
    assert calendar.cutoff(session) >= known_at
    ordinal = calendar.ordinal(session)
    assert ordinal == 0 or calendar.cutoff(calendar.offset(session, -1)) < known_at


@given(calendar=calendars, known_at=st.lists(st.none() | instants, max_size=20))
def test_knowledge_sessions_are_the_single_ones(calendar, known_at) -> None:
    column = pl.Series("known_at", known_at, dtype=pl.Datetime("us", "UTC"))
    expected = [None if at is None else calendar.knowledge_session(at) for at in known_at]
    result = calendar.knowledge_sessions(column)
    assert result.dtype == pl.Date
    assert result.to_list() == expected


def test_knowledge_sessions_agree_with_an_as_of_join() -> None:
    known_at = NYSE.frame()["cutoff"].slice(0, 5_000) - timedelta(hours=7)
    joined = (
        known_at.alias("known_at")
        .to_frame()
        .join_asof(NYSE.frame(), left_on="known_at", right_on="cutoff", strategy="forward")
    )
    assert NYSE.knowledge_sessions(known_at).to_list() == joined["session"].to_list()


def test_knowledge_sessions_refuse_what_they_would_have_to_round() -> None:
    with pytest.raises(CalendarError, match="microseconds"):
        NYSE.knowledge_sessions(pl.Series("known_at", [], dtype=pl.Datetime("ns", "UTC")))
    with pytest.raises(CalendarError, match="microseconds"):
        NYSE.knowledge_sessions(pl.Series("known_at", [], dtype=pl.Datetime("us")))
    late = pl.Series("known_at", [datetime(2028, 6, 1, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))
    with pytest.raises(CalendarError, match="horizon"):
        NYSE.knowledge_sessions(late)


@given(calendar=calendars, now=instants.filter(lambda at: at.year >= 1991))
def test_latest_by_its_definition(calendar, now) -> None:
    session = calendar.latest(now)
    assert calendar.cutoff(session) <= now
    assert calendar.cutoff(calendar.offset(session, 1)) > now


def test_latest_changes_at_the_cutoff() -> None:
    cutoff = NYSE.cutoff(date(2024, 3, 4))
    assert NYSE.latest(cutoff) == date(2024, 3, 4)
    assert NYSE.latest(cutoff - timedelta(microseconds=1)) == date(2024, 3, 1)


def test_latest_refuses_a_clock_outside_the_cover() -> None:
    assert NYSE.latest(datetime(2028, 1, 2, 1, 29, tzinfo=UTC)) == date(2027, 12, 31)
    with pytest.raises(CalendarError, match="horizon"):
        NYSE.latest(datetime(2028, 1, 2, 1, 30, tzinfo=UTC))
    with pytest.raises(CalendarError, match="complete"):
        NYSE.latest(datetime(1990, 1, 2, tzinfo=UTC))
    with pytest.raises(CalendarError, match="time zone"):
        NYSE.latest(datetime(2024, 1, 2))  # noqa: DTZ001


def test_ordinals_do_not_move_with_the_horizon() -> None:
    other = build_calendar("XNYS", horizon=date(2026, 12, 31), grace=timedelta(0))
    for session in NYSE.between(date(2019, 1, 1), date(2021, 1, 1)):
        assert other.ordinal(session) == NYSE.ordinal(session)


def test_the_frame_is_the_calendar() -> None:
    frame = NYSE.frame()
    assert frame.schema == {
        "session": pl.Date,
        "ordinal": pl.Int64,
        "cutoff": pl.Datetime("us", "UTC"),
    }
    assert tuple(frame["session"]) == NYSE.sessions
    row = frame.row(1_234, named=True)
    assert row["ordinal"] == 1_234
    assert row["cutoff"] == NYSE.cutoff(row["session"])
