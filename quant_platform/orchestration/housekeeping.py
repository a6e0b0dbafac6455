"""Housekeeping: what ``quant gc`` removes from the lake and from the Dagster instance.

1. The locks of all jobs are held, so that no run is at work; a run that comes waits.
2. Superseded files and drafts go, table by table (``lakehouse.trimming``).
3. Superseded events go from the event log's index (``orchestration.event_log.trimming``).
4. A run goes, record and log, once nothing leans on it: it has ended, none of its events is the
   latest of anything, no content that is still there was made by it. Failed runs, and the runs of
   evenings, whose records keep the sensors from asking twice, stay for ``LOG_DAYS`` all the same.
5. Of the runs that stay, those that ended before that keep their record and lose their log.

A crash in between leaves more than necessary and nothing that is wrong: each step removes what the
next run of this module would find again. Events go before the record of their run, which is what
names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterRunStatus, RunRecord
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.tags import RUN_KEY_TAG

from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.trimming import Freed, kept_runs, trim_drafts, trim_table
from quant_platform.orchestration.event_log import BatchedSqliteEventLog
from quant_platform.orchestration.jobs import EVENING_TAG
from quant_platform.orchestration.locks import job_lock

LOG_DAYS = 90
"""As long as the instance keeps what its schedules and sensors did."""
LOCK_SECONDS = 10.0
"""Whoever runs a job now takes minutes: say so, rather than wait."""


@dataclass
class Tidied:
    """What was removed, or would be.

    Parameters
    ----------
    superseded, drafts
        Files of the lake.
    events, runs, logs
        Of the instance; None where its storage is not the embedded one.
    """

    superseded: Freed = field(default_factory=Freed)
    drafts: Freed = field(default_factory=Freed)
    events: Freed | None = None
    runs: Freed | None = None
    logs: Freed | None = None


def tidy(
    lake: Lake,
    instance: dg.DagsterInstance,
    jobs: Sequence[str],
    *,
    keep: int,
    dry_run: bool = False,
    now: datetime | None = None,
) -> Tidied:
    """Remove what nobody reads any more.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    jobs
        Every job that writes to the lake.
    keep
        Superseded contents of each partition that stay.
    dry_run
        Whether to count only. Nothing is locked then, and a run at work changes the count.
    now
        Wall clock; the system's by default.
    """
    done = Tidied()
    with ExitStack() as held:
        if not dry_run:
            for job in sorted(jobs):
                held.enter_context(job_lock(lake.root, job, timeout=LOCK_SECONDS))
        leaned_on: set[str] = set()
        for table in lake.tables():
            superseded, drafts = trim_table(lake, table, keep, dry_run=dry_run)
            done.superseded += superseded
            done.drafts += drafts
            leaned_on |= kept_runs(lake, table)
        done.drafts += trim_drafts(lake, dry_run=dry_run)
        log = instance.event_log_storage
        if isinstance(log, BatchedSqliteEventLog):
            events, in_use = log.trim(dry_run=dry_run)
            since = (now or datetime.now(UTC)) - timedelta(days=LOG_DAYS)
            done.runs, done.logs = _trim_runs(
                instance, log, leaned_on | in_use, since, dry_run=dry_run
            )
            done.events = Freed(events, 0 if dry_run else log.compact())
    return done


def _trim_runs(
    instance: dg.DagsterInstance,
    log: BatchedSqliteEventLog,
    leaned_on: set[str],
    since: datetime,
    *,
    dry_run: bool,
) -> tuple[Freed, Freed]:
    """Remove runs that nothing leans on, and the logs of old ones."""
    runs, logs = Freed(), Freed()
    for record in instance.get_run_records(dg.RunsFilter(statuses=FINISHED_STATUSES)):
        run_id = record.dagster_run.run_id
        old = _ended(record) < since
        if run_id not in leaned_on and (old or not _worth_keeping(record)):
            runs += Freed(1, log.log_size(run_id))
            if not dry_run:
                log.forget_run(run_id)
                instance.run_storage.delete_run(run_id)
        elif old and log.log_size(run_id):
            logs += Freed(1, log.log_size(run_id))
            if not dry_run:
                log.delete_log(run_id)
    return runs, logs


def _worth_keeping(record: RunRecord) -> bool:
    """Whether somebody may still ask for a run although what it made is superseded."""
    tags = record.dagster_run.tags
    asked_for = EVENING_TAG in tags or RUN_KEY_TAG in tags
    return asked_for or record.dagster_run.status is DagsterRunStatus.FAILURE


def _ended(record: RunRecord) -> datetime:
    """When a run ended; one that says nothing of it ended when its record changed last."""
    if record.end_time is None:
        return record.update_timestamp.replace(tzinfo=UTC)
    return datetime.fromtimestamp(record.end_time, UTC)
