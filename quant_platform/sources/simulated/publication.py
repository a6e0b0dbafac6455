"""When what happens in the embedded market becomes known, and in which session that is.

A bar and everything that a session shows is published at the session's close plus the lag. Other
news has an instant of its own: results before the open at noon UTC, after the close at 21:30 UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.sources.simulated.draws import Integers, Truths

_EPOCH_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1) // _MICROSECOND
NOON = DAY // 2
AFTER_CLOSE = timedelta(hours=21, minutes=30) // _MICROSECOND


@dataclass(frozen=True, eq=False)
class Publication:
    """Instants and knowledge sessions of one market.

    Parameters
    ----------
    cutoffs
        Of all sessions of the calendar, microseconds since 1970.
    published
        Of each session of the market.
    known
        Ordinal of the session in which each is known, one past the last for "beyond the horizon".
    lag
        From an event to its publication, microseconds.
    """

    cutoffs: Integers
    published: Integers
    known: Integers
    lag: int

    def known_in(self, instants: Integers) -> Integers:
        """Ordinal of the session in which each instant's news is known."""
        return np.asarray(np.searchsorted(self.cutoffs, instants, side="left"))

    def wanted(self, calendar: SessionCalendar, sessions: Sequence[date]) -> Truths:
        """Mark the wanted ordinals; the extra last element stands for "beyond the horizon"."""
        marked = np.zeros(len(self.cutoffs) + 1, dtype=np.bool_)
        marked[[calendar.ordinal(session) for session in sessions]] = True
        return marked


@lru_cache(maxsize=16)
def publication(calendar: SessionCalendar, first: int, lag: timedelta) -> Publication:
    """Return the instants of a market that begins with a session; memoised."""
    frame = calendar.frame()
    cutoffs = frame["cutoff"].to_physical().to_numpy()
    closes = [calendar.close(session) for session in calendar.sessions[first:]]
    published = np.array(
        [(close - _EPOCH_1970 + lag) // _MICROSECOND for close in closes], dtype=np.int64
    )
    known = np.searchsorted(cutoffs, published, side="left")
    return Publication(cutoffs, published, known, lag // _MICROSECOND)


def dated(days: Integers) -> pl.Series:
    """Days since 1970 as dates."""
    return pl.Series(days).cast(pl.Int32).cast(pl.Date)
