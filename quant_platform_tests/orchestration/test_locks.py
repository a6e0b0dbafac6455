"""One run of a job at a time, whoever starts it."""

import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from quant_platform.errors import LakeError
from quant_platform.orchestration import locks
from quant_platform.orchestration.locks import JobLock, job_lock
from quant_platform_tests.small_project import SmallProject

Make = Callable[..., SmallProject]
DAY = date(2022, 1, 3)
SMALL = {
    "platform__embedded_market__symbols_per_sleeve": 2,
    "tables": ["instruments/features_state"],
}


@dg.asset(key=["x", "bars"], required_resource_keys={"job_lock"})
def bars(context: dg.AssetExecutionContext) -> None:
    """Say which locks are held while this runs."""
    root = Path(context.resources.job_lock.lake_root)
    held = []
    for job in ("daily", "weekly", "__ASSET_JOB"):
        try:
            with job_lock(root, job, timeout=0):
                pass
        except LakeError:
            held.append(job)
    context.add_output_metadata({"held": held})


def held_during(root: Path, job: str | None) -> list[str]:
    """Run the asset through a job, or on its own, and return the locks that were held."""
    resources = {"job_lock": JobLock(lake_root=str(root), jobs={"x/bars": "daily"})}
    definitions = dg.Definitions(
        [bars], resources=resources, jobs=[dg.define_asset_job("daily", [bars])]
    )
    with dg.DagsterInstance.ephemeral() as instance:
        name = job or "__ASSET_JOB"
        result = definitions.resolve_job_def(name).execute_in_process(
            instance=instance, asset_selection=[bars.key]
        )
    (event,) = result.get_asset_materialization_events()
    held = event.materialization.metadata["held"].value
    assert isinstance(held, list)
    return held


def test_a_run_of_a_job_holds_the_jobs_lock(tmp_path: Path) -> None:
    assert held_during(tmp_path, "daily") == ["daily"]
    with job_lock(tmp_path, "daily", timeout=0):
        pass


def test_a_run_of_single_assets_holds_the_lock_of_their_job(tmp_path: Path) -> None:
    assert held_during(tmp_path, None) == ["daily"]


def test_jobs_do_not_wait_for_one_another(tmp_path: Path) -> None:
    with job_lock(tmp_path, "weekly", timeout=0):
        assert held_during(tmp_path, "daily") == ["daily", "weekly"]


def test_a_second_holder_waits_for_the_first(tmp_path: Path) -> None:
    order = []
    inside, go = threading.Event(), threading.Event()

    def first() -> None:
        with job_lock(tmp_path, "daily"):
            inside.set()
            go.wait()
            order.append("first")

    holder = threading.Thread(target=first)
    holder.start()
    inside.wait()
    with pytest.raises(LakeError, match="locked by"), job_lock(tmp_path, "daily", timeout=0):
        order.append("never")
    go.set()
    with job_lock(tmp_path, "daily", timeout=60):
        order.append("second")
    holder.join()
    assert order == ["first", "second"]


def test_a_run_that_waits_in_vain_fails_with_the_sentence_and_makes_nothing(
    small_project: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = small_project(**SMALL)
    job = next(iter(project.graph.jobs))
    monkeypatch.setattr(locks.job_lock.__wrapped__, "__kwdefaults__", {"timeout": 0.0})
    with (
        job_lock(project.lake.root, job),
        pytest.raises(LakeError, match=rf"job\.{job}\.lock is locked by"),
    ):
        project.fill(DAY, DAY, jobs=[job])
    assert project.lake.tables() == []
    assert project.fill(DAY, DAY, jobs=[job]).tally.done == 1


def test_the_lock_is_given_back_when_a_run_fails(small_project: Make) -> None:
    project = small_project(**SMALL)
    job = next(iter(project.graph.jobs))
    # The state of a session needs the one before it, which was never made.
    later = date(2022, 1, 10)
    with pytest.raises(Exception, match="cannot be made"):
        project.fill(later, later, jobs=[job])
    with job_lock(project.lake.root, job, timeout=0):
        pass
