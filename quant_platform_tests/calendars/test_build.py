"""Sessions agree with the exchange's published history, and corrections do what they say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import exchange_calendars
import pytest

from quant_platform.calendars import EPOCH, SessionCalendar, build_calendar, calendar_horizon
from quant_platform.errors import CalendarError, ConfigError

GRACE = timedelta(minutes=90)
HORIZON = date(2027, 12, 31)


def nyse(**corrections: list[date]) -> SessionCalendar:
    return build_calendar("XNYS", horizon=HORIZON, grace=GRACE, **corrections)


@pytest.mark.parametrize(
    "closed",
    [
        date(2001, 9, 11),  # attacks; four days in all
        date(2001, 9, 14),
        date(2004, 6, 11),  # funeral of President Reagan
        date(2007, 1, 2),  # funeral of President Ford
        date(2012, 10, 29),  # Hurricane Sandy; two days
        date(2012, 10, 30),
        date(2018, 12, 5),  # funeral of President G. H. W. Bush
        date(2025, 1, 9),  # funeral of President Carter
        date(2022, 6, 20),  # Juneteenth, observed, its first year
    ],
)
def test_unscheduled_closures_are_no_sessions(closed: date) -> None:
    assert not nyse().contains(closed)
    assert nyse().contains(nyse().between(closed - timedelta(days=7), closed)[-1])


@pytest.mark.parametrize(
    ("session", "close"),
    [
        (date(2024, 11, 29), datetime(2024, 11, 29, 18, tzinfo=UTC)),  # day after Thanksgiving
        (date(2024, 7, 3), datetime(2024, 7, 3, 17, tzinfo=UTC)),  # summer time: an hour earlier
        (date(2024, 11, 27), datetime(2024, 11, 27, 21, tzinfo=UTC)),  # an ordinary day
    ],
)
def test_half_days_close_early(session: date, close: datetime) -> None:
    assert nyse().close(session) == close
    assert nyse().open(session).astimezone(UTC).minute == 30


def test_utc_days_never_close() -> None:
    crypto = build_calendar("24/7", horizon=HORIZON, grace=GRACE)
    assert len(crypto.sessions) == (HORIZON - EPOCH).days + 1
    assert crypto.open(date(2024, 2, 29)) == datetime(2024, 2, 29, tzinfo=UTC)
    assert crypto.close(date(2024, 2, 29)) == datetime(2024, 3, 1, tzinfo=UTC)


def test_an_evening_exchange_opens_on_the_day_before() -> None:
    futures = build_calendar("CMES", horizon=HORIZON, grace=GRACE)
    assert futures.open(date(2024, 3, 5)) == datetime(2024, 3, 4, 23, tzinfo=UTC)


def test_an_alias_is_the_same_calendar() -> None:
    assert build_calendar("NYSE", horizon=HORIZON, grace=GRACE) is nyse()


def test_an_unknown_code_names_its_neighbours() -> None:
    with pytest.raises(ConfigError, match="XNYS"):
        build_calendar("XNY", horizon=HORIZON, grace=GRACE)


def test_a_bounded_calendar_covers_what_the_library_covers() -> None:
    tokyo = build_calendar("XTKS", horizon=HORIZON, grace=GRACE)
    assert tokyo.first_day == date(1997, 1, 1)
    assert tokyo.ordinal(tokyo.sessions[0]) == 0
    with pytest.raises(CalendarError, match="1997-01-01"):
        tokyo.between(date(1995, 1, 1), date(1998, 1, 1))


def test_a_calendar_that_the_library_bounds_before_the_horizon_ends_there() -> None:
    far = build_calendar("XHKG", horizon=date(2060, 12, 31), grace=GRACE)
    bound = exchange_calendars.get_calendar("XHKG").bound_max().date()
    assert far.horizon == bound
    assert far.sessions[-1] <= bound


def test_a_calendar_that_the_library_cannot_build_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="cannot build"):
        build_calendar("XNYS", horizon=date(1989, 12, 31), grace=GRACE)


def test_the_horizon_and_the_grace_do_not_move_ordinals() -> None:
    near = build_calendar("XNYS", horizon=date(2026, 12, 31), grace=timedelta(0))
    assert near.sessions == nyse().sessions[: len(near.sessions)]
    assert near.ordinal(date(2020, 3, 16)) == nyse().ordinal(date(2020, 3, 16))


def test_equality_and_hash_come_from_the_inputs() -> None:
    assert nyse(extra_holidays=[date(2024, 3, 5)]) is nyse(extra_holidays=[date(2024, 3, 5)] * 2)
    assert nyse(extra_holidays=[date(2024, 3, 5)]) != nyse()
    assert build_calendar("XNYS", horizon=HORIZON, grace=timedelta(0)) != nyse()
    assert len({nyse(), nyse(extra_holidays=[date(2024, 3, 5)])}) == 2


def test_an_extra_holiday_shifts_later_ordinals_and_no_earlier_one() -> None:
    holiday = date(2018, 3, 14)
    corrected = nyse(extra_holidays=[holiday])
    assert not corrected.contains(holiday)
    assert corrected.ordinal(date(2018, 3, 13)) == nyse().ordinal(date(2018, 3, 13))
    assert corrected.ordinal(date(2018, 3, 15)) == nyse().ordinal(date(2018, 3, 15)) - 1
    assert corrected.offset(date(2018, 3, 13), 1) == date(2018, 3, 15)
    # The closure's evening belongs to the next session's knowledge.
    assert corrected.knowledge_session(datetime(2018, 3, 14, 21, tzinfo=UTC)) == date(2018, 3, 15)


def test_an_extra_session_on_a_weekend_has_the_regular_hours() -> None:
    saturday = date(2024, 3, 9)
    corrected = nyse(extra_sessions=[saturday])
    assert corrected.offset(date(2024, 3, 8), 1) == saturday
    assert corrected.open(saturday) == datetime(2024, 3, 9, 14, 30, tzinfo=UTC)
    assert corrected.close(saturday) == datetime(2024, 3, 9, 21, tzinfo=UTC)
    assert corrected.cutoff(saturday) == datetime(2024, 3, 10, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("corrections", "found"),
    [
        ({"extra_holidays": [date(2024, 3, 9)]}, "no session of calendar XNYS anyway"),
        ({"extra_holidays": [date(2025, 1, 9)]}, "no session of calendar XNYS anyway"),
        ({"extra_sessions": [date(2024, 3, 8)]}, "is a session of calendar XNYS already"),
        (
            {"extra_holidays": [date(2024, 3, 8)], "extra_sessions": [date(2024, 3, 8)]},
            "both an extra holiday and an extra session",
        ),
        ({"extra_holidays": [date(1985, 1, 7)]}, "where its cover begins"),
    ],
)
def test_a_correction_that_corrects_nothing_is_refused(
    corrections: dict[str, list[date]], found: str
) -> None:
    with pytest.raises(ConfigError, match=found):
        nyse(**corrections)


def test_a_correction_after_the_horizon_waits_for_it() -> None:
    holiday = date(2027, 3, 10)
    now, then = date(2026, 12, 31), date(2027, 12, 31)
    early = build_calendar("XNYS", horizon=now, grace=GRACE, extra_holidays=[holiday])
    late = build_calendar("XNYS", horizon=then, grace=GRACE, extra_holidays=[holiday])
    assert early.sessions == build_calendar("XNYS", horizon=now, grace=GRACE).sessions
    assert not late.contains(holiday)


def test_a_negative_grace_is_refused() -> None:
    with pytest.raises(ConfigError, match="grace"):
        build_calendar("XNYS", horizon=HORIZON, grace=timedelta(minutes=-1))


def test_the_horizon_is_the_end_of_next_year() -> None:
    assert calendar_horizon(datetime(2026, 11, 21, tzinfo=UTC)) == date(2027, 12, 31)
    with pytest.raises(CalendarError, match="time zone"):
        calendar_horizon(datetime(2026, 11, 21))  # noqa: DTZ001
