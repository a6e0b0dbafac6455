"""Law 1, point in time: a session's output uses what was known at its cutoff, and nothing else.

Five ways to break the future, each of which must leave sessions up to day D as they are:

1. *Truncation*: the source ends at the cutoff of D, and D is the last day that is made.
2. *Absent inputs*: the range goes on past D, but sources and partitions end there; table by table.
3. *Another future*: the source is corrupted and peopled differently after the cutoff of D, and the
   range goes on past D.
4. *Isolation*: of the lake, only the declared windows are left; every other partition, later or
   earlier, the table's own rows inside the range included, is garbage or withdrawn.
5. *Two wall clocks*, and domain modules that never read one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from quant_platform.lakehouse.code_version import import_closure
from quant_platform.lakehouse.inputs import input_hashes
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import Entry
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.orchestration.graph import Graph
from quant_platform.orchestration.stage import Stage
from quant_platform.sources.protocol import Source
from quant_platform_tests.laws.broken import LawBroken, Story, require_same, require_told
from quant_platform_tests.laws.workshop import Clock, Pick, Recipe, Workshop
from quant_platform_tests.sources.altered import AlteredSource

TRUNCATION = "point in time by truncation"
OUTLASTING = "point in time by absent inputs"
FUTURE = "point in time by another future"
ISOLATION = "point in time by isolation"
CLOCKS = "two wall clocks"

_BAND = timedelta(days=35)
"""How far around a range the lake of an isolated table is garbage; beyond it is nothing."""

_CLOCK_READERS = {
    ("datetime", "now"),
    ("datetime", "today"),
    ("datetime", "utcnow"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "localtime"),
    ("time", "gmtime"),
}


def check_truncation(workshop: Workshop, first: date, days: Sequence[date]) -> None:
    """Make history in steps that each end at one of the days, with a source that ends there too.

    Parameters
    ----------
    workshop
        A workshop whose lake was filled in one range, past the last of the days.
    first
        Day from which to make it; sessions before it are taken as they are.
    days
        Days D, ascending.
    """
    cut = workshop.compose("truncation", workshop.before(first), (first, days[-1]))
    for day in days:
        moment = _cutoff(workshop, day)
        step = cut.under(_altered(workshop, _truncated(moment)))
        step.make_all(first, day)
        require_same(
            TRUNCATION,
            workshop.lake,
            step.lake,
            workshop.days(first, day),
            f"up to {day} from a source that ends at its cutoff",
        )
        first = day + timedelta(days=1)


def check_outlasting(
    workshop: Workshop, first: date, day: date, last: date, *, only: str | None = None
) -> None:
    """Make a range past a day after which the lake and the sources hold nothing.

    A range makes what it can when its later inputs are absent. Each call is judged on its own, by
    what it makes of the same lake whole.

    Parameters
    ----------
    workshop
        A workshop whose lake was filled past ``last``.
    first, last
        Days that bound the range.
    day
        Day D within it.
    only
        Table to judge, if not all of them.
    """
    cut = workshop.view(day).under(_altered(workshop, _truncated(_cutoff(workshop, day))))
    how = f"in a range whose inputs end on {day}"
    for call in workshop.calls if only is None else [workshop.call(only)]:
        sessions = workshop.sessions(call[0], first, last)
        judged = [session for session in sessions if session <= day]
        if judged:
            whole = workshop.computed(call, sessions)
            ended = cut.computed(cut.call(call[0].table), sessions)
            require_told(OUTLASTING, whole, ended, judged, how, only=only)


def check_another_future(workshop: Workshop, day: date, *, ago: int, ahead: int) -> None:
    """Make a range past a day from a source whose future after that day is another one.

    Parameters
    ----------
    workshop
        A workshop whose lake was filled in one range, past ``day + ahead``.
    day
        Day D.
    ago, ahead
        Days before and after D that the range begins and ends.
    """
    first, last = day - timedelta(days=ago), day + timedelta(days=ahead)
    moment = _cutoff(workshop, day)
    futures: dict[str, Callable[[Source], Source]] = {
        "corrupted": lambda source: AlteredSource(source, corrupt_after=moment),
        "peopled differently": lambda source: AlteredSource(source, repeople_after=moment),
    }
    for name, alter in futures.items():
        other = workshop.compose(
            "future", workshop.before(first), (first, last), recipe=_altered(workshop, alter)
        )
        other.make_all(first, last)
        _require_another_future(workshop, other, day, last)
        require_same(
            FUTURE,
            workshop.lake,
            other.lake,
            workshop.days(first, day),
            f"with a source {name} after the cutoff of {day}",
        )


def check_isolation(
    workshop: Workshop, garbage: Lake, first: date, last: date, *, only: str | None = None
) -> None:
    """Make each table over a range from nothing but its declared windows.

    Parameters
    ----------
    workshop
        A workshop with a filled lake.
    garbage
        Its garbage twin.
    first, last
        Days that bound the range.
    only
        Table to judge, if not all of them.
    """
    tables = workshop.tables
    spoilt = workshop.compose(
        "isolation",
        lambda _table, _session: None,
        (first, last),
        borrowed=dict.fromkeys(tables, garbage),
    )
    for call in workshop.calls if only is None else [workshop.call(only)]:
        sessions = workshop.sessions(call[0], first, last)
        if not sessions:
            continue
        wanted = call[0].range_of(sessions)
        inputs = {window.table for window in call[0].windows.values()}
        made = {stage.table for stage in call}
        own = made | {f"quarantine/{table}" for table in made}
        pick = _only_windows(workshop.lake, garbage, call[0], wanted, (first - _BAND, last + _BAND))
        held = [table for table in tables if table in inputs | own]
        alone = spoilt.holding(workshop.lake, held, pick, (first, last))
        _withdraw_every_third_later_session(alone, inputs | made, last)
        alone.make(alone.call(call[0].table), sessions)
        days = dict.fromkeys([only] if only else sorted(made), sessions)
        how = "from its windows in a lake that is garbage otherwise"
        require_same(ISOLATION, workshop.lake, alone.lake, days, how)
        _require_hashed_windows(workshop, call[0], wanted)
        spoilt.borrow(sorted(inputs | own), garbage)


def check_clocks(workshop: Workshop, first: date, last: date, clocks: Sequence[Clock]) -> None:
    """Make a range under other wall clocks.

    Parameters
    ----------
    workshop
        A workshop whose lake was filled in one range.
    first, last
        Days that bound the range.
    clocks
        Clocks, all after the range's cutoffs.
    """
    for clock in clocks:
        recipe = replace(workshop.recipe, clock=clock)
        other = workshop.compose("clock", workshop.before(first), (first, last), recipe=recipe)
        other.make_all(first, last)
        how = f"at {clock():%F}"
        require_same(CLOCKS, workshop.lake, other.lake, workshop.days(first, last), how)


def check_no_clock_is_read(graph: Graph) -> None:
    """Require that no module behind a stage mentions the wall clock."""
    for stage in graph.stages:
        modules = {*stage.modules, stage.contract.schema.__module__}
        for module in import_closure(tuple(sorted(modules))):
            for line, call in _clock_calls(module):
                found = f"{module}, line {line}, reads the wall clock ({call})"
                raise LawBroken(CLOCKS, stage.table, None, found)


def _only_windows(
    good: Lake, garbage: Lake, stage: Stage, wanted: SessionRange, band: tuple[date, date]
) -> Pick:
    """Pick the good partitions that the stage's windows load, and garbage for those around."""
    loaded: dict[str, set[date]] = {}
    for window in stage.windows.values():
        loaded.setdefault(window.table, set()).update(wanted.loaded(window))

    def pick(table: str, session: date) -> Lake | None:
        if session in loaded.get(table, ()):
            return good
        return garbage if band[0] <= session <= band[1] else None

    return pick


def _withdraw_every_third_later_session(
    workshop: Workshop, tables: Collection[str], last: date
) -> None:
    """Block sessions after a day in the log: a verdict of the future is the future as well."""
    for table in tables:
        later = [e for day, e in workshop.lake.entries(table).items() if day > last][::3]
        workshop.lake.log(table).append([_blocked(entry) for entry in later])


def _blocked(entry: Entry) -> Entry:
    return replace(entry, verdict="blocked", rows=0)


def _require_hashed_windows(workshop: Workshop, stage: Stage, wanted: SessionRange) -> None:
    """Require that the first and the last partition that a session reads decide its input hash."""
    session = wanted.sessions[-1]
    alone = stage.range_of([session])
    lake = Lake(workshop.lake.root, workshop.lake.clock)
    expected = lake.provenance(stage.table, session).input_hash
    for window in stage.windows.values() if session >= stage.first_day else ():
        known = lake.log(window.table).latest()
        loaded = [day for day in alone.loaded(window) if day in known]
        for spoilt in {loaded[0], loaded[-1]} if loaded else ():
            entry = known[spoilt]
            known[spoilt] = replace(entry, content_hash="0" * 64)
            found = input_hashes(lake, stage.windows, alone, grid=stage.grid)[session]
            known[spoilt] = entry
            if found == expected:
                told = f"its input hash ignores {window.table} of {spoilt}, which it reads"
                raise LawBroken(ISOLATION, stage.table, session, told)


def _require_another_future(workshop: Workshop, other: Workshop, day: date, last: date) -> None:
    """Require that the altered future did arrive, so that the law is not kept for want of one."""
    for stage in workshop.stages:
        if stage.contract.external:
            later = workshop.sessions(stage, day + timedelta(days=1), last)
            entries = (lake.entries(stage.table) for lake in (workshop.lake, other.lake))
            before, after = ([Story.of(known[d]) for d in later] for known in entries)
            if not any(story.rows for story in before):
                # Nothing was published that could be another: no listing, no split.
                continue
            if before == after:
                found = f"the altered source changed nothing up to {last}"
                raise LawBroken(FUTURE, stage.table, day, found)


def _altered(workshop: Workshop, alter: Callable[[Source], Source]) -> Recipe:
    own = workshop.recipe.alter
    both = alter if own is None else lambda source: alter(own(source))
    return replace(workshop.recipe, alter=both)


def _truncated(moment: datetime) -> Callable[[Source], Source]:
    return lambda source: AlteredSource(source, truncate_after=moment)


def _cutoff(workshop: Workshop, day: date) -> datetime:
    """Cutoff of a day, a session or not: it is the same on every calendar."""
    grace = timedelta(minutes=workshop.graph.settings.platform.ingest_grace_minutes)
    return datetime.combine(day + timedelta(days=1), time.min, tzinfo=UTC) + grace


@cache
def _clock_calls(module: str) -> list[tuple[int, str]]:
    """List the clock readings of a module."""
    return list(_mentions(module))


def _mentions(module: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every mention of a function that tells the time."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return
    for node in ast.walk(ast.parse(Path(spec.origin).read_text())):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if (name, node.attr) in _CLOCK_READERS:
                yield node.lineno, f"{name}.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if node.module == "time" and ("time", alias.name) in _CLOCK_READERS:
                    yield node.lineno, f"time.{alias.name}"
