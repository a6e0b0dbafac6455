"""Few files stay open, a replaced file is opened anew, nobody is pinned to the past or unheard."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from dagster._core.events.log import EventLogEntry

from quant_platform.orchestration.event_log import BatchedSqliteEventLog
from quant_platform.orchestration.event_log.connections import SqliteConnections
from quant_platform_tests.orchestration.event_log.test_event_log import batch
from quant_platform_tests.orchestration.event_log.test_event_log_events import (
    databases,
    engine_note,
)


def test_few_files_stay_open(tmp_path: Path) -> None:
    files = SqliteConnections(keep_open=3)
    paths = [tmp_path / f"{number}.db" for number in range(8)]
    for path in paths:
        with files.transaction(path) as connection:
            connection.exec_driver_sql("create table t (x)")
    assert files.open_paths() == paths[-3:]
    open_now = {link.readlink() for link in Path("/proc/self/fd").iterdir() if link.exists()}
    assert open_now.isdisjoint(paths[:-3])
    files.close()
    assert files.open_paths() == []


def test_a_file_in_use_is_not_closed_for_another(tmp_path: Path) -> None:
    files = SqliteConnections(keep_open=1)
    with files.transaction(tmp_path / "used.db") as used:
        for number in range(3):
            with files.transaction(tmp_path / f"{number}.db") as other:
                other.exec_driver_sql("create table t (x)")
        used.exec_driver_sql("create table t (x)")
    with closing(sqlite3.connect(tmp_path / "used.db")) as connection:
        assert connection.execute("select count(*) from t").fetchone() == (0,)
    files.close()


def test_a_shard_deleted_by_another_process_is_made_anew(tmp_path: Path) -> None:
    log = BatchedSqliteEventLog(str(tmp_path))
    log.store_event_batch(batch())
    for file in tmp_path.glob("run.db*"):
        file.unlink()
    log.store_event_batch(batch())
    assert len(log.get_records_for_run("run").records) == len(batch())
    assert len(databases(tmp_path)["run.db"]["event_logs"]) == len(batch())
    log.dispose()


def test_a_cursor_left_half_read_does_not_pin_the_past(tmp_path: Path) -> None:
    files = SqliteConnections()
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("pragma journal_mode=wal")
        writer.execute("create table t (x)")
        writer.executemany("insert into t values (?)", [(number,) for number in range(1000)])
        writer.commit()
        with files.transaction(path) as connection:
            forgotten = connection.exec_driver_sql("select x from t")
            assert forgotten.fetchone() is not None
        writer.execute("delete from t")
        writer.commit()
        with files.transaction(path) as connection:
            assert connection.exec_driver_sql("select count(*) from t").scalar() == 0
    files.close()


def test_a_forked_child_opens_its_own_connections(tmp_path: Path) -> None:
    files = SqliteConnections()
    path = tmp_path / "x.db"
    with files.engine(path) as engine, engine.connect() as connection:
        connection.exec_driver_sql("create table t (x)")

    def use_as_child() -> None:
        with files.engine(path) as own, own.connect() as connection:
            connection.exec_driver_sql("insert into t values (1)")
            connection.commit()
            os._exit(3 if own is engine else 0)

    child = multiprocessing.get_context("fork").Process(target=use_as_child)
    child.start()
    child.join()
    assert child.exitcode == 0
    with files.transaction(path) as connection:
        assert connection.exec_driver_sql("select count(*) from t").scalar() == 1
    files.close()


def test_a_watcher_hears_of_events_that_another_storage_writes(tmp_path: Path) -> None:
    log = BatchedSqliteEventLog(str(tmp_path))
    heard: list[EventLogEntry] = []
    complete = threading.Event()

    def hear(event: EventLogEntry, _cursor: str) -> None:
        heard.append(event)
        if len(heard) == len(batch()):
            complete.set()

    writer = BatchedSqliteEventLog(str(tmp_path))
    writer.store_event(engine_note())
    log.watch("run", str(log.get_records_for_run("run").cursor), hear)
    writer.store_event_batch(batch())
    assert complete.wait(30)
    assert heard == batch()
    log.end_watch("run", hear)
    log.dispose()
    writer.dispose()
