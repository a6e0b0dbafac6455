"""The session calendar: which days are sessions, and when each of them became knowable.

1. `sessions` lists every session from `EPOCH` (1990-01-01, or the first day that the library
   covers) to the horizon. A session's *ordinal* is its position in that list, so it moves neither
   with the start of the lake's history nor with the horizon.
2. Session D's *cutoff* is 00:00 UTC after it plus the ingest grace. What is computed for D may use
   what was known at that instant and nothing later.
3. The *knowledge session* of an instant is the first session whose cutoff is at or after it: the
   partition in which a row with that ``known_at`` is stored, and the first that may use it.

An unscheduled closure that is added in the middle of history takes one from the ordinal of every
later session. Rebalance grids after it therefore shift, and what was computed on them has to be
computed again; earlier sessions keep ordinals and results. A closure of the latest days (the usual
case) disturbs nothing that is stored.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

import polars as pl

from quant_platform.errors import CalendarError, ConfigError

EPOCH = date(1990, 1, 1)
"""The day from which ordinals and blocks count. Changing it changes every blocked result."""

_INSTANT = pl.Datetime("us", "UTC")
_DAY = timedelta(days=1)


def calendar_horizon(now: datetime) -> date:
    """Return how far calendars must reach: 31 December of the year after `now`'s.

    Holidays are thus known at least one year ahead, and the horizon, a part of every partitions
    definition, changes once a year instead of every day.
    """
    return date(_aware(now).year + 1, 12, 31)


def _aware(instant: datetime) -> datetime:
    """Return `instant` in UTC, refusing a naive one: its session would depend on the machine."""
    if instant.tzinfo is None:
        raise CalendarError(
            f"{instant.isoformat()} has no time zone",
            expected="an aware instant",
            mend="attach datetime.UTC to it",
        )
    return instant.astimezone(UTC)


@dataclass(frozen=True)
class SessionCalendar:
    """The sessions of one calendar up to a horizon; equal and hashed by what it was built from.

    Use `build_calendar`, which validates and caches, rather than this constructor.

    Parameters
    ----------
    code
        Canonical code in exchange_calendars, for instance ``XNYS`` or ``24/7``.
    horizon
        Last day covered.
    grace
        Time after the UTC midnight that ends a session until its data counts as ingested.
    extra_holidays, extra_sessions
        Unscheduled closures and openings, already applied to `sessions`.
    first_day
        First day covered: `EPOCH`, or the first day that the library knows.
    sessions
        Every session from `first_day` to `horizon`, ascending.
    opens, closes
        Opening and closing instants (UTC) of `sessions`, half days included.
    """

    code: str
    horizon: date
    grace: timedelta
    extra_holidays: tuple[date, ...]
    extra_sessions: tuple[date, ...]
    first_day: date = field(compare=False, repr=False)
    sessions: tuple[date, ...] = field(compare=False, repr=False)
    opens: tuple[datetime, ...] = field(compare=False, repr=False)
    closes: tuple[datetime, ...] = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.grace < timedelta(0):
            raise ConfigError(
                f"the ingest grace of calendar {self.code} is {self.grace}",
                expected="zero or more",
                mend="correct it in platform.yaml",
            )

    @cached_property
    def _ordinals(self) -> dict[date, int]:
        return {session: ordinal for ordinal, session in enumerate(self.sessions)}

    @cached_property
    def _frame(self) -> pl.DataFrame:
        return (
            pl.DataFrame({"session": pl.Series(self.sessions, dtype=pl.Date)})
            .with_row_index("ordinal")
            .select(
                "session",
                pl.col("ordinal").cast(pl.Int64),
                (
                    pl.col("session").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
                    + _DAY
                    + self.grace
                ).alias("cutoff"),
            )
        )

    def contains(self, day: date) -> bool:
        """Say whether `day` is a session of this calendar."""
        return day in self._ordinals

    def ordinal(self, session: date) -> int:
        """Return the position of `session` since the epoch, from zero.

        Raises
        ------
        CalendarError
            When it is not a session (the message names its neighbours) or lies outside the cover.
        """
        found = self._ordinals.get(session)
        if found is None:
            raise self._not_a_session(session)
        return found

    def offset(self, session: date, n: int) -> date:
        """Return the session `n` sessions after `session`; before it when `n` is negative."""
        position = self.ordinal(session) + n
        if not 0 <= position < len(self.sessions):
            raise CalendarError(
                f"{n:+d} sessions from {session} leaves calendar {self.code}",
                expected=f"a session between {self.sessions[0]} and {self.sessions[-1]}",
                mend="use a shorter distance",
            )
        return self.sessions[position]

    def between(self, first: date, last: date) -> list[date]:
        """Return the sessions from `first` to `last`, both included; neither need be a session."""
        self._covered(first)
        self._covered(last)
        return list(
            self.sessions[bisect_left(self.sessions, first) : bisect_right(self.sessions, last)]
        )

    def window(self, session: date, lookback: int, *, not_before: date | None) -> list[date]:
        """Return `session` and the `lookback` sessions before it, in ascending order.

        Parameters
        ----------
        session
            The last session of the window.
        lookback
            How many sessions before it belong to the window; zero or more.
        not_before
            Start of history: earlier sessions are left out, as Dagster's mapping leaves them out
            near the first partition. A caller that needs the full length must count. With None,
            a window that would begin before the epoch is an error.
        """
        if lookback < 0:
            raise CalendarError(f"the look-back is {lookback}", expected="zero or more sessions")
        if not_before is None:
            return self.between(self.offset(session, -lookback), session)
        if session < not_before:
            raise CalendarError(
                f"session {session} lies before the start of history",
                expected=f"a session from {not_before} on",
                mend="ask for a later session or move platform.history_start",
            )
        last = self.ordinal(session)
        first = max(last - lookback, bisect_left(self.sessions, not_before))
        return list(self.sessions[first : last + 1])

    def open(self, session: date) -> datetime:
        """Return the instant (UTC) at which `session` opens; it may be on the day before."""
        return self.opens[self.ordinal(session)]

    def close(self, session: date) -> datetime:
        """Return the instant (UTC) at which `session` closes, early on half days."""
        return self.closes[self.ordinal(session)]

    def cutoff(self, session: date) -> datetime:
        """Return the instant (UTC) up to which things may be known for `session`, inclusive."""
        self.ordinal(session)
        return self._cutoff_of_day(session)

    def knowledge_session(self, known_at: datetime) -> date:
        """Return the first session whose cutoff is at or after `known_at`.

        An instant before the first cutoff belongs to the first session.
        """
        day = (_aware(known_at) - self.grace).replace(tzinfo=None)
        # The cutoff of day d is at or after the instant when midnight after d is: a knowledge
        # exactly at midnight still belongs to the day before it.
        candidate = day.date() if day.time() != time.min else day.date() - _DAY
        position = bisect_left(self.sessions, candidate)
        if position == len(self.sessions):
            raise self._beyond(known_at)
        return self.sessions[position]

    def knowledge_sessions(self, known_at: pl.Series) -> pl.Series:
        """Return `knowledge_session` of every instant; null stays null.

        Parameters
        ----------
        known_at
            Instants as ``Datetime("us", "UTC")``. A finer unit is refused: rounding it down could
            make a row known earlier than it was.
        """
        if known_at.dtype != _INSTANT:
            raise CalendarError(
                f"column {known_at.name!r} holds {known_at.dtype}",
                expected=str(_INSTANT),
                mend="cast it to microseconds UTC",
            )
        latest = known_at.max()
        if isinstance(latest, datetime) and latest > self._cutoff_of_day(self.sessions[-1]):
            raise self._beyond(latest)
        cutoffs = self._frame["cutoff"]
        positions = cutoffs.search_sorted(known_at.fill_null(cutoffs[0]), side="left")
        knowledge = self._frame["session"].gather(positions).alias("knowledge_session")
        return knowledge.set(known_at.is_null(), None)

    def latest(self, now: datetime) -> date:
        """Return the last session whose cutoff is at or before `now`: the newest complete one."""
        instant = _aware(now)
        if instant >= self._cutoff_of_day(self.horizon + _DAY):
            raise self._beyond(now)
        midnight = (instant - self.grace).date()
        position = bisect_left(self.sessions, midnight)
        if position == 0:
            raise CalendarError(
                f"no session of calendar {self.code} was complete at {instant.isoformat()}",
                expected=f"an instant from {self._cutoff_of_day(self.sessions[0]).isoformat()} on",
                mend="check the clock",
            )
        return self.sessions[position - 1]

    def at_or_before(self, day: date) -> date:
        """Return the last session that is `day` or lies before it."""
        self._covered(day)
        position = bisect_right(self.sessions, day)
        if position == 0:
            raise self._not_a_session(day)
        return self.sessions[position - 1]

    def frame(self) -> pl.DataFrame:
        """Return ``session`` (Date), ``ordinal`` (Int64) and ``cutoff`` (Datetime UTC), ascending.

        For joins; an as-of join of ``known_at`` on ``cutoff``, forwards, is the knowledge session.
        """
        return self._frame

    def _cutoff_of_day(self, day: date) -> datetime:
        return datetime.combine(day + _DAY, time.min, tzinfo=UTC) + self.grace

    def _covered(self, day: date) -> None:
        if not self.first_day <= day <= self.horizon:
            raise CalendarError(
                f"{day} lies outside calendar {self.code}",
                expected=f"a day between {self.first_day} and {self.horizon}",
                mend="ask for a covered day",
            )

    def _not_a_session(self, day: date) -> CalendarError:
        position = bisect_left(self.sessions, day)
        if position in (0, len(self.sessions)):
            return CalendarError(
                f"{day} lies outside calendar {self.code}",
                expected=f"a session between {self.sessions[0]} and {self.sessions[-1]}",
                mend="ask for a covered session",
            )
        before, after = self.sessions[position - 1 : position + 1]
        return CalendarError(
            f"{day} ({day:%A}) is not a session of calendar {self.code}",
            expected=f"a session such as {before} or {after}",
            mend="if the exchange did trade, list the day in platform.extra_sessions",
        )

    def _beyond(self, instant: datetime) -> CalendarError:
        return CalendarError(
            f"{instant.isoformat()} lies after the horizon {self.horizon} of calendar {self.code}",
            expected="an instant that the calendar covers",
            mend="build the calendar with a later horizon, or check the clock that wrote it",
        )
