"""Streams of return on the report's sessions, and what is said of the last year of them.

1. Every stream is brought onto the sessions of the report: session D covers the days after the
   session before it. A sleeve on UTC days is compounded over them; if it lacks one of its own days
   the session has no return, which is not the same as a return of zero.
2. A stream begins with its first session that has a return, as far as the window reaches.
3. What is said of session D comes from the 252 sessions up to it, cut out exactly and copied, so
   that it has the same bytes whatever range it is computed in. A session without a return inside is
   left out, and the note says how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.backtest.metrics import ENOUGH, Said, worst_drawdown
from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.portfolio.meta_returns import own_sessions
from quant_platform.reports.figure import counted
from quant_platform.reports.scope import MONTH, YEAR, DailyScope

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Streams:
    """Net returns by session and stream, NaN where there is none.

    Parameters
    ----------
    sessions
        Rows, ascending.
    returns
        By branch and profile: one return for each session.
    """

    sessions: Sequence[date]
    returns: Mapping[tuple[str, str], Vector]

    def year(self, stream: tuple[str, str], session: date) -> tuple[Sequence[date], Vector]:
        """Sessions of the window up to one from the stream's beginning on, and their returns."""
        last = self.sessions.index(session) + 1
        first = max(last - YEAR, 0)
        cut = self.returns[stream][first:last].copy()
        known = np.flatnonzero(~np.isnan(cut))
        begin = int(known[0]) if len(known) else len(cut)
        return self.sessions[first + begin : last], cut[begin:].copy()


def read_streams(
    frames: Mapping[str, pl.LazyFrame],
    scope: DailyScope,
    wanted: SessionRange,
    calendars: Mapping[str, SessionCalendar],
) -> Streams:
    """Bring all streams of the scope onto the report's sessions.

    Parameters
    ----------
    frames
        ``returns_<branch>`` of every sleeve and meta.
    scope
        Their profiles.
    wanted
        Sessions of the report.
    calendars
        Calendar of each sleeve.
    """
    sessions = wanted.loaded(Window("", YEAR - 1))
    returns = {}
    for branch, profiles in {**scope.metas, **scope.sleeves}.items():
        own = calendars.get(branch, wanted.calendar)
        days = [own_sessions(session, wanted, own) for session in sessions]
        rows = frames[f"returns_{branch}"].select("session", "profile", "net").collect()
        net = {(day, profile): value for day, profile, value in rows.iter_rows()}
        for profile in profiles:
            legs = [_leg([net.get((day, profile)) for day in span]) for span in days]
            returns[branch, profile] = np.array(legs, dtype=np.float64)
    return Streams(sessions, returns)


def _leg(parts: Sequence[float | None]) -> float:
    """Compound the days of one session; NaN if one is lacking."""
    known = [part for part in parts if part is not None]
    if not parts or len(known) < len(parts):
        return math.nan
    return known[0] if len(known) == 1 else math.prod(1 + part for part in known) - 1


def statistics(days: Sequence[date], returns: Vector, sessions_per_year: int) -> Iterator[Said]:
    """Yield what is said of a stream at the last of its sessions.

    Parameters
    ----------
    days
        Sessions from the stream's beginning on, or of the last year.
    returns
        Its returns, NaN where there is none.
    sessions_per_year
        What volatility is annualised by.
    """
    if not len(returns):
        nothing = "no return in the last year"
        for figure in ("return_1", "return_21", "return_252", "return_all"):
            yield Said(figure, None, nothing)
        yield Said("volatility", None, nothing)
        yield Said("drawdown", None, nothing)
        return
    if math.isnan(returns[-1]):
        yield Said("return_1", None, "no return on this session")
    else:
        yield Said("return_1", float(returns[-1]))
    yield _compounded("return_21", returns, MONTH)
    yield _compounded("return_252", returns, YEAR)
    known = returns[~np.isnan(returns)]
    since = f"{counted(len(known), 'session')} from {days[0]} on"
    levels = np.cumprod(1 + known)
    yield Said("return_all", float(levels[-1] - 1), since)
    if len(known) < ENOUGH:
        few = f"needs {counted(ENOUGH, 'return')} and has {len(known)}"
        yield Said("volatility", None, few)
    else:
        deviation = float(np.std(known, ddof=1))
        yield Said("volatility", deviation * math.sqrt(sessions_per_year), since)
    yield Said("drawdown", worst_drawdown(known), since)


def _compounded(figure: str, returns: Vector, length: int) -> Said:
    """Return over the last sessions; there is none over sessions before the stream began."""
    if len(returns) < length:
        return Said(figure, None, f"needs {length} sessions and has {len(returns)}")
    recent = returns[-length:].copy()
    lacking = int(np.isnan(recent).sum())
    note = f"{lacking} of {length} sessions have no return" if lacking else None
    return Said(figure, float(np.cumprod(1 + np.nan_to_num(recent))[-1] - 1), note)
