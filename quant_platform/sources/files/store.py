"""What has been imported: columnar files in the lake, from which the source answers.

::

    <lake>/_imports/<sleeve>/manifest.json         the folder, the mapping, each file with its size
    <lake>/_imports/<sleeve>/imports.jsonl         every import, with the hashes of its files
    <lake>/_imports/<sleeve>/bars/<number>.parquet segments: the bars of some files of an import
    <lake>/_imports/<sleeve>/<kind>.parquet        the other kinds; ids.parquet
    <lake>/_imports/<sleeve>.second/               the same, of what its bars are compared with

An import is prepared (`quant_platform.sources.files.preparing`) and then committed, if it can be
believed. The manifest is written last: an import that was stopped leaves the one before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.lakehouse.files import append_lines, write_atomic
from quant_platform.sources.files.again import Again
from quant_platform.sources.files.convert import SCHEMAS, FolderReader, with_security
from quant_platform.sources.files.manifest import Journal, Manifest, sha256_of
from quant_platform.sources.files.preparing import Prepared, prepare
from quant_platform.sources.files.segments import Segments

FOLDER = "_imports"
_SECOND = ".second"
"""End of the folder of what a sleeve's bars are compared with; no sleeve's name has a dot."""
_ORDER = ("known_at", "session", "security_id", "series")


@dataclass(frozen=True)
class ImportStore:
    """The import of one sleeve.

    Parameters
    ----------
    root
        ``<lake>/_imports/<sleeve>``.
    """

    root: Path

    @classmethod
    def of(cls, lake_root: Path, sleeve: str, *, second: bool = False) -> ImportStore:
        """Store of a sleeve in a lake: its own, or of what its bars are compared with."""
        return cls(lake_root / FOLDER / (sleeve + _SECOND if second else sleeve))

    @property
    def journal(self) -> Journal:
        """What each import was made of."""
        return Journal(self.root / "imports.jsonl")

    def manifest(self) -> Manifest | None:
        """Read the manifest of the last import; None if there was none."""
        try:
            return Manifest.from_json((self.root / "manifest.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def required(self) -> Manifest:
        """Read the manifest of the last import.

        Raises
        ------
        SourceError
            When nothing was imported.
        """
        manifest = self.manifest()
        if manifest is None:
            sleeve = self.root.name.removesuffix(_SECOND)
            second = sleeve != self.root.name
            raise SourceError(
                f"nothing has been imported for {'second_bars of ' if second else ''}sleeve "
                f"{sleeve!r}",
                expected="the files that its source 'files' answers from",
                mend=f"run 'quant import DIR --sleeve {sleeve}{' --second' if second else ''}'",
            )
        return manifest

    @property
    def segments(self) -> Segments:
        """Its files."""
        return Segments(self.root)

    def bars(self, manifest: Manifest) -> pl.LazyFrame:
        """All segments, as they were delivered."""
        return self.segments.scan(manifest.bars)

    def known_bars(
        self, manifest: Manifest, after: datetime | None, until: datetime
    ) -> pl.DataFrame:
        """Bars that became known in a span of time, with their security, in the fixed order."""
        rows = _known(self.bars(manifest), after, until).collect()
        ids = self.segments.read("ids")
        named = with_security(rows.drop("adjusted", strict=False), ids)
        return named.sort("known_at", "session", "security_id", "symbol", maintain_order=True)

    def known(self, kind: str, after: datetime | None, until: datetime) -> pl.DataFrame:
        """Rows of another kind that became known in a span of time."""
        return _known(pl.scan_parquet(self.root / f"{kind}.parquet"), after, until).collect()

    def prepare(
        self, reader: FolderReader, before: Manifest | None, again: Again | None = None
    ) -> Prepared:
        """Convert a folder without changing what the source answers.

        Parameters
        ----------
        reader
            The folder.
        before
            The import before, if there was one.
        again
            How to take what is new of sessions that the lake has taken in; without it, as if they
            had never been told. A mapping that has changed since makes no difference to that.
        """
        return prepare(self.segments, reader, before, again)

    def commit(self, prepared: Prepared, at: datetime) -> None:
        """Make what was prepared the import that the source answers from.

        Parameters
        ----------
        prepared
            What `prepare` made.
        at
            When that is, for the journal.
        """
        reference, manifest, files = prepared.reference, prepared.manifest, self.segments
        files.write("ids.parquet", reference.who.ids)
        files.write("departures.parquet", reference.who.departures)
        for kind in SCHEMAS:
            rows = reference.kinds[kind]
            order = [name for name in _ORDER if name in rows.columns]
            files.write(f"{kind}.parquet", rows.sort(order, maintain_order=True))
        line = self.journal.line(manifest.number, at, manifest, self._new_files(prepared))
        append_lines(self.journal.path, [line.encode()])
        write_atomic(self.root / "manifest.json", json.dumps(asdict(manifest), indent=1).encode())
        named = {entry.segment for entry in manifest.bars}
        for path in (self.root / "bars").iterdir():
            if path.name not in named:
                path.unlink()

    def _new_files(self, prepared: Prepared) -> list[dict[str, Any]]:
        """Files of all kinds that no import before has taken as they are now."""
        told = self.journal.told()
        hashed = [("bars", e.file, e.size, e.sha256) for e in prepared.manifest.bars]
        folder = Path(prepared.manifest.folder)
        for kind, names in prepared.others.items():
            for name in names:
                path = folder / name
                hashed.append((kind, name, path.stat().st_size, sha256_of(path)))
        return [
            {"kind": kind, "file": name, "size": size, "sha256": digest}
            for kind, name, size, digest in hashed
            if told.get((kind, name)) != digest
        ]

    def origin(self, symbol: str, session: date) -> pl.DataFrame:
        """Tell from which files a bar was read, and what their bytes were.

        Parameters
        ----------
        symbol, session
            The bar; each of its versions is told.

        Returns
        -------
        polars.DataFrame
            The version (``open`` … ``known_at_basis``), ``file``, ``import``, and of that import
            ``at``, ``size`` and ``sha256``.
        """
        rows = self.bars(self.required()).filter(
            pl.col("symbol") == symbol, pl.col("session") == session
        )
        journal = self.journal.files().filter(kind="bars").drop("kind")
        # An import that was stopped before its manifest was written has a line as well.
        journal = journal.unique(["import", "file"], keep="last", maintain_order=True).sort(
            "import"
        )
        return (
            rows.drop("adjusted", "unit", strict=False)
            .collect()
            .sort("import")
            # The file as the newest import up to then that found it changed took it.
            .join_asof(journal, on="import", by="file", strategy="backward", check_sortedness=False)
            .sort("known_at")
        )


def spans_of_time(
    calendar: SessionCalendar, sessions: Sequence[date]
) -> list[tuple[datetime | None, datetime]]:
    """Spans of time in which what becomes known belongs to sessions: one for each unbroken run.

    A span begins after the cutoff of the session before; None is the beginning of time, because an
    instant before the first cutoff belongs to the first session.
    """
    ordinals = sorted({calendar.ordinal(session) for session in sessions})
    spans: list[tuple[datetime | None, datetime]] = []
    start = 0
    for position, ordinal in enumerate(ordinals):
        if position + 1 < len(ordinals) and ordinals[position + 1] == ordinal + 1:
            continue
        first = ordinals[start]
        after = calendar.cutoff(calendar.sessions[first - 1]) if first else None
        spans.append((after, calendar.cutoff(calendar.sessions[ordinal])))
        start = position + 1
    return spans


def _known(rows: pl.LazyFrame, after: datetime | None, until: datetime) -> pl.LazyFrame:
    inside = pl.col("known_at") <= until
    return rows.filter(inside if after is None else inside & (pl.col("known_at") > after))
