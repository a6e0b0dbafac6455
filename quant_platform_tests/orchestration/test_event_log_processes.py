"""Four processes store thousands of partitions in one instance at once; nothing is lost or mixed up.

The verifier reads the tables themselves: every tag and every latest pointer must join to an event
of its own asset, and every event must be there once, in the index and in its run's shard. Two twins
prove that the verifier sees what it is for: ids taken outside the write transaction, and one
planted wrong tag.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
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
from quant_platform.orchestration.event_log_rows import read_batch
from quant_platform_tests.orchestration.test_event_log_events import (
    engine_note,
    materialized,
    planned,
)

CHUNK = 252
SHARED = "shared"


def partitions(writer: int, count: int) -> list[str]:
    return [f"{writer}-{number:04d}" for number in range(count)]


def batches(writer: int, count: int) -> list[list[EventLogEntry]]:
    """What one process stores: its own asset and one that all share, chunk by chunk."""
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


def verify(folder: Path, writers: int, count: int) -> None:
    """Raise AssertionError unless every row of the index belongs where it points."""
    stored = [
        event for writer in range(writers) for batch in batches(writer, count) for event in batch
    ]
    expected = Counter(
        (row.row.asset_key, row.row.partition, row.row.event) for row in read_batch(stored)
    )
    with closing(sqlite3.connect(folder / "index.db")) as index:
        events = index.execute("select id, asset_key, partition, event from event_logs").fetchall()
        batched = Counter(event[1:] for event in events if "single" not in event[1])
        assert batched == expected
        by_id = {event[0]: event for event in events}
        tags = index.execute("select event_id, asset_key, value from asset_event_tags").fetchall()
        assert len(tags) == sum("StepMaterializationData" in event[3] for event in events)
        for event_id, asset_key, value in tags:
            assert event_id in by_id, "a tag of no event"
            _, owner, partition, _ = by_id[event_id]
            assert asset_key == owner, "a tag on another asset's event"
            if partition:
                assert value == f"{AssetKey.from_db_string(owner).path[0]}/{partition}"
        latest = index.execute("select asset_key, last_materialization from asset_keys").fetchall()
        assert {key for key, _ in latest} == {event[1] for event in events}
        for asset_key, text in latest:
            record = deserialize_value(text, EventLogRecord)
            own = [
                event[0] for event in events if event[1] == asset_key and "planned" not in event[3]
            ]
            own = [event_id for event_id in own if "StepMaterializationData" in by_id[event_id][3]]
            assert record.storage_id == max(own), "a latest pointer at an older event"
            assert record.event_log_entry == deserialize_value(by_id[max(own)][3], EventLogEntry)
    for run_id in {event.run_id for event in stored}:
        with closing(sqlite3.connect(folder / f"{run_id}.db")) as shard:
            in_shard = Counter(
                shard.execute(
                    "select asset_key, partition, event from event_logs where partition is not null"
                ).fetchall()
            )
        own = read_batch([event for event in stored if event.run_id == run_id])
        assert in_shard == Counter((r.row.asset_key, r.row.partition, r.row.event) for r in own)


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
    careless.meanwhile = lambda: write(tmp_path, 1, 4)
    for batch in batches(0, 4):
        careless.store_event_batch(batch)
        careless.meanwhile = lambda: None
    with pytest.raises(AssertionError, match="a tag on another asset's event"):
        verify(tmp_path, 2, 4)
    careless.dispose()


def test_one_wrong_tag_is_caught(tmp_path: Path) -> None:
    write(tmp_path, 0, 4)
    verify(tmp_path, 1, 4)
    with closing(sqlite3.connect(tmp_path / "index.db")) as index:
        index.execute("update asset_event_tags set event_id = event_id - 1 where id = 2")
        index.commit()
    with pytest.raises(AssertionError):
        verify(tmp_path, 1, 4)
