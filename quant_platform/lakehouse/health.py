"""The health of a lake: whether its files match the logs; logs rebuilt from files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import polars as pl

from quant_platform.errors import LakeError
from quant_platform.lakehouse.content import frame_hash
from quant_platform.lakehouse.files import complete_lines, file_lock
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import Entry
from quant_platform.lakehouse.store import LOCK_TIMEOUT, read_footer


@dataclass(frozen=True)
class Finding:
    """Something wrong with a table.

    Parameters
    ----------
    table
        Table name.
    session
        Partition, where it is about one.
    sentence
        What was found and what to do.
    """

    table: str
    session: date | None
    sentence: str


def examine(lake: Lake, table: str, *, deep: bool = False) -> Iterator[Finding]:
    """Compare a table's files with its log.

    Parameters
    ----------
    lake
        The lake.
    table
        Table name.
    deep
        Whether to read every file and compare its rows with the content hash.
    """
    layout, store = lake.layout(table), lake.store(table)
    if layout.pending.exists():
        yield Finding(table, None, "a write was interrupted; the next write completes its log")
    if complete_lines(layout.log)[1]:
        yield Finding(table, None, "the log ends in a torn line; the next write sets it aside")
    entries = lake.entries(table)
    for session, entry in entries.items():
        path = store.file_of(entry)
        if not entry.filed:
            continue
        if not path.exists():
            yield Finding(table, session, f"{path} is gone; backfill the session")
        elif path.stat().st_size != entry.size:
            yield Finding(table, session, f"{path} is not what was written; delete and backfill")
        elif deep and not store.sound(entry):
            yield Finding(table, session, f"{path} changed after the write; delete and backfill")
        elif deep:
            yield from _compared(lake, table, entry)
    named = {store.file_of(entry) for entry in entries.values() if entry.filed}
    for path in layout.files():
        if path not in named:
            yield Finding(
                table, None, f"{path} is in no log; run 'quant doctor --repair', or delete it"
            )


def rebuild_log(lake: Lake, table: str) -> int:
    """Append to the log the sessions that it does not know, from the footers of their files.

    Returns
    -------
    int
        Entries appended.
    """
    layout, log, store = lake.layout(table), lake.log(table), lake.store(table)
    with file_lock(layout.lock, timeout=LOCK_TIMEOUT):
        known = log.latest()
        found: dict[date, Entry] = {}
        for path in layout.files():
            with suppress(LakeError):
                entry = read_footer(path)
                at_home = entry.table == table and store.file_of(entry) == path
                if at_home and entry.session not in known:
                    newest = found.setdefault(entry.session, entry)
                    found[entry.session] = max(newest, entry, key=_age)
        log.append([found[session] for session in sorted(found)])
    return len(found)


def _age(entry: Entry) -> tuple[int, str]:
    """Order in which entries of one session were written."""
    return entry.schema_version, entry.stamp.written_at


def _compared(lake: Lake, table: str, entry: Entry) -> Iterator[Finding]:
    """Compare the rows of one file, whose bytes are as written, with its content hash."""
    path = lake.store(table).file_of(entry)
    try:
        rows = pl.read_parquet(path, hive_partitioning=False)
        content = frame_hash(rows, lake.layout(table).contract.key)
    except (pl.exceptions.PolarsError, OSError):
        content = "unreadable"
    if content != entry.content_hash:
        yield Finding(
            table,
            entry.session,
            f"the rows of {path} are not those in the log; delete and backfill",
        )
