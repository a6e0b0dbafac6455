"""Range runs under kill −9: nothing torn, the rerun completes, Dagster's view is mended."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from quant_platform_tests.end_to_end.killed_runs import FIRST, TABLES, Hashes, KilledRuns, problems
from quant_platform_tests.small_project import SmallProject

LAST = date(2022, 2, 4)
POINTS = 8


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KilledRuns, Hashes, float]]:
    folder = tmp_path_factory.mktemp("killed")
    killer = KilledRuns(folder, LAST)
    hashes, seconds = killer.undisturbed()
    yield killer, hashes, seconds
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, POINTS))]
)
def test_a_killed_range_run_is_completed_by_the_next(
    runs: tuple[KilledRuns, Hashes, float], seed: int
) -> None:
    killer, hashes, seconds = runs
    # Spread over the run: the moments of eight seeds do not fall together by chance.
    moment = (seed + random.Random(seed).random()) / POINTS
    outcome = killer.kill_and_rerun(f"killed-{seed}", seconds * moment, hashes)
    assert outcome.problems == []


def test_the_examination_sees_what_a_crash_could_leave(tmp_path: Path) -> None:
    project = SmallProject.create(tmp_path, tables=TABLES)
    project.fill(FIRST, date(2022, 1, 14))
    hashes = {t: {str(d): h for d, h in project.hashes(t).items()} for t in project.lake.tables()}
    assert list(problems(project, hashes)) == []
    part = project.lake.layout("crypto/bars").part(date(2022, 1, 5))
    part.write_bytes(part.read_bytes()[:-7])
    with project.lake.layout("instruments/bars").log.open("ab") as log:
        log.write(b'{"session":"2022-01')
    project.instance.wipe_assets([project.stage("instruments/bars").key])
    found = " ".join(problems(project, hashes | {"crypto/features_trend": {}}))
    for trace in (
        "crypto/bars 2022-01-05",
        "the log of instruments/bars ends in a torn line",
        "Dagster knows 0 of 10 partitions of instruments/bars",
        "crypto/features_trend differs",
    ):
        assert trace in found
    project.close()
