"""Daily partitions that know their windows: what Dagster walks by cron is looked up here.

Dagster finds the window after a window by walking the cron schedule and every exclusion again. A
calendar excludes hundreds of days, a range asks for hundreds of windows for each input of each
step, and the daemon and the UI do the same: a third of the time of a range run went there. This
class walks once, when it is first asked, and answers from the list. It changes no answer (a test
compares every one with the stock class), and what is outside of the list is left to Dagster.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain, islice, takewhile
from typing import NamedTuple

import dagster as dg
from dagster import TimeWindow

_BEFORE = 600
"""Windows before the start that are known as well: a look-back near it reaches there."""


class SessionPartitions(dg.DailyPartitionsDefinition):
    """Daily partitions with an end, and with most of their days' closures excluded."""

    def _windows(self) -> _Windows:
        """All windows from well before the start up to the end, walked by Dagster once."""
        known: _Windows | None = self.__dict__.get("_known")
        if known is None:
            end = self.end_timestamp
            assert end is not None
            before = super()._reverse_iterate_time_windows(self.start_timestamp)
            walked = super()._iterate_time_windows(self.start_timestamp)
            windows = [
                *reversed(list(islice(before, _BEFORE))),
                *takewhile(lambda window: window.end.timestamp() <= end, walked),
            ]
            known = self.__dict__["_known"] = _Windows(
                windows,
                [window.start.timestamp() for window in windows],
                [window.end.timestamp() for window in windows],
            )
        return known

    def _iterate_time_windows(
        self, start_timestamp: float, ignore_exclusions: bool = False
    ) -> Iterable[TimeWindow]:
        windows, starts, ends = self._windows()
        if not ignore_exclusions and starts[0] <= start_timestamp <= starts[-1]:
            first = bisect_left(starts, start_timestamp)
            inside = (windows[place] for place in range(first, len(windows)))
            return chain(inside, self._after(ends[-1]))
        return super()._iterate_time_windows(start_timestamp, ignore_exclusions)

    def _reverse_iterate_time_windows(
        self, end_timestamp: float, ignore_exclusions: bool = False
    ) -> Iterable[TimeWindow]:
        windows, starts, ends = self._windows()
        if not ignore_exclusions and ends[0] <= end_timestamp <= ends[-1]:
            last = bisect_right(ends, end_timestamp) - 1
            inside = (windows[place] for place in range(last, -1, -1))
            return chain(inside, self._before(starts[0]))
        return super()._reverse_iterate_time_windows(end_timestamp, ignore_exclusions)

    def _after(self, timestamp: float) -> Iterator[TimeWindow]:
        """Windows that Dagster walks when somebody asks beyond the list."""
        yield from super()._iterate_time_windows(timestamp)

    def _before(self, timestamp: float) -> Iterator[TimeWindow]:
        yield from super()._reverse_iterate_time_windows(timestamp)


class _Windows(NamedTuple):
    """Windows in order, with the timestamps at which they start and end."""

    windows: list[TimeWindow]
    starts: list[float]
    ends: list[float]
