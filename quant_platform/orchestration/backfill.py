"""Backfill in this process: the planned chunks, one run each, until done or stopped.

Each chunk is an ordinary Dagster run of its job, so the UI shows it like any other. A chunk that
was interrupted is planned again by the next backfill, which begins with what is stale; sessions
already current are not run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import dagster as dg
from dagster import DagsterRunStatus
from dagster._core.errors import DagsterExecutionInterruptedError

from quant_platform.errors import QuantError
from quant_platform.lakehouse.lake import Lake
from quant_platform.orchestration.failures import first_error, was_interrupted
from quant_platform.orchestration.graph import Graph
from quant_platform.orchestration.instance import (
    PROCESS_TAG,
    fail_dead_runs,
    process_tag,
    report_unknown,
)
from quant_platform.orchestration.plan import Chunk, RecordPlan, plan_chunks
from quant_platform.orchestration.stage import Stage

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_STOPPED = "Stopped by the user."
_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"


@dataclass
class BackfillReport:
    """What a backfill did.

    Parameters
    ----------
    chunks
        Chunks that were planned.
    done
        Chunks that were run to their end.
    made
        Partitions of these.
    seconds
        Seconds in their runs.
    computing
        Seconds of these in domain functions; the rest is what it costs to run and store them.
    stopped
        Whether the user stopped it.
    dead_runs, recovered
        What had to be mended before it began.
    record
        What becomes of the account; None if there is none, or it is made again by force.
    """

    chunks: list[Chunk]
    done: int = 0
    seconds: float = 0.0
    computing: float = 0.0
    made: int = 0
    stopped: bool = False
    dead_runs: list[str] = field(default_factory=list)
    recovered: dict[str, list[date]] = field(default_factory=dict)
    record: RecordPlan | None = None

    def count_computing(self, seconds: float) -> None:
        """Add the seconds of one call of a domain function."""
        self.computing += seconds

    @property
    def overhead(self) -> float | None:
        """Seconds of a partition outside of domain functions; None if nothing was run."""
        return (self.seconds - self.computing) / self.made if self.made else None


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
    progress: Callable[[Chunk, bool], None] = lambda _chunk, _ended: None,
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
    definitions = graph.definitions(report.count_computing) if chunks else None
    failed: dict[str, QuantError] = {}
    for planned in chunks:
        if definitions is None or _stands_on(planned, failed, graph):
            continue
        progress(planned, False)
        begun = time.perf_counter()
        try:
            run_chunk(definitions, instance, planned)
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            _cancel(instance)
            report.stopped = True
            return report
        except QuantError as error:
            failed[planned.job] = error
            continue
        finally:
            report.seconds += time.perf_counter() - begun
        report.done += 1
        report.made += planned.partitions
        progress(planned, True)
    if failed:
        raise _with_notes(failed)
    return report


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


def run_chunk(definitions: dg.Definitions, instance: dg.DagsterInstance, chunk: Chunk) -> None:
    """Run one chunk; raise the typed error of its first failed step.

    Raises
    ------
    KeyboardInterrupt
        The user stopped it. Dagster took the interrupt for a failure.
    """
    result = definitions.resolve_job_def(chunk.job).execute_in_process(
        instance=instance,
        asset_selection=[stage.key for stage in chunk.stages],
        run_config=_QUIET,
        tags={
            _RANGE_START: chunk.sessions[0].isoformat(),
            _RANGE_END: chunk.sessions[-1].isoformat(),
            PROCESS_TAG: process_tag(),
        },
        raise_on_error=False,
    )
    if not result.success:
        events = list(result.all_events)
        if was_interrupted(events):
            instance.report_run_canceled(result.dagster_run, _STOPPED)
            raise KeyboardInterrupt
        raise first_error(events)


def _cancel(instance: dg.DagsterInstance) -> None:
    """Record this process's unfinished run as canceled."""
    unfinished = dg.RunsFilter(
        statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.NOT_STARTED],
        tags={PROCESS_TAG: process_tag()},
    )
    for run in instance.get_runs(unfinished):
        instance.report_run_canceled(run, _STOPPED)
