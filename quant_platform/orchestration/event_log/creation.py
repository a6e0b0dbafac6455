"""The tables of a new event log file, as stock storage would create and stamp them."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as db
import sqlalchemy.exc as db_exc
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite import sqlite_event_log as stock
from dagster._core.storage.sql import get_alembic_config
from sqlalchemy.engine import Connection


@cache
def creation_statements() -> tuple[str, ...]:
    """Write out the statements with which stock creates and stamps a new file."""
    statements: list[str] = []

    def note(ddl: Any, *_: object) -> None:
        statements.append(str(ddl.compile(dialect=dry_run.dialect)))

    dry_run = db.create_mock_engine("sqlite://", note)
    SqlEventLogStorageMetadata.create_all(dry_run, checkfirst=False)
    head = ScriptDirectory.from_config(get_alembic_config(stock.__file__)).get_current_head()
    return (
        *statements,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
        f"INSERT INTO alembic_version (version_num) VALUES ('{head}')",  # noqa: S608
    )


def stored_revision(connection: Connection) -> str | None:
    """Return the revision that a file was stamped with; None if it has none."""
    try:
        row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchone()
    except db_exc.OperationalError:
        return None
    return row[0] if row else None
