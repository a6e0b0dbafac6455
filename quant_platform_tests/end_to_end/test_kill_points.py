"""A writer killed between two given system calls: what is left, and what the next run does."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_platform.lakehouse.content import frame_hash, partition_hashes
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.store import read_footer
from quant_platform_tests.end_to_end import kill_points
from quant_platform_tests.end_to_end.kill_points import BARS, POINTS, TABLES, TREND, fill
from quant_platform_tests.end_to_end.killed_runs import Hashes, problems
from quant_platform_tests.end_to_end.published import (
    FIRST,
    NYSE,
    SECURITIES,
    bar_of,
    clean_rows,
    corrected,
    garbled,
    published,
)
from quant_platform_tests.end_to_end.stories import attempt
from quant_platform_tests.small_project import SmallProject

Make = Callable[..., SmallProject]
DAY = tuple(NYSE.offset(FIRST, n) for n in range(8))
LAST = DAY[-1]
BLOCKED = DAY[3]


def new_rows() -> pl.DataFrame:
    """Rows that change every session, put some in quarantine and block one session."""
    rows = clean_rows(LAST).with_columns(volume=pl.col("volume") + 1)
    rows = garbled(rows, bar_of(DAY[1], SECURITIES[0]) | bar_of(BLOCKED, *SECURITIES[:3]))
    return corrected(rows, bar_of(DAY[2], SECURITIES[5]), 1.1, DAY[5])


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["quant_platform_tests.end_to_end.warm_server"])
    return context


@pytest.fixture(scope="module")
def lakes(
    tmp_path_factory: pytest.TempPathFactory, processes: ForkServerContext
) -> Iterator[tuple[Path, Hashes, Hashes]]:
    """Make a project of the old rows, and the hashes that it has before and after the new ones."""
    folder = tmp_path_factory.mktemp("points")
    old, new = folder / "old", folder / "new"
    run(processes, old, clean_rows(LAST))
    shutil.copytree(old, new)
    run(processes, new, new_rows())
    yield old, hashes(old), hashes(new)
    shutil.rmtree(folder)


def run(
    processes: ForkServerContext,
    folder: Path,
    rows: pl.DataFrame,
    point: Callable[[], None] | None = None,
    **changes: Any,
) -> None:
    """Fill a project in a process that must end well, or by the kill of its point."""
    process = processes.Process(target=fill, args=(folder, rows, LAST, changes, point))
    process.start()
    process.join()
    assert process.exitcode == (0 if point is None else -signal.SIGKILL)


def hashes(folder: Path) -> Hashes:
    lake = Lake.open(folder / "lake")
    return {
        table: {
            str(day): "blocked" if entry.verdict == "blocked" else entry.content_hash
            for day, entry in lake.entries(table).items()
        }
        for table in lake.tables()
    }


def torn_files(root: Path) -> list[Path]:
    """Files under a final name that do not hold what their footer says."""
    torn = []
    lake = Lake.open(root)
    for path in root.glob("**/[!.]*.parquet"):
        entry = read_footer(path)
        rows = pl.read_parquet(path, hive_partitioning=False)
        content = frame_hash(rows, lake.layout(entry.table).contract.key)
        shelved = "_superseded" in path.parts
        if content != entry.content_hash or (shelved and path.stem != content):
            torn.append(path)
    return torn


@pytest.mark.parametrize(
    "point",
    [
        *POINTS[::3],
        *(pytest.param(p, marks=pytest.mark.slow) for p in POINTS if p not in POINTS[::3]),
    ],
    ids=lambda point: point.__name__,
)
def test_the_next_run_completes_what_was_interrupted(
    lakes: tuple[Path, Hashes, Hashes],
    processes: ForkServerContext,
    tmp_path: Path,
    point: Callable[[], None],
) -> None:
    old, _before, expected = lakes
    folder = tmp_path / "killed"
    shutil.copytree(old, folder)
    run(processes, folder, new_rows(), point)
    assert torn_files(folder / "lake") == []
    project = SmallProject.create(folder, sources=published(new_rows()), tables=TABLES)
    project.fill(FIRST, LAST, jobs=["us_daily"], force=True)
    assert list(problems(project, expected)) == []
    assert torn_files(project.lake.root) == []
    assert project.fill(FIRST, LAST, jobs=["us_daily"]).chunks == []
    project.close()


def killed_at(
    point: Callable[[], None],
    lakes: tuple[Path, Hashes, Hashes],
    processes: ForkServerContext,
    folder: Path,
) -> SmallProject:
    """Open a project whose run was killed at a point, before anything mended it."""
    shutil.copytree(lakes[0], folder)
    run(processes, folder, new_rows(), point)
    return SmallProject.create(folder, sources=published(new_rows()), tables=TABLES)


def test_a_renamed_partition_is_recovered_from_its_footer(
    lakes: tuple[Path, Hashes, Hashes], processes: ForkServerContext, tmp_path: Path
) -> None:
    _old, before, after = lakes
    project = killed_at(kill_points.renamed_and_not_logged, lakes, processes, tmp_path / "killed")
    lake = project.lake
    assert project.hashes(TREND) == {day: before[TREND][str(day)] for day in DAY}
    recovered = lake.store(TREND).repair()
    assert 2 <= len(recovered) <= 4
    mended = project.hashes(TREND)
    for day in DAY:
        assert mended[day] == (after if day in recovered else before)[TREND][str(day)]
        assert lake.store(TREND).sound(lake.provenance(TREND, day))
    for day in recovered:
        assert lake.provenance(TREND, day).note == "recovered from the footer"
        assert lake.versions(TREND, day)[0].entry.content_hash == before[TREND][str(day)]
    assert not lake.layout(TREND).pending.exists()
    assert not list(lake.root.glob("**/.part.parquet*"))
    assert lake.store(TREND).repair() == []
    project.close()


def test_a_linked_partition_stays_what_it_was(
    lakes: tuple[Path, Hashes, Hashes], processes: ForkServerContext, tmp_path: Path
) -> None:
    _old, before, _after = lakes
    project = killed_at(kill_points.linked_and_not_renamed, lakes, processes, tmp_path / "killed")
    lake = project.lake
    assert list(lake.root.glob("**/.part.parquet*"))
    recovered = lake.store(TREND).repair()
    for day in set(DAY) - set(recovered):
        assert lake.provenance(TREND, day).content_hash == before[TREND][str(day)]
        assert [version.current for version in lake.versions(TREND, day)] == [True]
    assert not list(lake.root.glob("**/.part.parquet*"))
    project.close()


def test_readers_of_a_table_whose_writer_died_get_the_old_or_the_new(
    lakes: tuple[Path, Hashes, Hashes], processes: ForkServerContext, tmp_path: Path
) -> None:
    project = killed_at(
        kill_points.bars_renamed_and_not_logged, lakes, processes, tmp_path / "killed"
    )
    _old, before, after = lakes
    contract = project.lake.layout(BARS).contract
    read = partition_hashes(project.lake.scan(BARS).collect(), contract.key, contract.partition)
    assert read.keys() == set(DAY)
    changed = [day for day in DAY if read[day] != before[BARS][str(day)]]
    assert changed
    assert [read[day] for day in changed] == [after[BARS][str(day)] for day in changed]
    # A run of only what stands on it: no writer of the bars comes by to complete their log.
    assert attempt(project, [TREND], FIRST, LAST) is None
    notes = [entry.note for entry in project.lake.entries(BARS).values()]
    assert "recovered from the footer" in notes
    project.close()


def test_a_withdrawn_partition_leaves_no_twin_for_the_views(
    lakes: tuple[Path, Hashes, Hashes], processes: ForkServerContext, tmp_path: Path
) -> None:
    project = killed_at(kill_points.blocked_beside_the_old, lakes, processes, tmp_path / "killed")
    layout = project.lake.layout(BARS)
    assert layout.part(BLOCKED).exists()
    assert layout.blocked(BLOCKED).exists()
    assert BLOCKED in project.lake.store(BARS).repair()
    assert not layout.part(BLOCKED).exists()
    assert BLOCKED not in project.lake.sessions(BARS)
    project.close()


def test_a_closure_is_withdrawn_in_the_end(
    lakes: tuple[Path, Hashes, Hashes], processes: ForkServerContext, tmp_path: Path
) -> None:
    old, before, _after = lakes
    folder = tmp_path / "killed"
    shutil.copytree(old, folder)
    declared = {"platform__extra_holidays": {"XNYS": [DAY[4].isoformat()]}}
    rows = clean_rows(LAST).filter(~bar_of(DAY[4]))
    run(processes, folder, rows, kill_points.withdrawn_and_not_logged, **declared)
    lake = Lake.open(folder / "lake")
    assert lake.entries(BARS)[DAY[4]].verdict == "passed"
    assert not lake.layout(BARS).part(DAY[4]).exists()
    project = SmallProject.create(folder, sources=published(rows), tables=TABLES, **declared)
    project.fill(FIRST, LAST, jobs=["us_daily"])
    for table in before:
        assert lake.entries(table)[DAY[4]].verdict == "blocked"
        assert len(lake.sessions(table)) == len(DAY) - 1
    assert list(problems(project, hashes(folder))) == []
    project.close()
