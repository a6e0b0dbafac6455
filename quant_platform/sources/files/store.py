"""What has been imported: columnar files in the lake, from which the source answers.

::

    <lake>/_imports/<sleeve>/manifest.json         the folder, the mapping, each file with its size
    <lake>/_imports/<sleeve>/imports.jsonl         every import, with the hashes of its files
    <lake>/_imports/<sleeve>/bars/<number>.parquet segments: the bars of some files of an import
    <lake>/_imports/<sleeve>/<kind>.parquet        the other kinds; ids.parquet

Rows lie in the order in which they were known, in row groups with their bounds, so that the answer
for one session reads the groups that hold it and nothing else. The manifest is written last: an
import that was stopped leaves the one before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.lakehouse.files import append_lines, file_errors, write_atomic
from quant_platform.sources.files.again import KEYS, WITHDRAWN, Again
from quant_platform.sources.files.convert import (
    SCHEMAS,
    FolderReader,
    Reference,
    kinds_of,
    reference_of,
    spans_of,
    with_security,
)
from quant_platform.sources.files.manifest import (
    ImportedFile,
    Journal,
    Manifest,
    is_ended,
    sha256_of,
)
from quant_platform.sources.files.mapping import KINDS
from quant_platform.sources.files.relisting import Former
from quant_platform.sources.files.restated import RESCALED, RESTATED
from quant_platform.sources.files.taking import LOST, SEGMENT_SCHEMA, Taking, batches
from quant_platform.sources.files.total_return import settled

FOLDER = "_imports"
_ROW_GROUP = 50_000
_ORDER = ("known_at", "session", "security_id", "series")


@dataclass(frozen=True)
class Prepared:
    """A folder that has been converted and not been committed.

    Parameters
    ----------
    manifest
        What it was made of.
    reference
        Everything but the bars.
    bars
        All segments, as delivered.
    new_rows
        Rows of bars that were not in the import before.
    new_from
        First session of the files that are new or have changed; None where nothing was imported
        before, or nothing is new.
    rescaled
        Rows of `RESCALED`: whose told history the files have in other units now.
    withdrawn
        Actions that were told and that the files do not tell any more.
    lost
        Rows of `LOST`: files that have no longer what they had.
    others
        Files of the other kinds, by kind.
    unread
        Files that look like data and that no reading takes.
    undescribed
        Securities that listings described and of which only bars tell now.
    """

    manifest: Manifest
    reference: Reference
    bars: pl.LazyFrame
    new_rows: int
    new_from: date | None = None
    rescaled: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RESCALED))
    withdrawn: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=WITHDRAWN))
    lost: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LOST))
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unread: Sequence[str] = ()
    undescribed: int = 0


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
    def of(cls, lake_root: Path, sleeve: str) -> ImportStore:
        """Store of a sleeve in a lake."""
        return cls(lake_root / FOLDER / sleeve)

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
            raise SourceError(
                f"nothing has been imported for sleeve {self.root.name!r}",
                expected="the files that its source 'files' answers from",
                mend=f"run 'quant import DIR --sleeve {self.root.name}'",
            )
        return manifest

    def bars(self, manifest: Manifest) -> pl.LazyFrame:
        """All segments, as they were delivered."""
        return self._segments(manifest.bars)

    def _segments(self, entries: Sequence[ImportedFile]) -> pl.LazyFrame:
        """Segments that hold some files, each once; they may hold others as well."""
        paths = {entry.segment: self.root / "bars" / entry.segment for entry in entries}
        if not paths:
            return pl.LazyFrame(schema=SEGMENT_SCHEMA)
        return pl.concat([pl.scan_parquet(path) for path in paths.values()], how="diagonal")

    def _rows(self, entries: Sequence[ImportedFile]) -> pl.DataFrame:
        """Rows of some files alone."""
        names = pl.Series([entry.file for entry in entries], dtype=pl.String)
        return self._segments(entries).filter(pl.col("file").is_in(names.implode())).collect()

    def known_bars(
        self, manifest: Manifest, after: datetime | None, until: datetime
    ) -> pl.DataFrame:
        """Bars that became known in a span of time, with their security, in the fixed order."""
        rows = _known(self.bars(manifest), after, until).collect()
        ids = pl.read_parquet(self.root / "ids.parquet")
        named = with_security(rows.drop("adjusted", strict=False), ids)
        return named.sort("known_at", "session", "security_id", "symbol", maintain_order=True)

    def known(self, kind: str, after: datetime | None, until: datetime) -> pl.DataFrame:
        """Rows of another kind that became known in a span of time."""
        return _known(pl.scan_parquet(self.root / f"{kind}.parquet"), after, until).collect()

    def prepare(
        self, reader: FolderReader, before: Manifest | None, again: Again | None = None
    ) -> Prepared:
        """Convert a folder without changing what the source answers.

        The segments of unchanged files are kept; new ones have names of their own, so that nothing
        that the manifest of the import before names is touched.

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
        with file_errors(self.root, "create"):
            (self.root / "bars").mkdir(parents=True, exist_ok=True)
        same = before is not None and before.mapping == reader.mapping.digest
        # What the lake has taken in of another source is not held against the files.
        again = again if before is not None else None
        number = before.number + 1 if before is not None else 1
        told = {entry.file: entry for entry in before.bars} if before is not None else {}
        names = {path: path.relative_to(reader.folder).as_posix() for path in reader.files("bars")}
        entries: dict[str, ImportedFile] = {}
        for path, name in names.items():
            kept = _still(told.get(name), path) if same else None
            if kept is not None:
                entries[name] = kept
        changed = [path for path, name in names.items() if name not in entries]
        self._carry(
            entries, [entry for entry in told.values() if entry.file not in entries], number
        )
        taking = Taking(
            *(reader, again, number),
            told=told,
            splits=before.restatements() if before is not None else pl.DataFrame(schema=RESTATED),
            rows_of=self._rows,
            all_rows=lambda: self._segments(list(told.values())),
        )
        for place, batch in enumerate(batches(changed)):
            segment = f"{number:06d}.{place:04d}.parquet"
            rows, counts, disorder = taking.take(batch)
            self._write(f"bars/{segment}", rows)
            for path in batch:
                name, state = names[path], path.stat()
                # Of a file that was read in part the rest is still to come.
                stamp = state.st_mtime_ns if again is None or again.symbols is None else 0
                entries[name] = ImportedFile(
                    *(name, state.st_size, stamp, counts.get(name, 0), segment),
                    out_of_order=disorder.get(name, 0),
                    sha256=sha256_of(path),
                    ended=is_ended(path),
                )
        manifest = Manifest(
            str(reader.folder),
            reader.mapping.digest,
            reader.calendar.code,
            tuple(sorted(kinds_of(reader))),
            tuple(entries[name] for name in names.values()),
            number,
            tuple((f, s, day.isoformat(), r, v) for f, s, day, r, v in taking.splits.iter_rows()),
        )
        bars = self.bars(manifest)
        reference = reference_of(
            reader, bars, spans_of(bars, reader.calendar), taking.splits, self._former(again, told)
        )
        kinds, withdrawn, undescribed = self._superseding(again, reference)
        new_from = taking.new_from if same else None
        if same and not changed:
            new_from = bars.select(pl.col("session").max()).collect().item()
        return Prepared(
            *(manifest, replace(reference, kinds=kinds), bars, taking.new_rows, new_from),
            rescaled=pl.concat([pl.DataFrame(schema=RESCALED), *taking.rescaled]),
            withdrawn=withdrawn,
            lost=pl.concat([pl.DataFrame(schema=LOST), *taking.lost]),
            others={
                kind: [path.relative_to(reader.folder).as_posix() for path in reader.files(kind)]
                for kind in KINDS
                if kind != "bars"
            },
            unread=reader.unread(),
            undescribed=undescribed,
        )

    def _carry(
        self,
        entries: dict[str, ImportedFile],
        leaving: Sequence[ImportedFile],
        number: int,
    ) -> None:
        """Give files that stay a segment of their own, if theirs holds one that does not."""
        torn = {entry.segment for entry in leaving}
        carried = [entry for entry in entries.values() if entry.segment in torn]
        if carried:
            segment = f"{number:06d}.carried.parquet"
            rows = self._rows(carried).sort("known_at", "session", "symbol", maintain_order=True)
            self._write(f"bars/{segment}", rows)
            entries.update({entry.file: replace(entry, segment=segment) for entry in carried})

    def _former(self, again: Again | None, told: Mapping[str, ImportedFile]) -> Former:
        """Say what the lake has taken in of ends."""
        if again is None:
            return Former()
        ends = again.ends(pl.read_parquet(self.root / "actions.parquet"))
        if not ends.height:
            return Former()
        # Who is told of later than the last session taken in is told of all the same.
        securities = pl.read_parquet(self.root / "securities.parquet")
        bars = self._segments(list(told.values())).filter(again.past)
        last = bars.group_by("symbol").agg(last=pl.col("session").max()).collect()
        return Former(ends, last, securities["security_id"].unique())

    def _superseding(
        self, again: Again | None, reference: Reference
    ) -> tuple[dict[str, pl.DataFrame], pl.DataFrame, int]:
        """Everything but the bars to answer from, and what of it the files tell no more."""
        kinds = dict(reference.kinds)
        actions = kinds["actions"]
        if again is None:
            kinds["actions"] = actions.drop("noise")
            return kinds, pl.DataFrame(schema=WITHDRAWN), 0
        told = {kind: pl.read_parquet(self.root / f"{kind}.parquet") for kind in kinds}
        kinds["actions"] = settled(actions, told["actions"])
        kinds["securities"], undescribed = again.described(
            told["securities"], kinds["securities"], reference.who.only_bars
        )
        withdrawn = again.withdrawn(told["actions"], kinds["actions"])
        undone = again.undone(told["actions"], withdrawn)
        ended = again.ended(told["membership"], kinds["membership"])
        kinds = {
            kind: again.superseding(told[kind], rows, KEYS[kind]) for kind, rows in kinds.items()
        }
        kinds["membership"] = pl.concat([kinds["membership"], ended])
        kinds["actions"] = pl.concat([kinds["actions"], undone])
        return kinds, withdrawn, undescribed

    def commit(self, prepared: Prepared, at: datetime) -> None:
        """Make what was prepared the import that the source answers from.

        Parameters
        ----------
        prepared
            What `prepare` made.
        at
            When that is, for the journal.
        """
        reference, manifest = prepared.reference, prepared.manifest
        self._write("ids.parquet", reference.who.ids)
        self._write("departures.parquet", reference.who.departures)
        for kind in SCHEMAS:
            rows = reference.kinds[kind]
            order = [name for name in _ORDER if name in rows.columns]
            self._write(f"{kind}.parquet", rows.sort(order, maintain_order=True))
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

    def _write(self, name: str, rows: pl.DataFrame) -> None:
        path = self.root / name
        aside = path.with_name(f"{path.name}.writing")
        rows.write_parquet(aside, row_group_size=_ROW_GROUP, compression="lz4", statistics=True)
        aside.replace(path)


def _still(entry: ImportedFile | None, path: Path) -> ImportedFile | None:
    """Return the entry of a file that is what was imported, by its time or else by its bytes."""
    if entry is None or entry.is_still(path):
        return entry
    state = path.stat()
    whole = entry.changed_ns and entry.size == state.st_size and entry.sha256
    if whole and sha256_of(path) == entry.sha256:
        return replace(entry, changed_ns=state.st_mtime_ns)
    return None


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
