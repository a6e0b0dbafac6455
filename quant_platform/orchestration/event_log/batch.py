"""What one batch of events writes into the index, and how it is taken back.

The index holds, across runs, every asset event, the tags that asset queries join on, one row per
asset key with pointers to its latest events, and one row per execution of an asset check. Stock
storage updates all of them after each event; a batch leaves behind the same rows at once:

1. ids go on from the highest one in the table, in the order of the batch;
2. tags and planned checks of all events go in together;
3. an asset key gets one update, merged from the last event of each kind (materialised, planned,
   observed), because a planned event moves ``last_run_id`` but not ``last_materialization``.

The functions here run inside a write transaction that the caller has opened; ids are safe only
because of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as db
from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from sqlalchemy.engine import Connection

from quant_platform.orchestration.event_log.rows import BatchEvent, EventRow

if TYPE_CHECKING:
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

#: The types that Dagster sends in batches; a test holds this against Dagster's own list.
COVERED_EVENTS = frozenset(
    {
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_OBSERVATION,
        DagsterEventType.ASSET_FAILED_TO_MATERIALIZE,
        DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    }
)


def _insert(table: db.Table, *columns: str) -> str:
    """Write the plain statement: SQLAlchemy's per-row processing costs more than SQLite's work."""
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


_INSERT_EVENT = _insert(SqlEventLogStorageTable, "id", *EventRow._fields)
TAG_COLUMNS = ("event_id", "asset_key", "key", "value", "event_timestamp")
CHECK_COLUMNS = (
    "asset_key",
    "check_name",
    "partition",
    "run_id",
    "execution_status",
    "evaluation_event",
    "evaluation_event_timestamp",
    "evaluation_event_storage_id",
)
_INSERT_TAG = _insert(AssetEventTagsTable, *TAG_COLUMNS)
_INSERT_PLANNED_CHECK = _insert(AssetCheckExecutionsTable, *CHECK_COLUMNS)

_COVERED_VALUES = frozenset(kind.value for kind in COVERED_EVENTS)

Pointers = dict[str, Any]

_POINTERS = ("last_materialization", "last_run_id", "last_materialization_timestamp")


def is_covered(entry: EventLogEntry) -> bool:
    """Tell whether the batch path stores this event."""
    event = entry.dagster_event
    return event is not None and event.event_type_value in _COVERED_VALUES


@dataclass(frozen=True)
class IndexReceipt:
    """What a batch left in the index: enough to take it back.

    Parameters
    ----------
    ids
        The ids of the batch's events.
    earlier
        The pointers of each asset key before the batch; None for a key that the batch introduced.
    written
        The pointers that the batch wrote.
    """

    ids: range
    earlier: Mapping[str, Pointers | None]
    written: Mapping[str, Pointers]

    def take_back(self, index: Connection) -> None:
        """Remove the batch, and restore the pointers that nobody has moved on since."""
        delete_events(index, self.ids)
        for table, column in (
            (AssetEventTagsTable, AssetEventTagsTable.c.event_id),
            (AssetCheckExecutionsTable, AssetCheckExecutionsTable.c.evaluation_event_storage_id),
        ):
            index.execute(table.delete().where(column.between(self.ids[0], self.ids[-1])))
        for asset_key, written in self.written.items():
            still_ours = db.and_(
                AssetKeyTable.c.asset_key == asset_key,
                *(AssetKeyTable.c[name].is_not_distinct_from(written[name]) for name in written),
            )
            earlier = self.earlier[asset_key]
            if earlier is None:
                index.execute(AssetKeyTable.delete().where(still_ours))
            else:
                index.execute(AssetKeyTable.update().where(still_ours).values(**earlier))


def insert_events(connection: Connection, rows: Sequence[EventRow]) -> range:
    """Append rows to the event table of a shard or of the index, and return their ids."""
    highest = connection.execute(db.select(db.func.max(SqlEventLogStorageTable.c.id))).scalar()
    first = (highest or 0) + 1
    ids = range(first, first + len(rows))
    connection.exec_driver_sql(
        _INSERT_EVENT, [(event_id, *row) for event_id, row in zip(ids, rows, strict=True)]
    )
    return ids


def delete_events(connection: Connection, ids: range) -> None:
    """Remove the rows that :func:`insert_events` appended."""
    connection.execute(
        SqlEventLogStorageTable.delete().where(
            SqlEventLogStorageTable.c.id.between(ids[0], ids[-1])
        )
    )


def write_index(
    index: Connection, log: SqlEventLogStorage, batch: Sequence[BatchEvent]
) -> IndexReceipt:
    """Write one batch into the index.

    Parameters
    ----------
    index
        A connection inside ``BEGIN IMMEDIATE``.
    log
        Stock storage, whose own rules say which tags are kept and what an asset key points at.
    batch
        The events with their rows.
    """
    ids = insert_events(index, [event.row for event in batch])
    numbered = list(zip(ids, batch, strict=True))
    tags = tag_rows(log, numbered)
    if tags:
        index.exec_driver_sql(_INSERT_TAG, tags)
    planned = [row for event_id, event in numbered for row in planned_checks(event_id, event)]
    if planned:
        index.exec_driver_sql(_INSERT_PLANNED_CHECK, planned)
    written = latest_pointers(log, numbered)
    earlier = _earlier_pointers(index, list(written))
    for asset_key, pointers in written.items():
        if earlier[asset_key] is None:
            index.execute(AssetKeyTable.insert().values(asset_key=asset_key, **pointers))
        else:
            index.execute(
                AssetKeyTable.update()
                .where(AssetKeyTable.c.asset_key == asset_key)
                .values(**pointers)
            )
    return IndexReceipt(ids, earlier, written)


def tag_rows(
    log: SqlEventLogStorage, numbered: Sequence[tuple[int, BatchEvent]]
) -> list[tuple[object, ...]]:
    """Return the rows of ``TAG_COLUMNS`` that the events of a batch call for."""
    return [
        (event_id, event.row.asset_key, key, value, event.row.timestamp)
        for event_id, event in numbered
        if event.tags
        for kept in (log.get_asset_tags_to_index(set(event.tags)),)
        for key, value in event.tags.items()
        if key in kept
    ]


def latest_pointers(
    log: SqlEventLogStorage, numbered: Sequence[tuple[int, BatchEvent]]
) -> dict[str, Pointers]:
    """Merge, per asset key, what its last event of each kind writes, the latest of them last.

    Keys keep the order of their first event that writes something, so that new rows get the ids
    stock would give them.
    """
    kinds: dict[str, dict[str, tuple[int, int, EventLogEntry]]] = {}
    for event_id, event in numbered:
        if event.row.asset_key is not None:
            last_of = kinds.setdefault(event.row.asset_key, {})
            first, *_ = last_of.get(event.row.dagster_event_type, (event_id,))
            last_of[event.row.dagster_event_type] = (first, event_id, event.entry)
    pointers: dict[str, tuple[int, Pointers]] = {}
    for asset_key, last_of in kinds.items():
        merged: Pointers = {}
        begun: list[int] = []
        for first, event_id, entry in sorted(last_of.values(), key=lambda event: event[1]):
            values = log._get_asset_entry_values(entry, event_id, True)
            if values:
                merged |= values
                begun.append(first)
        if merged:
            pointers[asset_key] = (min(begun), merged)
    in_order = sorted(pointers.items(), key=lambda item: item[1][0])
    return {asset_key: merged for asset_key, (_, merged) in in_order}


def _earlier_pointers(index: Connection, asset_keys: Sequence[str]) -> dict[str, Pointers | None]:
    columns = [AssetKeyTable.c[name] for name in _POINTERS]
    found = index.execute(
        db.select(AssetKeyTable.c.asset_key, *columns).where(
            AssetKeyTable.c.asset_key.in_(asset_keys)
        )
    ).mappings()
    earlier: dict[str, Pointers | None] = dict.fromkeys(asset_keys)
    for row in found:
        earlier[row["asset_key"]] = {name: row[name] for name in _POINTERS}
    return earlier


def planned_checks(event_id: int, event: BatchEvent) -> list[tuple[object, ...]]:
    """Return the rows of ``CHECK_COLUMNS`` that an event calls for: none unless it plans checks."""
    if event.row.dagster_event_type != DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value:
        return []
    planned = event.entry.get_dagster_event().asset_check_planned_data
    subset = planned.partitions_subset
    return [
        (
            planned.asset_key.to_string(),
            planned.check_name,
            partition,
            event.row.run_id,
            AssetCheckExecutionRecordStatus.PLANNED.value,
            event.row.event,
            event.row.timestamp,
            event_id,
        )
        for partition in (subset.get_partition_keys() if subset else [None])
    ]
