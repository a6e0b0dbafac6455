"""Daily partitions that know their windows: what Dagster walks by cron is looked up here.

Dagster finds the window after a window by walking the cron schedule and every exclusion again. A
calendar excludes hundreds of days, a range asks for hundreds of windows for each input of each
step, and the daemon and the UI do the same: a third of the time of a range run went there. This
class walks once, when it is first asked, and answers from the list. For the same reason it hashes
its exclusions once, and makes the subset of a range in one step instead of key by key. It changes
no answer (a test compares every one with the stock class), and what is outside of the list is left
to Dagster.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain, islice, takewhile
from typing import NamedTuple

import dagster as dg
from dagster import TimeWindow
from dagster._core.definitions.partitions.subset.partitions_subset import PartitionsSubset
from dagster._core.definitions.partitions.subset.time_window import TimeWindowPartitionsSubset
from dagster._core.definitions.partitions.utils.time_window import PersistedTimeWindow

_BEFORE = 600
"""Windows before the start that are known as well: a look-back near it reaches there."""


class SessionSubset(TimeWindowPartitionsSubset):
    """An empty subset to which a whole range is added in one step; what comes out is Dagster's."""

    def with_partition_key_range(
        self,
        partitions_def: dg.PartitionsDefinition[str],
        partition_key_range: dg.PartitionKeyRange,
    ) -> PartitionsSubset[str]:
        """Add the sessions of a range."""
        if self.is_empty and isinstance(partitions_def, SessionPartitions):
            run = partitions_def.run_of_windows(partition_key_range)
            if run:
                whole = TimeWindow(run[0].start, run[-1].end)
                window = PersistedTimeWindow.from_public_time_window(whole, partitions_def.timezone)
                return TimeWindowPartitionsSubset(self.partitions_def, len(run), [window])
        return super().with_partition_key_range(partitions_def, partition_key_range)


class SessionPartitions(dg.DailyPartitionsDefinition):
    """Daily partitions with an end, and with most of their days' closures excluded."""

    @property
    def partitions_subset_class(self) -> type[TimeWindowPartitionsSubset]:
        """Class of its subsets."""
        return SessionSubset

    def __hash__(self) -> int:
        """Hash the definition, whose text names every exclusion, once."""
        known: int | None = self.__dict__.get("_hash")
        if known is None:
            known = self.__dict__["_hash"] = hash(tuple(repr(self)))
        return known

    def run_of_windows(self, keys: dg.PartitionKeyRange) -> list[TimeWindow]:
        """Windows from one key to another; empty unless both are sessions that have ended."""
        windows, starts, _ = self._windows()
        newest = self.get_last_partition_window()
        first, last = (_place(starts, key) for key in (keys.start, keys.end))
        if newest is None or first is None or last is None:
            return []
        begin = bisect_left(starts, self.start_timestamp)
        end = bisect_left(starts, newest.start.timestamp())
        return windows[first : last + 1] if begin <= first <= last <= end else []

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


def _place(starts: list[float], key: str) -> int | None:
    """Find the window of a key, which is its day in UTC."""
    start = datetime.fromisoformat(key).replace(tzinfo=UTC).timestamp()
    place = bisect_left(starts, start)
    return place if place < len(starts) and starts[place] == start else None


class _Windows(NamedTuple):
    """Windows in order, with the timestamps at which they start and end."""

    windows: list[TimeWindow]
    starts: list[float]
    ends: list[float]
