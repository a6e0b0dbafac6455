"""Garbage twins: a lake with the same partitions, every row of them spoilt.

Row counts, partitions and timestamps stay, so that garbage is found by whoever reads it; numbers
are scaled, turned or zeroed, truths denied, dates moved, lists cut, and every third key becomes
another one's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl

from quant_platform.lakehouse.content import frame_hash, sorted_partitions
from quant_platform.lakehouse.contracts import Contract
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import FOOTER_KEY
from quant_platform.lakehouse.store import file_checksum


def garbage_twin(
    lake: Lake, tables: Sequence[str], root: Path, first: date = date.min, last: date = date.max
) -> Lake:
    """Write the twin of a lake, footers and provenance included.

    Parameters
    ----------
    lake
        The lake to spoil; it is only read.
    tables
        Its tables.
    root
        Folder of the twin.
    first, last
        Days that bound it; all sessions by default.
    """
    twin = Lake.create(root, clock=lake.clock)
    for table in tables:
        layout, store = twin.layout(table), twin.store(table)
        layout.description.parent.mkdir(parents=True, exist_ok=True)
        layout.description.write_text(lake.layout(table).description.read_text())
        contract, entries = layout.contract, []
        known = {d: e for d, e in lake.entries(table).items() if first <= d <= last}
        files = [lake.store(table).file_of(entry) for entry in known.values() if entry.filed]
        rows = pl.read_parquet(files, hive_partitioning=False) if files else contract.empty()
        spoilt = garbled(rows, contract)
        parts = {
            session: (content, part)
            for session, content, part in sorted_partitions(
                spoilt, contract.key, contract.partition
            )
        }
        nothing = frame_hash(contract.empty(), contract.key), contract.empty()
        for session, entry in known.items():
            content, part = parts.get(session, nothing)
            false = replace(entry, content_hash=content, note="garbage")
            if not entry.filed:
                entries.append(false)
                continue
            path = store.file_of(false)
            path.parent.mkdir(parents=True)
            part.write_parquet(path, metadata={FOOTER_KEY: false.to_json()})
            entries.append(replace(false, size=path.stat().st_size, checksum=file_checksum(path)))
        layout.log.parent.mkdir(parents=True, exist_ok=True)
        twin.log(table).append(entries)
    return twin


def garbled(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Spoil rows of a table; as many come back, under keys that are still unique."""
    kind = pl.int_range(pl.len()).over(contract.partition) % 3
    spoilt = []
    for name, dtype in rows.schema.items():
        column = pl.col(name)
        if dtype.is_float():
            spoilt.append(
                pl.when(kind == 0)
                .then(column * 7 + 1)
                .when(kind == 1)
                .then(-column - 1)
                .otherwise(column.fill_null(1) / 5)
                .alias(name)
            )
        elif dtype == pl.String and name in contract.key:
            spoilt.append(
                pl.when(kind == 1).then(column + "-garbled").otherwise(column).alias(name)
            )
        elif name in contract.key or name == contract.partition:
            continue
        elif dtype.is_integer():
            spoilt.append((column // 3 + 1).alias(name))
        elif dtype == pl.Boolean:
            spoilt.append((~column).alias(name))
        elif dtype == pl.Date:
            spoilt.append((column - pl.duration(days=1)).cast(pl.Date).alias(name))
        elif isinstance(dtype, pl.List):
            spoilt.append(column.list.reverse().list.head(1).alias(name))
        elif isinstance(dtype, pl.Enum):
            spoilt.append(pl.lit(dtype.categories[-1], dtype).alias(name))
        elif dtype == pl.String:
            spoilt.append((column + "-garbled").alias(name))
    return rows.with_columns(spoilt).sort(contract.key)
