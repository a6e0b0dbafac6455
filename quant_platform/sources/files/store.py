"""What has been imported: columnar files in the lake, from which the source answers.

::

    <lake>/_imports/<sleeve>/manifest.json         the folder, the mapping, each file with its size
    <lake>/_imports/<sleeve>/bars/<number>.parquet  a segment for each file of bars
    <lake>/_imports/<sleeve>/<kind>.parquet         the other kinds; ids.parquet, spans.parquet

Rows lie in the order in which they were known, in row groups with their bounds, so that the answer
for one session reads the groups that hold it and nothing else. The manifest is written last: an
import that was stopped leaves the one before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.lakehouse.files import file_errors, write_atomic
from quant_platform.sources.files.again import BAR_KEY, KEYS, RESCALED, WITHDRAWN, Again
from quant_platform.sources.files.convert import (
    SCHEMAS,
    FolderReader,
    Reference,
    kinds_of,
    out_of_order,
    reference_of,
    segment_of,
    spans_of,
    with_security,
)
from quant_platform.sources.files.total_return import settled
from quant_platform.sources.protocol import BAR_SCHEMA

FOLDER = "_imports"
_ROW_GROUP = 50_000
_ORDER = ("known_at", "session", "security_id", "series")


@dataclass(frozen=True)
class ImportedFile:
    """One file of bars as it was imported."""

    file: str
    size: int
    changed_ns: int
    rows: int
    segment: str
    out_of_order: int = 0

    def is_still(self, path: Path) -> bool:
        """Whether the file on disk is the one that was imported."""
        state = path.stat()
        return state.st_size == self.size and state.st_mtime_ns == self.changed_ns


@dataclass(frozen=True)
class Manifest:
    """What an import was made of."""

    folder: str
    mapping: str
    calendar: str
    kinds: tuple[str, ...]
    bars: tuple[ImportedFile, ...]


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
        ``symbol``, ``factor``, ``sessions``: whose told history the files have in other units now.
    withdrawn
        Actions that were told and that the files do not tell any more.
    """

    manifest: Manifest
    reference: Reference
    bars: pl.LazyFrame
    new_rows: int
    new_from: date | None = None
    rescaled: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RESCALED))
    withdrawn: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=WITHDRAWN))


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

    def manifest(self) -> Manifest | None:
        """Read the manifest of the last import; None if there was none."""
        try:
            told = json.loads((self.root / "manifest.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        bars = tuple(ImportedFile(**entry) for entry in told.pop("bars"))
        return Manifest(**{**told, "kinds": tuple(told["kinds"])}, bars=bars)

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
        paths = [self.root / "bars" / entry.segment for entry in entries]
        if not paths:
            return pl.LazyFrame(schema=BAR_SCHEMA).drop("security_id")
        return pl.concat([pl.scan_parquet(path) for path in paths], how="diagonal")

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
        told: dict[str, list[ImportedFile]] = {}
        for entry in before.bars if before is not None else ():
            told.setdefault(entry.file, []).append(entry)
        entries: list[ImportedFile] = []
        new = 0
        begins: list[date] = []
        rescaled = [pl.DataFrame(schema=RESCALED)]
        for path in reader.files("bars"):
            name = path.relative_to(reader.folder).as_posix()
            kept = told.get(name, [])
            if same and kept and all(entry.is_still(path) for entry in kept):
                entries += kept
                continue
            state = path.stat()
            reads = reader.read("bars", path)
            parts = [segment_of(read) for read in reads]
            counts = [part.height for part in parts]
            stamp, changed = str(state.st_mtime_ns), state.st_mtime_ns
            if again is not None:
                old = self._segments(kept).collect()
                delivered = pl.concat(parts, how="diagonal")
                _same_symbols(name, old, delivered)
                others = [entry for file in told if file != name for entry in told[file]]
                elsewhere = self._told_by(others, old, delivered, again)
                rescaled.append(
                    again.rescaled(pl.concat([old, elsewhere], how="diagonal"), delivered)
                )
                parts, counts = [again.bars(old, elsewhere, delivered)], [delivered.height]
                stamp = f"{stamp}.{again.now:%Y%m%dT%H%M%S%f}"
                # Of a file that was read in part the rest is still to come.
                changed = changed if again.symbols is None else 0
                new -= old.height
            for part, rows in enumerate(parts):
                segment = f"{name.replace('/', '__')}.{stamp}.{part}.parquet"
                self._write(f"bars/{segment}", rows)
                new += rows.height
                if rows.height:
                    # Polars does not tell the checker that the least of dates is a date.
                    begins.append(rows["session"].min())  # type: ignore[arg-type]
                disorder = sum(out_of_order(read.rows) for read in reads) if part == 0 else 0
                entries.append(
                    ImportedFile(
                        *(name, state.st_size, changed, counts[part], segment),
                        out_of_order=disorder,
                    )
                )
        manifest = Manifest(
            str(reader.folder),
            reader.mapping.digest,
            reader.calendar.code,
            tuple(sorted(kinds_of(reader))),
            tuple(entries),
        )
        bars = self.bars(manifest)
        reference = reference_of(reader, bars, spans_of(bars))
        kinds, withdrawn = self._superseding(again, reference)
        new_from = min(begins, default=None) if same else None
        return Prepared(
            *(manifest, replace(reference, kinds=kinds), bars, new, new_from),
            rescaled=pl.concat(rescaled),
            withdrawn=withdrawn,
        )

    def _told_by(
        self,
        others: Sequence[ImportedFile],
        old: pl.DataFrame,
        delivered: pl.DataFrame,
        again: Again,
    ) -> pl.DataFrame:
        """Find what other files told of bars of which this one has told nothing."""
        past = delivered.filter(again.past)
        lacking = past.select(BAR_KEY).unique().join(old, on=BAR_KEY, how="anti")
        if not lacking.height:
            return old.clear()
        symbols = lacking["symbol"].unique().implode()
        found = self._segments(others).filter(again.past, pl.col("symbol").is_in(symbols))
        return found.join(lacking.lazy(), on=BAR_KEY, how="semi").collect()

    def _superseding(
        self, again: Again | None, reference: Reference
    ) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
        """Everything but the bars to answer from, and the actions that are told no more."""
        kinds = dict(reference.kinds)
        actions = kinds["actions"]
        if again is None:
            kinds["actions"] = actions.drop("noise")
            return kinds, pl.DataFrame(schema=WITHDRAWN)
        told = {kind: pl.read_parquet(self.root / f"{kind}.parquet") for kind in kinds}
        kinds["actions"] = settled(actions, told["actions"])
        withdrawn = again.withdrawn(told["actions"], kinds["actions"])
        ended = again.ended(told["membership"], kinds["membership"])
        kinds = {
            kind: again.superseding(told[kind], rows, KEYS[kind]) for kind, rows in kinds.items()
        }
        kinds["membership"] = pl.concat([kinds["membership"], ended])
        return kinds, withdrawn

    def commit(self, prepared: Prepared) -> None:
        """Make what was prepared the import that the source answers from."""
        reference = prepared.reference
        self._write("ids.parquet", reference.who.ids)
        self._write("departures.parquet", reference.who.departures)
        for kind in SCHEMAS:
            rows = reference.kinds[kind]
            order = [name for name in _ORDER if name in rows.columns]
            self._write(f"{kind}.parquet", rows.sort(order, maintain_order=True))
        text = json.dumps(asdict(prepared.manifest), indent=1)
        write_atomic(self.root / "manifest.json", text.encode())
        named = {entry.segment for entry in prepared.manifest.bars}
        for path in (self.root / "bars").iterdir():
            if path.name not in named:
                path.unlink()

    def _write(self, name: str, rows: pl.DataFrame) -> None:
        path = self.root / name
        aside = path.with_name(f"{path.name}.writing")
        rows.write_parquet(aside, row_group_size=_ROW_GROUP, compression="lz4", statistics=True)
        aside.replace(path)


def _same_symbols(name: str, old: pl.DataFrame, delivered: pl.DataFrame) -> None:
    """Refuse a file that tells of others only: the same bars would be told under two names."""
    if old.height and delivered.height and not delivered["symbol"].is_in(old["symbol"]).any():
        raise SourceError(
            f"{name} tells of {delivered['symbol'][0]} and of nothing that it told before",
            expected=f"bars of {old['symbol'][0]}, as when it was imported",
            mend="restore the symbols of the mapping file, or give other securities another file",
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
