"""The verifier: walks a ledger from its first line and reports everything that does not hold.

1. Take the writers' lock for an instant to note ``HEAD`` and the length of every file; what is
   appended after that is the next verifier's.
2. For each line, recompute its spelling and its hashes (``altered``), and compare its position and
   its ``prev_hash`` with the line before (``missing start``, ``gap``, ``order``, ``broken link``).
   A file that ends within a line has a ``torn line``; a line written later than the day of its file
   is ``misfiled``, and a file that is none of the ledger's is ``foreign``.
3. Ask :mod:`~quant_platform.lakehouse.ledgers.steps` what each line means: one that says nothing
   new is ``doubled``, one that replaces another line than it says has ``supersedes`` wrong. This
   needs all earlier lines, so it ends where the chain first breaks.
4. Compare the end of the chain with ``HEAD`` (``head``), which sees lines cut off the end
   (``truncated``), and list the intents without outcome (``orphan``).

A chain and its ``HEAD`` removed together leave nothing to find; keep a copy of ``HEAD`` elsewhere
where that matters.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quant_platform.errors import LedgerError
from quant_platform.lakehouse.files import file_errors, file_lock
from quant_platform.lakehouse.ledgers.chain import LOCK_TIMEOUT, Head, LedgerFolder, Tail, day_of
from quant_platform.lakehouse.ledgers.records import LedgerLine
from quant_platform.lakehouse.ledgers.steps import Steps

ProblemKind = Literal[
    "altered",
    "missing start",
    "gap",
    "order",
    "broken link",
    "torn line",
    "misfiled",
    "foreign",
    "doubled",
    "supersedes",
    "head",
    "truncated",
    "orphan",
]


@dataclass(frozen=True)
class LedgerProblem:
    """One thing that does not hold.

    Parameters
    ----------
    kind
        What kind of thing, as listed in the module's text.
    file
        Name of the file within the ledger's folder.
    line
        Number of the line within the file, from 1; None if it is about the file.
    sentence
        What was found, to be read by a person.
    """

    kind: ProblemKind
    file: str
    line: int | None
    sentence: str


@dataclass(frozen=True)
class VerifyReport:
    """What the verifier saw of one ledger.

    Parameters
    ----------
    ledger_type
        The ledger.
    files, lines
        How many there are.
    problems
        What does not hold, in the order of the files.
    set_aside
        Files with what crashes left of lines. No problem: no append that was acknowledged is in
        them.
    """

    ledger_type: str
    files: int
    lines: int
    problems: tuple[LedgerProblem, ...]
    set_aside: tuple[str, ...]


def verify_folder(folder: LedgerFolder) -> VerifyReport:
    """Verify one ledger; a folder that is not there is a ledger without lines."""
    walk = _Walk()
    with _writers_paused(folder):
        files = [(path, path.stat().st_size) for path in folder.day_files()]
        set_aside = [path.name for path in folder.torn_files()]
        head = walk.read_head(folder)
    for path, size in files:
        walk.file(path, size)
    if head is not None:
        walk.compare_head(head, folder.head.name)
    walk.report_orphans()
    for path in folder.foreign_files():
        walk.report("foreign", path.name, None, "is no file of a ledger")
    return VerifyReport(
        ledger_type=folder.ledger_type,
        files=len(files),
        lines=walk.lines,
        problems=tuple(walk.problems),
        set_aside=tuple(set_aside),
    )


def _writers_paused(folder: LedgerFolder) -> AbstractContextManager[None]:
    # Where nobody ever wrote there is no lock, and a copy of a lake may be read-only.
    if not folder.lock.exists():
        return nullcontext()
    return file_lock(folder.lock, timeout=LOCK_TIMEOUT, exclusive=False)


class _Walk:
    """The state of one walk along a chain."""

    def __init__(self) -> None:
        self.problems: list[LedgerProblem] = []
        self.lines = 0
        self._tail = Tail()
        self._knows_tail = True
        self._is_whole = True
        self._steps = Steps()
        self._intents: dict[int, tuple[str, int, str]] = {}

    def report(self, kind: ProblemKind, file: str, line: int | None, what: str) -> None:
        """Add a problem; ``what`` goes on from the place."""
        place = file if line is None else f"{file} line {line}"
        self.problems.append(LedgerProblem(kind, file, line, f"{place} {what}"))

    def read_head(self, folder: LedgerFolder) -> Head | None:
        """Read ``HEAD``, or report that it cannot be understood."""
        try:
            return Head.read(folder)
        except LedgerError:
            self.report("head", folder.head.name, None, "cannot be understood")
            return None

    def file(self, path: Path, size: int) -> None:
        """Walk the lines of one file as far as it went when the walk began."""
        with file_errors(path, "read"), path.open("rb") as stream:
            *raws, torn = stream.read(size).split(b"\n")
        for number, raw in enumerate(raws, start=1):
            self.lines += 1
            self._line(path, number, raw)
        if torn:
            what = f"ends after {len(torn)} bytes without a line end; the next append sets it aside"
            self.report("torn line", path.name, len(raws) + 1, what)

    def compare_head(self, head: Head, file: str) -> None:
        """Compare the end of the chain with ``HEAD``."""
        disagreement = self._tail.disagreement(head)
        if head.seq > self._tail.seq:
            self.report("truncated", file, None, f"shows that {disagreement}")
        elif disagreement and self._knows_tail:
            self.report("head", file, None, f"does not fit the lines: {disagreement}")

    def report_orphans(self) -> None:
        """Report every intent without outcome."""
        for seq in self._steps.open_intents():
            file, number, step = self._intents[seq]
            self.report(
                "orphan",
                file,
                number,
                f"is the intent of {step} without outcome: it is still under way, or its process "
                "died and 'quant ledger recover' closes it",
            )

    def _line(self, path: Path, number: int, raw: bytes) -> None:
        expected = self._tail.seq + 1
        try:
            line = LedgerLine.from_json(raw)
        except ValueError as error:
            self._broken("altered", path, number, f"was altered: it {error}")
            self._pass_unknown(expected)
            return
        try:
            line.check(raw)
        except ValueError as error:
            self._broken("altered", path, number, f"was altered: it {error}")
            if line.seq != expected:
                # Its position is no better than the rest of it.
                self._pass_unknown(expected)
                return
        if line.seq < expected:
            self._broken("order", path, number, f"is line {line.seq} after line {expected - 1}")
            return
        self._compare_position(path, number, line, expected)
        self._compare_step(path, number, line)
        self._tail, self._knows_tail = self._tail.followed_by(line), True

    def _compare_position(self, path: Path, number: int, line: LedgerLine, expected: int) -> None:
        if line.seq > expected:
            kind: ProblemKind = "gap" if self.lines > 1 else "missing start"
            span = f"lines {expected} to {line.seq - 1} are missing before it"
            self._broken(kind, path, number, f"is line {line.seq}: {span}")
        elif self._knows_tail and line.prev_hash != self._tail.hash:
            kind = "missing start" if expected == 1 else "broken link"
            before = "an earlier line" if expected == 1 else f"another line {expected - 1}"
            self._broken(kind, path, number, f"is line {line.seq} and was chained to {before}")
        day = day_of(path)
        if day is not None and line.ts_utc.date() > day:
            self.report("misfiled", path.name, number, f"was written on {line.ts_utc.date()}")

    def _compare_step(self, path: Path, number: int, line: LedgerLine) -> None:
        if self._is_whole:
            key = line.idempotency_key
            placement = self._steps.place(key, line.record_type, line.payload_hash)
            if placement.already is not None:
                what = f"repeats line {placement.already}: {line.record_type} of {key}"
                self.report("doubled", path.name, number, what)
            elif line.record_type == "withdrawn" and line.supersedes is None:
                what = "withdraws nothing: no line of its step stands before it"
                self.report("supersedes", path.name, number, what)
            elif placement.supersedes != line.supersedes:
                what = f"says that it supersedes {line.supersedes}, not {placement.supersedes}"
                self.report("supersedes", path.name, number, what)
        self._steps.add(line)
        if line.record_type == "intent":
            step = f"{line.action!r}" + (f" for {line.session}" if line.session else "")
            self._intents[line.seq] = path.name, number, step

    def _broken(self, kind: ProblemKind, path: Path, number: int, what: str) -> None:
        self.report(kind, path.name, number, what)
        self._is_whole = False

    def _pass_unknown(self, seq: int) -> None:
        """Count a line of which nothing can be believed but that it stands there."""
        self._tail, self._knows_tail = Tail(seq), False
