"""Taking files of bars that are new or have changed: what becomes of their rows.

1. Files are read in batches.
2. What they have lost since the import before is counted: rows from before a file begins now (a
   shorter window, `since` in the mapping) apart from others, and copies of a row not at all.
3. A history that a split has restated is put back into the units in which it was printed
   (`restated`).
4. If the lake has taken in sessions, what was told of them stays and what is new of them is known
   now (`again`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

import polars as pl

from quant_platform.errors import SourceError
from quant_platform.sources.files.again import BAR_KEY, FILE_KEY, Again
from quant_platform.sources.files.convert import SEGMENT, FolderReader
from quant_platform.sources.files.manifest import ImportedFile
from quant_platform.sources.files.restated import (
    as_printed,
    recognise,
    rescaled,
    still_restated,
)
from quant_platform.sources.protocol import BAR_SCHEMA

SEGMENT_SCHEMA = pl.Schema(
    {
        "file": pl.String(),
        **{name: dtype for name, dtype in BAR_SCHEMA.items() if name in SEGMENT},
        "import": pl.UInt32(),
    }
)
"""Columns of a segment: a bar as printed, its file, and the import that first told it so."""

LOST = pl.Schema(
    {
        "file": pl.String(),
        "lost": pl.UInt32(),
        "gained": pl.UInt32(),
        "earlier": pl.UInt32(),
    }
)
"""Bars that a file has no more, those that it has gained, and those from before it begins now."""

_BATCH_BYTES, _PACKED = 64 * 2**20, 4
"""Bytes of text that are read at once; Parquet packs as much into a quarter."""


@dataclass
class Taking:
    """One import, file after file.

    Parameters
    ----------
    reader
        The folder.
    again
        How to take what is new of sessions that the lake has taken in.
    number
        Number of the import.
    told
        Files of the import before.
    splits
        Splits by which files have restated what they told; new ones are added.
    rows_of
        Reads the rows of some files of the import before.
    all_rows
        Scans all rows of the import before.
    """

    reader: FolderReader
    again: Again | None
    number: int
    told: Mapping[str, ImportedFile]
    splits: pl.DataFrame
    rows_of: Callable[[Sequence[ImportedFile]], pl.DataFrame]
    all_rows: Callable[[], pl.LazyFrame]
    new_rows: int = field(default=0, init=False)
    new_from: date | None = field(default=None, init=False)
    rescaled: list[pl.DataFrame] = field(default_factory=list, init=False)
    lost: list[pl.DataFrame] = field(default_factory=list, init=False)

    def take(self, batch: Sequence[Path]) -> tuple[pl.DataFrame, dict[str, int], dict[str, int]]:
        """Read some files.

        Returns
        -------
        tuple
            Rows of `SEGMENT_SCHEMA`, with ``adjusted`` and ``unit`` where a file has them; by file,
            how many rows it holds and how many of them are out of order.
        """
        reads = self.reader.read("bars", set(batch))
        delivered = segment_of(reads).with_columns(pl.lit(self.number, pl.UInt32).alias("import"))
        counts: dict[str, int] = dict(delivered.group_by("file").len().iter_rows())
        names = [path.relative_to(self.reader.folder).as_posix() for path in batch]
        kept = [self.told[name] for name in names if name in self.told]
        old = self.rows_of(kept) if kept else pl.DataFrame(schema=SEGMENT_SCHEMA)
        _same_symbols(old, delivered)
        others = old.clear()
        before = old
        if self.again is not None and self.again.symbols is not None:
            before, delivered = self.again.chosen(old), self.again.chosen(delivered)
            others = old.join(before.select("symbol").unique(), on="symbol", how="anti")
        self.lost.append(self._lost(before, delivered, names))
        if self.again is None:
            rows = _with_unit(delivered)
        else:
            rows = self._taken_again(self.again, before, delivered)
        self._count(old, rows)
        rows = pl.concat([others, rows], how="diagonal")
        order = ("known_at", "session", "symbol")
        return rows.sort(order, maintain_order=True), counts, out_of_order(reads)

    def _taken_again(
        self, again: Again, before: pl.DataFrame, delivered: pl.DataFrame
    ) -> pl.DataFrame:
        """Hold what files say against what was told."""
        elsewhere = self._told_by_others(again, before, delivered)
        told = pl.concat([before, elsewhere], how="diagonal")
        own = self.splits.join(delivered, on="file", how="semi")
        kept = still_restated(delivered, told, own)
        rows = as_printed(delivered, told, kept)
        found = rescaled(rows.filter(again.past), told.filter(again.past))
        if found.height:
            new, refused = recognise(found, rows, self._actions, kept)
            self.rescaled.append(refused)
            kept = pl.concat([kept, new])
            rows = as_printed(delivered, told, kept)
        self.splits = pl.concat([self.splits.join(delivered, on="file", how="anti"), kept])
        return again.bars(before, elsewhere, _with_unit(rows))

    @cached_property
    def _sinces(self) -> dict[str, date]:
        return self.reader.sinces()

    @cached_property
    def _actions(self) -> pl.DataFrame:
        return self.reader.table("actions")

    def _told_by_others(
        self, again: Again, old: pl.DataFrame, delivered: pl.DataFrame
    ) -> pl.DataFrame:
        """Find what other files told of bars of which these have told nothing."""
        past = delivered.filter(again.past)
        lacking = past.select(FILE_KEY).unique().join(old, on=FILE_KEY, how="anti")
        if not lacking.height:
            return pl.DataFrame(schema=SEGMENT_SCHEMA)
        symbols = lacking["symbol"].unique().implode()
        found = self.all_rows().filter(again.past, pl.col("symbol").is_in(symbols))
        return (
            found.select(*SEGMENT_SCHEMA)
            .rename({"file": "by"})
            .join(lacking.lazy(), on=BAR_KEY)
            .filter(pl.col("by") != pl.col("file"))
            .select(*SEGMENT_SCHEMA)
            .collect()
        )

    def _lost(
        self, old: pl.DataFrame, delivered: pl.DataFrame, names: Sequence[str]
    ) -> pl.DataFrame:
        """Count by file the bars that it has no more."""
        then, now = old.select(FILE_KEY).unique(), delivered.select(FILE_KEY).unique()
        begins = now.group_by("file").agg(begins=pl.col("session").min())
        if not then.height:
            return pl.DataFrame(schema=LOST)
        since = pl.DataFrame(
            {"file": names, "since": [self._sinces.get(name) for name in names]},
            schema={"file": pl.String, "since": pl.Date},
        )
        placed = (
            then.join(now, on=FILE_KEY, how="anti")
            .join(begins, on="file", how="left")
            .join(since, on="file", how="left")
            .with_columns(earlier=pl.col("session") < pl.coalesce("begins", "since"))
        )
        gained = now.join(then, on=FILE_KEY, how="anti").group_by("file").len("gained")
        return (
            placed.group_by("file")
            .agg(
                lost=pl.col("earlier").fill_null(value=False).not_().sum(),
                earlier=pl.col("earlier").sum(),
            )
            .join(gained, on="file", how="left")
            .with_columns(pl.col("gained").fill_null(0))
            .select(pl.col(name).cast(dtype) for name, dtype in LOST.items())
            .sort("file")
        )

    def _count(self, old: pl.DataFrame, rows: pl.DataFrame) -> None:
        """Note how many rows are new, and from which session on."""
        self.new_rows += rows.height - old.height
        fresh = rows.filter(pl.col("import") == self.number)["session"].min()
        if isinstance(fresh, date):
            self.new_from = fresh if self.new_from is None else min(self.new_from, fresh)


def batches(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """Split files into batches that fit into memory together, about a million rows each."""
    batch: list[Path] = []
    size = 0
    for path in paths:
        weight = path.stat().st_size * (_PACKED if path.suffix.lower() == ".parquet" else 1)
        if batch and size + weight > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += weight
    if batch:
        yield batch


def segment_of(reads: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Rows of files of bars, in the order in which they were known."""
    rows = pl.concat(reads)
    told = rows["adjusted"].null_count() < rows.height
    wanted = ["file", *SEGMENT, *(["adjusted"] if told else [])]
    return rows.select(wanted).sort("known_at", "session", "symbol", maintain_order=True)


def out_of_order(reads: Sequence[pl.DataFrame]) -> dict[str, int]:
    """Count by file the rows that describe an earlier session than the row above of the symbol."""
    same = (pl.col("symbol") == pl.col("symbol").shift(1)) & (
        pl.col("file") == pl.col("file").shift(1)
    )
    back = same & (pl.col("session") < pl.col("session").shift(1))
    counted = pl.concat(
        [rows.select("file", back=back.fill_null(value=False)) for rows in reads]
    ).filter("back")
    return dict(counted.group_by("file").len().iter_rows())


def _with_unit(rows: pl.DataFrame) -> pl.DataFrame:
    """Say beside a total-return close in which units it is; without one nobody asks."""
    if "adjusted" not in rows.columns:
        return rows.drop("unit", strict=False)
    return rows if "unit" in rows.columns else rows.with_columns(unit=pl.lit(1.0))


def _same_symbols(old: pl.DataFrame, delivered: pl.DataFrame) -> None:
    """Refuse a file that tells of others only: the same bars would be told under two names."""
    then, now = (
        rows.group_by("file", maintain_order=True).agg(pl.col("symbol").unique(maintain_order=True))
        for rows in (old, delivered)
    )
    apart = then.join(now, on="file", suffix="_now").filter(
        pl.col("symbol").list.set_intersection("symbol_now").list.len() == 0
    )
    if apart.height:
        name, before, after = apart.row(0)
        raise SourceError(
            f"{name} tells of {after[0]} and of nothing that it told before",
            expected=f"bars of {before[0]}, as when it was imported",
            mend="restore the symbols of the mapping file, or give other securities another file",
        )
