"""One run of a job at a time: an advisory lock that a command line and a daemon's run share.

Two runs of one job would interleave their sessions, and a carried state would be made from a
half-written one. The lock file lies in the lake, because that is what the runs share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg

from quant_platform.lakehouse.files import file_lock
from quant_platform.orchestration.failures import typed_failures

WAIT_SECONDS = 900.0
"""A chunk of a backfill takes well under this; a run that waits longer says who holds the lock."""


class JobLock(dg.ConfigurableResource["JobLock"]):
    """Held by each run from its first step to its last.

    Parameters
    ----------
    lake_root
        Folder of the lake.
    jobs
        Job of each table: a run of single assets takes the lock of the job that they belong to.
    """

    lake_root: str
    jobs: dict[str, str]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[JobLock]:
        """Hold the lock of the run's job."""
        run = context.run
        name = run.job_name if run is not None else "adhoc"
        if run is not None and run.asset_selection and name not in self.jobs.values():
            table = min("/".join(key.path) for key in run.asset_selection)
            name = self.jobs.get(table, name)
        with ExitStack() as held:
            with typed_failures():
                held.enter_context(job_lock(Path(self.lake_root), name))
            yield self


@contextmanager
def job_lock(lake_root: Path, job: str, *, timeout: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock of a job.

    Parameters
    ----------
    lake_root
        Folder of the lake.
    job
        Name of the job.
    timeout
        Seconds to wait for another run.
    """
    with file_lock(lake_root / "_locks" / f"job.{job}.lock", timeout=timeout):
        yield
