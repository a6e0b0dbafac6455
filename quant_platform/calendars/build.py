"""Building a `SessionCalendar` from exchange_calendars and the platform's own corrections.

1. Resolve the code (an alias such as ``NYSE`` becomes ``XNYS``) and let exchange_calendars list the
   sessions from the epoch to the horizon, with scheduled and unscheduled closures and half days.
   Some calendars are bounded by the library (``XTKS`` begins in 1997, ``XSHG`` ends with the last
   published holiday list); the cover is then the intersection, never a guess.
2. Take the platform's extra holidays out and put its extra sessions in, at the exchange's regular
   hours. A correction that corrects nothing is a `ConfigError`: it is a typing error, or the
   library has learnt of the closure and the line has to go.
3. Cache: the same inputs give the same object, so calendars can be compared and shared for free.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import exchange_calendars
from exchange_calendars.errors import InvalidCalendarName

from quant_platform.calendars.sessions import EPOCH, SessionCalendar
from quant_platform.errors import ConfigError


class _Hours(NamedTuple):
    """Regular hours of an exchange, each valid from its first day on."""

    zone: ZoneInfo
    opens: tuple[tuple[date, time], ...]
    closes: tuple[tuple[date, time], ...]
    open_offset: int
    close_offset: int

    def of(self, day: date) -> tuple[datetime, datetime]:
        """Return opening and closing instant (UTC) of a regular session on `day`."""
        opening = [clock for since, clock in self.opens if since <= day][-1]
        closing = [clock for since, clock in self.closes if since <= day][-1]
        return (
            self._instant(day + timedelta(days=self.open_offset), opening),
            self._instant(day + timedelta(days=self.close_offset), closing),
        )

    def _instant(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, tzinfo=self.zone).astimezone(UTC)


class _Published(NamedTuple):
    """What exchange_calendars knows of one calendar within its own bounds."""

    first_day: date
    last_day: date
    schedule: dict[date, tuple[datetime, datetime]]
    hours: _Hours


def build_calendar(
    code: str,
    *,
    horizon: date,
    grace: timedelta,
    extra_holidays: Iterable[date] = (),
    extra_sessions: Iterable[date] = (),
) -> SessionCalendar:
    """Return the calendar of an exchange, or of UTC days for ``24/7``; cached.

    Parameters
    ----------
    code
        Any code or alias of exchange_calendars.
    horizon
        Last day to cover; see `calendar_horizon`. A calendar that the library bounds earlier ends
        there, and its `horizon` says so.
    grace
        Ingest grace that is added to the UTC midnight after a session to give its cutoff.
    extra_holidays
        Sessions of the library on which the exchange was closed all the same.
    extra_sessions
        Days, weekends included, on which it traded although the library says closed. Corrections
        after the horizon are kept and take effect when the horizon reaches them.

    Raises
    ------
    ConfigError
        For an unknown code, a calendar that the library cannot build, or a correction that is
        before the cover, contradicts another, or corrects nothing.
    """
    try:
        canonical = exchange_calendars.resolve_alias(code)
    except InvalidCalendarName:
        known = exchange_calendars.get_calendar_names(include_aliases=True)
        near = difflib.get_close_matches(code, known, n=3, cutoff=0.5)
        raise ConfigError(
            f"{code!r} is no calendar of exchange_calendars",
            expected="one of its codes" + (f", perhaps {', '.join(near)}" if near else ""),
            mend="correct the sleeve's calendar",
        ) from None
    return _build(
        canonical,
        horizon,
        grace,
        tuple(sorted(set(extra_holidays))),
        tuple(sorted(set(extra_sessions))),
    )


@lru_cache(maxsize=64)
def _build(
    code: str,
    horizon: date,
    grace: timedelta,
    extra_holidays: tuple[date, ...],
    extra_sessions: tuple[date, ...],
) -> SessionCalendar:
    published = _published(code, horizon)
    schedule = dict(published.schedule)
    _refuse_contradictions(code, published, extra_holidays, extra_sessions)
    for holiday in extra_holidays:
        schedule.pop(holiday, None)
    for session in extra_sessions:
        if session <= published.last_day:
            schedule[session] = published.hours.of(session)
    sessions = tuple(sorted(schedule))
    return SessionCalendar(
        code=code,
        horizon=published.last_day,
        grace=grace,
        extra_holidays=extra_holidays,
        extra_sessions=extra_sessions,
        first_day=published.first_day,
        sessions=sessions,
        opens=tuple(schedule[session][0] for session in sessions),
        closes=tuple(schedule[session][1] for session in sessions),
    )


def _refuse_contradictions(
    code: str,
    published: _Published,
    extra_holidays: tuple[date, ...],
    extra_sessions: tuple[date, ...],
) -> None:
    """Refuse every correction that is outside the cover, doubled, or without effect."""
    for day in sorted({*extra_holidays, *extra_sessions}):
        if day < published.first_day:
            raise ConfigError(
                f"platform corrects calendar {code} on {day}",
                expected=f"a day from {published.first_day} on, where its cover begins",
                mend="correct or remove the day",
            )
        if day in extra_holidays and day in extra_sessions:
            raise ConfigError(
                f"{day} is both an extra holiday and an extra session of calendar {code}",
                expected="at most one of the two",
                mend="remove it from platform.extra_holidays or platform.extra_sessions",
            )
        if day > published.last_day:
            continue
        if day in extra_holidays and day not in published.schedule:
            raise ConfigError(
                f"extra holiday {day} ({day:%A}) is no session of calendar {code} anyway",
                expected="a day on which the calendar would trade",
                mend="remove it from platform.extra_holidays; the calendar knows the closure",
            )
        if day in extra_sessions and day in published.schedule:
            raise ConfigError(
                f"extra session {day} is a session of calendar {code} already",
                expected="a day on which the calendar would be closed",
                mend="remove it from platform.extra_sessions; the calendar knows the session",
            )


@lru_cache(maxsize=16)
def _published(code: str, horizon: date) -> _Published:
    """Ask exchange_calendars, within its bounds; the only place that touches it and pandas."""
    first_day, last_day = EPOCH, horizon
    try:
        try:
            calendar = exchange_calendars.get_calendar(code, start=first_day, end=last_day)
        except ValueError:
            # Outside the library's bounds; a calendar of default length tells where they are.
            bounded = exchange_calendars.get_calendar(code)
            if (first_bound := bounded.bound_min()) is not None:
                first_day = max(first_day, first_bound.date())
            if (last_bound := bounded.bound_max()) is not None:
                last_day = min(last_day, last_bound.date())
            calendar = exchange_calendars.get_calendar(code, start=first_day, end=last_day)
    except Exception as error:
        raise ConfigError(
            f"exchange_calendars cannot build calendar {code} from {first_day} to {last_day} "
            f"({type(error).__name__}: {str(error)[:120]})",
            expected="a calendar that it can build",
            mend="choose another calendar or upgrade exchange_calendars",
        ) from error
    days: list[date] = calendar.sessions.to_numpy().astype("datetime64[D]").tolist()
    return _Published(
        first_day=first_day,
        last_day=last_day,
        schedule=dict(
            zip(
                days,
                zip(_instants(calendar.opens), _instants(calendar.closes), strict=True),
                strict=True,
            )
        ),
        hours=_Hours(
            zone=ZoneInfo(str(calendar.tz)),
            opens=_since(calendar.open_times),
            closes=_since(calendar.close_times),
            open_offset=calendar.open_offset,
            close_offset=calendar.close_offset,
        ),
    )


def _instants(column: Any) -> list[datetime]:
    """Turn a pandas column of UTC instants into aware datetimes."""
    naive: list[datetime] = column.to_numpy("datetime64[us]").tolist()
    return [instant.replace(tzinfo=UTC) for instant in naive]


def _since(clocks: Any) -> tuple[tuple[date, time], ...]:
    """Replace the library's "from the beginning" (None) with the earliest date."""
    return tuple(
        (since.date() if since is not None else date.min, clock) for since, clock in clocks
    )
