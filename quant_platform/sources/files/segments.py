"""The files of an import: segments of bars, and one file for each other kind.

Rows lie in the order in which they were known, in row groups with their bounds, so that the answer
for one session reads the groups that hold it and nothing else. New bars get segments of their own:
no segment that the manifest of an import names is ever written over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from quant_platform.sources.files.manifest import ImportedFile
from quant_platform.sources.files.taking import SEGMENT_SCHEMA

_ROW_GROUP = 50_000


@dataclass(frozen=True)
class Segments:
    """Files of one import.

    Parameters
    ----------
    root
        Folder of the import.
    """

    root: Path

    def read(self, kind: str) -> pl.DataFrame:
        """Read the file of another kind than bars."""
        return pl.read_parquet(self.root / f"{kind}.parquet")

    def scan(self, entries: Sequence[ImportedFile]) -> pl.LazyFrame:
        """Segments that hold some files, each once; they may hold others as well."""
        paths = {entry.segment: self.root / "bars" / entry.segment for entry in entries}
        if not paths:
            return pl.LazyFrame(schema=SEGMENT_SCHEMA)
        return pl.concat([pl.scan_parquet(path) for path in paths.values()], how="diagonal")

    def rows(self, entries: Sequence[ImportedFile]) -> pl.DataFrame:
        """Rows of some files alone."""
        names = pl.Series([entry.file for entry in entries], dtype=pl.String)
        return self.scan(entries).filter(pl.col("file").is_in(names.implode())).collect()

    def write(self, name: str, rows: pl.DataFrame) -> None:
        """Write a file, by its name below the folder, whole or not at all."""
        path = self.root / name
        aside = path.with_name(f"{path.name}.writing")
        rows.write_parquet(aside, row_group_size=_ROW_GROUP, compression="lz4", statistics=True)
        aside.replace(path)
