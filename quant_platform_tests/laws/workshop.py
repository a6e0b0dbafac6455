"""A workshop: a graph and a lake of its own, in which a law makes sessions in any order.

The real IO manager reads and writes and the real functions compute; only Dagster's loop around them
is left out, which costs a second per run (``test_ranges`` holds the two together). Lakes are
composed from the partitions of others, so that a law can ask what a session comes to when the rest
of the lake is absent or garbage.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
from dagster._core.execution.context.metadata_logging import OutputMetadataAccumulator

from quant_platform.errors import MissingUpstreamError
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.layout import TableLayout
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.graph import Graph, Overrides, build_graph, sleeve_contexts
from quant_platform.orchestration.io import LakeIOManager
from quant_platform.orchestration.making import make_range
from quant_platform.orchestration.stage import Stage
from quant_platform.sources.protocol import Source
from quant_platform_tests.small_project import EVENING, small_settings

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
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    alter: Callable[[Source], Source] | None = None
    plant: Plant | None = None
    clock: Clock = lambda: EVENING

    def sleeves(self, folder: Path) -> list[SleeveContext]:
        """Resolve the sleeves, each with its source, altered or not."""
        settings = small_settings(folder, **self.changes)
        plain = sleeve_contexts(settings, Overrides(clock=self.clock))
        if self.alter is None:
            return list(plain)
        sources = {sleeve.sleeve.name: self.alter(sleeve.source) for sleeve in plain}
        return list(sleeve_contexts(settings, Overrides(sources, clock=self.clock)))

    def graph(self, folder: Path) -> Graph:
        """Build the graph for a folder."""
        settings = small_settings(folder, **self.changes)
        sources = {sleeve.sleeve.name: sleeve.source for sleeve in self.sleeves(folder)}
        plant, situation = self.plant, Situation(settings.lake_root, self.clock)
        stages = None if plant is None else lambda known: plant(known, situation)
        overrides = Overrides(sources if self.alter else None, stages, self.clock)
        return build_graph(settings, overrides)


@dataclass
class Workshop:
    """Graph, lake and IO manager in one folder."""

    folder: Path
    recipe: Recipe
    graph: Graph
    lake: Lake
    io: LakeIOManager

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

    def make(self, stage: Stage, sessions: Sequence[date]) -> None:
        """Make a range of one table, current or not; sessions without their inputs stay unmade."""
        wanted = stage.range_of(list(sessions))
        asked = dg.PartitionKeyRange(wanted.first.isoformat(), wanted.last.isoformat())
        step = SimpleNamespace(
            partition_key_range=asked, _metadata_accumulator=OutputMetadataAccumulator.empty()
        )
        output: Any = SimpleNamespace(
            step_context=step,
            log=SimpleNamespace(info=lambda _text: None),
            log_event=lambda _event: None,
        )
        frames = {}
        for name in stage.windows:
            meaning = {"consumer": stage.table, "window": name}
            context: Any = SimpleNamespace(step_context=step, definition_metadata=meaning)
            frames[name] = self.io.load_input(context)
        try:
            self.io.handle_output(output, make_range(stage, self.lake, frames, wanted, "law"))
        except MissingUpstreamError:
            return
        except dg.Failure as failure:
            if not isinstance(failure.__cause__, MissingUpstreamError):
                raise

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
            for stage in self.stages:
                sessions = self.sessions(stage, begin, end)
                if sessions:
                    self.make(stage, sessions)
                for session in sessions:
                    if (stage.table, session) in absent:
                        entry = self.lake.provenance(stage.table, session)
                        self.lake.store(stage.table).file_of(entry).unlink()

    def sessions(self, stage: Stage, first: date, last: date) -> list[date]:
        """Sessions of a stage from one day to another, within its history."""
        return stage.calendar.between(max(first, stage.history_start), last)

    def days(self, first: date, last: date) -> dict[str, list[date]]:
        """Sessions of every table of the graph, and of the quarantines that the lake has."""
        asked = {stage.table: self.sessions(stage, first, last) for stage in self.stages}
        quarantines = {
            name: asked[name.removeprefix("quarantine/")]
            for name in self.lake.tables()
            if name.startswith("quarantine/")
        }
        return asked | quarantines

    def compose(self, name: str, pick: Pick, recipe: Recipe | None = None) -> Workshop:
        """Open a new workshop whose lake is put together from partitions of others.

        Parameters
        ----------
        name
            Folder of the new workshop, below this one's.
        pick
            Which lake each partition is taken from.
        recipe
            What decides the new one; this one's recipe by default.
        """
        folder = self.folder / "composed" / name
        shutil.rmtree(folder, ignore_errors=True)
        new = Workshop.open(folder, recipe or self.recipe)
        for table in self.lake.tables():
            _compose_table(new.lake, self.lake, table, pick)
        return new

    def before(self, day: date) -> Pick:
        """Pick this lake's sessions before a day, and none after."""
        return lambda _table, session: self.lake if session < day else None

    def _chunks(self, first: date, last: date, chunk: int | None) -> Iterator[tuple[date, date]]:
        days = sorted({day for stage in self.stages for day in self.sessions(stage, first, last)})
        length = chunk or max(len(days), 1)
        for start in range(0, len(days), length):
            part = days[start : start + length]
            yield part[0], part[-1]


def _compose_table(target: Lake, described: Lake, table: str, pick: Pick) -> None:
    """Link the picked partitions of a table into another lake, with their provenance."""
    layout = target.layout(table)
    layout.description.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(described.layout(table).description, layout.description)
    entries = []
    for session in described.entries(table):
        lake = pick(table, session)
        entry = None if lake is None else lake.log(table).latest().get(session)
        if lake is None or entry is None:
            continue
        part = _part(table, session, entry.schema_version, entry.verdict == "blocked")
        source = f"{lake.root}/{part}"
        if os.path.exists(source):  # noqa: PTH110 - thousands of paths, pathlib costs a second
            os.makedirs(f"{target.root}/{part}".rpartition("/")[0], exist_ok=True)  # noqa: PTH103
            os.link(source, f"{target.root}/{part}")
        entries.append(entry)
    layout.log.parent.mkdir(parents=True, exist_ok=True)
    target.log(table).append(entries)


@cache
def _part(table: str, session: date, version: int, blocked: bool) -> str:
    """Where a partition lies below the root of any lake."""
    layout = TableLayout.of(Path(), table)
    return str((layout.blocked if blocked else layout.part)(session, version))
