"""When the vendor's daily values are those of a session: between its close and what comes next.

Of an exchange that closes, the values of a session stand from a while after its close until the
next open, and count up to the session's cutoff. Of a market that never closes, they begin anew with
the close: the last half hour before it is as near as a snapshot gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from quant_platform.calendars import SessionCalendar

BEFORE_CLOSE = timedelta(minutes=30)
"""Of a market that never closes: the stretch before the end of a session that counts as its end."""
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Hours:
    """The stretch in which a whole snapshot has to be taken, both ends included."""

    session: date
    begin: datetime
    end: datetime


def hours_of(calendar: SessionCalendar, session: date, settled: timedelta) -> Hours:
    """Return when a session's snapshot can be taken.

    Parameters
    ----------
    calendar
        Calendar of the sleeve.
    session
        The session.
    settled
        How long after its close the vendor's values stand.
    """
    place = calendar.ordinal(session)
    close, following = calendar.closes[place], calendar.opens[place + 1]
    begin, end = close + settled, min(calendar.cutoff(session), following - _INSTANT)
    if begin > end:
        return Hours(session, close - BEFORE_CLOSE, close - _INSTANT)
    return Hours(session, begin, end)


def session_at(calendar: SessionCalendar, moment: datetime, settled: timedelta) -> Hours | None:
    """Return the hours that a moment lies in; None between them."""
    hours = hours_of(calendar, calendar.knowledge_session(moment), settled)
    return hours if hours.begin <= moment <= hours.end else None
