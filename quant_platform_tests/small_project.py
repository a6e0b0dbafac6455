"""A small project in a temporary folder: real settings, real source, real lake, real instance."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from quant_platform.lakehouse.lake import Lake
from quant_platform.orchestration.backfill import BackfillReport, backfill
from quant_platform.orchestration.graph import Graph, Overrides, build_graph
from quant_platform.orchestration.instance import open_instance
from quant_platform.orchestration.plan import Chunk
from quant_platform.orchestration.runs import run_chunk
from quant_platform.orchestration.stage import Stage, calls
from quant_platform.settings import Settings, load_settings
from quant_platform.sources.protocol import Source

REPOSITORY = Path(__file__).resolve().parent.parent
EVENING = datetime(2024, 6, 30, 12, tzinfo=UTC)
"""Wall clock of the tests, long after every session that they use."""


def small_settings(folder: Path, **changes: Any) -> Settings:
    """Shipped settings with eight symbols a sleeve and everything below ``folder``.

    Parameters
    ----------
    folder
        Temporary folder.
    changes
        Further settings, dotted keys with ``__`` for the dot.
    """
    small = {
        "platform.lake_root": str(folder / "lake"),
        "platform.dagster_home": str(folder / "dagster_home"),
        "platform.embedded_market.symbols_per_sleeve": 8,
    }
    changed = {key.replace("__", "."): value for key, value in changes.items()}
    size = (small | changed)["platform.embedded_market.symbols_per_sleeve"]
    own = {f"sleeves.{sleeve}.symbols": size for sleeve in ("etfs", "instruments")}
    overrides = small | own | changed
    return load_settings(REPOSITORY, overrides=overrides, environ={})


def upstream_of(stages: Sequence[Stage], tables: Collection[str]) -> list[Stage]:
    """Stages that make some tables: their own, their books', and those of all that they read."""
    together = {table: made for made in calls(stages) for table in (s.table for s in made)}
    kept: set[str] = set()
    asked = list(tables)
    while asked:
        table = asked.pop()
        if table not in kept:
            made = together[table]
            kept |= {stage.table for stage in made}
            asked += [w.table for w in made[0].windows.values() if w.table in together]
    return [stage for stage in stages if stage.table in kept]


@cache
def _new_home() -> TemporaryDirectory[str]:
    """Dagster home without a history. Dagster takes a third of a second to make each of them."""
    home = TemporaryDirectory()
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", home.name)
    open_instance(replace(small_settings(Path()), dagster_home=Path(home.name))).dispose()
    return home


@dataclass
class SmallProject:
    """Graph, lake and instance in one folder; ``close`` releases the instance."""

    settings: Settings
    graph: Graph
    lake: Lake
    instance: dg.DagsterInstance

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        sources: Mapping[str, Source] | None = None,
        stages: Callable[[list[Stage]], list[Stage]] | None = None,
        tables: Collection[str] | None = None,
        clock: Callable[[], datetime] = lambda: EVENING,
        instance: str = "dagster.yaml",
        **changes: Any,
    ) -> SmallProject:
        """Make the project; the same folder may be opened again by another one.

        Parameters
        ----------
        folder
            Temporary folder.
        sources
            Sources by sleeve, in the place of the embedded market.
        stages
            Changes the stages of the graph.
        tables
            Keeps these tables and all that they read, however far upstream; everything by default.
        clock
            Wall clock.
        instance
            Which of the shipped instance files.
        changes
            Further settings, dotted keys with ``__`` for the dot.
        """
        settings = small_settings(folder, **changes)
        home = settings.dagster_home
        if instance == "dagster.yaml" and not (home / "history").exists():
            shutil.copytree(_new_home().name, home, dirs_exist_ok=True)
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / "dagster_home" / instance, home / "dagster.yaml")

        def chosen(known: list[Stage]) -> list[Stage]:
            changed = known if stages is None else stages(known)
            return changed if tables is None else upstream_of(changed, tables)

        graph = build_graph(settings, Overrides(sources, chosen, clock))
        Lake.create(settings.lake_root, clock=clock)
        return cls(settings, graph, graph.lake, open_instance(settings))

    def close(self) -> None:
        """Release the instance's connections."""
        self.instance.dispose()

    def stage(self, table: str) -> Stage:
        """Stage of a table."""
        return next(stage for stage in self.graph.stages if stage.table == table)

    def fill(self, first: date, last: date, **options: Any) -> BackfillReport:
        """Backfill a range, as ``quant backfill`` does."""
        options.setdefault("chunk", 252)
        return backfill(self.graph, self.lake, self.instance, first, last, **options)

    def make(self, tables: Sequence[str], first: date, last: date) -> None:
        """Make just these tables over a range in one run, current or not."""
        stages = tuple(stage for stage in self.graph.stages if stage.table in tables)
        job = next(name for name, known in self.graph.jobs.items() if stages[0] in known)
        sessions = tuple(stages[0].calendar.between(first, last))
        chunk = Chunk(job, stages, sessions, len(sessions))
        run_chunk(self.graph.definitions(), self.instance, chunk)

    def hashes(self, table: str) -> dict[date, str]:
        """Content hash of every session, or its verdict where it is blocked."""
        return {
            day: "blocked" if entry.verdict == "blocked" else entry.content_hash
            for day, entry in self.lake.entries(table).items()
        }
