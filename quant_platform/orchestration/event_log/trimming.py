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

What is superseded stays superseded whatever comes, so it is looked up first and removed afterwards,
in portions: no writer waits for more than one of them, and a crash leaves the rest for next time.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def superseded_checks(index: Connection) -> list[int]:
    """Find the executions of checks that a newer one has superseded."""
    return list(index.scalars(db.select(_CHECKS.id).where(_CHECKS.id.not_in(_newest_checks()))))


def superseded_events(index: Connection) -> list[int]:
    """Find the events that a newer one has superseded."""
    return list(index.scalars(db.select(_EVENTS.id).where(_superseded())))


def runs_in_use(index: Connection) -> set[str]:
    """Find the runs that the other events of assets and checks, and the newest row, belong to."""
    stays = db.and_(
        _EVENTS.dagster_event_type.in_([*_OF_ASSETS, *_OF_CHECKS]), db.not_(_superseded())
    )
    kept = db.select(_EVENTS.run_id).where(db.or_(stays, _EVENTS.id == _newest()))
    return set(index.scalars(kept.distinct()))


def remove_checks(index: Connection, ids: Sequence[int]) -> None:
    """Remove executions of checks; at most as many as SQLite takes parameters."""
    index.execute(AssetCheckExecutionsTable.delete().where(_CHECKS.id.in_(ids)))


def remove_events(index: Connection, ids: Sequence[int]) -> None:
    """Remove events with their tags; at most as many as SQLite takes parameters."""
    index.execute(AssetEventTagsTable.delete().where(_TAGS.event_id.in_(ids)))
    index.execute(SqlEventLogStorageTable.delete().where(_EVENTS.id.in_(ids)))


def _newest_checks() -> db.Select[tuple[int]]:
    never_ended = _CHECKS.execution_status == _PLANNED
    return db.select(db.func.max(_CHECKS.id)).group_by(
        _CHECKS.asset_key, _CHECKS.check_name, _CHECKS.partition, never_ended
    )


def _superseded() -> db.ColumnElement[bool]:
    """Condition of the events that go: those of assets, and those of checks."""
    newest = db.select(db.func.max(_EVENTS.id)).group_by(
        _EVENTS.dagster_event_type, _EVENTS.asset_key, _EVENTS.partition
    )
    looked_at = db.select(_CHECKS.materialization_event_storage_id).where(
        _CHECKS.id.in_(_newest_checks()), _CHECKS.materialization_event_storage_id.is_not(None)
    )
    executed = db.select(_CHECKS.run_id).where(
        _CHECKS.id.in_(_newest_checks()), _CHECKS.run_id.is_not(None)
    )
    of_assets = db.and_(
        _EVENTS.dagster_event_type.in_(_OF_ASSETS),
        _EVENTS.id.not_in(newest),
        _EVENTS.id.not_in(looked_at),
    )
    of_checks = db.and_(
        _EVENTS.dagster_event_type.in_(_OF_CHECKS),
        _EVENTS.run_id.not_in(executed),
        _EVENTS.id < _newest(),
    )
    return db.or_(of_assets, of_checks)


def _newest() -> db.ScalarSelect[int]:
    return db.select(db.func.max(_EVENTS.id)).scalar_subquery()
