"""Runs in this process: planned chunks, one Dagster run each, until done, failed or stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterRunStatus
from dagster._core.errors import DagsterExecutionInterruptedError

from quant_platform.errors import QuantError
from quant_platform.orchestration.failures import first_error, was_interrupted
from quant_platform.orchestration.instance import PROCESS_TAG, process_tag
from quant_platform.orchestration.plan import Chunk

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_STOPPED = "Stopped by the user."
_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"


@dataclass
class Tally:
    """What one process did.

    Parameters
    ----------
    done
        Chunks that were run to their end.
    made
        Partitions of these.
    seconds
        Seconds in their runs.
    computing
        Seconds of these in domain functions and pictures of their results; the rest is what it
        costs to run and store them.
    error
        What the first chunk that failed died of.
    stopped
        Whether the user stopped it.
    """

    done: int = 0
    made: int = 0
    seconds: float = 0.0
    computing: float = 0.0
    error: QuantError | None = None
    stopped: bool = False

    def count_computing(self, seconds: float) -> None:
        """Add the seconds of one call of a domain function."""
        self.computing += seconds

    def add(self, other: Tally) -> None:
        """Add what another one did; errors are not added up."""
        self.done += other.done
        self.made += other.made
        self.seconds += other.seconds
        self.computing += other.computing
        self.stopped |= other.stopped


def run_chunks(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    chunks: Sequence[Chunk],
    tally: Tally,
    progress: Callable[[Chunk, bool], None],
) -> None:
    """Run the chunks of one job one after another; the first failure ends it.

    Parameters
    ----------
    definitions
        Definitions that have the job.
    instance
        Instance that records the runs.
    chunks
        Chunks in the order in which they must run.
    tally
        Is told what was done and how it ended.
    progress
        Told before and after each chunk.
    """
    for chunk in chunks:
        progress(chunk, False)
        begun = time.perf_counter()
        try:
            run_chunk(definitions, instance, chunk)
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            _cancel(instance)
            tally.stopped = True
            return
        except QuantError as error:
            tally.error = error
            return
        finally:
            tally.seconds += time.perf_counter() - begun
        tally.done += 1
        tally.made += chunk.partitions
        progress(chunk, True)


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
