"""Windows: which upstream sessions a session needs, and which of them a range loads.

A table declares a window for each of its inputs. Everything derives from that one object: Dagster's
partition mapping, the rows that the IO manager hands over, the sessions that must be there, and the
inputs that the provenance hashes. With output session D, look-back L and block length B:

- D *needs* the sessions D − L … D of the input. If one of them was never materialised D cannot be
  made; if one is blocked, D is blocked.
- A range *loads* from L sessions before the start of its first session's block, because a kernel
  that begins its running sums at the block's start gives the same bytes for any range (B = 0: no
  blocks, L sessions before the first).
- A table's window on *itself* ends one session before the first requested one: rows inside the
  range are about to be replaced, and must not be read.

Sessions before the start of history do not exist: windows are cut there, and warm-up counts make
the values null that would need them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import CalendarError


@dataclass(frozen=True)
class Window:
    """Sessions of one input that an output session depends on.

    Parameters
    ----------
    table
        Name of the input table.
    lookback
        Sessions before the output session that its value may depend on.
    block
        Length of the calendar-fixed blocks in which the kernel restarts; 0 for none.
    own
        The input is the table itself: only sessions before the first requested one are read.
    required
        Whether an absent session is an error; an optional input is used as far as it is there.
    """

    table: str
    lookback: int = 0
    block: int = 0
    own: bool = False
    required: bool = True

    @property
    def reach(self) -> int:
        """Sessions before an output session that may be loaded for it."""
        return self.lookback + max(self.block - 1, 0)


@dataclass(frozen=True)
class SessionRange:
    """The sessions that one run computes, ascending and without gaps in the calendar.

    Parameters
    ----------
    calendar
        Calendar of the output table and, so far, of all its inputs.
    sessions
        Requested sessions.
    history_start
        First day of the lake's history.
    """

    calendar: SessionCalendar
    sessions: tuple[date, ...]
    history_start: date

    def __post_init__(self) -> None:
        if not self.sessions:
            raise CalendarError("no session was requested", expected="at least one")
        if self.sessions != tuple(self.calendar.between(self.first, self.last)):
            raise CalendarError(
                f"{len(self.sessions)} sessions were requested between {self.first} and "
                f"{self.last}, with gaps, repeats or days that are no sessions",
                expected=f"every session of {self.calendar.code} between them, in order",
                mend="request one range, or several runs",
            )

    @property
    def first(self) -> date:
        """First requested session."""
        return self.sessions[0]

    @property
    def last(self) -> date:
        """Last requested session."""
        return self.sessions[-1]

    def loaded(self, window: Window) -> list[date]:
        """Sessions of the input that the range reads."""
        first, last = self.bounds(window, self.first)[0], self.calendar.ordinal(self.last)
        if window.own:
            last = self.calendar.ordinal(self.first) - 1
        return list(self.calendar.sessions[first : last + 1])

    def bounds(self, window: Window, session: date) -> tuple[int, int]:
        """First and last ordinal that a run of one session would read of the input.

        The first is after the last where the window lies wholly before the start of history.
        """
        calendar = self.calendar
        position = calendar.ordinal(session)
        start = position // window.block * window.block if window.block else position
        first = max(max(start, self.origin) - window.lookback, self.origin)
        return first, position - 1 if window.own else position

    def spoilt(self, window: Window, bad: Mapping[date, str]) -> dict[date, tuple[date, str]]:
        """Output sessions whose needed window holds a bad session of the input.

        Parameters
        ----------
        window
            Window on the input.
        bad
            Bad sessions of the input, each with its cause.

        Returns
        -------
        dict
            Output session → the latest bad session that it needs, and that one's cause.
        """
        found: dict[date, tuple[date, str]] = {}
        ordinals = sorted(self.calendar.ordinal(day) for day in bad)
        for session in self.sessions if ordinals else ():
            position = self.calendar.ordinal(session)
            newest = position - 1 if window.own else position
            nearest = bisect_right(ordinals, newest) - 1
            if nearest >= 0 and ordinals[nearest] >= position - window.lookback:
                culprit = self.calendar.sessions[ordinals[nearest]]
                found[session] = (culprit, bad[culprit])
        return found

    def readers(self, window: Window, changed: Collection[date]) -> set[date]:
        """Output sessions of which a run alone would read one of these sessions of the input.

        More than those that need one: a block's sums begin a look-back before its first session.
        """
        ordinals = sorted(self.calendar.ordinal(day) for day in changed)
        found = set()
        for session in self.sessions if ordinals else ():
            first, last = self.bounds(window, session)
            if bisect_left(ordinals, first) < bisect_right(ordinals, last):
                found.add(session)
        return found

    @cached_property
    def origin(self) -> int:
        """Ordinal of the first session of history."""
        return bisect_left(self.calendar.sessions, self.history_start)


def contiguous(calendar: SessionCalendar, sessions: Sequence[date]) -> list[tuple[date, ...]]:
    """Split sessions into runs that follow one another without a gap in the calendar."""
    runs: list[list[date]] = []
    for session in sorted(sessions):
        if runs and calendar.ordinal(session) == calendar.ordinal(runs[-1][-1]) + 1:
            runs[-1].append(session)
        else:
            runs.append([session])
    return [tuple(run) for run in runs]
