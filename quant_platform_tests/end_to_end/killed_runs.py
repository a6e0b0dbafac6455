"""Range runs that are killed with −9 at a chosen moment, run again, and looked at.

Each run is a real process, forked by a server that has imported everything once: a kill costs the
run and not the imports. What the last process finds wrong comes back as sentences.

1. ``undisturbed`` fills one project and returns its content hashes and how long the run took.
2. ``kill_and_rerun`` fills another, kills it after a delay, fills it again to the end, and examines
   it: every file opens and holds what its log says, no write is pending, the hashes are those of
   the undisturbed project, and Dagster knows every partition and of no unfinished run.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dagster import DagsterRunStatus, RunsFilter

from quant_platform.lakehouse.files import complete_lines
from quant_platform.lakehouse.health import examine
from quant_platform_tests.small_project import SmallProject

FIRST = date(2022, 1, 3)
TABLES = tuple(
    f"{sleeve}/{kind}"
    for sleeve in ("crypto", "instruments")
    for kind in ("features_trend", "features_state")
)
"""Tables that are made, with all that they read: two jobs, data from outside, carried states."""
Hashes = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Outcome:
    """What a killed and repeated run left.

    Parameters
    ----------
    killed
        Whether the kill came before the run had ended.
    stored
        Partitions that were stored when it came.
    problems
        What is wrong after the rerun, as sentences; nothing should be.
    """

    killed: bool
    stored: int
    problems: list[str]


class KilledRuns:
    """Kills range runs from ``FIRST`` to a last day.

    Parameters
    ----------
    folder
        Where projects are made.
    last
        Last day of the range.
    chunk
        Sessions of one run.
    """

    def __init__(self, folder: Path, last: date, chunk: int = 20) -> None:
        self.folder = folder
        self.last = last
        self.chunk = chunk
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload([f"{__package__}.warm_server"])

    def undisturbed(self) -> tuple[Hashes, float]:
        """Fill a project in peace; return its hashes and the seconds that it took."""
        told = self.folder / "undisturbed.json"
        begun = time.perf_counter()
        self._run(_fill_and_hash, self.folder / "undisturbed", told)
        seconds = time.perf_counter() - begun
        hashes: Hashes = json.loads(told.read_text())
        return hashes, seconds

    def kill_and_rerun(self, name: str, delay: float, expected: Hashes) -> Outcome:
        """Kill a run after a delay in seconds, run it again to the end, and examine it."""
        project, told = self.folder / name, self.folder / f"{name}.json"
        process = self.processes.Process(target=_fill, args=(project, self.last, self.chunk))
        process.start()
        process.join(delay)
        killed = process.is_alive()
        if killed and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        stored = len(list((project / "lake").glob("**/part.parquet")))
        self._run(_fill_and_examine, project, told, expected)
        return Outcome(killed, stored, json.loads(told.read_text()))

    def _run(self, target: Callable[..., None], project: Path, *arguments: object) -> None:
        process = self.processes.Process(
            target=target, args=(project, self.last, self.chunk, *arguments)
        )
        process.start()
        process.join()
        if process.exitcode != 0:
            raise AssertionError(f"{target.__name__} in {project.name} left {process.exitcode}")


def _fill(folder: Path, last: date, chunk: int) -> None:
    """Fill a project, as ``quant backfill`` does."""
    project = SmallProject.create(folder, tables=TABLES)
    project.fill(FIRST, last, chunk=chunk)
    project.close()


def _fill_and_hash(folder: Path, last: date, chunk: int, told: Path) -> None:
    project = SmallProject.create(folder, tables=TABLES)
    project.fill(FIRST, last, chunk=chunk)
    told.write_text(json.dumps(_hashes(project)))
    project.close()


def _fill_and_examine(folder: Path, last: date, chunk: int, told: Path, expected: Hashes) -> None:
    project = SmallProject.create(folder, tables=TABLES)
    project.fill(FIRST, last, chunk=chunk)
    told.write_text(json.dumps(list(problems(project, expected))))
    project.close()


def _hashes(project: SmallProject) -> Hashes:
    """Content hash of every session of every table in the lake, quarantine included."""
    return {
        table: {day.isoformat(): content for day, content in project.hashes(table).items()}
        for table in project.lake.tables()
    }


def problems(project: SmallProject, expected: Hashes) -> Iterator[str]:
    """Everything wrong with a project after a rerun.

    Parameters
    ----------
    project
        The project.
    expected
        Hashes of an undisturbed one.
    """
    found = _hashes(project)
    for table in sorted({*expected, *found}):
        if found.get(table) != expected.get(table):
            yield f"{table} differs from the undisturbed run"
        for finding in examine(project.lake, table, deep=True):
            yield f"{table} {finding.session}: {finding.sentence}"
        if complete_lines(project.lake.layout(table).log)[1]:
            yield f"the log of {table} ends in a torn line"
    for stage in project.graph.stages:
        stored = {day.isoformat() for day in project.lake.entries(stage.table)}
        known = project.instance.get_materialized_partitions(stage.key)
        if stored != known:
            yield f"Dagster knows {len(known)} of {len(stored)} partitions of {stage.table}"
    unfinished = [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.NOT_STARTED]
    for run in project.instance.get_runs(RunsFilter(statuses=unfinished)):
        yield f"run {run.run_id} is still {run.status.value}"
    drafts = list(project.lake.root.glob("**/.part.parquet*"))
    if drafts:
        yield f"{len(drafts)} drafts were left behind, first {drafts[0].name}"
