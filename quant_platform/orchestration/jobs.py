"""Jobs and schedules: one partitioned job per calendar, and the evening's clock.

What belongs here: which assets run together, with which executor, and when. What does not: what the
assets are. A job is the documented way to backfill: its assets run chunk by chunk, all together,
where the asset graph would launch them asset after asset.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from quant_platform.calendars import SessionCalendar
from quant_platform.orchestration.stage import Stage

EVENING_TAG = "quant/evening"
JOB_TAG = "quant/job"
CLOCK_CALENDAR = "XNYS"
"""Only this calendar's job has a clock; the others follow it."""
SCHEDULE_DELAY = timedelta(minutes=5)


def daily_job(name: str, stages: Sequence[Stage]) -> dg.UnresolvedAssetJobDefinition:
    """Job over tables of one calendar, in one process.

    Parameters
    ----------
    name
        Name of the job.
    stages
        Its stages, all on one calendar.
    """
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*(stage.key for stage in stages)),
        partitions_def=stages[0].partitions,
        executor_def=dg.in_process_executor,
        tags={JOB_TAG: name},
        description=f"All tables on the sessions of {stages[0].calendar.code}. Backfill it with "
        "'quant backfill' or from this job's Backfill page.",
    )


def evening_schedule(
    job: dg.UnresolvedAssetJobDefinition, calendar: SessionCalendar
) -> dg.ScheduleDefinition:
    """Clock of the evening: shortly after the cutoff of each session.

    Parameters
    ----------
    job
        Job to run.
    calendar
        Its calendar; a day without a new session is skipped with the reason.
    """
    moment = calendar.grace + SCHEDULE_DELAY
    minutes = int(moment.total_seconds()) // 60

    @dg.schedule(
        name=f"{job.name}_evening",
        job=job,
        cron_schedule=f"{minutes % 60} {minutes // 60} * * *",
        execution_timezone="UTC",
        description="Runs the session whose cutoff has just passed.",
    )
    def evening(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time
        session = calendar.latest(now)
        if now - calendar.cutoff(session) > timedelta(days=1):
            return dg.SkipReason(f"no session ended since the cutoff of {session}")
        key = session.isoformat()
        return dg.RunRequest(run_key=key, partition_key=key, tags={EVENING_TAG: key})

    return evening
