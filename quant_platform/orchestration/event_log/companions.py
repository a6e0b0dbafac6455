"""The run and schedule databases beside the event log, kept open in the same way.

Stock storage opens and closes ``runs.db`` some thirty times per run and waits five seconds for
another writer; a webserver, a daemon and a run that meet there would see "database is locked".
Nothing but the way of connecting differs from stock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as db
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection

from quant_platform.orchestration.event_log.connections import SqliteConnections


class _KeptOpen:
    """Has a stock storage connect through one connection that stays open."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._connections = SqliteConnections(keep_open=1)
        self._path = Path(str(db.make_url(conn_string).database))
        super().__init__(conn_string, inst_data)  # type: ignore[call-arg]

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Lend a connection in a transaction."""
        with self._connections.transaction(self._path) as connection:
            yield connection

    def dispose(self) -> None:
        """Close the file."""
        super().dispose()  # type: ignore[misc]
        self._connections.close()


class KeptOpenRunStorage(_KeptOpen, SqliteRunStorage):
    """Stock run storage on one connection that stays open."""


class KeptOpenScheduleStorage(_KeptOpen, SqliteScheduleStorage):
    """Stock schedule storage on one connection that stays open."""
