"""The embedded instance: opened or told why not, dead runs marked, lost events reported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRun, DagsterRunStatus

from quant_platform.errors import InstanceError
from quant_platform.lakehouse.lake import Lake
from quant_platform.orchestration.instance import (
    PROCESS_TAG,
    fail_dead_runs,
    open_instance,
    process_tag,
    report_unknown,
)
from quant_platform_tests.small_project import REPOSITORY, SmallProject, small_settings

Make = Callable[..., SmallProject]
FIRST, LAST = date(2022, 1, 3), date(2022, 1, 7)
TABLES = [
    f"{sleeve}/{kind}"
    for sleeve in ("instruments", "crypto")
    for kind in ("features_trend", "features_state")
]
SMALL = {"platform__embedded_market__symbols_per_sleeve": 2, "tables": TABLES}


# -- opening ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configuration", "sentence"),
    [
        (None, "there is no dagster.yaml in"),
        ("storage: [", "cannot be opened"),
        ("nonsense: 1", "cannot be opened"),
        ("storage:\n  custom: {module: nowhere.at.all, class: X, config: {}}", "cannot be opened"),
    ],
    ids=["absent", "no yaml", "unknown key", "unknown class"],
)
def test_an_instance_that_cannot_be_opened_is_a_sentence(
    tmp_path: Path, configuration: str | None, sentence: str
) -> None:
    home = tmp_path / "dagster_home"
    if configuration is not None:
        home.mkdir()
        (home / "dagster.yaml").write_text(configuration)
    with pytest.raises(InstanceError, match=sentence) as told:
        open_instance(small_settings(tmp_path))
    assert str(home) in str(told.value)
    assert "\n" not in str(told.value)


def test_storage_that_is_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", home)
    (home / "history").write_text("a file where Dagster wants a folder")
    with (
        pytest.raises(InstanceError, match="cannot be opened"),
        open_instance(small_settings(tmp_path)) as instance,
    ):
        instance.get_runs_count()


def test_a_whole_instance_opens(small_project: Make) -> None:
    project = small_project(**SMALL)
    assert project.instance.get_runs_count() == 0
    assert os.environ["DAGSTER_HOME"] == str(project.settings.dagster_home)


# -- dead runs -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """Open one instance for all; a test leaves no dead run behind."""
    project = SmallProject.create(tmp_path_factory.mktemp("instance"), **SMALL)
    yield project.instance
    project.close()


def add_run(instance: dg.DagsterInstance, tag: str | None, status: DagsterRunStatus) -> str:
    tags = {} if tag is None else {PROCESS_TAG: tag}
    return instance.add_run(DagsterRun(job_name="daily", status=status, tags=tags)).run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.fixture
def ended_process() -> str:
    """Tag of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    process.communicate(b"\n")
    return f"{process.pid}:{started}"


@pytest.mark.parametrize(
    "status",
    [
        DagsterRunStatus.STARTED,
        DagsterRunStatus.STARTING,
        DagsterRunStatus.NOT_STARTED,
        DagsterRunStatus.CANCELING,
    ],
)
def test_a_run_whose_process_is_gone_is_marked_failed(
    instance: dg.DagsterInstance, ended_process: str, status: DagsterRunStatus
) -> None:
    dead = add_run(instance, ended_process, status)
    assert fail_dead_runs(instance) == [dead]
    assert status_of(instance, dead) == DagsterRunStatus.FAILURE
    assert fail_dead_runs(instance) == []


def test_another_process_under_the_same_number_is_not_the_one(instance: dg.DagsterInstance) -> None:
    number, _, started = process_tag().partition(":")
    assert int(number) == os.getpid()
    recycled = add_run(instance, f"{number}:{int(started) - 1}", DagsterRunStatus.STARTED)
    assert fail_dead_runs(instance) == [recycled]


@pytest.mark.parametrize("tag", ["", "no number", "-:-", "999999999:1"])
def test_a_tag_that_names_no_process_is_that_of_a_dead_one(
    instance: dg.DagsterInstance, tag: str
) -> None:
    assert fail_dead_runs(instance) == []
    run_id = add_run(instance, tag, DagsterRunStatus.STARTED)
    assert fail_dead_runs(instance) == [run_id]


def test_living_finished_and_foreign_runs_are_left_alone(
    instance: dg.DagsterInstance, ended_process: str
) -> None:
    runs = {
        add_run(instance, process_tag(), DagsterRunStatus.STARTED): DagsterRunStatus.STARTED,
        add_run(instance, None, DagsterRunStatus.STARTED): DagsterRunStatus.STARTED,
        add_run(instance, ended_process, DagsterRunStatus.SUCCESS): DagsterRunStatus.SUCCESS,
        add_run(instance, ended_process, DagsterRunStatus.CANCELED): DagsterRunStatus.CANCELED,
    }
    assert fail_dead_runs(instance) == []
    assert {run_id: status_of(instance, run_id) for run_id in runs} == runs


# -- what Dagster does not know --------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill a small project once; tests copy its lake."""
    folder = tmp_path_factory.mktemp("filled")
    project = SmallProject.create(folder, **SMALL)
    project.fill(FIRST, LAST)
    project.close()
    return folder


@pytest.fixture
def forgetful(filled: Path, tmp_path: Path) -> Iterator[SmallProject]:
    """Open a filled lake with an instance that knows nothing of it."""
    shutil.copytree(filled / "lake", tmp_path / "lake")
    project = SmallProject.create(tmp_path, **SMALL)
    yield project
    project.close()


def materialised(project: SmallProject, table: str) -> set[str]:
    return project.instance.get_materialized_partitions(project.stage(table).key)


def test_stored_partitions_that_dagster_lacks_are_reported_once(forgetful: SmallProject) -> None:
    stages = forgetful.graph.stages
    reported = report_unknown(forgetful.instance, forgetful.lake, stages)
    assert set(reported) == {stage.table for stage in stages}
    for stage in stages:
        stored = forgetful.lake.entries(stage.table)
        assert reported[stage.table] == list(stored)
        assert materialised(forgetful, stage.table) == {day.isoformat() for day in stored}
        event = forgetful.instance.get_latest_materialization_event(stage.key)
        assert event is not None
        assert event.asset_materialization is not None
        (count,) = event.asset_materialization.metadata.values()
        assert count.value == stored[max(stored)].rows
    assert report_unknown(forgetful.instance, forgetful.lake, stages) == {}


def test_only_what_is_lacking_is_reported(forgetful: SmallProject) -> None:
    stage = forgetful.graph.stages[0]
    day = next(iter(forgetful.lake.entries(stage.table)))
    forgetful.instance.report_runless_asset_event(
        dg.AssetMaterialization(stage.key, partition=day.isoformat())
    )
    reported = report_unknown(forgetful.instance, forgetful.lake, [stage])
    assert day not in reported[stage.table]
    assert len(reported[stage.table]) == len(forgetful.lake.entries(stage.table)) - 1


def test_an_interrupted_write_is_completed_and_reported(forgetful: SmallProject) -> None:
    table = "crypto/bars"
    layout, entries = forgetful.lake.layout(table), forgetful.lake.entries(table)
    day = max(session for session, entry in entries.items() if entry.filed)
    lines = layout.log.read_bytes().splitlines(keepends=True)
    layout.log.write_bytes(b"".join(line for line in lines if day.isoformat().encode() not in line))
    layout.pending.write_text(day.isoformat())
    lake = Lake.open(forgetful.lake.root, clock=forgetful.lake.clock)
    reported = report_unknown(forgetful.instance, lake, [forgetful.stage(table)])
    assert day in reported[table]
    assert lake.provenance(table, day).note
    assert not layout.pending.exists()


def test_an_empty_lake_has_nothing_to_report(small_project: Make) -> None:
    project = small_project(**SMALL)
    assert report_unknown(project.instance, project.lake, project.graph.stages) == {}


def test_a_backfill_mends_the_instance_and_makes_nothing_anew(forgetful: SmallProject) -> None:
    dead = add_run(forgetful.instance, "999999999:1", DagsterRunStatus.STARTED)
    report = forgetful.fill(FIRST, LAST)
    assert report.dead_runs == [dead]
    assert set(report.recovered) == {stage.table for stage in forgetful.graph.stages}
    assert report.chunks == []
