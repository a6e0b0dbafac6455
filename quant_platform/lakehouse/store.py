"""The partition store: writes a range of partitions so that nothing is ever torn or lost.

1. One writer per table: the table's lock is held for the whole write.
2. A partition whose content, verdict and file are what the log says is left alone; if only its
   inputs, code or settings moved on, a line of the log confirms the content.
3. The sessions about to change are named in ``<table>.pending``. After a crash that file says which
   partitions may be newer than the log; ``repair`` reads their footers and completes the log.
4. Each changed partition is written to a temporary name in its own folder, made durable, renamed.
   Before the rename the old file gets a second name under ``_superseded``, so at every instant
   either the old or the new partition is there. A partition without rows that takes no other's
   place is a line of the log and no file: slow tables have hundreds of them a year.
5. The log gets one line per partition, in one append, and the pending file is removed.

A blocked partition is written outside the table's folder; readers of the table find no file, and
the log says why. Files are written by a small pool of threads, some dozens at once: encoding and
flushing overlap, and cost a third less than file by file.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from quant_platform.errors import LakeError
from quant_platform.lakehouse.checksums import (
    file_checksum as file_checksum,  # noqa: PLC0414 - whoever writes such files finds it here
)
from quant_platform.lakehouse.checksums import known_checksum
from quant_platform.lakehouse.content import frame_hash, sorted_partitions
from quant_platform.lakehouse.files import file_errors, file_lock, sync_volume, write_atomic
from quant_platform.lakehouse.layout import TableLayout
from quant_platform.lakehouse.provenance import (
    FOOTER_KEY,
    Entry,
    ProvenanceLog,
    Stamp,
    Verdict,
)
from quant_platform.lakehouse.rules import withdrawal

LOCK_TIMEOUT = 120.0
"""Seconds to wait for the table's writer; a range of one table takes a few seconds."""
WRITERS = 2
PORTION = 64
"""Files that a writer encodes and names at once: a few MiB of memory at benchmark size."""
FEW = 8
"""Files that are made durable one by one."""


@dataclass(frozen=True)
class Judgement:
    """Verdict on one session: what to store beside its rows."""

    verdict: Verdict
    input_hash: str
    outcomes: tuple[Mapping[str, Any], ...] = ()
    carried_hash: str = ""


@dataclass
class WriteReport:
    """What a write did, by session.

    ``written`` partitions have new content; ``confirmed`` ones kept theirs under new provenance;
    ``unchanged`` ones needed not even that.
    """

    table: str
    written: list[date] = field(default_factory=list)
    confirmed: list[date] = field(default_factory=list)
    unchanged: list[date] = field(default_factory=list)
    entries: dict[date, Entry] = field(default_factory=dict)


@dataclass(frozen=True)
class _Draft:
    """A partition about to be written, and the entry of the one that it replaces."""

    entry: Entry
    rows: pl.DataFrame
    known: Entry | None


class PartitionStore:
    """Writer of one table.

    Parameters
    ----------
    layout
        Where the table lies.
    log
        Its provenance log; shared with readers in the same process.
    """

    def __init__(self, layout: TableLayout, log: ProvenanceLog) -> None:
        self.layout = layout
        self.log = log

    def write(
        self, frame: pl.DataFrame, judgements: Mapping[date, Judgement], stamp: Stamp
    ) -> WriteReport:
        """Write the partitions of ``judgements``; one without rows becomes an empty partition.

        Parameters
        ----------
        frame
            Validated rows of the range, in the contract's column order.
        judgements
            Every session to write.
        stamp
            What made them.
        """
        contract = self.layout.contract
        if frame.height and not frame[contract.partition].is_in(list(judgements)).all():
            strays = set(frame[contract.partition].unique()) - set(judgements)
            raise LakeError(
                f"table '{self.layout.table}' got rows of {sorted(strays)[:3]}",
                expected="rows of the requested sessions only",
                mend="filter the frame to its sessions in the domain function",
            )
        slices = {
            session: (content, rows)
            for session, content, rows in sorted_partitions(frame, contract.key, contract.partition)
        }
        empty = contract.empty()
        nothing = frame_hash(empty, contract.key)
        report = WriteReport(self.layout.table)
        with self._writing():
            known = self.log.latest()
            drafts: list[_Draft] = []
            for session, judgement in judgements.items():
                content, rows = slices.get(session, (nothing, empty))
                entry = Entry(
                    table=self.layout.table,
                    session=session,
                    schema_version=contract.version,
                    content_hash=content,
                    input_hash=judgement.input_hash,
                    rows=rows.height,
                    size=0,
                    verdict=judgement.verdict,
                    stamp=stamp,
                    outcomes=judgement.outcomes,
                    carried_hash=judgement.carried_hash,
                )
                self._sort_out(entry, rows, known.get(session), drafts, report)
            self._replace(drafts, report)
            confirmed = [report.entries[session] for session in report.confirmed]
            self.log.append([report.entries[session] for session in report.written] + confirmed)
            self.layout.pending.unlink(missing_ok=True)
        return report

    def withdraw(self, causes: Mapping[date, str]) -> None:
        """Block stored partitions for a reason outside their content.

        Parameters
        ----------
        causes
            Session → what a reader of the checks is told. The files go where blocked ones lie.
        """
        with self._writing():
            known = self.log.latest()
            withdrawn = []
            for session, cause in causes.items():
                entry = replace(
                    known[session],
                    verdict="blocked",
                    input_hash="",
                    outcomes=(withdrawal("calendar", cause),),
                    note="withdrawn",
                )
                target = self.file_of(entry)
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):
                    self.file_of(known[session]).replace(target)
                withdrawn.append(entry)
            self.log.append(withdrawn)

    def repair(self) -> list[date]:
        """Complete the log after a crash between a rename and its line.

        Returns
        -------
        list of date
            Sessions whose entry was taken from their footer.
        """
        if not self.layout.pending.exists():
            return []
        with self._writing() as recovered:
            return recovered

    def file_of(self, entry: Entry) -> Path:
        """File that an entry speaks of."""
        place = self.layout.blocked if entry.verdict == "blocked" else self.layout.part
        return place(entry.session, entry.schema_version)

    def intact(self, entry: Entry) -> bool:
        """Whether the file holds what was written, as far as a change of it shows in its times."""
        if not entry.filed:
            return True
        try:
            return known_checksum(self.file_of(entry)) == entry.checksum
        except OSError:
            return False

    def sound(self, entry: Entry) -> bool:
        """Whether the entry's file holds the very bytes that were written; reads them now."""
        if not entry.filed:
            return True
        try:
            return file_checksum(self.file_of(entry)) == entry.checksum
        except OSError:
            return False

    def replacing(self) -> set[date]:
        """Sessions that a writer, at work or dead, may have replaced without a line in the log."""
        try:
            named = self.layout.pending.read_text().split()
        except FileNotFoundError:
            return set()
        return set(map(date.fromisoformat, named))

    @contextmanager
    def _writing(self) -> Iterator[list[date]]:
        """Hold the table's lock, with the traces of an earlier crash mended first.

        Yields
        ------
        list of date
            Sessions that had to be recovered.
        """
        with (
            file_lock(self.layout.lock, timeout=LOCK_TIMEOUT),
            file_errors(self.layout.folder, "write partitions below"),
        ):
            yield self._recover_pending()

    def _sort_out(
        self,
        entry: Entry,
        rows: pl.DataFrame,
        known: Entry | None,
        drafts: list[_Draft],
        report: WriteReport,
    ) -> None:
        """Decide whether a partition is unchanged, confirmed or to be written."""
        same_content = (
            known is not None
            and (known.content_hash, known.schema_version, known.verdict == "blocked")
            == (entry.content_hash, entry.schema_version, entry.verdict == "blocked")
            and self.sound(known)
        )
        if known is None or not same_content:
            drafts.append(_Draft(entry, rows, known))
            return
        kept = replace(entry, size=known.size, checksum=known.checksum)
        report.entries[entry.session] = kept
        same_story = (known.outcomes, known.carried_hash) == (
            entry.outcomes,
            entry.carried_hash,
        ) and known.made_by(entry.input_hash, entry.stamp.code_version, entry.stamp.config_hash)
        (report.unchanged if same_story else report.confirmed).append(entry.session)

    def _replace(self, drafts: list[_Draft], report: WriteReport) -> None:
        """Write the changed partitions."""
        if not drafts:
            return
        names = "\n".join(draft.entry.session.isoformat() for draft in drafts)
        write_atomic(self.layout.pending, names.encode())
        parts = [drafts[start::WRITERS] for start in range(WRITERS)]
        portions = [
            part[start : start + PORTION]
            for part in parts
            for start in range(0, len(part), PORTION)
        ]
        with ThreadPoolExecutor(WRITERS) as pool:
            for written in pool.map(self._write_portion, portions):
                report.entries |= {entry.session: entry for entry in written}
        report.written += [draft.entry.session for draft in drafts]
        self._make_durable([self.file_of(e) for e in report.entries.values() if e.filed])

    def _write_portion(self, drafts: Sequence[_Draft]) -> list[Entry]:
        """Write files beside their final names, make them durable, then give them those names."""
        placed = [(draft, self._former(draft)) for draft in drafts]
        filed = [(draft, former) for draft, former in placed if draft.entry.rows or former]
        encoded = _encoded([draft for draft, _ in filed])
        besides = []
        for (draft, _), content in zip(filed, encoded, strict=True):
            target = self.file_of(draft.entry)
            target.parent.mkdir(parents=True, exist_ok=True)
            besides.append(target.with_name(f".{target.name}.{os.getpid()}"))
            besides[-1].write_bytes(content)
        self._make_durable(besides)
        written = {draft.entry.session: draft.entry for draft in drafts}
        for (draft, former), beside, content in zip(filed, besides, encoded, strict=True):
            target = self.file_of(draft.entry)
            for old in former:
                self._shelve(old, draft)
            beside.replace(target)
            for old in former:
                if old != target:
                    old.unlink(missing_ok=True)
            checksum = hashlib.sha256(content).hexdigest()
            entry = replace(draft.entry, size=len(content), checksum=checksum)
            written[entry.session] = entry
        return list(written.values())

    def _make_durable(self, files: Sequence[Path]) -> None:
        """Make new files and their names durable: each of a few, of many the volume at once."""
        if len(files) > FEW:
            sync_volume(self.layout.folder.parent)
            return
        for path in files:
            for place in (path, path.parent, path.parent.parent):
                _sync(place)

    def _former(self, draft: _Draft) -> list[Path]:
        """Files in the places where the session's file may lie."""
        places = self._places(draft.entry.session, draft.known)
        return [place for place in places if place.exists()]

    def _places(self, session: date, known: Entry | None) -> set[Path]:
        """Where a file of a session may lie: here, withdrawn, or under an older schema version."""
        places = {self.layout.part(session), self.layout.blocked(session)}
        return places if known is None else places | {self.file_of(known)}

    def _shelve(self, old: Path, draft: _Draft) -> None:
        """Give a file about to be replaced a second name among the superseded.

        A file that is not the one the log speaks of gets a name of its own: under the content hash
        in its footer a damaged file would take the place of the intact one.
        """
        known = draft.known
        name = f"damaged-{old.stat().st_mtime_ns}"
        if known is None or old != self.file_of(known) or self.sound(known):
            with suppress(LakeError):
                name = read_footer(old).content_hash
        version = int(old.parent.parent.name.removeprefix("v"))
        shelf = self.layout.superseded_folder(draft.entry.session, version)
        shelf.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            (shelf / f"{name}.parquet").hardlink_to(old)

    def _recover_pending(self) -> list[date]:
        """Append the entries of partitions that a dead writer renamed but did not log.

        A file is such a partition when it is not the one that the log speaks of; clocks have no say
        in it. What it replaced, in its own place or in another, was shelved before the rename.
        """
        try:
            named = self.layout.pending.read_text().split()
        except FileNotFoundError:
            return []
        recovered = []
        known = self.log.latest()
        for session in map(date.fromisoformat, named):
            before = known.get(session)
            fresh: dict[Path, Entry] = {}
            places = self._places(session, before)
            for path in places:
                with suppress(LakeError):
                    entry = read_footer(path)
                    if (
                        before is None
                        or self.file_of(before) != path
                        or before.checksum != entry.checksum
                    ):
                        fresh[path] = entry
                for draft in path.parent.glob(f".{path.name}.*"):
                    draft.unlink()
            if fresh:
                newest = max(fresh, key=lambda path: fresh[path].stamp.written_at)
                recovered.append(replace(fresh[newest], note="recovered from the footer"))
                for path in places:
                    if path != newest:
                        path.unlink(missing_ok=True)
        self.log.append(recovered)
        self.layout.pending.unlink()
        return [entry.session for entry in recovered]


def read_footer(path: Path) -> Entry:
    """Provenance of a partition file, from its footer.

    Raises
    ------
    LakeError
        When the file is missing, is not Parquet, or was not written by the platform.
    """
    try:
        text = pl.read_parquet_metadata(path)[FOOTER_KEY]
        entry = Entry.from_json(text)
    except (OSError, KeyError, ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise LakeError(
            f"{path} is not an intact partition file ({type(error).__name__})",
            expected="Parquet with the platform's footer",
            mend="delete it and run 'quant backfill' over its session; earlier contents are kept "
            "under _superseded, and 'quant doctor --deep' names every damaged file",
        ) from error
    return replace(entry, size=path.stat().st_size, checksum=file_checksum(path))


def _encoded(drafts: Sequence[_Draft]) -> list[bytes]:
    """Encode partitions as Parquet with their footers, in one call of Polars."""
    buffers = [io.BytesIO() for _ in drafts]
    # One session is one row group, read as a whole: statistics would cost a third of the time and
    # save nobody a read.
    sinks = [
        draft.rows.lazy().sink_parquet(
            buffer, statistics=False, metadata={FOOTER_KEY: draft.entry.to_json()}, lazy=True
        )
        for draft, buffer in zip(drafts, buffers, strict=True)
    ]
    pl.collect_all(sinks)
    return [buffer.getvalue() for buffer in buffers]


def _sync(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
