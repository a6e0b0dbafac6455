"""Dates on the command line."""

from __future__ import annotations

from datetime import date

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import CalendarError


def parse_day(text: str, option: str) -> date:
    """Read a day written YYYY-MM-DD.

    Raises
    ------
    CalendarError
        When it is not one.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CalendarError(
            f"{option} is '{text}'",
            expected="a day such as 2024-03-28",
            mend="write it as YYYY-MM-DD",
        ) from None


def refuse_outside(first: date, last: date, start: date, latest: date) -> None:
    """Refuse a range that history does not hold.

    Parameters
    ----------
    first, last
        Range asked for.
    start
        First day of history.
    latest
        Last session of any calendar whose cutoff has passed.

    Raises
    ------
    CalendarError
        When the range is empty, begins before history or ends in the future.
    """
    if first > last:
        raise CalendarError(
            f"--from {first} is after --to {last}",
            expected="a range in order",
            mend="swap them",
        )
    if first < start:
        raise CalendarError(
            f"--from {first} is before the start of history",
            expected=f"a day from {start} on",
            mend="move platform.history_start, or begin there",
        )
    if last > latest:
        raise CalendarError(
            f"--to {last} is in the future",
            expected=f"a day up to {latest}, the last one whose cutoff has passed",
            mend="end the range there",
        )


def refuse_closed(day: date, calendars: list[SessionCalendar], option: str) -> None:
    """Refuse a single day on which no calendar has a session.

    Raises
    ------
    CalendarError
        Names the neighbours of the day.
    """
    if not any(calendar.contains(day) for calendar in calendars):
        try:
            calendars[0].ordinal(day)
        except CalendarError as error:
            raise CalendarError(
                f"{option}: {error.found}", expected=error.expected, mend=error.mend
            ) from None
