"""Preparing an import: a folder converted beside what was imported before, not in its place.

1. Files of bars that are what they were keep their segments; a segment that holds one that is not
   any more is torn: what stays of it is carried into one of its own.
2. New and changed files are taken (`quant_platform.sources.files.taking`) into segments with names
   of their own.
3. Everything but the bars is read anew, and held against what was told (`again`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import polars as pl

from quant_platform.lakehouse.files import file_errors
from quant_platform.sources.files.again import KEYS, WITHDRAWN, Again
from quant_platform.sources.files.convert import (
    FolderReader,
    Reference,
    kinds_of,
    reference_of,
    spans_of,
)
from quant_platform.sources.files.manifest import ImportedFile, Manifest, is_ended, sha256_of
from quant_platform.sources.files.mapping import KINDS
from quant_platform.sources.files.relisting import Former
from quant_platform.sources.files.restated import RESCALED, RESTATED
from quant_platform.sources.files.segments import Segments
from quant_platform.sources.files.taking import LOST, Taking, batches
from quant_platform.sources.files.total_return import settled


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


def prepare(
    segments: Segments, reader: FolderReader, before: Manifest | None, again: Again | None
) -> Prepared:
    """Convert a folder without changing what the source answers.

    The segments of unchanged files are kept; new ones have names of their own, so that nothing
    that the manifest of the import before names is touched.

    Parameters
    ----------
    segments
        Files of the import.
    reader
        The folder.
    before
        The import before, if there was one.
    again
        How to take what is new of sessions that the lake has taken in; without it, as if they
        had never been told. A mapping that has changed since makes no difference to that.
    """
    with file_errors(segments.root, "create"):
        (segments.root / "bars").mkdir(parents=True, exist_ok=True)
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
    _carry(
        segments, entries, [entry for entry in told.values() if entry.file not in entries], number
    )
    taking = Taking(
        *(reader, again, number),
        told=told,
        splits=before.restatements() if before is not None else pl.DataFrame(schema=RESTATED),
        rows_of=segments.rows,
        all_rows=lambda: segments.scan(list(told.values())),
    )
    for place, batch in enumerate(batches(changed)):
        segment = f"{number:06d}.{place:04d}.parquet"
        rows, counts, disorder = taking.take(batch)
        segments.write(f"bars/{segment}", rows)
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
    bars = segments.scan(manifest.bars)
    reference = reference_of(
        reader, bars, spans_of(bars, reader.calendar), taking.splits, _former(segments, again, told)
    )
    kinds, withdrawn, undescribed = _superseding(segments, again, reference)
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
    segments: Segments,
    entries: dict[str, ImportedFile],
    leaving: Sequence[ImportedFile],
    number: int,
) -> None:
    """Give files that stay a segment of their own, if theirs holds one that does not."""
    torn = {entry.segment for entry in leaving}
    carried = [entry for entry in entries.values() if entry.segment in torn]
    if carried:
        segment = f"{number:06d}.carried.parquet"
        rows = segments.rows(carried).sort("known_at", "session", "symbol", maintain_order=True)
        segments.write(f"bars/{segment}", rows)
        entries.update({entry.file: replace(entry, segment=segment) for entry in carried})


def _former(segments: Segments, again: Again | None, told: Mapping[str, ImportedFile]) -> Former:
    """Say what the lake has taken in of ends."""
    if again is None:
        return Former()
    ends = again.ends(segments.read("actions"))
    if not ends.height:
        return Former()
    # Who is told of later than the last session taken in is told of all the same.
    securities = segments.read("securities")
    bars = segments.scan(list(told.values())).filter(again.past)
    last = bars.group_by("symbol").agg(last=pl.col("session").max()).collect()
    return Former(ends, last, securities["security_id"].unique())


def _superseding(
    segments: Segments, again: Again | None, reference: Reference
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame, int]:
    """Everything but the bars to answer from, and what of it the files tell no more."""
    kinds = dict(reference.kinds)
    actions = kinds["actions"]
    if again is None:
        kinds["actions"] = actions.drop("noise")
        return kinds, pl.DataFrame(schema=WITHDRAWN), 0
    told = {kind: segments.read(kind) for kind in kinds}
    kinds["actions"] = settled(actions, told["actions"])
    kinds["securities"], undescribed = again.described(
        told["securities"], kinds["securities"], reference.who.only_bars
    )
    withdrawn = again.withdrawn(told["actions"], kinds["actions"])
    undone = again.undone(told["actions"], withdrawn)
    ended = again.ended(told["membership"], kinds["membership"])
    kinds = {kind: again.superseding(told[kind], rows, KEYS[kind]) for kind, rows in kinds.items()}
    kinds["membership"] = pl.concat([kinds["membership"], ended])
    kinds["actions"] = pl.concat([kinds["actions"], undone])
    return kinds, withdrawn, undescribed


def _still(entry: ImportedFile | None, path: Path) -> ImportedFile | None:
    """Return the entry of a file that is what was imported, by its time or else by its bytes."""
    if entry is None or entry.is_still(path):
        return entry
    state = path.stat()
    whole = entry.changed_ns and entry.size == state.st_size and entry.sha256
    if whole and sha256_of(path) == entry.sha256:
        return replace(entry, changed_ns=state.st_mtime_ns)
    return None
