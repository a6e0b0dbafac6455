"""The run and schedule databases beside the event log, kept open in the same way.

Stock storage opens and closes ``runs.db`` some thirty times per run and waits five seconds for
another writer; a webserver, a daemon and a run that meet there would see "database is locked".
To open a database, stock imports every migration that Dagster ever had, ninety modules for each of
the two, and uses nothing of them but that there are some: it creates and stamps a file without a
version, and leaves every other as it is. Here a file with a version is opened without them.

Nothing but the ways of opening and connecting differs from stock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar, Self

import sqlalchemy as db
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection

from quant_platform.orchestration.event_log.connections import (
    BUSY_TIMEOUT_SECONDS,
    SqliteConnections,
)


class _KeptOpen:
    """Has a stock storage connect through one connection that stays open.

    ``_file`` is the name of its database, ``_tables`` what stock would add to one with a version.
    """

    # ``super()`` is the stock storage that a subclass names next. The checker looks at this class
    # alone and sees ``object``, whose methods it would hold these calls against.

    _file: ClassVar[str]
    _tables: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> Self:
        """Open the database of a folder; stock makes the one that is not there yet."""
        if _is_made(Path(base_dir, f"{cls._file}.db"), cls._tables):
            return cls(create_db_conn_string(base_dir, cls._file), inst_data)
        return super().from_local(base_dir, inst_data)  # type: ignore[misc,no-any-return]

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

    _file = "runs"
    _tables = frozenset({"instance_info"})


class KeptOpenScheduleStorage(_KeptOpen, SqliteScheduleStorage):
    """Stock schedule storage on one connection that stays open."""

    _file = "schedules"


def _is_made(path: Path, tables: frozenset[str]) -> bool:
    """Whether a database has a version and some tables."""
    if not path.exists():
        return False
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS)) as file:
        known = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
        if not known >= tables | {"alembic_version"}:
            return False
        return file.execute("SELECT 1 FROM alembic_version").fetchone() is not None
