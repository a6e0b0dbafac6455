"""Sessions as Dagster partitions, and the mappings that declare how far an asset looks back.

What belongs here: the partitions definition of a calendar, and every partition mapping that assets
may use. What does not: jobs and schedules over them, and the checks that nothing else is used
(`quant_platform.orchestration.lint`).

1. A calendar becomes a daily definition in UTC from which every closure is excluded. Session D's
   window is the UTC day D, so its key appears at 00:00 UTC after it, with ``end_offset=0``. Closed
   weekdays (Saturday and Sunday of most exchanges) are one cron exclusion; other closures are
   listed. A cron schedule of ``0 0 * * 1-5`` would make the same keys, but Friday's window would
   end on Monday.
2. The definition ends at the calendar's horizon: beyond it holidays are unknown, and a key there
   would be a guess.
3. Mappings count in the downstream asset's own partitions, over holidays and weekends. Near the
   first partition Dagster shortens the window without a word, so features count their warm-up.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from dagster import DailyPartitionsDefinition, TimeWindowPartitionMapping
from dagster._utils.warnings import disable_dagster_warnings

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import ConfigError
from quant_platform.lakehouse.windows import ALL_HISTORY
from quant_platform.orchestration.session_partitions import SessionPartitions

_YEAR = 252
"""Sessions of a table read as a whole that Dagster is told of; the window itself reads all."""


@lru_cache(maxsize=64)
def daily_partitions(calendar: SessionCalendar, history_start: date) -> DailyPartitionsDefinition:
    """Return the partitions definition whose keys are the calendar's sessions; cached and shared.

    Parameters
    ----------
    calendar
        The calendar; its horizon ends the partitions.
    history_start
        The first day of history; the first partition is the first session at or after it.

    Raises
    ------
    CalendarError
        When the start lies outside the calendar's cover.
    """
    sessions = calendar.between(history_start, calendar.horizon)
    if not sessions:
        raise ConfigError(
            f"calendar {calendar.code} has no session from {history_start} to {calendar.horizon}",
            expected="at least one",
            mend="move platform.history_start back",
        )
    first = sessions[0]
    open_days = set(sessions)
    closures = [
        day
        for day in (first + timedelta(days=n) for n in range((calendar.horizon - first).days + 1))
        if day not in open_days
    ]
    # Weekdays as cron counts them: Sunday is 0.
    open_weekdays = {session.isoweekday() % 7 for session in sessions}
    closed_weekdays = sorted({day.isoweekday() % 7 for day in closures} - open_weekdays)
    exclusions: list[str | datetime] = [
        _midnight(day) for day in closures if day.isoweekday() % 7 in open_weekdays
    ]
    if closed_weekdays:
        exclusions.insert(0, f"0 0 * * {','.join(str(weekday) for weekday in closed_weekdays)}")
    return SessionPartitions(
        start_date=_midnight(first),
        end_date=_midnight(calendar.horizon + timedelta(days=1)),
        timezone="UTC",
        end_offset=0,
        exclusions=exclusions or None,
    )


def lookback_mapping(lookback: int, *, self_dependent: bool = False) -> TimeWindowPartitionMapping:
    """Return the mapping from a session to the upstream sessions that its computation needs.

    Parameters
    ----------
    lookback
        Sessions before the session itself; 0 is the session alone.
    self_dependent
        For carried state: the `lookback` sessions before the session, without the session itself.
    """
    if self_dependent:
        if lookback < 1:
            raise ConfigError(
                f"a self-dependency with look-back {lookback}",
                expected="a look-back of one session or more",
                mend="carry state from the session before",
            )
        return TimeWindowPartitionMapping(start_offset=-lookback, end_offset=-1)
    if lookback < 0:
        raise ConfigError(
            f"a look-back of {lookback} sessions",
            expected="zero or more",
            mend="look back, never ahead",
        )
    return TimeWindowPartitionMapping(start_offset=-_walked(lookback))


def other_calendar_mapping(lookback: int) -> TimeWindowPartitionMapping:
    """Return the mapping to a table whose sessions are those of another calendar.

    From the day of the output's session `lookback` sessions earlier to the day of the session:
    Monday of an exchange reads Friday to Monday of the UTC days with a look-back of 1, and a UTC
    day reads the last session of an exchange with a look-back of 7. A look-back is due, because
    the identity mapping would give a Saturday no upstream partition, and no error. A day of the
    window need not be a session of the input.

    Parameters
    ----------
    lookback
        Sessions of the output before the session itself.
    """
    if lookback < 1:
        raise ConfigError(
            "a window without look-back on a table of another calendar",
            expected="a look-back of one session or more",
            mend="look one session back, and take the last one known",
        )
    with disable_dagster_warnings():  # The parameter is in beta, and says so at every use.
        return TimeWindowPartitionMapping(
            start_offset=-_walked(lookback), allow_nonexistent_upstream_partitions=True
        )


def _walked(lookback: int) -> int:
    """Sessions that Dagster is told: it walks them one by one, and would never end a history."""
    return _YEAR if lookback >= ALL_HISTORY else lookback


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
