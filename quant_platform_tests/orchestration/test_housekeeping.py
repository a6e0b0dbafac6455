"""Housekeeping on a project that was made twice: what goes, what stays, and that nobody notices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from quant_platform.errors import LakeError
from quant_platform.lakehouse.health import examine
from quant_platform.orchestration import housekeeping
from quant_platform.orchestration.event_log import BatchedSqliteEventLog
from quant_platform.orchestration.housekeeping import LOG_DAYS, Tidied, tidy
from quant_platform.orchestration.instance import report_unknown
from quant_platform.orchestration.jobs import EVENING_TAG
from quant_platform.orchestration.locks import job_lock
from quant_platform_tests.small_project import SmallProject

FIRST, LAST = date(2022, 1, 3), date(2022, 1, 14)
TABLES = ["instruments/bars", "instruments/features_state"]


def opened(folder: Path, **changes: Any) -> SmallProject:
    return SmallProject.create(folder, tables=TABLES, **changes)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[SmallProject]:
    """Make a market, another one over it, and that one once more over the second half."""
    first = opened(tmp_path)
    first.fill(FIRST, LAST, chunk=5)
    first.close()
    second = opened(tmp_path, platform__embedded_market__seed=8)
    second.fill(FIRST, LAST, chunk=5)
    second.fill(date(2022, 1, 10), LAST, chunk=5, force=True)
    yield second
    second.close()


def cleaned(project: SmallProject, **options: Any) -> Tidied:
    options = {"keep": 2, **options}
    return tidy(project.lake, project.instance, list(project.graph.jobs), **options)


def told(project: SmallProject) -> dict[str, Any]:
    """Ask lake and instance for what must not change."""
    instance, lake = project.instance, project.lake
    log = instance.event_log_storage
    checks = [key for stage in project.graph.stages for key in _checks(project, stage.key)]
    return {
        "rows": {
            stage.table: lake.scan(stage.table).collect().rows() for stage in project.graph.stages
        },
        "hashes": {stage.table: project.hashes(stage.table) for stage in project.graph.stages},
        "health": [list(examine(lake, table, deep=True)) for table in lake.tables()],
        "materialised": {
            stage.table: sorted(instance.get_materialized_partitions(stage.key))
            for stage in project.graph.stages
        },
        "latest": {
            stage.table: log.get_latest_storage_id_by_partition(
                stage.key, dg.DagsterEventType.ASSET_MATERIALIZATION
            )
            for stage in project.graph.stages
        },
        "records": repr(instance.get_asset_records([stage.key for stage in project.graph.stages])),
        "checks": repr(log.get_latest_asset_check_execution_by_key(checks)),
    }


def _checks(project: SmallProject, key: dg.AssetKey) -> list[dg.AssetCheckKey]:
    graph = project.graph.definitions().resolve_asset_graph()
    return sorted(graph.get_check_keys_for_assets({key}))


def runs(project: SmallProject) -> set[str]:
    return {run.run_id for run in project.instance.get_runs()}


def test_what_was_made_over_goes_and_nobody_notices(project: SmallProject) -> None:
    before, many = told(project), runs(project)
    counted = cleaned(project, keep=0, dry_run=True)
    assert (told(project), runs(project)) == (before, many)
    done = cleaned(project, keep=0)
    assert told(project) == before
    assert done.superseded == counted.superseded
    assert done.superseded.count > 20
    assert done.events is not None
    assert counted.events is not None
    assert done.events.count == counted.events.count > 50
    # Of the three backfills the first goes with all of its runs; of the second, the half that the
    # third repeated made contents that are still those of the lake.
    assert done.runs is not None
    assert done.runs.count == len(many) - len(runs(project)) == 2
    assert cleaned(project, keep=0).superseded.count == 0
    assert report_unknown(project.instance, project.lake, project.graph.stages) == {}
    assert project.fill(FIRST, LAST).chunks == []


def test_a_version_that_is_kept_keeps_its_run(project: SmallProject) -> None:
    many = runs(project)
    done = cleaned(project, keep=1)
    assert done.superseded.count == 0
    assert runs(project) == many
    for day in project.lake.entries(TABLES[0]):
        for version in project.lake.versions(TABLES[0], day):
            assert version.entry.stamp.run_id in many


def test_runs_that_somebody_may_ask_for_stay_until_they_are_old(project: SmallProject) -> None:
    newest_first = [run.run_id for run in project.instance.get_runs()]
    *_, second, first = newest_first
    project.instance.add_run_tags(first, {EVENING_TAG: "2022-01-07"})
    failed = project.instance.create_run_for_job(
        project.graph.definitions().resolve_job_def("us_daily"), status=DagsterRunStatus.STARTED
    )
    project.instance.report_run_failed(failed, "on purpose")
    cleaned(project, keep=0)
    assert runs(project) >= {first, failed.run_id}
    assert second not in runs(project)
    before = told(project)
    done = cleaned(project, keep=0, now=datetime.now(UTC) + timedelta(days=LOG_DAYS + 1))
    assert first not in runs(project)
    assert told(project) == before
    # The others keep their record and lose their log.
    log = project.instance.event_log_storage
    assert isinstance(log, BatchedSqliteEventLog)
    assert done.logs is not None
    assert done.logs.count == len(runs(project)) == 4
    assert all(log.log_size(run) == 0 for run in newest_first)


def test_a_run_at_work_keeps_everything_in_place(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "LOCK_SECONDS", 0.0)
    before, many = told(project), runs(project)
    job = next(iter(project.graph.jobs))
    with (
        job_lock(project.lake.root, job),
        pytest.raises(LakeError, match=f"job.{job}.lock is locked by"),
    ):
        cleaned(project, keep=0)
    assert (told(project), runs(project)) == (before, many)
    # And while it is at work itself, no run begins.
    entered, leave = threading.Event(), threading.Event()
    real = housekeeping.trim_drafts

    def waits(*args: Any, **options: Any) -> Any:
        entered.set()
        leave.wait(30)
        return real(*args, **options)

    monkeypatch.setattr(housekeeping, "trim_drafts", waits)
    worker = threading.Thread(target=cleaned, args=(project,))
    worker.start()
    try:
        assert entered.wait(30)
        with (
            pytest.raises(LakeError, match="is locked by"),
            job_lock(project.lake.root, job, timeout=0),
        ):
            pass
    finally:
        leave.set()
        worker.join()


@pytest.mark.parametrize("step", ["trim_drafts", "kept_runs", "forget_run", "compact"])
def test_a_crash_at_any_step_is_made_good_by_the_next(
    project: SmallProject, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = told(project)
    owner: Any = housekeeping if hasattr(housekeeping, step) else BatchedSqliteEventLog
    real = getattr(owner, step)

    def dies(*args: Any, **options: Any) -> Any:
        real(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, dies)
        with pytest.raises(KeyboardInterrupt):
            cleaned(project, keep=0)
    assert told(project) == before
    cleaned(project, keep=0)
    assert told(project) == before
    assert len(runs(project)) == 3
    again = cleaned(project, keep=0)
    assert again.superseded.count == 0
    assert again.events is not None
    assert again.runs is not None
    assert (again.events.count, again.runs.count) == (0, 0)
