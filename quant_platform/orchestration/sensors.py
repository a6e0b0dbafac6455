"""What follows the clock: the other jobs of an evening, the orders, and the alarm.

The clock starts one job (``jobs.evening_schedule``). Assets of two calendars cannot share a job and
two clocks would race, so the rest of the evening follows by looking at what has ended:

1. A job of another calendar starts when the clock's job of that day has ended, well or badly: it
   does not read its tables. On a day without a session of the clock's calendar it has an evening of
   its own.
2. The portfolio's job starts when the jobs of all calendars have succeeded for that evening. It
   makes everything but the orders.
3. The orders go out when the latest evening is ready: its gates were judged by an evening's run and
   nothing has changed them since, all verdicts passed, it is early enough before the next open, and
   nothing went out before.

A run that somebody starts at noon carries no evening's tag and sends no orders, and a range that is
filled between two ticks hides no evening: the sensor looks at the latest session, not at the newest
event.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg
from dagster import DagsterRunStatus
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as Job,
)

from quant_platform.calendars import SessionCalendar
from quant_platform.execution.readiness import killed
from quant_platform.lakehouse.lake import Lake
from quant_platform.orchestration.assets.execution import ORDERS, READY
from quant_platform.orchestration.assets.reports import DAILY
from quant_platform.orchestration.jobs import EVENING_TAG
from quant_platform.orchestration.stage import Stage
from quant_platform.settings.execution import ExecutionSettings
from quant_platform.settings.platform import PORTFOLIO_JOB

Clock = Callable[[], datetime]

TICK_SECONDS = 30
_DAY = timedelta(days=1)
_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
_ALARM = logging.getLogger("quant_platform.alarm")


@dataclass(frozen=True)
class Evening:
    """The jobs of an evening and the calendars that they run on.

    Parameters
    ----------
    clock_job
        Job that the schedule starts.
    clock
        Its calendar.
    followers
        Jobs of the other calendars.
    portfolio
        Stages of the portfolio's job; empty if there is none.
    """

    clock_job: str
    clock: SessionCalendar
    followers: Mapping[str, SessionCalendar]
    portfolio: Sequence[Stage]

    @classmethod
    def of(cls, jobs: Mapping[str, Sequence[Stage]], clock_job: str) -> Evening:
        """Read the jobs of a graph."""
        others = {name: stages[0].calendar for name, stages in jobs.items() if name != clock_job}
        others.pop(PORTFOLIO_JOB, None)
        clock = jobs[clock_job][0].calendar
        return cls(clock_job, clock, others, jobs.get(PORTFOLIO_JOB, ()))


def chain_sensor(evening: Evening, jobs: Mapping[str, Job], clock: Clock) -> dg.SensorDefinition:
    """Sensor that starts the jobs that follow the clock's.

    Parameters
    ----------
    evening
        Jobs of the evening.
    jobs
        Their definitions.
    clock
        Wall clock.
    """

    @dg.sensor(
        name="evening_chain",
        jobs=[job for name, job in jobs.items() if name != evening.clock_job],
        minimum_interval_seconds=TICK_SECONDS,
        description="Starts the jobs of other calendars after the clock's job, and then the "
        "portfolio's.",
    )
    def chain(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return what_follows(evening, context.instance, clock())

    return chain


def what_follows(evening: Evening, instance: dg.DagsterInstance, now: datetime) -> dg.SensorResult:
    """Say which jobs may start now, or what they wait for.

    Parameters
    ----------
    evening
        Jobs of the evening.
    instance
        Knows the runs.
    now
        Wall clock.
    """
    requests: list[dg.RunRequest] = []
    waiting: list[str] = []
    for name, calendar in evening.followers.items():
        session = calendar.latest(now)
        due = evening.clock.contains(session)
        if now - calendar.cutoff(session) > _DAY:
            waiting.append(f"no session of {name} ended since the cutoff of {session}")
        elif _runs(instance, name, session):
            waiting.append(f"{name} of {session} was started")
        elif due and not _runs(instance, evening.clock_job, session, _ENDED):
            waiting.append(f"{name} of {session} waits for {evening.clock_job}")
        else:
            requests.append(_request(name, session))
    session = evening.clock.latest(now)
    if evening.portfolio and now - evening.clock.cutoff(session) <= _DAY:
        needed = {evening.clock_job: session} | {
            name: calendar.at_or_before(session) for name, calendar in evening.followers.items()
        }
        lacking = [
            f"{name} of {day}"
            for name, day in needed.items()
            if not _runs(instance, name, day, [DagsterRunStatus.SUCCESS])
        ]
        if _runs(instance, PORTFOLIO_JOB, session):
            waiting.append(f"{PORTFOLIO_JOB} of {session} was started")
        elif lacking:
            waiting.append(f"{PORTFOLIO_JOB} of {session} waits for {' and '.join(lacking)}")
        else:
            made = [stage.key for stage in evening.portfolio if not stage.acts]
            requests.append(_request(PORTFOLIO_JOB, session, made))
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason("; ".join(waiting)),
    )


def execution_sensor(
    evening: Evening, job: Job, lake: Lake, clock: Clock, account: ExecutionSettings
) -> dg.SensorDefinition:
    """Sensor that sends the orders of a ready evening, once.

    Parameters
    ----------
    evening
        Jobs of the evening.
    job
        The portfolio's job.
    lake
        Holds the verdicts.
    clock
        Wall clock.
    account
        How long before the next open the orders must be out; the kill switch.
    """

    @dg.sensor(
        name="execution",
        job=job,
        minimum_interval_seconds=TICK_SECONDS,
        description="Sends the orders of the latest evening when its gates are open, and makes its "
        "report again.",
    )
    def execute(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = clock()
        session = evening.clock.latest(now)
        reason = why_not(evening.clock, lake, context.instance, now, account)
        if reason is not None:
            return dg.SensorResult(skip_reason=dg.SkipReason(reason))
        request = dg.RunRequest(
            run_key=f"execute:{session}",
            partition_key=session.isoformat(),
            asset_selection=[
                stage.key for stage in evening.portfolio if stage.acts or stage.table == DAILY
            ],
            tags={EVENING_TAG: session.isoformat()},
        )
        return dg.SensorResult(run_requests=[request])

    return execute


def why_not(
    calendar: SessionCalendar,
    lake: Lake,
    instance: dg.DagsterInstance,
    now: datetime,
    account: ExecutionSettings,
) -> str | None:
    """Say why the orders of the latest session may not go out now; None if they may.

    Parameters
    ----------
    calendar
        Calendar of portfolios.
    lake
        Holds the verdicts.
    instance
        Knows which run was an evening's.
    now
        Wall clock.
    account
        How long before the next open the orders must be out; the kill switch.
    """
    session = calendar.latest(now)
    if killed(session, account):
        return f"the kill switch is on since {account.gates.kill_switch}"
    margin = timedelta(minutes=account.margin_minutes)
    closes = calendar.open(calendar.offset(session, 1)) - margin
    if now >= closes:
        return f"the orders of {session} had to be out by {closes:%Y-%m-%d %H:%M} UTC"
    if session in lake.log(ORDERS).latest():
        return f"the orders of {session} are out"
    return _closed(lake, instance, session)


def _closed(lake: Lake, instance: dg.DagsterInstance, session: date) -> str | None:
    """Say why an evening is not ready by its gates; None if it is."""
    latest = lake.log(READY).latest().get(session)
    if latest is None:
        return f"the gates of {session} have not been judged"
    if latest.verdict == "blocked":
        causes = [str(outcome.get("cause")) for outcome in latest.outcomes if outcome.get("cause")]
        return f"the evening of {session} is blocked: {'; '.join(causes) or 'a rule failed'}"
    if not any(
        entry.content_hash == latest.content_hash
        and _is_evening(instance, entry.stamp.run_id, session)
        for entry in lake.log(READY).history(session)
    ):
        return f"the gates of {session} were not judged by the evening's own run"
    gates = lake.scan(READY, [session]).select("ready", "reasons").collect()
    if not gates.height:
        return f"there is no account yet on {session}"
    ready, reasons = gates.row(0)
    return None if ready else f"the gates of {session} are closed: {', '.join(reasons)}"


def alarm_sensor() -> dg.SensorDefinition:
    """Sensor that says in the log which run failed."""

    @dg.run_failure_sensor(
        name="failure_alarm",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=TICK_SECONDS,
        description="Writes every failed run to the log, with its evening.",
    )
    def alarm(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        told = run.tags.get(EVENING_TAG, "no evening")
        _ALARM.error("%s failed (run %s, %s): %s", run.job_name, run.run_id, told, _cause(context))

    return alarm


def _cause(context: dg.RunFailureSensorContext) -> str:
    """First line of what the failed step or the run said."""
    for event in context.get_step_failure_events():
        told = event.step_failure_data.user_failure_data
        if told is not None and told.description:
            return told.description.splitlines()[0]
    return context.failure_event.message.splitlines()[0] if context.failure_event.message else "?"


def _request(job: str, session: date, assets: Sequence[dg.AssetKey] | None = None) -> dg.RunRequest:
    key = session.isoformat()
    return dg.RunRequest(
        run_key=f"{job}:{key}",
        job_name=job,
        partition_key=key,
        asset_selection=assets,
        tags={EVENING_TAG: key},
    )


def _runs(
    instance: dg.DagsterInstance,
    job: str,
    session: date,
    statuses: list[DagsterRunStatus] | None = None,
) -> bool:
    """Whether there is an evening's run of a job, with one of these statuses if any are given."""
    tags = {EVENING_TAG: session.isoformat()}
    found = instance.get_runs(dg.RunsFilter(job_name=job, tags=tags, statuses=statuses), limit=1)
    return bool(found)


def _is_evening(instance: dg.DagsterInstance, run_id: str, session: date) -> bool:
    """Whether a run was an evening's of this session."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.tags.get(EVENING_TAG) == session.isoformat()
