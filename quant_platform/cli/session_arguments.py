"""Dates on the command line."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import CalendarError

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
"""The one form of a day; Python reads ``20230704`` and ``2023-W30-1`` as days as well."""


def parse_day(text: str, option: str) -> date:
    """Read a day written YYYY-MM-DD.

    Raises
    ------
    CalendarError
        When it is not one.
    """
    if _DAY.fullmatch(text):
        with suppress(ValueError):
            return date.fromisoformat(text)
    raise CalendarError(
        f"{option} is '{text}'", expected="a day such as 2024-03-28", mend="write it as YYYY-MM-DD"
    )


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


def refuse_empty(first: date, last: date, calendars: list[SessionCalendar]) -> None:
    """Refuse a range in which no calendar has a session: nothing in it could be current or stale.

    Raises
    ------
    CalendarError
        Names the calendars.
    """
    if not any(calendar.between(first, last) for calendar in calendars):
        codes = " or ".join(sorted({calendar.code for calendar in calendars}))
        raise CalendarError(
            f"no session of {codes} in --from {first} --to {last}",
            expected="a range with at least one session",
            mend="widen the range",
        )
