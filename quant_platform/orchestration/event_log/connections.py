"""Open SQLite files once and keep them open: the connections under the batched event log.

Stock Dagster builds an engine, opens the file, writes one row and closes the file again for every
event. Closing the last connection of a WAL database also folds the log into the file and syncs it,
so the opening and closing cost ten times what the row costs. Here

1. each database file has one engine, whose single idle connection stays open;
2. at most ``keep_open`` files stay open at a time, the least recently used is closed first, because
   a webserver that looks at a thousand runs must not hold a thousand files (three descriptors and
   up to 2 MB of page cache each);
3. a file that was deleted or replaced since it was opened (a wipe in another process) is opened
   anew, so nobody writes into a file that has no name any more;
4. a forked child never touches its parent's connections: SQLite's locks belong to the process;
5. a cursor that its user forgot half-read is closed when the connection comes back. It would pin
   the connection to the state of the database at that moment, and every later answer with it.

``synchronous=NORMAL`` gives up, on a power cut, the last commits and never the consistency of the
file; what a power cut swallows is reported again from the lake's own provenance log.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as db
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

#: Seconds that a writer waits for the writer before it. Stock waits 30 for events and 5 for runs;
#: four processes that each store a long backfill must never see "database is locked".
BUSY_TIMEOUT_SECONDS = 60

#: Files kept open per storage: the index, the run at work and a few that a user looks at.
KEEP_OPEN = 8


class TidyConnection(sqlite3.Connection):
    """A connection that can close the cursors that its users left open."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """Open a cursor and remember it for as long as somebody holds it."""
        cursor = super().cursor(factory)
        self._cursors.add(cursor)
        return cursor

    def close_cursors(self) -> None:
        """End every statement, and with them the read transaction that they keep alive."""
        for cursor in tuple(self._cursors):
            cursor.close()
        self._cursors.clear()


@dataclass
class _OpenFile:
    engine: Engine
    inode: tuple[int, int] | None
    users: int = field(default=0)


class SqliteConnections:
    """The open SQLite files of one storage in one process; safe to share between threads.

    Parameters
    ----------
    keep_open
        How many files may stay open while nobody uses them.
    """

    def __init__(self, keep_open: int = KEEP_OPEN) -> None:
        self._keep_open = keep_open
        self._files: OrderedDict[Path, _OpenFile] = OrderedDict()
        self._guard = threading.Lock()
        self._pid = os.getpid()

    @contextmanager
    def engine(self, path: Path) -> Iterator[Engine]:
        """Lend the engine of one file; the file stays open at least until it is given back."""
        with self._guard:
            self._leave_behind_after_fork()
            file = self._current(path)
            file.users += 1
        try:
            yield file.engine
        finally:
            with self._guard:
                file.users -= 1
                file.inode = file.inode or _inode(path)
                self._close_idle()

    @contextmanager
    def transaction(self, path: Path) -> Iterator[Connection]:
        """Lend a connection that commits at the end, or rolls back when the block raises."""
        with self.engine(path) as engine, engine.connect() as connection, connection.begin():
            yield connection

    def open_paths(self) -> list[Path]:
        """Return the files open now, the least recently used first."""
        with self._guard:
            return list(self._files)

    def close(self) -> None:
        """Close every idle file; a later use opens it again."""
        with self._guard:
            self._leave_behind_after_fork()
            for path in [path for path, file in self._files.items() if not file.users]:
                self._files.pop(path).engine.dispose()

    def release(self, path: Path) -> None:
        """Close one file, if nobody uses it."""
        with self._guard:
            self._leave_behind_after_fork()
            file = self._files.get(path)
            if file is not None and not file.users:
                self._files.pop(path).engine.dispose()

    def _current(self, path: Path) -> _OpenFile:
        file = self._files.get(path)
        if file is not None and file.inode is not None and file.inode != _inode(path):
            # SQLite notices that the file moved and leaves the new file's log alone on closing.
            self._files.pop(path).engine.dispose()
            file = None
        if file is None:
            file = self._files[path] = _OpenFile(_create_engine(path), _inode(path))
        self._files.move_to_end(path)
        return file

    def _close_idle(self) -> None:
        idle = [path for path, file in self._files.items() if not file.users]
        for path in idle[: max(0, len(self._files) - self._keep_open)]:
            self._files.pop(path).engine.dispose()

    def _leave_behind_after_fork(self) -> None:
        if self._pid == os.getpid():
            return
        for file in self._files.values():
            file.engine.dispose(close=False)
        self._files.clear()
        self._pid = os.getpid()


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _create_engine(path: Path) -> Engine:
    engine = db.create_engine(
        db.URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=-1,
        connect_args={
            "timeout": BUSY_TIMEOUT_SECONDS,
            "check_same_thread": False,
            "factory": TidyConnection,
        },
    )
    db.event.listen(engine, "connect", _set_synchronous)
    db.event.listen(engine, "reset", _close_cursors)
    return engine


def _set_synchronous(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


def _close_cursors(connection: TidyConnection, _record: Any, _state: Any) -> None:
    connection.close_cursors()
