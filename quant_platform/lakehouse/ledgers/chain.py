"""The files of one ledger: where they lie, where the chain ends, and what it holds so far.

::

    <root>/ledger/<type>/<YYYY-MM-DD>.jsonl         lines, by the UTC date of writing
    <root>/ledger/<type>/<…>.jsonl.torn-<n>         what a crash left of a line, set aside
    <root>/ledger/<type>/HEAD                       seq and hash of the last line
    <root>/_locks/ledger.<type>.lock                held by the one who appends

A chain cannot tell that its last lines are gone. ``HEAD`` can: it is replaced after every append,
so it names the last line, or after a crash in between the last line before the last append.
Whatever else it says, lines were removed, added or put in its place behind the ledger's back.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from quant_platform.errors import LedgerError
from quant_platform.lakehouse.files import file_errors, write_atomic
from quant_platform.lakehouse.ledgers.canonical import canonical_json
from quant_platform.lakehouse.ledgers.records import NO_HASH, LedgerLine
from quant_platform.lakehouse.ledgers.steps import Steps

LOCK_TIMEOUT = 60.0
"""Seconds to wait for other writers; an append takes milliseconds."""

VERIFY = "run 'quant ledger verify' and restore the named files from a backup"
_DAY_FILE = re.compile(r"\d{4}-\d{2}-\d{2}\.jsonl")
_TORN_FILE = re.compile(r"\d{4}-\d{2}-\d{2}\.jsonl\.torn-\d+")
_HEAD_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class LedgerFolder:
    """Paths of one ledger."""

    root: Path
    ledger_type: str

    @property
    def path(self) -> Path:
        """Folder of the ledger's files."""
        return self.root / "ledger" / self.ledger_type

    @property
    def head(self) -> Path:
        """File that names the last line."""
        return self.path / "HEAD"

    @property
    def lock(self) -> Path:
        """Lock of the ledger's single writer."""
        return self.root / "_locks" / f"ledger.{self.ledger_type}.lock"

    def day_file(self, day: date) -> Path:
        """File of the lines written on one day."""
        return self.path / f"{day.isoformat()}.jsonl"

    def day_files(self) -> list[Path]:
        """Return the files of lines, oldest first."""
        return [path for path in self._files() if day_of(path) is not None]

    def torn_files(self) -> list[Path]:
        """Return what crashes left of lines, set aside."""
        return [path for path in self._files() if _TORN_FILE.fullmatch(path.name)]

    def foreign_files(self) -> list[Path]:
        """Return what stands in the folder without belonging to the ledger."""
        ours = {self.head, *self.day_files(), *self.torn_files()}
        return [path for path in self._files() if path not in ours and path.suffix != ".tmp"]

    def _files(self) -> list[Path]:
        with file_errors(self.path, "list"):
            return sorted(self.path.iterdir()) if self.path.is_dir() else []


def day_of(path: Path) -> date | None:
    """Return the day of a file of lines, None for any other file."""
    if not _DAY_FILE.fullmatch(path.name):
        return None
    try:
        return date.fromisoformat(path.stem)
    except ValueError:
        return None


@dataclass(frozen=True)
class Head:
    """What ``HEAD`` says about the last line; the default says that there is none."""

    seq: int = 0
    hash: str = NO_HASH

    @classmethod
    def read(cls, folder: LedgerFolder) -> Head:
        """Read the file; an absent one says that there is no line."""
        with file_errors(folder.head, "read"):
            try:
                content = folder.head.read_bytes()
            except FileNotFoundError:
                return cls()
        try:
            body = json.loads(content)
            head = cls(body["seq"], body["hash"])
            if head.seq < 1 or not _HEAD_HASH.fullmatch(head.hash):
                raise ValueError("not a place in a ledger")
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerError(
                f"{folder.head} cannot be understood",
                expected="the seq and the hash of the ledger's last line",
                mend=VERIFY,
            ) from error
        return head

    def write(self, folder: LedgerFolder) -> None:
        """Replace the file in one step."""
        write_atomic(folder.head, f"{canonical_json(vars(self))}\n".encode())


@dataclass(frozen=True)
class Tail:
    """The end of a chain, and the state of it before its last append."""

    seq: int = 0
    hash: str = NO_HASH
    before: Head = Head()

    def followed_by(self, line: LedgerLine) -> Tail:
        """Return the end of the chain with one more line."""
        starts_append = line.seq == line.batch_seq
        before = Head(line.seq - 1, line.prev_hash) if starts_append else self.before
        return Tail(line.seq, line.hash, before)

    def disagreement(self, head: Head) -> str | None:
        """Say how the chain's end and ``HEAD`` contradict each other, if they do."""
        if head == Head(self.seq, self.hash) or head == self.before:
            return None
        if head.seq > self.seq:
            return f"lines {self.seq + 1} to {head.seq} are missing at the end"
        if head.seq == self.seq:
            return f"line {head.seq} is not the line that HEAD names"
        return f"lines after line {head.seq}, where HEAD stands, were not written by one append"


class Chain:
    """What one ledger holds so far, kept up to date by reading only what was added.

    Only the holder of the ledger's lock may use it.
    """

    def __init__(self, folder: LedgerFolder) -> None:
        self.folder = folder
        self.tail = Tail()
        self.steps = Steps()
        self._places: list[tuple[Path, int]] = []
        self._file: Path | None = None
        self._read_to = 0

    def refresh(self) -> None:
        """Read the lines that others appended since.

        Raises
        ------
        LedgerError
            They do not continue the chain.
        """
        files = self.folder.day_files()
        if self._file is not None and self._file not in files:
            raise LedgerError(f"{self._file} is gone", mend=VERIFY)
        last: tuple[LedgerLine, bytes] | None = None
        for path in files:
            if self._file is not None and path < self._file:
                continue
            start = self._read_to if path == self._file else 0
            with file_errors(path, "read"), path.open("rb") as stream:
                if stream.seek(0, os.SEEK_END) < start:
                    raise LedgerError(f"{path} has lost lines", mend=VERIFY)
                stream.seek(start)
                fresh = stream.read()
            for raw in fresh[: fresh.rfind(b"\n") + 1].split(b"\n")[:-1]:
                line = self._line(raw, self.tail.seq + 1)
                if (line.seq, line.prev_hash) != (self.tail.seq + 1, self.tail.hash):
                    raise self._broken(line.seq, f"does not follow line {self.tail.seq}")
                last = line, raw
                self.take(path, line, raw)
        if last is not None:
            self._check_end(*last)

    def file_for(self, day: date) -> Path:
        """Return the file to append to: the day's, or a later one if the clock was set back."""
        path = self.folder.day_file(day)
        return path if self._file is None else max(path, self._file)

    def take(self, path: Path, line: LedgerLine, raw: bytes) -> None:
        """Take up a line that is appended to the end of a file.

        If the line is not written after all, this chain is of no more use.
        """
        if path != self._file:
            self._file, self._read_to = path, 0
        self._places.append((path, self._read_to))
        self._read_to += len(raw) + 1
        self.tail = self.tail.followed_by(line)
        self.steps.add(line)

    def lines(self, seqs: Iterable[int]) -> dict[int, LedgerLine]:
        """Read some lines by their positions."""
        found = {}
        places = [(seq, *self._places[seq - 1]) for seq in sorted(set(seqs))]
        for path, group in groupby(places, key=itemgetter(1)):
            with file_errors(path, "read"), path.open("rb") as stream:
                for seq, _, start in group:
                    stream.seek(start)
                    found[seq] = self._line(stream.readline().removesuffix(b"\n"), seq)
        return found

    def _line(self, raw: bytes, seq: int) -> LedgerLine:
        try:
            return LedgerLine.from_json(raw)
        except ValueError as error:
            raise self._broken(seq, str(error)) from error

    def _check_end(self, line: LedgerLine, raw: bytes) -> None:
        try:
            line.check(raw)
        except ValueError as error:
            raise self._broken(line.seq, str(error)) from error

    def _broken(self, seq: int, what: str) -> LedgerError:
        return LedgerError(
            f"line {seq} of the ledger {self.folder.ledger_type!r} {what}",
            expected="an unbroken chain to append to",
            mend=VERIFY,
        )
