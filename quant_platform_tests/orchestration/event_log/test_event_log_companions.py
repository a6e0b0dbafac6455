"""The databases of runs and schedules are those that stock makes, opened with or without it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRun
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage

from quant_platform.orchestration.event_log.companions import (
    KeptOpenRunStorage,
    KeptOpenScheduleStorage,
)

PAIRS = [(KeptOpenRunStorage, SqliteRunStorage), (KeptOpenScheduleStorage, SqliteScheduleStorage)]
SPOILT = {
    "nothing is there": None,
    "an empty file": "",
    "no version": "DELETE FROM alembic_version",
    "no table of versions": "DROP TABLE alembic_version",
    "no table beside them": "DROP TABLE IF EXISTS instance_info",
}


def database(folder: Path) -> Path:
    return next(folder.glob("*.db"))


def contents(folder: Path) -> tuple[Any, ...]:
    """Statements that made a database, and its version."""
    with closing(sqlite3.connect(database(folder))) as file:
        made = file.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
        return made, file.execute("SELECT * FROM alembic_version").fetchall()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the databases of both kinds, each in a folder under the name of its storage."""
    folder = tmp_path_factory.mktemp("whole")
    for _own, stock in PAIRS:
        stock.from_local(str(folder / stock.__name__)).dispose()
    return folder


@pytest.mark.parametrize(("own", "stock"), PAIRS)
@pytest.mark.parametrize("statement", SPOILT.values(), ids=SPOILT.keys())
def test_what_is_not_whole_is_made_as_stock_makes_it(
    tmp_path: Path, whole: Path, own: Any, stock: Any, statement: str | None
) -> None:
    found = []
    for storage in (own, stock):
        folder = tmp_path / storage.__name__
        if statement is not None:
            shutil.copytree(whole / stock.__name__, folder)
            path = database(folder)
            if statement:
                with closing(sqlite3.connect(path)) as file:
                    file.execute(statement)
                    file.commit()
            else:
                path.unlink()
                path.touch()
        opened = storage.from_local(str(folder))
        assert type(opened) is storage
        opened.dispose()
        found.append(contents(folder))
    assert found[0] == found[1]
    assert found[0][1], "there is a version"


@pytest.mark.parametrize(("own", "stock"), PAIRS)
def test_what_is_whole_is_opened_as_it_is(
    tmp_path: Path, whole: Path, own: Any, stock: Any
) -> None:
    folder = tmp_path / "opened"
    shutil.copytree(whole / stock.__name__, folder)
    own.from_local(str(folder)).dispose()
    assert contents(folder) == contents(whole / stock.__name__)


def test_runs_are_there_when_their_file_is_opened_again(tmp_path: Path) -> None:
    first = KeptOpenRunStorage.from_local(str(tmp_path))
    run = first.add_run(DagsterRun(job_name="daily"))
    first.dispose()
    again = KeptOpenRunStorage.from_local(str(tmp_path))
    assert again.get_run_ids() == [run.run_id]
    assert again.get_run_storage_id() == first.get_run_storage_id()
    again.dispose()
