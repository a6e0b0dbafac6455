"""The time in which the embedded market moves: the regular weekdays of a calendar, in fixed blocks.

1. Path days are the days from the market's start on whose weekday is regular in the calendar:
   Monday to Friday for an exchange, every day for what never closes. Holidays and unscheduled
   closures are path days on which nobody sees a price: what happens then shows in the next open.
   So a closure that is added later changes nothing before it.
2. Path days are numbered from the start and cut into blocks of `BLOCK`. Random numbers are drawn
   and recursions restarted by block; a request computes the blocks that it touches.
3. A session shows the path on its own day (an extra session on a weekend that of the day before).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from quant_platform.calendars import SessionCalendar
from quant_platform.sources.simulated.draws import Integers

BLOCK = 128
"""Path days of a block: half a year of an exchange."""
WEEKDAYS = (0, 1, 2, 3, 4)
"""Monday to Friday, the time of US stocks."""

_EPOCH = date(1970, 1, 1)
_REGULAR = 0.1
"""A weekday is regular if this share of sessions falls on it; each of five or seven has more."""


@dataclass(frozen=True, eq=False)
class PathDays:
    """The time of one sleeve.

    Parameters
    ----------
    weekdays
        Regular weekdays, Monday is 0.
    days
        Path days as days since 1970, whole blocks that reach beyond the horizon.
    first
        Ordinal in the calendar of the first session at or after the market's start.
    sessions
        The market's sessions as days since 1970.
    index
        Path day that each session shows.
    """

    weekdays: tuple[int, ...]
    days: Integers
    first: int
    sessions: Integers
    index: Integers

    def at_or_after(self, days: Integers) -> Integers:
        """Path day at or after each day since 1970."""
        return np.asarray(np.searchsorted(self.days, days, side="left"))

    def rows_from(self, index: Integers) -> Integers:
        """Row of the first session that shows each path day or a later one."""
        return np.asarray(np.searchsorted(self.index, index, side="left"))


@lru_cache(maxsize=16)
def path_days(calendar: SessionCalendar, start: date) -> PathDays:
    """Return the time of a calendar from the market's start to its horizon; memoised."""
    sessions = calendar.frame()["session"].to_physical().to_numpy().astype(np.int64)
    weekday = (sessions + 3) % 7
    share = np.bincount(weekday, minlength=7) / len(sessions)
    weekdays = tuple(int(day) for day in np.flatnonzero(share >= _REGULAR))
    begin = (start - _EPOCH).days
    first = int(np.searchsorted(sessions, begin))
    last = (calendar.horizon - _EPOCH).days
    days = regular_days(begin, last, weekdays)
    index = np.maximum(np.searchsorted(days, sessions[first:], side="right") - 1, 0)
    return PathDays(weekdays, days, first, sessions[first:], index)


def regular_days(begin: int, last: int, weekdays: tuple[int, ...]) -> Integers:
    """Days with a regular weekday from ``begin`` on, in whole blocks, at least to ``last``."""
    enough = (last - begin + 1) + 7 * BLOCK // len(weekdays) + 7
    days = np.arange(begin, begin + enough + 7 * BLOCK, dtype=np.int64)
    days = days[np.isin((days + 3) % 7, weekdays)]
    blocks = int(np.searchsorted(days, last, side="right")) // BLOCK + 1
    return days[: blocks * BLOCK]
