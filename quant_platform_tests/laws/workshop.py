"""A workshop: a graph and a lake of its own, in which a law makes sessions in any order.

The real IO manager reads and writes and the real functions compute; only Dagster's loop around them
is left out, which costs a second per run (``test_ranges`` holds the two together). Lakes are
composed from the partitions of others, so that a law can ask what a session comes to when the rest
of the lake is absent or garbage.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from quant_platform.errors import MissingUpstreamError
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.layout import TableLayout
from quant_platform.lakehouse.rules import TRAILING_SESSIONS
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.graph import (
    Graph,
    Overrides,
    build_graph,
    sleeve_contexts,
)
from quant_platform.orchestration.io import LakeIOManager
from quant_platform.orchestration.made import Made
from quant_platform.orchestration.making import make_range
from quant_platform.orchestration.stage import Stage, calls
from quant_platform.settings import Settings
from quant_platform.settings.sleeve import SECOND_KIND
from quant_platform.sources.protocol import Source
from quant_platform.sources.registry import SERIES_BRANCH, series_source
from quant_platform_tests.small_project import EVENING, small_settings

RUN = "law"
_A_WEEK = timedelta(days=7)
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Situation:
    """Where a planted stage finds itself: what an honest function is never given."""

    lake_root: Path
    clock: Clock


Plant = Callable[[list[Stage], Situation], list[Stage]]
"""Replaces stages of the graph by others."""
Pick = Callable[[str, date], Lake | None]
"""Says which lake a partition of a composed lake comes from; None leaves it out."""


EARLY = frozenset({"market_data", "features"})
"""Groups of stages that begin with history and need no decision of others."""


def only(
    branch: str | None = None, plant: Plant | None = None, *, groups: Collection[str] = EARLY
) -> Plant:
    """Return the plant that leaves a part of the graph, with another plant applied.

    Parameters
    ----------
    branch
        Branch to leave; None for all of them.
    plant
        What to put in the place of its stages.
    groups
        Groups of stages to leave.
    """

    def chosen(stages: list[Stage], situation: Situation) -> list[Stage]:
        own = [
            stage
            for stage in stages
            if stage.group in groups and (branch is None or stage.table.startswith(f"{branch}/"))
        ]
        return own if plant is None else plant(own, situation)

    return chosen


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a workshop makes, apart from its folder.

    Parameters
    ----------
    changes
        Settings, as ``small_settings`` takes them.
    alter
        Puts another source in the place of a sleeve's.
    plant
        Puts other stages in the place of the graph's.
    clock
        Wall clock.
    seconds
        Sources that the bars of sleeves are compared with, by sleeve.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    alter: Callable[[Source], Source] | None = None
    plant: Plant | None = None
    clock: Clock = lambda: EVENING
    seconds: Mapping[str, Source] = field(default_factory=dict)

    def settings(self, folder: Path) -> Settings:
        """Return the settings of a workshop in a folder."""
        return replace(_settings(self.changes), lake_root=folder / "lake")

    @cached_property
    def sleeves(self) -> list[SleeveContext]:
        """The sleeves, each with its source, altered or not."""
        settings = _settings(self.changes)
        plain = sleeve_contexts(settings, Overrides(self._seconds, clock=self.clock))
        if self.alter is None:
            return list(plain)
        sources = {sleeve.sleeve.name: self.alter(sleeve.source) for sleeve in plain}
        return list(sleeve_contexts(settings, Overrides(sources | self._seconds, clock=self.clock)))

    @property
    def _seconds(self) -> dict[str, Source]:
        """Second sources by the name of their table, altered or not."""
        alter = self.alter or (lambda source: source)
        return {f"{name}/{SECOND_KIND}": alter(source) for name, source in self.seconds.items()}

    @cached_property
    def series(self) -> Source:
        """The source of the shared series, altered or not."""
        told = series_source(_settings(self.changes))
        assert told is not None
        source, _ = told
        return source if self.alter is None else self.alter(source)

    def graph(self, folder: Path) -> Graph:
        """Build the graph for a folder."""
        settings = self.settings(folder)
        sources = {sleeve.sleeve.name: sleeve.source for sleeve in self.sleeves}
        sources[SERIES_BRANCH] = self.series
        plant, situation = self.plant, Situation(settings.lake_root, self.clock)
        stages = None if plant is None else lambda known: plant(known, situation)
        told = sources if self.alter else {}
        overrides = Overrides(told | self._seconds, stages, self.clock)
        return build_graph(settings, overrides)


def _settings(changes: Mapping[str, Any]) -> Settings:
    """Shipped settings with changes; the folders in them are put in their place later."""
    key = repr(sorted(changes.items()))
    if key not in _LOADED:
        _LOADED[key] = small_settings(Path(), **changes)
    return _LOADED[key]


_LOADED: dict[str, Settings] = {}


@dataclass
class Workshop:
    """Graph, lake and IO manager in one folder."""

    folder: Path
    recipe: Recipe
    graph: Graph
    lake: Lake
    io: LakeIOManager
    _views: dict[date, Workshop] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, recipe: Recipe) -> Workshop:
        """Open a workshop in a folder; what its lake already holds stays."""
        graph = recipe.graph(folder)
        lake = Lake.create(graph.settings.lake_root, clock=recipe.clock)
        io = LakeIOManager(lake, {stage.table: stage for stage in graph.stages})
        return cls(folder, recipe, graph, lake, io)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Stages of the graph, upstream first."""
        return self.graph.stages

    def planted(self, stages: list[Stage]) -> list[Stage]:
        """Put this workshop's stages in the place of the graph's, as its recipe does."""
        plant = self.recipe.plant
        return stages if plant is None else plant(stages, self._situation)

    @property
    def _situation(self) -> Situation:
        return Situation(self.lake.root, self.recipe.clock)

    def stage(self, table: str) -> Stage:
        """Stage of a table."""
        return next(stage for stage in self.stages if stage.table == table)

    @cached_property
    def calls(self) -> list[tuple[Stage, ...]]:
        """Stages by the call that makes them, upstream first."""
        return calls(self.stages)

    def call(self, table: str) -> tuple[Stage, ...]:
        """Return the stages that one call makes together with a table, itself included."""
        return next(call for call in self.calls if any(s.table == table for s in call))

    def make(self, call: Sequence[Stage], sessions: Sequence[date]) -> None:
        """Make a range of one call, current or not; sessions without their inputs stay unmade."""
        for made in self.computed(call, sessions):
            self.io.store(made)

    def computed(self, call: Sequence[Stage], sessions: Sequence[date]) -> list[Made]:
        """Compute and judge a range of one call, and store nothing."""
        first = call[0]
        wanted = first.range_of(list(sessions))
        frames = {name: self.io.read(window, wanted) for name, window in first.windows.items()}
        with suppress(MissingUpstreamError):
            return make_range(call, self.lake, frames, wanted, RUN)
        return []

    def make_all(
        self,
        first: date,
        last: date,
        *,
        chunk: int | None = None,
        absent: Collection[tuple[str, date]] = (),
    ) -> None:
        """Make every table from one day to another, chunk by chunk, upstream first.

        Parameters
        ----------
        first, last
            Days; neither need be a session.
        chunk
            Days of a chunk that are sessions of any table; one chunk by default.
        absent
            Partitions (table, session) to take away as soon as they are made.
        """
        for begin, end in self._chunks(first, last, chunk):
            for call in self.calls:
                sessions = self.sessions(call[0], begin, end)
                if sessions:
                    self.make(call, sessions)
                for stage in call:
                    for session in sessions:
                        if (stage.table, session) in absent:
                            entry = self.lake.provenance(stage.table, session)
                            self.lake.store(stage.table).file_of(entry).unlink()

    def sessions(self, stage: Stage, first: date, last: date) -> list[date]:
        """Sessions of a stage from one day to another, within its history."""
        return stage.calendar.between(max(first, stage.history_start), last)

    @property
    def tables(self) -> list[str]:
        """Tables of the graph, and the quarantines that the lake has."""
        made = [stage.table for stage in self.stages]
        quarantines = (f"quarantine/{table}" for table in made)
        return made + [name for name in quarantines if self.lake.layout(name).log.exists()]

    def days(self, first: date, last: date) -> dict[str, list[date]]:
        """Sessions of every table from one day to another."""
        asked = {stage.table: self.sessions(stage, first, last) for stage in self.stages}
        return {name: asked[name.removeprefix("quarantine/")] for name in self.tables}

    def compose(
        self,
        name: str,
        pick: Pick,
        written: tuple[date, date],
        *,
        recipe: Recipe | None = None,
        borrowed: Mapping[str, Lake] | None = None,
        tables: Collection[str] | None = None,
    ) -> Workshop:
        """Open a new workshop whose lake is put together from partitions of others.

        Parameters
        ----------
        name
            Folder of the new workshop, below this one's.
        pick
            Which lake each partition is taken from.
        written
            First and last day that will be made in it. Others are links to the lakes that they
            come from.
        recipe
            What decides the new one; this one's recipe by default.
        borrowed
            Tables that will not be made, taken wholly from a lake.
        tables
            Tables that the new lake has; all of them by default.
        """
        folder = self.folder / "composed" / name
        shutil.rmtree(folder, ignore_errors=True)
        new = Workshop.open(folder, recipe or self.recipe)
        for table in self.tables:
            if tables is not None and table not in tables:
                continue
            if borrowed and table in borrowed:
                _borrow_table(new.lake, borrowed[table], table)
            else:
                _compose_table(new.lake, self.lake, table, pick, written)
        return new

    def holding(
        self, lender: Lake, tables: Collection[str], pick: Pick, written: tuple[date, date]
    ) -> Workshop:
        """Put other partitions into some tables of this lake; return a workshop that sees them.

        Parameters
        ----------
        lender
            Lake that describes the tables.
        tables
            What they held is forgotten; `borrow` puts a whole table in their place again.
        pick, written
            As for `compose`.
        """
        for table in tables:
            _forget_table(self.lake, table)
            _compose_table(self.lake, lender, table, pick, written)
        # A lake remembers what it read of its logs.
        lake = Lake(self.lake.root, self.lake.clock)
        io = LakeIOManager(lake, {stage.table: stage for stage in self.stages})
        return Workshop(self.folder, self.recipe, self.graph, lake, io)

    def borrow(self, tables: Collection[str], lake: Lake) -> None:
        """Put whole tables of another lake in the place of this one's, where it has them."""
        for table in tables:
            _forget_table(self.lake, table)
            if lake.layout(table).log.exists():
                _borrow_table(self.lake, lake, table)

    def view(self, last: date) -> Workshop:
        """Return a workshop that sees this lake up to a day, for looking and not for making."""
        if last not in self._views:
            folder = self.folder / "views" / last.isoformat()
            self._views[last] = Workshop.open(folder, self.recipe)
            for table in self.tables:
                _borrow_table(self._views[last].lake, self.lake, table, last)
        return self._views[last]

    def before(self, day: date) -> Pick:
        """Pick this lake's sessions before a day, as far back as any table of the graph reads."""
        oldest: dict[str, date] = {}
        for stage in self.stages:
            kept = stage.calendar.between(stage.history_start, day - timedelta(days=1))
            reads = {stage.table: kept[-TRAILING_SESSIONS:]}
            following = stage.calendar.between(max(day, stage.history_start), day + _A_WEEK)[:1]
            for window in stage.windows.values() if following else ():
                reads[window.table] = [
                    *reads.get(window.table, ()),
                    *stage.range_of(following).loaded(window),
                ]
            for table, read in reads.items():
                oldest[table] = min([*read, oldest.get(table, day)])
        return lambda table, session: self.lake if oldest.get(table, day) <= session < day else None

    def under(self, recipe: Recipe) -> Workshop:
        """Return a workshop of another recipe on this lake; the wall clock is still this one's."""
        graph = recipe.graph(self.folder)
        io = LakeIOManager(self.lake, {stage.table: stage for stage in graph.stages})
        return Workshop(self.folder, recipe, graph, self.lake, io, self._views)

    def _chunks(self, first: date, last: date, chunk: int | None) -> Iterator[tuple[date, date]]:
        days = sorted({day for stage in self.stages for day in self.sessions(stage, first, last)})
        length = chunk or max(len(days), 1)
        for start in range(0, len(days), length):
            part = days[start : start + length]
            yield part[0], part[-1]


def _compose_table(
    target: Lake, described: Lake, table: str, pick: Pick, written: tuple[date, date]
) -> None:
    """Put a table's partitions and their provenance into another lake."""
    layout = target.layout(table)
    layout.description.parent.mkdir(parents=True, exist_ok=True)
    layout.log.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(described.layout(table).description, layout.description)
    entries = []
    for session in described.entries(table):
        lake = pick(table, session)
        entry = None if lake is None else lake.log(table).latest().get(session)
        if lake is None or entry is None:
            continue
        part = _part(table, session, entry.schema_version, entry.verdict == "blocked")
        source, link = Path(f"{lake.root}/{part}"), Path(f"{target.root}/{part}")
        if source.exists():
            if written[0] <= session <= written[1]:
                link.parent.mkdir(parents=True)
                link.hardlink_to(source)
            else:
                link.parent.parent.mkdir(parents=True, exist_ok=True)
                link.parent.symlink_to(source.parent)
        entries.append(entry)
    target.log(table).append(entries)


def _forget_table(lake: Lake, table: str) -> None:
    """Take a table out of a lake, be it a link to another lake's or partitions of its own."""
    layout = lake.layout(table)
    folder = layout.folder.parent
    if folder.is_symlink():
        folder.unlink()
    for rest in (folder, lake.root / "_blocked" / table, lake.root / "_superseded" / table):
        shutil.rmtree(rest, ignore_errors=True)
    for file in (layout.log, layout.pending):
        file.unlink(missing_ok=True)


def _borrow_table(target: Lake, lake: Lake, table: str, last: date | None = None) -> None:
    """Link a whole table of another lake; its log ends with a day."""
    own, theirs = target.layout(table), lake.layout(table)
    link = own.folder.parent
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(theirs.folder.parent)
    own.log.parent.mkdir(parents=True, exist_ok=True)
    if last is None:
        shutil.copy(theirs.log, own.log)
    else:
        target.log(table).append([e for e in lake.entries(table).values() if e.session <= last])


@cache
def _part(table: str, session: date, version: int, blocked: bool) -> str:
    """Where a partition lies below the root of any lake."""
    layout = TableLayout.of(Path(), table)
    return str((layout.blocked if blocked else layout.part)(session, version))
