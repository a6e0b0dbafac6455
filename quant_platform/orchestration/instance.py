"""The embedded Dagster instance, and the repair of its view after a crash.

1. ``open_instance`` opens the instance of ``dagster_home``; a missing one is a sentence.
2. ``fail_dead_runs`` marks runs as failed whose process is gone: a killed ``quant`` cannot say so.
3. ``report_unknown`` tells Dagster of partitions that the provenance log has and the instance
   lacks: after a kill the files are there and their events are not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, DagsterRunStatus
from dagster._core.events import StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._time import get_current_timestamp

from quant_platform.errors import InstanceError
from quant_platform.lakehouse.lake import Lake
from quant_platform.orchestration.stage import Stage
from quant_platform.settings import Settings

PROCESS_TAG = "quant/process"
_RUNLESS = ""
_UNFINISHED = [
    DagsterRunStatus.STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.CANCELING,
]


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Open the instance of the project.

    Raises
    ------
    InstanceError
        When ``dagster_home`` has no ``dagster.yaml`` or its storage cannot be opened.
    """
    home = settings.dagster_home
    if not (home / "dagster.yaml").is_file():
        raise InstanceError(
            f"there is no dagster.yaml in {home}",
            expected="the instance configuration that the project ships",
            mend="restore dagster_home/dagster.yaml, or set QUANT_PLATFORM__DAGSTER_HOME",
        )
    os.environ["DAGSTER_HOME"] = str(home)
    try:
        return dg.DagsterInstance.from_config(str(home))
    except Exception as error:
        raise InstanceError(
            f"the Dagster instance in {home} cannot be opened ({_first_line(error)})",
            expected="a readable and writable instance",
            mend="check the folder's permissions and dagster.yaml; its history can be moved away "
            "and is rebuilt from the lake",
        ) from error


def process_tag() -> str:
    """Tag value that names this process, so that a successor can tell whether it lives."""
    return f"{os.getpid()}:{_started(os.getpid())}"


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark in-process runs as failed whose process is gone.

    Returns
    -------
    list of str
        Their run ids.
    """
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        tag = run.tags.get(PROCESS_TAG)
        if tag is not None and not _lives(tag):
            instance.report_run_failed(run, "The process that ran it is gone.")
            dead.append(run.run_id)
    return dead


def report_unknown(
    instance: dg.DagsterInstance, lake: Lake, stages: Sequence[Stage]
) -> dict[str, list[date]]:
    """Tell Dagster of stored partitions that it has no materialisation of.

    Returns
    -------
    dict
        Table → sessions reported.
    """
    reported: dict[str, list[date]] = {}
    for stage in stages:
        lake.store(stage.table).repair()
        stored = lake.entries(stage.table)
        if not stored:
            continue
        known = instance.get_materialized_partitions(stage.key)
        unknown = [
            day for day in stored if day.isoformat() not in known and stage.calendar.contains(day)
        ]
        if unknown:
            events = [_materialised(stage.key, day, stored[day].rows) for day in unknown]
            instance.event_log_storage.store_event_batch(events)
            reported[stage.table] = unknown
    return reported


def _materialised(key: dg.AssetKey, session: date, rows: int) -> EventLogEntry:
    """Build a materialisation event that belongs to no run."""
    materialization = dg.AssetMaterialization(
        key,
        partition=session.isoformat(),
        metadata={"dagster/partition_row_count": rows},
        description="Found in the lake; the run that made it ended before it could say so.",
    )
    event = DagsterEvent(
        event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
        event_specific_data=StepMaterializationData(materialization),
        job_name=_RUNLESS,
    )
    # Dagster's record is made by a constructor without types.
    entry: EventLogEntry = EventLogEntry(  # type: ignore[no-untyped-call]
        user_message="",
        level=10,
        job_name=_RUNLESS,
        run_id=_RUNLESS,
        error_info=None,
        timestamp=get_current_timestamp(),
        dagster_event=event,
    )
    return entry


def _lives(tag: str) -> bool:
    """Whether the process that a tag names is still running."""
    number, _, started = tag.partition(":")
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return _started(int(number)) == started


def _started(process: int) -> str:
    """When a process started, in the kernel's ticks; empty where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[19]


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
