"""What a lake may forget: superseded files beyond the newest few, and drafts of crashed writes.

1. A partition's superseded contents are ordered by when the log last named them. The newest few
   stay and are what ``Lake.versions`` tells besides the current one; a copy of the current content
   is no version. Files that were damaged when they were replaced are ordered by their own time.
2. Drafts have hidden names that nothing reads: ``.part.parquet.<process>``, and
   ``.<name>.<random>.tmp``. Those of the ledgers are not touched.

Current partitions, logs and ledgers are never named here. Whoever removes what is named holds the
table's lock; files go oldest first, so that a crash in between leaves the newer ones.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from quant_platform.lakehouse.catalog import CATALOG
from quant_platform.lakehouse.files import file_errors, file_lock
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.layout import PART
from quant_platform.lakehouse.store import LOCK_TIMEOUT

_DRAFT = re.compile(r"\..+\.[0-9a-f]{12}\.tmp")
_LEDGERS = "ledger"


@dataclass(frozen=True)
class Freed:
    """What was removed, or would be.

    Parameters
    ----------
    count
        How many things.
    size
        Their bytes on disk.
    """

    count: int = 0
    size: int = 0

    def __add__(self, other: Freed) -> Freed:
        """Both together."""
        return Freed(self.count + other.count, self.size + other.size)


def trim_table(lake: Lake, table: str, keep: int, *, dry_run: bool = False) -> tuple[Freed, Freed]:
    """Remove a table's superseded files beyond the newest, and its drafts.

    Parameters
    ----------
    lake
        The lake.
    table
        Table name.
    keep
        Superseded contents of a partition that stay.
    dry_run
        Whether to count only.

    Returns
    -------
    tuple of Freed
        Of superseded files, and of drafts.
    """
    if dry_run:
        return _remove(_dispensable(lake, table, keep), dry_run=True), _remove(
            _drafts_of(lake, table), dry_run=True
        )
    # What a dead writer left may be the only copy of a partition until its log is complete.
    lake.store(table).repair()
    with file_lock(lake.layout(table).lock, timeout=LOCK_TIMEOUT):
        drafts = _remove(_drafts_of(lake, table))
        return _remove(_dispensable(lake, table, keep)), drafts


def trim_drafts(lake: Lake, *, dry_run: bool = False) -> Freed:
    """Remove drafts that belong to no table: of the catalog, of logs and of pages.

    Parameters
    ----------
    lake
        The lake; no run may be at work in it.
    dry_run
        Whether to count only.
    """
    tables = {lake.root / table.partition("/")[0] for table in lake.tables()}
    skipped = tables | {lake.root / name for name in (_LEDGERS, "_superseded", "_blocked")}
    drafts = list(lake.root.glob(f".{CATALOG}.*"))
    for top in lake.root.iterdir():
        found = top.rglob(".*.tmp") if top.is_dir() and top not in skipped else [top]
        drafts += [path for path in found if _DRAFT.fullmatch(path.name)]
    return _remove(drafts, dry_run=dry_run)


def kept_runs(lake: Lake, table: str) -> set[str]:
    """Find the runs that made a table's contents, current or superseded and still there."""
    there = {path.stem for path in _superseded(lake, table)}
    history = lake.log(table).every() if there else []
    kept = [entry for entry in history if entry.content_hash in there]
    return {entry.stamp.run_id for entry in (*lake.entries(table).values(), *kept)}


def _superseded(lake: Lake, table: str) -> Iterator[Path]:
    yield from sorted((lake.root / "_superseded" / table).glob("v*/*/*.parquet"))


def _dispensable(lake: Lake, table: str, keep: int) -> list[Path]:
    """Superseded files that are not among the newest of their partition, oldest first."""
    shelves: dict[date, list[Path]] = defaultdict(list)
    for path in _superseded(lake, table):
        shelves[date.fromisoformat(path.parent.name.partition("=")[2])].append(path)
    if not shelves:
        return []
    current, found = lake.entries(table), []
    named: dict[date, dict[str, int]] = defaultdict(dict)
    for line, entry in enumerate(lake.log(table).every()):
        named[entry.session][entry.content_hash] = line
    for session, paths in shelves.items():
        last = named[session]
        now = current[session].content_hash if session in current else None
        versions = [path for path in paths if path.stem in last and path.stem != now]
        strangers = [path for path in paths if path.stem not in last]
        versions.sort(key=lambda path: last[path.stem])
        strangers.sort(key=lambda path: path.stat().st_mtime_ns)
        found += [path for path in paths if path.stem == now]
        found += versions[: max(0, len(versions) - keep)]
        found += strangers[: max(0, len(strangers) - keep)]
    return found


def _drafts_of(lake: Lake, table: str) -> list[Path]:
    tops = (lake.root / table, lake.root / "_blocked" / table)
    parts = [path for top in tops for path in top.glob(f"v*/*/.{PART}.*")]
    return parts + [p for p in (lake.root / table).glob(".*.tmp") if _DRAFT.fullmatch(p.name)]


def _remove(paths: list[Path], *, dry_run: bool = False) -> Freed:
    freed = Freed()
    for path in paths:
        with file_errors(path, "remove"):
            status = path.stat()
            # A second name of a file that stays frees nothing.
            freed += Freed(1, status.st_size if status.st_nlink == 1 else 0)
            if not dry_run:
                path.unlink()
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()
    return freed
