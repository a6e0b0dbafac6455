"""A leak planted in each table of a graph, and the law that must catch it there.

The leaks fit any table, and the moment at which one is tried is found in the table's own rows: the
*telling session*, whose rows differ from those of the session before. A table of the graph without
one would let a leak pass unseen, and breaks the law by itself. What some sessions tell could be
told the evening before (the first day in cash of who sold everything), so that a leak of it is
none: a leak has to be caught at one of the last few telling sessions.

Each table is tried on its own: its inputs are those of a lake that was filled without a leak, and
what it makes of them is compared and not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice

import polars as pl

from quant_platform.orchestration.stage import Stage
from quant_platform_tests.laws import planted
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.planted import AnyLeak
from quant_platform_tests.laws.point_in_time import OUTLASTING, check_outlasting
from quant_platform_tests.laws.ranges import DAYS, check_beginning
from quant_platform_tests.laws.workshop import Plant, Workshop

LAW = "a leak is caught in every table"

_TRIED = 3
"""Telling sessions at which a leak is tried."""

_LATER = 2
"""Sessions after the telling one that a trial needs."""


@dataclass(frozen=True)
class Trial:
    """A leak, and how it is tried.

    Parameters
    ----------
    leak
        The leak.
    law
        Law that must be broken.
    check
        ``(workshop, table, before, telling, after)``: checks that law around a telling session.
    from_frames
        The leak is in what the function reads, so that a table without inputs cannot have it.
    """

    leak: AnyLeak
    law: str
    check: Callable[[Workshop, str, date, date, date], None]
    from_frames: bool = False


def _ends_before(workshop: Workshop, table: str, before: date, telling: date, after: date) -> None:
    check_outlasting(workshop, before, before, after, only=table)


def _ends_there(workshop: Workshop, table: str, before: date, telling: date, after: date) -> None:
    check_outlasting(workshop, before, telling, after, only=table)


def _begins_there(workshop: Workshop, table: str, before: date, telling: date, after: date) -> None:
    check_beginning(workshop, before, telling, after, only=table)


TRIALS: Mapping[str, Trial] = {
    "tomorrow's rows": Trial(planted.tomorrows_rows, OUTLASTING, _ends_before),
    "what the frames still hold": Trial(planted.cut_before_the_end, OUTLASTING, _ends_there, True),
    "where the range begins": Trial(planted.cut_at_the_beginning, DAYS, _begins_there),
}


def check_caught(workshop: Workshop, table: str, trial: Trial) -> None:
    """Plant a leak in one table, and require the law that is due to catch it there.

    Parameters
    ----------
    workshop
        A workshop whose lake was filled without a leak.
    table
        Table to plant it in.
    trial
        The leak and the law.
    """
    stage = workshop.stage(table)
    if trial.from_frames and not stage.windows:
        return
    plant = planted.at(table, trial.leak)
    leaking = workshop.under(replace(workshop.recipe, plant=_after(workshop.recipe.plant, plant)))
    for before, telling, after in islice(telling_sessions(workshop, stage), _TRIED):
        try:
            trial.check(leaking, table, before, telling, after)
        except LawBroken as broken:
            if (broken.law, broken.table) != (trial.law, table):
                raise
            return
    raise LawBroken(LAW, table, None, f"no law caught {trial.leak.__name__}")


def last_telling(workshop: Workshop, stage: Stage) -> date:
    """Return the last session that tells something new."""
    for _before, telling, _after in telling_sessions(workshop, stage):
        return telling
    raise LawBroken(LAW, stage.table, None, "no session of it tells anything new")


def telling_sessions(workshop: Workshop, stage: Stage) -> Iterator[tuple[date, date, date]]:
    """Find the sessions whose rows differ from those before, newest first, with neighbours."""
    days = list(workshop.lake.entries(stage.table))
    partition = stage.contract.partition
    rows = {
        day[0]: part.drop(partition)
        for day, part in workshop.lake.scan(stage.table, days)
        .collect()
        .sort(stage.contract.key)
        .partition_by(partition, as_dict=True)
        .items()
    }
    first = next((n for n, day in enumerate(days) if day >= stage.first_day), 0)
    nothing = pl.DataFrame()
    for place in range(len(days) - _LATER - 1, first, -1):
        told = rows.get(days[place])
        if told is not None and not told.equals(rows.get(days[place - 1], nothing)):
            yield days[place - 1], days[place], days[place + 1]


def _after(first: Plant | None, then: Plant) -> Plant:
    """Return the plant that puts one after another."""
    if first is None:
        return then
    return lambda stages, situation: then(first(stages, situation), situation)
