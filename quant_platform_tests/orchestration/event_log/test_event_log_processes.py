"""Four processes store thousands of partitions in one instance at once; nothing is lost or mixed.

The verifier reads the tables themselves: every tag and every latest pointer must join to an event
of its own asset, and every event must be there once, in the index and in its run's shard. Two twins
prove that the verifier sees what it is for: ids taken outside the write transaction, and one
planted wrong tag.
"""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from dagster import AssetKey
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.base import EventLogRecord
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import db
from dagster._serdes import deserialize_value

from quant_platform.orchestration.event_log import BatchedSqliteEventLog
from quant_platform.orchestration.event_log.rows import read_batch
from quant_platform_tests.orchestration.event_log.test_event_log_events import (
    engine_note,
    materialized,
    planned,
)

CHUNK = 252
SHARED = "shared"


def partitions(writer: int, count: int) -> list[str]:
    return [f"{writer}-{number:04d}" for number in range(count)]


def batches(writer: int, count: int) -> list[list[EventLogEntry]]:
    """Make what one process stores: its own asset and one that all share, chunk by chunk."""
    keys, made = partitions(writer, count), []
    for start in range(0, count, CHUNK):
        chunk = keys[start : start + CHUNK]
        run_id = f"run{writer}-{start}"
        for asset in (f"asset{writer}", SHARED):
            made.append([planned([asset], key, run_id=run_id) for key in chunk])
            made.append(
                [
                    materialized([asset], key, run_id=run_id, version=f"{asset}/{key}")
                    for key in chunk
                ]
            )
    return made


def write(folder: Path, writer: int, count: int) -> None:
    log = BatchedSqliteEventLog(str(folder))
    for batch in batches(writer, count):
        log.store_event_batch(batch)
        log.store_event(engine_note(run_id=batch[0].run_id))
        log.store_event(materialized([f"single{writer}"], None, run_id=batch[0].run_id))
    log.dispose()


Event = tuple[int, str, str, str | None, str]
"""Id, type, asset, partition and text of a stored event."""


def verify(folder: Path, writers: int, count: int) -> None:
    """Raise AssertionError unless every row is there once and belongs where it points."""
    written = [batch for writer in range(writers) for batch in batches(writer, count)]
    stored = [event for batch in written for event in batch]
    with closing(sqlite3.connect(folder / "index.db")) as index:
        events = _events(index)
        assert Counter(event[1:] for event in events if event[3]) == _expected(stored)
        _verify_tags(index, {event[0]: event for event in events})
        _verify_latest(index, events)
    for run_id in {event.run_id for event in stored}:
        with closing(sqlite3.connect(folder / f"{run_id}.db")) as shard:
            in_shard = Counter(event[1:] for event in _events(shard) if event[3])
        assert in_shard == _expected([event for event in stored if event.run_id == run_id])


def _events(connection: sqlite3.Connection) -> list[Event]:
    columns = "id, dagster_event_type, asset_key, partition, event"
    return connection.execute(f"select {columns} from event_logs").fetchall()


def _expected(stored: Sequence[EventLogEntry]) -> Counter[tuple[str, ...]]:
    rows = [event.row for event in read_batch(stored)]
    return Counter((r.dagster_event_type, r.asset_key, r.partition, r.event) for r in rows)


def _verify_tags(index: sqlite3.Connection, events: Mapping[int, Event]) -> None:
    tags = index.execute("select event_id, asset_key, value from asset_event_tags").fetchall()
    assert len(tags) == sum(event[1] == "ASSET_MATERIALIZATION" for event in events.values())
    for event_id, asset_key, value in tags:
        assert event_id in events, "a tag of no event"
        _, _, owner, partition, _ = events[event_id]
        assert asset_key == owner, "a tag on another asset's event"
        if partition:
            assert value == f"{json.loads(owner)[0]}/{partition}", "a tag on another partition"


def _verify_latest(index: sqlite3.Connection, events: Sequence[Event]) -> None:
    last = {event[2]: event for event in sorted(events) if event[1] == "ASSET_MATERIALIZATION"}
    latest = dict(index.execute("select asset_key, last_materialization from asset_keys"))
    assert set(latest) == set(last)
    for asset_key, text in latest.items():
        record = deserialize_value(text, EventLogRecord)
        event_id, _, _, _, event = last[asset_key]
        assert record.storage_id == event_id, "a latest pointer at an older event"
        assert record.event_log_entry == deserialize_value(event, EventLogEntry)


@pytest.mark.parametrize(
    "count", [CHUNK, pytest.param(8 * CHUNK, marks=pytest.mark.slow)], ids=["252", "2016"]
)
def test_four_processes_at_once(count: int, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write, args=(tmp_path, writer, count)) for writer in range(4)]
    for process in writers:
        process.start()
    reader = BatchedSqliteEventLog(str(tmp_path))
    seen = 0
    while any(process.is_alive() for process in writers):
        now = len(reader.get_materialized_partitions(AssetKey(SHARED)))
        assert now >= seen
        assert now % CHUNK == 0, "half a batch was visible"
        seen = now
    for process in writers:
        process.join()
        assert process.exitcode == 0
    assert reader.get_materialized_partitions(AssetKey(SHARED)) == {
        key for writer in range(4) for key in partitions(writer, count)
    }
    reader.dispose()
    verify(tmp_path, 4, count)


class IdsOutsideTheTransaction(BatchedSqliteEventLog):
    """The mistake: the highest id is read before the write lock is held."""

    meanwhile: Callable[[], None]

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        with self.index_connection() as index:
            highest = index.execute(db.select(db.func.max(SqlEventLogStorageTable.c.id))).scalar()
        self.meanwhile()
        with self.index_connection() as index:
            rows = [self._event_to_row(event) for event in events]
            index.execute(SqlEventLogStorageTable.insert(), rows)
            ids = range((highest or 0) + 1, (highest or 0) + 1 + len(events))
            self._store_asset_event_tags(index, events, list(ids))
            self._store_asset_event(index, events[-1], ids[-1])


def test_ids_taken_outside_the_transaction_are_caught(tmp_path: Path) -> None:
    careless = IdsOutsideTheTransaction(str(tmp_path))
    for number, batch in enumerate(batches(0, 4)):
        another_writes = number == 1
        careless.meanwhile = lambda now=another_writes: write(tmp_path, 1, 4) if now else None
        careless.store_event_batch(batch)
    with (
        closing(sqlite3.connect(tmp_path / "index.db")) as index,
        pytest.raises(AssertionError, match="a tag on another asset's event"),
    ):
        _verify_tags(index, {event[0]: event for event in _events(index)})
    careless.dispose()


def test_one_wrong_tag_is_caught(tmp_path: Path) -> None:
    write(tmp_path, 0, 4)
    verify(tmp_path, 1, 4)
    with closing(sqlite3.connect(tmp_path / "index.db")) as index:
        index.execute("update asset_event_tags set event_id = event_id - 1 where id = 2")
        index.commit()
    with pytest.raises(AssertionError):
        verify(tmp_path, 1, 4)
