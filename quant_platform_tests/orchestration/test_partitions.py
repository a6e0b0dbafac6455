"""Partition keys are the exchange's sessions, and mappings count them.

The twins beside the guards show the trap itself, measured on the installed Dagster, so that a
release which changes it is noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import exchange_calendars
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.partitions.snap import PartitionsSnap
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.calendars import SessionCalendar, build_calendar, calendar_horizon
from quant_platform.errors import CalendarError, ConfigError
from quant_platform.orchestration.partitions import (
    daily_partitions,
    lookback_mapping,
    other_calendar_mapping,
)

GRACE = timedelta(minutes=90)
TODAY = datetime.now(UTC)
HORIZON = calendar_horizon(TODAY)
NYSE = build_calendar("XNYS", horizon=HORIZON, grace=GRACE)
CRYPTO = build_calendar("24/7", horizon=HORIZON, grace=GRACE)
CLOSURE = date(2018, 3, 14)
CLOSED = build_calendar("XNYS", horizon=HORIZON, grace=GRACE, extra_holidays=[CLOSURE])
START = date(2016, 1, 1)
FAR = datetime(HORIZON.year + 5, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 6, 17, 12, tzinfo=UTC)

Daily = dg.DailyPartitionsDefinition


def days(keys: Sequence[str]) -> list[date]:
    return [date.fromisoformat(key) for key in keys]


def upstream(
    mapping: dg.PartitionMapping,
    downstream: Daily,
    upstream_partitions: Daily,
    sessions: Sequence[date],
    *,
    now: datetime = NOON,
) -> tuple[list[date], bool]:
    """Return the upstream sessions and whether Dagster misses any that ought to exist."""
    with partition_loading_context(now, None):
        result = mapping.get_upstream_mapped_partitions_result_for_partitions(
            downstream.subset_with_partition_keys([str(session) for session in sessions]),
            downstream,
            upstream_partitions,
            current_time=now,
        )
        missing = result.required_but_nonexistent_subset
        return (
            sorted(days(list(result.partitions_subset.get_partition_keys()))),
            bool(missing.included_time_windows),
        )


def published(first: date, last: date) -> list[date]:
    """Return XNYS sessions straight from the library."""
    calendar = exchange_calendars.get_calendar("XNYS", start=first, end=last)
    return list(calendar.sessions.to_numpy().astype("datetime64[D]").tolist())


PUBLISHED = published(date(2000, 1, 1), HORIZON)


@pytest.mark.parametrize("year", range(2000, HORIZON.year + 1))
def test_the_keys_of_a_year_are_the_sessions_of_the_exchange(year: int) -> None:
    partitions = daily_partitions(NYSE, date(year, 1, 1))
    keys = partitions.get_partition_keys(current_time=datetime(year + 1, 1, 1, tzinfo=UTC))
    assert days(keys) == [session for session in PUBLISHED if session.year == year]


def test_the_keys_of_all_years_are_the_sessions_and_end_at_the_horizon() -> None:
    keys = daily_partitions(NYSE, date(2000, 1, 1)).get_partition_keys(current_time=FAR)
    assert days(keys) == PUBLISHED


@pytest.mark.parametrize("code", ["24/7", "XSAU", "XTKS", "XNZE", "CMES"])
def test_the_keys_of_other_calendars_are_their_sessions(code: str) -> None:
    calendar = build_calendar(code, horizon=HORIZON, grace=GRACE)
    start = date(2021, 1, 1)
    keys = daily_partitions(calendar, start).get_partition_keys(current_time=FAR)
    assert days(keys) == calendar.between(start, calendar.horizon)


def test_utc_days_are_plain_daily() -> None:
    partitions = daily_partitions(CRYPTO, START)
    assert partitions.exclusions is None
    assert partitions.is_basic_daily


def test_one_object_per_calendar_and_start() -> None:
    assert daily_partitions(NYSE, START) is daily_partitions(NYSE, START)
    assert daily_partitions(NYSE, START) != daily_partitions(CLOSED, START)


def test_webserver_and_daemon_see_the_same_keys() -> None:
    snapshot = dg.deserialize_value(
        dg.serialize_value(PartitionsSnap.from_def(daily_partitions(NYSE, START)))
    )
    remote = snapshot.get_partitions_definition()
    assert days(remote.get_partition_keys(current_time=FAR)) == NYSE.between(START, HORIZON)


def test_history_may_start_on_a_holiday_and_not_before_the_cover() -> None:
    assert daily_partitions(NYSE, START).get_first_partition_key() == "2016-01-04"
    with pytest.raises(CalendarError, match="1990-01-01"):
        daily_partitions(NYSE, date(1985, 1, 1))
    short = build_calendar("XTKS", horizon=HORIZON, grace=GRACE)
    with pytest.raises(ConfigError, match="no session"):
        daily_partitions(short, date(HORIZON.year, 12, 31))


def test_a_key_appears_at_midnight_after_its_session() -> None:
    partitions = daily_partitions(NYSE, START)
    wednesday = datetime(2026, 6, 17, tzinfo=UTC)
    for hours, last in [(0, "2026-06-16"), (23, "2026-06-16"), (24, "2026-06-17")]:
        keys = partitions.get_partition_keys(current_time=wednesday + timedelta(hours=hours))
        assert keys[-1] == last


def test_twin_end_offset_shows_a_session_that_has_not_closed() -> None:
    ahead = Daily(start_date="2026-06-01", timezone="UTC", end_offset=1)
    assert ahead.get_partition_keys(current_time=NOON)[-1] == "2026-06-17"


def test_fridays_window_ends_on_saturday() -> None:
    window = daily_partitions(NYSE, START).time_window_for_partition_key("2024-03-08")
    assert window.start == datetime(2024, 3, 8, tzinfo=UTC)
    assert window.end == datetime(2024, 3, 9, tzinfo=UTC)


def test_twin_a_weekday_cron_ends_fridays_window_on_monday() -> None:
    weekdays = dg.TimeWindowPartitionsDefinition(
        start="2016-01-04", fmt="%Y-%m-%d", cron_schedule="0 0 * * 1-5", timezone="UTC"
    )
    assert weekdays.time_window_for_partition_key("2024-03-08").end == datetime(
        2024, 3, 11, tzinfo=UTC
    )
    # Friday's partition does not even exist until Monday.
    saturday = datetime(2024, 3, 9, 12, tzinfo=UTC)
    assert weekdays.get_partition_keys(current_time=saturday)[-1] == "2024-03-07"
    ours = daily_partitions(NYSE, START).get_partition_keys(current_time=saturday)
    assert ours[-1] == "2024-03-08"


def test_a_half_day_is_a_whole_partition() -> None:
    session = date(2024, 11, 29)
    window = daily_partitions(NYSE, START).time_window_for_partition_key(str(session))
    assert NYSE.close(session).hour == 18
    assert window.start <= NYSE.open(session) < NYSE.close(session) <= window.end
    assert window.end + GRACE == NYSE.cutoff(session)


def test_an_unscheduled_closure_in_the_middle_of_history() -> None:
    before, after = date(2018, 3, 13), date(2018, 3, 15)
    partitions = daily_partitions(CLOSED, START)
    assert not partitions.has_partition_key(str(CLOSURE))
    assert daily_partitions(NYSE, START).has_partition_key(str(CLOSURE))
    keys = days(partitions.get_partition_keys(current_time=FAR))
    assert keys == CLOSED.between(START, HORIZON)
    assert upstream(lookback_mapping(1), partitions, partitions, [after]) == (
        [before, after],
        False,
    )


def test_a_weekend_session_lists_the_other_weekend_days() -> None:
    saturday = date(2024, 3, 9)
    calendar = build_calendar("XNYS", horizon=HORIZON, grace=GRACE, extra_sessions=[saturday])
    partitions = daily_partitions(calendar, START)
    assert days(partitions.get_partition_keys(current_time=FAR)) == calendar.between(START, HORIZON)
    assert upstream(lookback_mapping(1), partitions, partitions, [date(2024, 3, 11)]) == (
        [saturday, date(2024, 3, 11)],
        False,
    )


@pytest.mark.parametrize("calendar", [NYSE, CLOSED, CRYPTO], ids=["nyse", "closed", "crypto"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_upstream_keys_are_the_calendars_window(calendar: SessionCalendar, data) -> None:
    partitions = daily_partitions(calendar, START)
    known = calendar.between(START, date(2026, 6, 16))
    session = data.draw(st.sampled_from(known))
    lookback = data.draw(st.sampled_from([0, 1, 2, 5, 21, 64]))
    expected = calendar.window(session, lookback, not_before=START)
    mapping = lookback_mapping(lookback)
    assert upstream(mapping, partitions, partitions, [session]) == (expected, False)
    if lookback:
        carried = upstream(
            lookback_mapping(lookback, self_dependent=True), partitions, partitions, [session]
        )
        earlier = calendar.window(session, lookback, not_before=START)[:-1]
        assert carried == (earlier, False)


def test_a_year_of_look_back_and_a_range_of_sessions() -> None:
    partitions = daily_partitions(NYSE, START)
    first, last = date(2024, 3, 1), date(2024, 6, 3)
    sessions = NYSE.between(first, last)
    expected = NYSE.between(NYSE.offset(first, -252), last)
    assert upstream(lookback_mapping(252), partitions, partitions, sessions) == (expected, False)


def test_near_the_first_partition_the_mapping_shortens_in_silence() -> None:
    partitions = daily_partitions(NYSE, START)
    first = date(2016, 1, 4)
    assert upstream(lookback_mapping(252), partitions, partitions, [first]) == ([first], False)
    assert upstream(lookback_mapping(252), partitions, partitions, [date(2016, 1, 6)]) == (
        [first, date(2016, 1, 5), date(2016, 1, 6)],
        False,
    )
    carried = lookback_mapping(1, self_dependent=True)
    assert upstream(carried, partitions, partitions, [first]) == ([], False)


def test_a_utc_day_reads_the_last_week_of_sessions() -> None:
    crypto, nyse = daily_partitions(CRYPTO, START), daily_partitions(NYSE, START)
    saturday = date(2024, 7, 6)
    assert upstream(other_calendar_mapping(7), crypto, nyse, [saturday]) == (
        [date(2024, 7, 1), date(2024, 7, 2), date(2024, 7, 3), date(2024, 7, 5)],
        False,
    )
    for day in CRYPTO.between(date(2016, 1, 11), date(2026, 6, 16))[::37]:
        read, _ = upstream(other_calendar_mapping(7), crypto, nyse, [day])
        assert read[-1] == NYSE.between(START, day)[-1]


def test_a_week_holds_a_session_even_in_september_2001() -> None:
    start = date(2001, 1, 1)
    crypto, nyse = daily_partitions(CRYPTO, start), daily_partitions(NYSE, start)
    sunday = date(2001, 9, 16)
    assert upstream(other_calendar_mapping(7), crypto, nyse, [sunday]) == (
        [date(2001, 9, 10)],
        False,
    )


def test_the_newest_saturday_misses_no_upstream() -> None:
    crypto, nyse = daily_partitions(CRYPTO, START), daily_partitions(NYSE, START)
    saturday, sunday_noon = date(2026, 6, 20), datetime(2026, 6, 21, 12, tzinfo=UTC)
    sessions = NYSE.between(date(2026, 6, 13), saturday)
    assert upstream(other_calendar_mapping(7), crypto, nyse, [saturday], now=sunday_noon) == (
        sessions,
        False,
    )
    # Twin: without the permission Dagster calls the closed weekend a missing partition.
    strict = dg.TimeWindowPartitionMapping(start_offset=-7)
    assert upstream(strict, crypto, nyse, [saturday], now=sunday_noon) == (sessions, True)


def test_twin_the_identity_gives_a_saturday_nothing_and_no_error() -> None:
    crypto, nyse = daily_partitions(CRYPTO, START), daily_partitions(NYSE, START)
    identity = dg.TimeWindowPartitionMapping()
    assert upstream(identity, crypto, nyse, [date(2024, 7, 6)]) == ([], False)


def test_a_session_reads_the_utc_days_since_the_session_before() -> None:
    crypto, nyse = daily_partitions(CRYPTO, START), daily_partitions(NYSE, START)
    monday = date(2024, 7, 8)
    assert upstream(other_calendar_mapping(1), nyse, crypto, [monday]) == (
        [date(2024, 7, 5), date(2024, 7, 6), date(2024, 7, 7), monday],
        False,
    )
    for session in NYSE.between(date(2016, 1, 5), date(2026, 6, 16))[::97]:
        assert upstream(other_calendar_mapping(1), nyse, crypto, [session]) == (
            CRYPTO.between(NYSE.offset(session, -1), session),
            False,
        )


def test_twins_last_and_all_partition_mappings_look_ahead() -> None:
    partitions = daily_partitions(NYSE, START)
    early = date(2017, 3, 1)
    for mapping in (dg.LastPartitionMapping(), dg.AllPartitionMapping()):
        with partition_loading_context(NOON, None):
            result = mapping.get_upstream_mapped_partitions_result_for_partitions(
                partitions.subset_with_partition_keys([str(early)]), partitions, partitions, NOON
            )
            assert "2026-06-16" in set(result.partitions_subset.get_partition_keys())


@pytest.mark.parametrize(("lookback", "self_dependent"), [(-1, False), (0, True), (-1, True)])
def test_a_mapping_that_would_not_look_back_is_refused(lookback: int, self_dependent: bool) -> None:
    with pytest.raises(ConfigError, match="look-back"):
        lookback_mapping(lookback, self_dependent=self_dependent)
