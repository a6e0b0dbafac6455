"""The batched event log on Postgres, which ``dagster_home/dagster.postgres.yaml`` names.

Stock storage opens a connection per event and stores every planned partition on its own; here, as
in the embedded instance, a batch is one transaction:

1. the plan of a range, which Dagster hands over as one event, becomes the plans of its partitions;
2. the events go in with one statement, and the server gives out their ids;
3. tags and planned checks of all of them follow, and one upsert for each asset key, in the order of
   the keys, so that two writers never wait for each other in a circle;
4. what the batch does not cover goes stock's way, on a connection that stays open.

Rows and pointers equal those that stock storage would have written. The extra ``postgres`` brings
the library; nothing else of the platform imports this module.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as db
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from quant_platform.errors import InstanceError
from quant_platform.orchestration.event_log.batch import (
    CHECK_COLUMNS,
    TAG_COLUMNS,
    is_covered,
    latest_pointers,
    planned_checks,
    tag_rows,
)
from quant_platform.orchestration.event_log.rows import (
    BatchEvent,
    plan_each_partition,
    read_batch,
)
from quant_platform.orchestration.event_log.storage import EVENT_BATCH_SIZE

# The package dagster-postgres has no types, so that the checker takes its classes for anything;
# what they inherit from Dagster itself is held against the tests with a server.

DRIVER = "postgresql+psycopg2://"
IDLE_SECONDS = 300
"""An idle connection that is older is opened anew: firewalls forget them without a word."""


# The extra may be absent where types are checked: its classes are unknown there, here and below.
class BatchedPostgresEventLog(PostgresEventLogStorage):  # type: ignore[misc]
    """Postgres event log that stores a batch of events in one transaction.

    Parameters
    ----------
    postgres_url
        Address of the database.
    should_autocreate_tables
        Whether missing tables are made.
    inst_data
        How Dagster rebuilds this storage in another process.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables, inst_data)
        self._engine = create_pg_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=-1,
            pool_recycle=IDLE_SECONDS,
            pool_pre_ping=True,
        )

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """Have Dagster announce a range in one event; it is stored as one per partition."""
        return True

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event the stock way, the plan of a range as the batch that it stands for."""
        plans = plan_each_partition(event)
        if plans == [event]:
            super().store_event(event)
        else:
            self._store_covered(plans)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of any runs, or of none, in one transaction.

        Parameters
        ----------
        events
            Usually all events of one asset in one run.
        """
        covered = [plan for e in events if is_covered(e) for plan in plan_each_partition(e)]
        if covered:
            self._store_covered(covered)
        for event in events:
            if not is_covered(event):
                self.store_event(event)

    def dispose(self) -> None:
        """Stop watching and close the connection."""
        super().dispose()
        self._engine.dispose()

    def _store_covered(self, events: Sequence[EventLogEntry]) -> None:
        batch = read_batch(events)
        with self.index_transaction() as connection:
            numbered = list(zip(_insert_events(connection, batch), batch, strict=True))
            _insert(connection, AssetEventTagsTable, TAG_COLUMNS, tag_rows(self, numbered))
            checks = [row for event_id, e in numbered for row in planned_checks(event_id, e)]
            _insert(connection, AssetCheckExecutionsTable, CHECK_COLUMNS, checks)
            for asset_key, values in sorted(latest_pointers(self, numbered).items()):
                upsert = postgresql.insert(AssetKeyTable).values(asset_key=asset_key, **values)
                connection.execute(
                    upsert.on_conflict_do_update(index_elements=["asset_key"], set_=values)
                )


class BatchedPostgresStorage(DagsterPostgresStorage):  # type: ignore[misc]
    """The instance of many machines: stock's tables, with the batched event log.

    Parameters
    ----------
    postgres_url
        Address of the database.
    inst_data
        How Dagster rebuilds this storage in another process.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        if not postgres_url.startswith(DRIVER):
            # SQLAlchemy 2.1 takes plain postgresql:// for psycopg 3, which is not installed.
            raise InstanceError(
                "the Postgres address of the instance names no driver, or another one",
                expected=f"an address that begins with {DRIVER}",
                mend="correct QUANT_POSTGRES_URL",
            )
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(EVENT_BATCH_SIZE))
        super().__init__(postgres_url, inst_data=inst_data)
        self._event_log_storage = BatchedPostgresEventLog(postgres_url)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchedPostgresStorage:
        """Build the storage from the ``config`` of an instance file."""
        return cls(pg_url_from_config(config_value), inst_data)


def _insert_events(connection: Connection, batch: Sequence[BatchEvent]) -> list[int]:
    """Append the events; the ids that the server gave them, in the order of the batch."""
    statement = SqlEventLogStorageTable.insert().returning(
        SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
    )
    return list(connection.scalars(statement, [event.row._asdict() for event in batch]))


def _insert(
    connection: Connection, table: db.Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    if rows:
        connection.execute(table.insert(), [dict(zip(columns, row, strict=True)) for row in rows])
