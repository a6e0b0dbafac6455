"""What the index may forget: events that a newer one of the same kind has superseded.

1. Of the executions of an asset check the newest stays, per partition, and where that one never
   came to its end, the newest that did.
2. Of the events of an asset the newest of each kind stays, per partition, and the materialisation
   that a kept check looked at. Tags go with their events.
3. Of the events of checks those stay whose run has an execution that stays.
4. The newest row of all stays: ids are given out from there, and no id is given out twice.

So what is asked of the latest (materialised partitions, latest event, tags, data version, attempts
that failed, checks) is answered as before; counts and histories grow shorter. Events without an
asset, such as the starts and ends of runs, go with their run alone.

The functions here run inside a write transaction that the caller has opened.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as db
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from sqlalchemy.engine import Connection

_EVENTS, _TAGS, _CHECKS = (
    SqlEventLogStorageTable.c,
    AssetEventTagsTable.c,
    AssetCheckExecutionsTable.c,
)
_PLANNED = AssetCheckExecutionRecordStatus.PLANNED.value
_OF_ASSETS = sorted(kind.value for kind in ASSET_EVENTS)
_OF_CHECKS = sorted(kind.value for kind in ASSET_CHECK_EVENTS)


def trim_index(index: Connection) -> int:
    """Remove what is superseded; return how many events that were.

    Parameters
    ----------
    index
        A connection inside ``BEGIN IMMEDIATE``.
    """
    newest_checks = db.select(db.func.max(_CHECKS.id)).group_by(
        _CHECKS.asset_key,
        _CHECKS.check_name,
        _CHECKS.partition,
        _CHECKS.execution_status == _PLANNED,
    )
    index.execute(AssetCheckExecutionsTable.delete().where(_CHECKS.id.not_in(newest_checks)))
    removed = sum(
        index.execute(SqlEventLogStorageTable.delete().where(superseded)).rowcount
        for superseded in _superseded()
    )
    if removed:
        index.execute(
            AssetEventTagsTable.delete().where(_TAGS.event_id.not_in(db.select(_EVENTS.id)))
        )
    return removed


def runs_in_use(index: Connection) -> set[str]:
    """Find the runs of which the index holds an event of an asset or a check, or its newest row."""
    kept = db.select(_EVENTS.run_id).where(
        db.or_(_EVENTS.dagster_event_type.in_([*_OF_ASSETS, *_OF_CHECKS]), _EVENTS.id == _newest())
    )
    return {run_id for (run_id,) in index.execute(kept.distinct())}


def _superseded() -> Iterator[db.ColumnElement[bool]]:
    """Conditions of the events that go, one for those of assets and one for those of checks."""
    newest = db.select(db.func.max(_EVENTS.id)).group_by(
        _EVENTS.dagster_event_type, _EVENTS.asset_key, _EVENTS.partition
    )
    looked_at = db.select(_CHECKS.materialization_event_storage_id).where(
        _CHECKS.materialization_event_storage_id.is_not(None)
    )
    yield db.and_(
        _EVENTS.dagster_event_type.in_(_OF_ASSETS),
        _EVENTS.id.not_in(newest),
        _EVENTS.id.not_in(looked_at),
    )
    executed = db.select(_CHECKS.run_id).where(_CHECKS.run_id.is_not(None))
    yield db.and_(
        _EVENTS.dagster_event_type.in_(_OF_CHECKS),
        _EVENTS.run_id.not_in(executed),
        _EVENTS.id < _newest(),
    )


def _newest() -> db.ScalarSelect[int]:
    return db.select(db.func.max(_EVENTS.id)).scalar_subquery()
