"""The batched event log: Dagster's SQLite storage for assets with thousands of partitions.

Dagster writes two events per partition and asset (planned, materialised). Stock SQLite storage
stores each on its own, through engines that it opens for the purpose. Dagster also knows batches:
with ``DAGSTER_EVENT_BATCH_SIZE`` set it hands all events of one asset in one run to
:meth:`store_event_batch`, which stock storage serves event by event. Here it works like this.

1. Events of the types that Dagster batches (:data:`COVERED_EVENTS`) are one unit. Any other event
   in the batch is split out before anything is written and goes the stock way afterwards. The plan
   of a range, which Dagster hands over as one event, becomes the plans of its partitions.
2. Every row is serialised before any lock is taken.
3. The run's shard is locked with ``BEGIN IMMEDIATE`` and gets its rows, uncommitted: what can fail
   there (a lock held by somebody, a violated row, a full disk) fails now.
4. The index is locked with one ``BEGIN IMMEDIATE`` for the whole batch. Ids are assigned inside
   it: ``max(id)`` read outside is wrong as soon as a second process writes. Events, tags, planned
   checks and, once per asset key, the latest pointers are written and committed.
5. Then the shard is committed. Should that fail, the index takes its rows back. So a batch that
   raises has changed neither file, and Dagster, which then stores the events one by one, stores
   each exactly once. A process killed between the two commits leaves the index ahead of the run's
   own log, never behind it.

Locks are always taken in the order shard, index, and both transactions live on their own
connections under one hold of ``_db_lock``, which is not re-entrant. Ids, rows and pointers equal
those that stock storage would have written.

What does not belong here: what an event says. That is decided where the event is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as db
import sqlalchemy.exc as db_exc
from dagster._core.definitions.events import AssetKey
from dagster._core.event_api import EventHandlerFn
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import (
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite import sqlite_event_log as stock
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection, Engine
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

from quant_platform.orchestration.event_log.batch import (
    IndexReceipt,
    delete_events,
    insert_events,
    is_covered,
    write_index,
)
from quant_platform.orchestration.event_log.companions import (
    KeptOpenRunStorage,
    KeptOpenScheduleStorage,
)
from quant_platform.orchestration.event_log.connections import SqliteConnections
from quant_platform.orchestration.event_log.creation import creation_statements, stored_revision
from quant_platform.orchestration.event_log.rows import plan_each_partition, read_batch
from quant_platform.orchestration.event_log.trimming import (
    remove_checks,
    remove_events,
    runs_in_use,
    superseded_checks,
    superseded_events,
)

#: Events per batch, for this process and its children. Measured: 0.21 ms an event in batches of 50,
#: 0.15 from 252 on. A thousand keep the index locked for a quarter of a second; only the plans of
#: a new run are more (11,340 for 45 assets on 252 sessions) and are stored whole all the same.
EVENT_BATCH_SIZE = 1000

#: Superseded events removed in one transaction: well below a second of holding the write lock, and
#: below the 32,766 parameters of a statement.
REMOVED_AT_ONCE = 10_000


class BatchedSqliteEventLog(stock.SqliteEventLogStorage):
    """SQLite event log that stores a batch of events in one transaction per file.

    Parameters
    ----------
    base_dir
        Directory of ``index.db`` and of one database per run.
    inst_data
        How Dagster rebuilds this storage in another process.
    """

    _obs: Any

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._connections = SqliteConnections()
        self._tables_seen: set[str] = set()
        self._columns_seen: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchedSqliteEventLog:
        """Build the storage from the ``config`` of an instance file."""
        return cls(inst_data=inst_data, **config_value)

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """Have Dagster announce a range in one event; it is stored as one per partition."""
        return True

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event the stock way, the plan of a range as the batch that it stands for."""
        if self._plans(event) == [event]:
            super().store_event(event)
        else:
            self._store_covered([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of any runs, or of none, in one transaction per file.

        Parameters
        ----------
        events
            Usually all events of one asset in one run. Runless events (``run_id`` is ``""``) are
            how a caller reports many materialisations that happened without Dagster.

        Notes
        -----
        When this raises, the covered events have not been stored, in neither file.
        """
        covered = [event for event in events if is_covered(event)]
        uncovered = [event for event in events if not is_covered(event)]
        if covered:
            self._store_covered(covered)
        for event in uncovered:
            self.store_event(event)

    def _store_covered(self, events: Sequence[EventLogEntry]) -> None:
        batch = read_batch([plan for event in events for plan in self._plans(event)])
        if not batch:
            return
        with self._db_lock, ExitStack() as locks:
            shards: dict[str, tuple[Connection, range]] = {}
            for run_id in sorted({event.entry.run_id for event in batch}):
                shard = locks.enter_context(self._writing(run_id))
                own_rows = [event.row for event in batch if event.entry.run_id == run_id]
                shards[run_id] = shard, insert_events(shard, own_rows)
            with self._writing(stock.INDEX_SHARD_NAME) as index:
                receipt = write_index(index, self, batch)
                index.commit()
            committed: dict[str, range] = {}
            try:
                for run_id, (shard, ids) in shards.items():
                    shard.commit()
                    committed[run_id] = ids
            except BaseException:  # an interrupt too
                locks.close()
                self._take_back(receipt, committed)
                raise

    def _plans(self, event: EventLogEntry) -> list[EventLogEntry]:
        # A user may ask Dagster for plans of whole ranges, and then wants them stored as they are.
        if super().supports_partition_subset_in_asset_materialization_planned_events:
            return [event]
        return plan_each_partition(event)

    def _take_back(self, receipt: IndexReceipt, committed: Mapping[str, range]) -> None:
        with self._writing(stock.INDEX_SHARD_NAME) as index:
            receipt.take_back(index)
            index.commit()
        for run_id, ids in committed.items():
            with self._writing(run_id) as shard:
                delete_events(shard, ids)
                shard.commit()

    def delete_events_for_run(self, conn: Connection, run_id: str) -> None:
        """Delete a run's events and their tags, however many there are.

        Stock storage names every event in one statement, which SQLite refuses beyond 32,766.
        """
        events = SqlEventLogStorageTable
        own = db.select(events.c.id).where(events.c.run_id == run_id)
        conn.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(own)))
        conn.execute(events.delete().where(events.c.run_id == run_id))

    def _delete_mirrored_events_for_asset_key(self, asset_key: AssetKey) -> None:
        """Delete an asset's events when it is wiped, and their tags with them.

        Stock storage leaves the tags behind. SQLite then gives the highest ids out again, and the
        events that get them would inherit another asset's tags.
        """
        with self.index_connection() as index:
            for table in (AssetEventTagsTable, SqlEventLogStorageTable):
                own = table.c.asset_key == asset_key.to_string()
                index.execute(table.delete().where(own))

    def trim(self, *, dry_run: bool = False) -> tuple[int, set[str]]:
        """Remove superseded events from the index; what is asked of the latest is answered as ever.

        Parameters
        ----------
        dry_run
            Whether to count only.

        Returns
        -------
        tuple
            Events that went, and the runs that the remaining ones belong to.
        """
        with self.index_connection() as index:
            checks, events = superseded_checks(index), superseded_events(index)
            in_use = runs_in_use(index)
        if not dry_run:
            self._remove(remove_events, events)
            self._remove(remove_checks, checks)
        return len(events), in_use

    def _remove(
        self, remove: Callable[[Connection, Sequence[int]], None], ids: Sequence[int]
    ) -> None:
        """Remove rows of the index, a portion in each transaction."""
        for start in range(0, len(ids), REMOVED_AT_ONCE):
            with self._db_lock, self._writing(stock.INDEX_SHARD_NAME) as index:
                remove(index, ids[start : start + REMOVED_AT_ONCE])
                index.commit()

    def compact(self) -> int:
        """Give the free pages of the index back; return its bytes that are free now.

        While another process writes the pages stay with the file, for the events to come.
        """
        before = self._size(stock.INDEX_SHARD_NAME)
        with (
            suppress(db_exc.OperationalError),
            self._db_lock,
            self._engine(stock.INDEX_SHARD_NAME) as engine,
            engine.connect() as connection,
        ):
            outside = connection.execution_options(isolation_level="AUTOCOMMIT")
            outside.exec_driver_sql("VACUUM")
            outside.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return max(0, before - self._size(stock.INDEX_SHARD_NAME))

    def log_size(self, run_id: str) -> int:
        """Bytes of a run's own log; 0 if there is none."""
        return self._size(run_id)

    def forget_run(self, run_id: str) -> None:
        """Remove everything that a run said, and its log with it.

        ``delete_events`` would empty the log row by row and leave the file.
        """
        with self.index_connection() as index:
            self.delete_events_for_run(index, run_id)
        self.free_concurrency_slots_for_run(run_id)
        self.delete_log(run_id)

    def delete_log(self, run_id: str) -> None:
        """Remove a run's own log. Its events of assets stay in the index."""
        with self._db_lock:
            self._connections.release(Path(self.path_for_shard(run_id)))
            self._initialized_dbs.discard(run_id)
            for path in self._files(run_id):
                path.unlink(missing_ok=True)

    def _files(self, shard: str) -> list[Path]:
        path = self.path_for_shard(shard)
        return [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]

    def _size(self, shard: str) -> int:
        return sum(path.stat().st_size for path in self._files(shard) if path.exists())

    def wipe(self) -> None:
        """Forget everything."""
        with self._db_lock:
            self._connections.close()
        super().wipe()

    def has_table(self, table_name: str) -> bool:
        """Tell whether the index has a table; asked per event, so the answer yes is remembered."""
        if table_name not in self._tables_seen and super().has_table(table_name):
            self._tables_seen.add(table_name)
        return table_name in self._tables_seen

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Call back on every new event of a run, from whichever process it comes."""
        if not self._obs:
            self._obs = Observer()
            self._obs.start()
        handler = _WalWatchdog(self, run_id, callback, cursor)
        self._watchers[run_id][callback] = (
            handler,
            self._obs.schedule(handler, self._base_dir, recursive=True),
        )

    def dispose(self) -> None:
        """Stop watching and close the files."""
        super().dispose()
        with self._db_lock:
            self._connections.close()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with (
            self._db_lock,
            self._engine(shard) as engine,
            engine.connect() as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _writing(self, shard: str) -> Iterator[Connection]:
        """Hold a file's one write lock; what is not committed by the end is rolled back."""
        with self._engine(shard) as engine, engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            finally:
                # SQLAlchemy believes a commit done that an interrupt came in the midst of.
                file: Any = connection.connection.driver_connection
                if file.in_transaction:
                    file.rollback()

    @contextmanager
    def _engine(self, shard: str) -> Iterator[Engine]:
        path = Path(self.path_for_shard(shard))
        with self._connections.engine(path) as engine:
            if shard not in self._initialized_dbs or not path.exists():
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            yield engine

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        """Create the tables of a new file in one transaction: a few ms per run instead of 150.

        A file that stock would leave alone is left alone. One that it would mend (tables without a
        revision) and one that another process is creating right now go the stock way, which knows
        how to retry.
        """
        try:
            with engine.connect() as connection:
                if stored_revision(connection) is not None:
                    return
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                if not db.inspect(connection).get_table_names():
                    for statement in creation_statements():
                        connection.connection.cursor().execute(statement)
                    connection.commit()
                    return
        except db_exc.OperationalError:
            pass
        super()._initdb(engine, for_index_shard)

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        if column_name not in self._columns_seen and super()._has_asset_key_col_on_connection(
            conn, column_name
        ):
            self._columns_seen.add(column_name)
        return column_name in self._columns_seen


class _WalWatchdog(stock.SqliteEventLogStorageWatchdog):
    """Watches a run's file and its write-ahead log.

    While a connection stays open new events reach only the log beside the file, so stock's watch on
    the file alone would tell the UI of a run's events minutes late.
    """

    @property
    def patterns(self) -> list[str]:
        return [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:
        self._process_log()


class BatchedSqliteStorage(DagsterSqliteStorage):
    """The embedded instance: stock's files in stock's places, with the batched event log.

    Parameters
    ----------
    base_dir
        The Dagster home.
    inst_data
        How Dagster rebuilds this storage in another process.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(EVENT_BATCH_SIZE))
        self.base_dir = base_dir
        self._run_storage = KeptOpenRunStorage.from_local(_runs_directory(base_dir))
        self._event_log_storage = BatchedSqliteEventLog(_event_logs_directory(base_dir))
        self._schedule_storage = KeptOpenScheduleStorage.from_local(_schedule_directory(base_dir))
        self._inst_data = inst_data
        # Past stock's own, which would open its three storages, to its base, which has no types.
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchedSqliteStorage:
        """Build the storage from the ``config`` of an instance file."""
        return cls.from_local(inst_data=inst_data, **config_value)
