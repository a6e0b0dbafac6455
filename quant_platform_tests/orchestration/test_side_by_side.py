"""Jobs side by side: the same lake as one after another, and every way in which they can end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from quant_platform.errors import InstanceError, LakeError
from quant_platform.orchestration import backfill as module
from quant_platform.orchestration.plan import Chunk
from quant_platform.orchestration.side_by_side import waves
from quant_platform_tests.small_project import SmallProject

FIRST, SOON, LAST = date(2022, 1, 3), date(2022, 1, 5), date(2022, 1, 7)
PATIENCE = 60.0
US, COINS, PORTFOLIO = "us_daily", "crypto_daily", "portfolio_daily"
SMALL = {
    "platform__embedded_market__symbols_per_sleeve": 4,
    "platform__walk_forward_start": FIRST.isoformat(),
    "platform__rebalance__step": 1,
    "execution__opened": date(2022, 1, 5).isoformat(),
}


@pytest.fixture(autouse=True)
def _every_job_is_worth_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH_A_PROCESS", 1)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[SmallProject]:
    made = SmallProject.create(tmp_path / "two", **SMALL)
    yield made
    made.close()


def test_what_reads_of_others_comes_after_them(project: SmallProject) -> None:
    jobs = project.graph.jobs
    chunks = [
        Chunk(job, tuple(stages[:1]), (day,), 1)
        for job, stages in jobs.items()
        for day in (FIRST, date(2022, 1, 4))
    ]
    dealt = waves(chunks, jobs)
    assert [[chunk.job for job in wave for chunk in job] for wave in dealt] == [
        [COINS, COINS, US, US],
        [PORTFOLIO, PORTFOLIO],
    ]


def test_two_processes_make_what_one_makes(project: SmallProject, tmp_path: Path) -> None:
    told: list[tuple[str, bool]] = []
    report = project.fill(
        FIRST, LAST, processes=2, progress=lambda chunk, ended: told.append((chunk.job, ended))
    )
    alone = SmallProject.create(tmp_path / "one", **SMALL)
    expected = alone.fill(FIRST, LAST)
    alone.close()
    assert (report.tally.done, report.tally.made) == (expected.tally.done, expected.tally.made)
    for stage in project.graph.stages:
        assert project.hashes(stage.table) == alone.hashes(stage.table), stage.table
    assert sorted(told) == sorted((c.job, e) for c in report.chunks for e in (False, True))
    # Both processes' runs are the instance's, and what they computed is counted.
    runs = project.instance.get_runs()
    assert {run.job_name for run in runs} == {US, COINS, PORTFOLIO}
    assert {run.status for run in runs} == {DagsterRunStatus.SUCCESS}
    assert len({run.tags["quant/process"] for run in runs}) == 2
    assert 0 < report.computing < report.seconds
    assert project.fill(FIRST, LAST, processes=2).chunks == []


def test_a_job_that_fails_beside_is_told_and_the_other_one_is_kept(project: SmallProject) -> None:
    in_the_way = project.lake.root / "crypto"
    in_the_way.write_text("a file where the coins' tables should be")
    with pytest.raises(LakeError, match="crypto"):
        project.fill(FIRST, SOON, processes=2)
    made = {run.job_name: run.status for run in project.instance.get_runs()}
    assert made == {US: DagsterRunStatus.SUCCESS, COINS: DagsterRunStatus.FAILURE}


def test_a_process_that_dies_is_told(project: SmallProject) -> None:
    def kill(chunk: Chunk, ended: bool) -> None:
        if chunk.job == COINS and not ended:
            deadline = time.monotonic() + PATIENCE
            while not (runs := unfinished(project.instance, COINS)):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(int(runs[0].tags["quant/process"].partition(":")[0]), signal.SIGKILL)

    with pytest.raises(InstanceError, match=f"process of {COINS} ended with exit code -9"):
        project.fill(FIRST, SOON, jobs=[US, COINS], processes=2, progress=kill)
    # What it was at is made by the next one.
    project.fill(FIRST, SOON, jobs=[US, COINS])
    assert project.fill(FIRST, SOON, jobs=[US, COINS]).chunks == []


def test_ctrl_c_stops_both(project: SmallProject) -> None:
    def interrupt(chunk: Chunk, ended: bool) -> None:
        if chunk.job == COINS and not ended:
            os.kill(os.getpid(), signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    report = project.fill(FIRST, SOON, processes=2, progress=interrupt)
    assert report.tally.stopped
    assert unfinished(project.instance) == []
    assert PORTFOLIO not in {run.job_name for run in project.instance.get_runs()}
    project.fill(FIRST, SOON, jobs=[US, COINS])
    assert project.fill(FIRST, SOON, jobs=[US, COINS]).chunks == []


def unfinished(instance: dg.DagsterInstance, job: str | None = None) -> list[dg.DagsterRun]:
    statuses = [DagsterRunStatus.STARTED, DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING]
    return list(instance.get_runs(dg.RunsFilter(statuses=statuses, job_name=job)))
