"""Windows: which upstream sessions a session needs, and which of them a range loads.

A table declares a window for each of its inputs. Everything derives from that one object: Dagster's
partition mapping, the rows that the IO manager hands over, the sessions that must be there, and the
inputs that the provenance hashes. With output session D and look-back L:

- D *needs* the sessions D − L … D of the input. If one of them was never materialised D cannot be
  made; if one is blocked, D is blocked.
- A range *loads* from L sessions before its first session to its last.
- A table's window on *itself* ends one session before the first requested one: rows inside the
  range are about to be replaced, and must not be read.
- An input on *another calendar* is needed on all of its own sessions from the day of D − L, counted
  in the output's sessions, to the day D. An NYSE table that looks one session back at a table of
  UTC days reads Friday to Monday on a Monday.

Sessions before the input begins do not exist: windows are cut there, and warm-up counts make the
values null that would need them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import CalendarError

ALL_HISTORY = 1_000_000
"""Look-back that reaches the beginning of any table."""


@dataclass(frozen=True)
class Window:
    """Sessions of one input that an output session depends on.

    Parameters
    ----------
    table
        Name of the input table.
    lookback
        Sessions before the output session that its value may depend on.
    own
        The input carries what the sessions before left: the table itself, or one made together
        with it. Only sessions before the first requested one are read.
    required
        Whether an absent session is an error; an optional input is used as far as it is there.
    withdraws
        Whether a blocked session of a required input blocks the output; it counts as empty
        otherwise.
    calendar
        Calendar of the input; None is that of the output.
    begins
        First day that the input has; None is the start of history.
    """

    table: str
    lookback: int = 0
    own: bool = False
    required: bool = True
    withdraws: bool = True
    calendar: SessionCalendar | None = None
    begins: date | None = None

    def on(self, output: SessionCalendar, calendar: SessionCalendar, begins: date) -> Window:
        """Return the window with what its input is known to be.

        Parameters
        ----------
        output
            Calendar of the output.
        calendar, begins
            Calendar of the input, and the first day that it has.
        """
        return replace(self, calendar=None if calendar == output else calendar, begins=begins)


@dataclass(frozen=True)
class SessionRange:
    """The sessions that one run computes, ascending and without gaps in the calendar.

    Parameters
    ----------
    calendar
        Calendar of the output table.
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

    @property
    def at_last(self) -> SessionRange:
        """The range of the last session alone."""
        return replace(self, sessions=self.sessions[-1:])

    def loaded(self, window: Window) -> list[date]:
        """Sessions of the input that the range reads."""
        first = self.bounds(window, self.first)[0]
        last = self.bounds(window, self.first if window.own else self.last)[1]
        return list(self.axis(window).sessions[first : last + 1])

    def bounds(self, window: Window, session: date) -> tuple[int, int]:
        """First and last ordinal that a run of one session would read of the input.

        Ordinals are those of the input's calendar. The first is after the last where the window
        lies wholly before the beginning of the input.
        """
        origin = self._origin(window)
        if window.calendar is not None:
            return self._days(window, session, origin)
        position = self.calendar.ordinal(session)
        first = max(position - window.lookback, origin)
        return first, position - 1 if window.own else position

    def needed(self, window: Window, session: date) -> tuple[int, int]:
        """First and last ordinal of the input that the value of a session may depend on."""
        if window.calendar is not None:
            return self._days(window, session, self._origin(window))
        position = self.calendar.ordinal(session)
        return position - window.lookback, position - 1 if window.own else position

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
        axis = self.axis(window)
        ordinals = sorted(axis.ordinal(day) for day in bad)
        for session in self.sessions if ordinals else ():
            first, last = self.needed(window, session)
            nearest = bisect_right(ordinals, last) - 1
            if nearest >= 0 and ordinals[nearest] >= first:
                culprit = axis.sessions[ordinals[nearest]]
                found[session] = (culprit, bad[culprit])
        return found

    def readers(self, window: Window, changed: Collection[date]) -> set[date]:
        """Output sessions of which a run alone would read one of these sessions of the input."""
        axis = self.axis(window)
        ordinals = sorted(axis.ordinal(day) for day in changed)
        found = set()
        for session in self.sessions if ordinals else ():
            first, last = self.bounds(window, session)
            if bisect_left(ordinals, first) < bisect_right(ordinals, last):
                found.add(session)
        return found

    def _days(self, window: Window, session: date, origin: int) -> tuple[int, int]:
        """Ordinals of the sessions that another calendar has in the days of a window."""
        axis = self.axis(window)
        position = self.calendar.ordinal(session)
        if window.lookback > position:
            return origin, bisect_right(axis.sessions, session) - 1
        start = self.calendar.sessions[position - window.lookback]
        return max(bisect_left(axis.sessions, start), origin), bisect_right(
            axis.sessions, session
        ) - 1

    def axis(self, window: Window) -> SessionCalendar:
        """Calendar that the sessions of a window are those of."""
        return self.calendar if window.calendar is None else window.calendar

    def _origin(self, window: Window) -> int:
        """Ordinal of the first session that the input has."""
        if window.begins is None and window.calendar is None:
            return self.origin
        begins = self.history_start if window.begins is None else window.begins
        return bisect_left(self.axis(window).sessions, begins)

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
