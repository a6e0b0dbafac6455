"""Backfill from this process: the planned chunks, one run each, until done or stopped.

Each chunk is an ordinary Dagster run of its job, so the UI shows it like any other. A chunk that
was interrupted is planned again by the next backfill, which begins with what is stale; sessions
already current are not run again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date

import dagster as dg

from quant_platform.errors import QuantError
from quant_platform.lakehouse.lake import Lake
from quant_platform.orchestration.graph import Graph
from quant_platform.orchestration.instance import fail_dead_runs, report_unknown
from quant_platform.orchestration.plan import Chunk, RecordPlan, plan_chunks
from quant_platform.orchestration.runs import Tally, run_chunks
from quant_platform.orchestration.side_by_side import WORTH_A_PROCESS, Progress, beside, waves
from quant_platform.orchestration.stage import Stage


@dataclass
class BackfillReport:
    """What a backfill did.

    Parameters
    ----------
    chunks
        Chunks that were planned.
    tally
        What was done of them, in all processes.
    seconds
        Seconds that it took.
    dead_runs, recovered
        What had to be mended before it began.
    record
        What becomes of the account; None if there is none, or it is made again by force.
    """

    chunks: list[Chunk]
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    dead_runs: list[str] = field(default_factory=list)
    recovered: dict[str, list[date]] = field(default_factory=dict)
    record: RecordPlan | None = None

    @property
    def computing(self) -> float:
        """Seconds of those in domain functions: of processes side by side their share of them."""
        tally = self.tally
        return self.seconds * tally.computing / tally.seconds if tally.seconds else 0.0

    @property
    def overhead(self) -> float | None:
        """Seconds of a partition outside of domain functions; None if nothing was run."""
        return (self.seconds - self.computing) / self.tally.made if self.tally.made else None


def backfill(
    graph: Graph,
    lake: Lake,
    instance: dg.DagsterInstance,
    first: date,
    last: date,
    *,
    jobs: Sequence[str] = (),
    chunk: int,
    force: bool = False,
    progress: Progress = lambda _chunk, _ended: None,
    processes: int = 1,
) -> BackfillReport:
    """Make everything stale in a range.

    Parameters
    ----------
    graph
        The graph.
    lake
        Its lake.
    instance
        Dagster instance that records the runs.
    first, last
        Range; neither need be a session.
    jobs
        Jobs to run; all by default.
    chunk
        Sessions of one run at the most.
    force
        Whether to make current sessions again, and the account's past.
    progress
        Told before and after each chunk.
    processes
        How many jobs may run side by side; more than one only if the graph is what its settings
        make of it.

    Raises
    ------
    QuantError
        The error of the first job that failed; its notes say what became of the others that did.
        Earlier chunks are kept, and so is what does not stand on it: other jobs are run before the
        error is raised.
    """
    for stage in graph.stages:
        describe_again(lake, stage)
    dead = fail_dead_runs(instance)
    recovered = report_unknown(instance, lake, graph.stages)
    chosen = {name: stages for name, stages in graph.jobs.items() if not jobs or name in jobs}
    plan = plan_chunks(lake, chosen, first, last, chunk=chunk, force=force)
    chunks = plan.chunks
    report = BackfillReport(chunks, dead_runs=dead, recovered=recovered, record=plan.record)
    failed: dict[str, QuantError] = {}
    begun = time.perf_counter()
    for wave in waves(chunks, graph.jobs):
        due = [job for job in wave if not _stands_on(job[0], failed, graph)]
        ended = _run_wave(due, graph, instance, progress, processes)
        for job, tally in zip(due, ended, strict=True):
            report.tally.add(tally)
            if tally.error is not None:
                failed[job[0].job] = tally.error
        if report.tally.stopped:
            break
    report.seconds = time.perf_counter() - begun
    if failed and not report.tally.stopped:
        raise _with_notes(failed)
    return report


def _run_wave(
    wave: Sequence[Sequence[Chunk]],
    graph: Graph,
    instance: dg.DagsterInstance,
    progress: Progress,
    processes: int,
) -> list[Tally]:
    """Run jobs that read nothing of each other; what became of each, in their order."""
    sizes = [sum(chunk.partitions for chunk in job) for job in wave]
    longest_first = sorted(range(len(wave)), key=lambda place: -sizes[place])
    away = [place for place in longest_first[1:processes] if sizes[place] >= WORTH_A_PROCESS]
    tallies = [Tally() for _ in wave]
    with ExitStack() as running:
        others = {
            place: running.enter_context(beside(wave[place], graph.settings, progress))
            for place in away
        }
        for place in sorted(set(longest_first) - set(away)):
            tally = tallies[place]
            definitions = graph.definitions(tally.count_computing)
            run_chunks(definitions, instance, wave[place], tally, progress)
            if tally.stopped:
                for other in others.values():
                    other.stop()
                break
    for place, other in others.items():
        tallies[place] = other.tally
    return tallies


def _with_notes(failed: Mapping[str, QuantError]) -> QuantError:
    """Error of the first job that failed, with a note on each other one."""
    (_, first), *others = failed.items()
    for job, error in others:
        first.add_note(f"{job} failed as well: {type(error).__name__}: {error}")
    return first


def _stands_on(planned: Chunk, failed: Collection[str], graph: Graph) -> bool:
    """Whether a chunk belongs to a failed job or reads one of its tables."""
    read = {window.table for stage in planned.stages for window in stage.windows.values()}
    lost = {stage.table for name in failed for stage in graph.jobs.get(name, ())}
    return planned.job in failed or not lost.isdisjoint(read)


def describe_again(lake: Lake, stage: Stage) -> None:
    """Let stored tables know of a closure declared since they were made: see ``Lake.describe``."""
    for table in (stage.table, f"quarantine/{stage.table}"):
        if lake.log(table).latest():
            lake.describe(table, stage.calendar)
