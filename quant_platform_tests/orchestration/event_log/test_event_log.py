"""Batches are whole or absent, hold what they may hold, and the shipped instance file uses them."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
import yaml
from dagster import AssetKey, DagsterEventType
from dagster._core.events import AssetMaterializationPlannedData, DagsterEventBatchMetadata
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.base import EventRecordsFilter

from quant_platform.orchestration.event_log import (
    EVENT_BATCH_SIZE,
    BatchedSqliteEventLog,
    BatchedSqliteStorage,
    connections,
)
from quant_platform.orchestration.event_log.companions import (
    KeptOpenRunStorage,
    KeptOpenScheduleStorage,
)
from quant_platform_tests.orchestration.event_log.test_event_log_events import (
    check_planned,
    databases,
    engine_note,
    entry,
    materialized,
    observed,
    planned,
)

HOME = Path(__file__).parents[3] / "dagster_home"
DAYS = [f"2024-01-{day:02d}" for day in range(2, 12)]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[BatchedSqliteEventLog]:
    log = BatchedSqliteEventLog(str(tmp_path))
    yield log
    log.dispose()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((HOME / "dagster.yaml").read_text())
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", str(home))
        environment.setenv("DAGSTER_EVENT_BATCH_SIZE", str(EVENT_BATCH_SIZE))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance


def batch(run_id: str = "run") -> list[EventLogEntry]:
    """One of each covered kind, twice over two assets."""
    return [
        *(planned([asset], day, run_id=run_id) for asset in "ab" for day in DAYS),
        check_planned(["a"], run_id=run_id),
        *(materialized([asset], day, run_id=run_id) for asset in "ab" for day in DAYS),
        observed(["c"], DAYS[0], run_id=run_id),
    ]


# --- a failed batch leaves neither file changed ------------------------------------------------


@contextmanager
def _unserialisable(_folder: Path, events: list[EventLogEntry]) -> Iterator[None]:
    broken = materialized(["a"], DAYS[0])._replace(user_message=object())
    events.insert(len(events) // 2, broken)
    yield
    events.remove(broken)


@contextmanager
def _refused_row(path: Path) -> Iterator[None]:
    """Refuse the row of the batch's last event, as a full disk or a violated constraint would."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "create trigger refuse before insert on event_logs "
            "when new.dagster_event_type = 'ASSET_OBSERVATION' "
            "begin select raise(abort, 'refused'); end"
        )
        connection.commit()
        try:
            yield
        finally:
            connection.execute("drop trigger refuse")
            connection.commit()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("begin immediate")
        yield
        connection.rollback()


FAILURES: dict[str, Callable[[Path, list[EventLogEntry]], Any]] = {
    "an event that cannot be serialised": _unserialisable,
    "a row refused by the run's shard": lambda folder, _: _refused_row(folder / "run.db"),
    "a row refused by the index": lambda folder, _: _refused_row(folder / "index.db"),
    "a locked run shard": lambda folder, _: _locked(folder / "run.db"),
    "a locked index": lambda folder, _: _locked(folder / "index.db"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_batch_changes_neither_file(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT_SECONDS", 0.05)
    log = BatchedSqliteEventLog(str(tmp_path))
    log.store_event_batch([planned(["a"], "2024-01-01"), materialized(["a"], "2024-01-01")])
    before = databases(tmp_path)
    events = batch()
    with FAILURES[failure](tmp_path, events), pytest.raises(Exception, match=r".") as raised:
        log.store_event_batch(events)
    assert not isinstance(raised.value, AssertionError)
    assert databases(tmp_path) == before
    log.store_event_batch(events)
    assert len(databases(tmp_path)["index.db"]["event_logs"]) == 2 + len(events)
    log.dispose()


def test_a_shard_that_cannot_be_committed_takes_the_index_back(tmp_path: Path) -> None:
    """The disk is full for the shard's log only, and only when its commit writes it."""
    log = BatchedSqliteEventLog(str(tmp_path))
    log.store_event_batch([materialized(["a"], "2024-01-01"), planned(["a"], "2024-01-01")])
    for note in range(40):
        log.store_event(engine_note(message=str(note) + "x" * 20_000))
    log.store_event_batch(batch("other"))
    shard_log = (tmp_path / "run.db-wal").stat().st_size
    assert shard_log > 2 * (tmp_path / "index.db-wal").stat().st_size
    before = databases(tmp_path)
    with _files_end_at(shard_log), pytest.raises(db.exc.OperationalError):
        log.store_event_batch(batch())
    assert databases(tmp_path) == before
    log.store_event_batch(batch())
    assert len(log.get_records_for_run("run").records) == 42 + len(batch())
    log.dispose()


def test_an_interrupt_between_two_commits_takes_the_index_back(tmp_path: Path) -> None:
    log = BatchedSqliteEventLog(str(tmp_path))
    log.store_event_batch([materialized(["a"], "2024-01-01"), planned(["a"], "2024-01-01")])
    before = databases(tmp_path)

    def interrupted(connection: db.engine.Connection) -> None:
        if str(connection.engine.url).endswith("run.db"):
            raise KeyboardInterrupt

    db.event.listen(db.engine.Engine, "commit", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            log.store_event_batch(batch())
    finally:
        db.event.remove(db.engine.Engine, "commit", interrupted)
    assert databases(tmp_path) == before
    log.store_event_batch(batch())
    assert len(log.get_records_for_run("run").records) == 2 + len(batch())
    log.dispose()


@contextmanager
def _files_end_at(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, which SQLite sees as a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


def test_after_a_failed_batch_dagster_stores_each_event_once(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = instance.event_log_storage
    failed: list[int] = []
    store = BatchedSqliteEventLog.store_event_batch

    def store_then_fail_once(self: BatchedSqliteEventLog, events: list[EventLogEntry]) -> None:
        folder = Path(self._base_dir)
        with _refused_row(folder / "index.db"):
            failed.append(len(events))
            store(self, events)

    events = batch()
    log.store_event(engine_note())
    monkeypatch.setattr(BatchedSqliteEventLog, "store_event_batch", store_then_fail_once)
    for number, event in enumerate(events):
        last = number == len(events) - 1
        instance.handle_new_event(event, batch_metadata=DagsterEventBatchMetadata("id", last))
    assert failed == [len(events)]
    assert [record.event_log_entry for record in log.get_records_for_run("run").records][1:] == (
        events
    )
    assert instance.get_materialized_partitions(AssetKey("a")) == set(DAYS)
    materializations = instance.fetch_materializations(AssetKey("a"), limit=1000).records
    assert len(materializations) == len(DAYS)


# --- what a batch may hold -------------------------------------------------------------------


def test_events_that_no_batch_covers_go_the_stock_way(log: BatchedSqliteEventLog) -> None:
    events = [engine_note(), materialized(["a"], DAYS[0]), engine_note(message="later")]
    log.store_event_batch(events)
    stored = [record.event_log_entry for record in log.get_records_for_run("run").records]
    assert stored == [events[1], events[0], events[2]]


@pytest.mark.parametrize("alone", [True, False], ids=["as the only event", "in a batch"])
def test_the_plan_of_a_range_is_stored_as_plans_of_its_partitions(
    alone: bool, log: BatchedSqliteEventLog
) -> None:
    log.store_event(range_plan()) if alone else log.store_event_batch([range_plan(), *batch()[:1]])
    plans = log.get_records_for_run("run", limit=3).records
    assert [plan.event_log_entry for plan in plans] == [planned(["a"], day) for day in DAYS[:3]]


def test_the_plan_of_a_range_stays_whole_for_a_user_who_asks_for_that(
    log: BatchedSqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS", "true")
    log.store_event_batch([range_plan(), planned(["b"], DAYS[0])])
    stored = [record.event_log_entry for record in log.get_records_for_run("run").records]
    assert stored == [range_plan(), planned(["b"], DAYS[0])]


def range_plan() -> EventLogEntry:
    subset = dg.DailyPartitionsDefinition(DAYS[0]).subset_with_partition_keys(DAYS[:3])
    data = AssetMaterializationPlannedData(
        AssetKey("a"), partitions_subset=subset.to_serializable_subset()
    )
    return entry(DagsterEventType.ASSET_MATERIALIZATION_PLANNED, data)


def test_one_batch_may_hold_several_runs(log: BatchedSqliteEventLog) -> None:
    events = [
        materialized(["a"], day, run_id=f"run{number % 3}") for number, day in enumerate(DAYS)
    ]
    log.store_event_batch(events)
    for number in range(3):
        stored = [log_.event_log_entry for log_ in log.get_records_for_run(f"run{number}").records]
        assert stored == events[number::3]
    assert log.get_materialized_partitions(AssetKey("a")) == set(DAYS)


def test_runless_events_are_seen_by_every_query(instance: dg.DagsterInstance) -> None:
    key = AssetKey(["lake", "bars"])
    events = [materialized(key.path, day, run_id="", step=None) for day in DAYS]
    instance.event_log_storage.store_event_batch(events)
    assert instance.get_materialized_partitions(key) == set(DAYS)
    assert instance.get_latest_materialization_event(key) == events[-1]
    records = instance.fetch_materializations(key, limit=100).records
    assert [record.partition_key for record in records] == DAYS[::-1]
    (asset,) = instance.get_asset_records([key])
    assert asset.asset_entry.last_run_id == ""
    assert asset.asset_entry.last_materialization == events[-1]
    by_type = EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION)
    assert len(instance.event_log_storage.get_event_records(by_type)) == len(DAYS)
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        key, DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
    )
    assert set(tags) == set(DAYS)


def test_after_a_wipe_no_event_inherits_another_assets_tags(log: BatchedSqliteEventLog) -> None:
    log.store_event_batch([materialized(["a"], day, version="old") for day in DAYS])
    log.wipe_asset(AssetKey("a"))
    log.store_event_batch([planned(["b"], day) for day in DAYS])
    assert log.get_event_tags_for_asset(AssetKey("b")) == []
    kind = DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    assert log.get_latest_tags_by_partition(AssetKey("b"), kind, ["dagster/data_version"]) == {}


def test_a_run_of_any_size_can_be_deleted(log: BatchedSqliteEventLog, tmp_path: Path) -> None:
    log.store_event_batch(batch())
    log.store_event_batch(batch("huge"))
    with closing(sqlite3.connect(tmp_path / "index.db")) as index:
        index.execute(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 40000) "
            "insert into event_logs (run_id, event, dagster_event_type, asset_key) "
            "select 'huge', '', 'ASSET_MATERIALIZATION', 'x' from n"
        )
        index.commit()
    log.delete_events("huge")
    index_left = databases(tmp_path)["index.db"]
    assert {row[1] for row in index_left["event_logs"]} == {"run"}
    assert len(index_left["asset_event_tags"]) == 2 * len(DAYS) + 1


def test_a_new_file_has_stocks_tables_and_revision(tmp_path: Path) -> None:
    def made_by(kind: type[SqliteEventLogStorage]) -> list[tuple[Any, ...]]:
        folder = tmp_path / kind.__name__
        log = kind(str(folder))
        log.store_event(engine_note())
        log.dispose()
        told = []
        for name in ("index.db", "run.db"):
            with closing(sqlite3.connect(folder / name)) as connection:
                told += connection.execute(
                    "select type, name, tbl_name, replace(replace(sql, char(10), ''), '\t', '') "
                    "from sqlite_master order by name"
                ).fetchall()
                told += connection.execute("select version_num from alembic_version").fetchall()
                told += connection.execute("pragma journal_mode").fetchall()
        return told

    assert made_by(BatchedSqliteEventLog) == made_by(SqliteEventLogStorage)


# --- the instance file -----------------------------------------------------------------------


def test_the_shipped_instance_uses_the_batched_log(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_storage, KeptOpenRunStorage)
    assert isinstance(instance.schedule_storage, KeptOpenScheduleStorage)
    assert isinstance(instance.event_log_storage, BatchedSqliteEventLog)
    assert not instance.telemetry_enabled
    rebuilt = dg.DagsterInstance.from_ref(instance.get_ref())
    assert isinstance(rebuilt.event_log_storage, BatchedSqliteEventLog)
    rebuilt.dispose()


def test_chunks_of_one_backfill_run_one_at_a_time(instance: dg.DagsterInstance) -> None:
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.tag_concurrency_limits == [
        {"key": "dagster/backfill", "limit": 1, "value": {"applyLimitPerUniqueValue": True}}
    ]


def test_every_setting_of_the_instance_file_says_why() -> None:
    lines = (HOME / "dagster.yaml").read_text().splitlines()
    for top in yaml.safe_load("\n".join(lines)):
        above = lines[lines.index(f"{top}:") - 1]
        assert above.startswith("#"), f"{top} has no reason"


def test_a_batch_size_chosen_by_the_user_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "7")
    BatchedSqliteStorage(str(tmp_path)).dispose()
    assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "7"
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    BatchedSqliteStorage(str(tmp_path)).dispose()
    assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == str(EVENT_BATCH_SIZE)
