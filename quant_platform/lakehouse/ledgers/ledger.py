"""Append-only, hash-chained ledgers: what was decided, done and paid, and proof that it stands.

Each ledger is a folder of JSON lines. A line carries its position, the hash of the line before and
the hash of itself, so that no line can be changed, removed, inserted or moved unnoticed. An append
takes these steps, one writer at a time:

1. Take the ledger's lock. Set aside what a crash left of a last line, and say so in the chain.
2. Read what other processes appended since; compare the end of the chain with ``HEAD``. If a crash
   kept the last append from moving ``HEAD``, move it; refuse to append to any other disagreement.
3. Drop the records that the ledger already holds (:mod:`~quant_platform.lakehouse.ledgers.steps`):
   appending the same record again is no change, and a changed payload supersedes the line it
   replaces without touching it.
4. Write all new lines with one durable write to the file of the UTC day, or to the latest file if
   the clock was set back: the chain only ever grows at its end, and ``ts_utc`` says what the clock
   said.
5. Move ``HEAD``. Only then is a record acknowledged.

Frames are recorded by :func:`~quant_platform.lakehouse.content.frame_hash`, never by their shape.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from quant_platform.errors import LedgerError
from quant_platform.lakehouse.files import (
    append_lines,
    complete_lines,
    file_errors,
    file_lock,
    set_aside_torn_tail,
)
from quant_platform.lakehouse.ledgers.canonical import canonical_json, plain
from quant_platform.lakehouse.ledgers.chain import LOCK_TIMEOUT, VERIFY, Chain, Head, LedgerFolder
from quant_platform.lakehouse.ledgers.closing import recovery, torn_line, withdrawal
from quant_platform.lakehouse.ledgers.kinds import LEDGER_TYPES, unknown_ledger
from quant_platform.lakehouse.ledgers.records import (
    CheckedRecord,
    LedgerLine,
    LedgerRecord,
    checked,
)
from quant_platform.lakehouse.ledgers.steps import standing
from quant_platform.lakehouse.ledgers.verification import VerifyReport, verify_folder

FRAME_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "seq": pl.Int64,
    "record_type": pl.String,
    "run_id": pl.String,
    "ts_utc": pl.Datetime("us", "UTC"),
    "session": pl.Date,
    "action": pl.String,
    "content_hash": pl.String,
    "payload": pl.String,
    "supersedes": pl.Int64,
    "payload_hash": pl.String,
    "prev_hash": pl.String,
    "hash": pl.String,
}


@dataclass(frozen=True)
class Appended:
    """What became of a record.

    Parameters
    ----------
    line
        The line that holds it.
    is_new
        False if an earlier line already held it and nothing was written.
    """

    line: LedgerLine
    is_new: bool


@dataclass
class LedgerAction:
    """An action in progress, as :meth:`Ledger.action` hands it to its block.

    Parameters
    ----------
    settled
        The line of an earlier run in which the same action on the same content succeeded or came
        out empty; None if it has yet to be done. What must happen once only, happens if None.
    """

    settled: LedgerLine | None
    outcome: LedgerLine | None = None
    _record_type: Literal["success", "empty"] = "success"
    _payload: Mapping[str, Any] = field(default_factory=dict)

    def succeed(self, payload: Mapping[str, Any]) -> None:
        """State the result that the block's end records."""
        self._record_type, self._payload = "success", plain(payload, "payload")

    def come_out_empty(self, payload: Mapping[str, Any]) -> None:
        """State that there was nothing to do, and why."""
        self._record_type, self._payload = "empty", plain(payload, "payload")


class Ledger:
    """One ledger of a lake.

    Parameters
    ----------
    root
        Root of the lake.
    ledger_type
        One of :data:`~quant_platform.lakehouse.ledgers.kinds.LEDGER_TYPES`.
    clock
        Returns the present moment with a time zone.

    Raises
    ------
    LedgerError
        There is no such type of ledger.
    """

    def __init__(self, root: Path, ledger_type: str, clock: Callable[[], datetime]) -> None:
        if ledger_type not in LEDGER_TYPES:
            raise unknown_ledger(ledger_type)
        self._folder = LedgerFolder(root, ledger_type)
        self._clock = clock
        self._chain = Chain(self._folder)

    def append(self, record: LedgerRecord) -> Appended:
        """Append one record; see :meth:`append_many`."""
        return self.append_many([record])[0]

    def append_many(self, records: Sequence[LedgerRecord]) -> list[Appended]:
        """Append records durably in one step.

        Parameters
        ----------
        records
            Written in this order. A crash in between may leave the first of them; repeating the
            append then writes the rest.

        Returns
        -------
        list[Appended]
            For each record the line that holds it, new or not.

        Raises
        ------
        LedgerError
            A record cannot be written, or the chain is broken where it would go on.
        LakeError
            The lake cannot be written to, or another process keeps the lock.
        """
        wanted = [checked(record) for record in records]
        with self._writing():
            return self._write(wanted)

    def restate(
        self, action: str, sessions: Collection[date], records: Sequence[LedgerRecord], run_id: str
    ) -> list[Appended]:
        """Append records as all that there is to say of an action on some sessions.

        What the ledger has in force of them and is not told again is withdrawn: a line supersedes
        it and says so.

        Parameters
        ----------
        action, sessions
            What the records are about.
        records
            As for :meth:`append_many`.
        run_id
            The run that withdraws.

        Returns
        -------
        list[Appended]
            The withdrawals, then for each record the line that holds it.
        """
        wanted = [checked(record) for record in records]
        told = {record.idempotency_key for record in wanted}
        with self._writing():
            in_force = self._chain.steps.in_force(action, sessions)
            gone = self._chain.lines(seq for key, seq in in_force.items() if key not in told)
            return self._write([*(withdrawal(line, run_id) for line in gone.values()), *wanted])

    @contextmanager
    def action(
        self,
        session: date | None,
        action: str,
        content_hash: str,
        run_id: str,
        payload: Mapping[str, Any] | None = None,
    ) -> Iterator[LedgerAction]:
        """Record the intent of an action before the block and its outcome after it.

        The end of the block records ``success``, or ``empty`` if the block says so; an exception
        records ``error`` and goes on. An intent of the same action that a crash left open is closed
        by ``recovered`` first. The lock is not held during the block.

        Parameters
        ----------
        session, action, content_hash, run_id
            As for :class:`~quant_platform.lakehouse.ledgers.records.LedgerRecord`.
        payload
            What the intent says.

        Yields
        ------
        LedgerAction
            Takes the result, and tells whether an earlier run already has one.
        """
        intent = LedgerRecord("intent", session, action, payload or {}, run_id, content_hash)
        under_way = LedgerAction(settled=self._begin(checked(intent), run_id))

        def close(
            record_type: Literal["success", "empty", "error"], said: Mapping[str, Any]
        ) -> None:
            outcome = LedgerRecord(record_type, session, action, said, run_id, content_hash)
            under_way.outcome = self.append(outcome).line

        try:
            yield under_way
        except BaseException as error:
            message = str(error).encode(errors="backslashreplace").decode()
            close("error", {"error": type(error).__name__, "message": message})
            raise
        close(under_way._record_type, under_way._payload)

    def recover(self, run_id: str) -> list[LedgerLine]:
        """Close every intent without outcome by ``recovered``.

        An action that is under way in another process looks the same as one that died. If it was
        alive after all, its outcome supersedes the ``recovered`` line.

        Returns
        -------
        list[LedgerLine]
            The lines written.
        """
        with self._writing():
            orphans = self._chain.lines(self._chain.steps.open_intents())
            records = [recovery(line, run_id) for line in orphans.values()]
            return [appended.line for appended in self._write(records)]

    def lines(self) -> Iterator[LedgerLine]:
        """Yield every line, oldest first; a line that is still being written is left out.

        Raises
        ------
        LedgerError
            A line cannot be understood.
        """
        for path in self._folder.day_files():
            yield from self._lines_of(path)

    def in_force(self) -> list[LedgerLine]:
        """Return every line that no later one supersedes and that takes none back, oldest first."""
        return standing(list(self.lines()))

    def tail(self, count: int, *, trail: bool = True) -> list[LedgerLine]:
        """Return the last lines, oldest first, without reading the older files.

        Parameters
        ----------
        count
            How many.
        trail
            Whether to count all lines, or those in force.
        """
        lines: list[LedgerLine] = []
        found = lines
        for path in reversed(self._folder.day_files()):
            if len(found) >= count:
                break
            lines = [*self._lines_of(path), *lines]
            # Only a later line supersedes: the older files need not be read to know it.
            found = lines if trail else standing(lines)
        return found[-count:] if count > 0 else []

    def frame(self) -> pl.DataFrame:
        """Return every line as a row; the payload is its JSON text."""
        rows = [
            [
                canonical_json(line.payload) if name == "payload" else getattr(line, name)
                for name in FRAME_SCHEMA
            ]
            for line in self.lines()
        ]
        return pl.DataFrame(rows, schema=FRAME_SCHEMA, orient="row")

    def verify(self) -> VerifyReport:
        """Recompute every hash and link, and report all that is wrong."""
        return verify_folder(self._folder)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the lock, with the chain read to its end and fit to be appended to."""
        with file_lock(self._folder.lock, timeout=LOCK_TIMEOUT):
            try:
                torn = self._set_aside_torn_lines()
                self._chain.refresh()
                self._settle_head()
                if torn:
                    self._write(torn)
                yield
            except BaseException:
                # What was taken up may not have been written; the next append reads it all again.
                self._chain = Chain(self._folder)
                raise

    def _begin(self, intent: CheckedRecord, run_id: str) -> LedgerLine | None:
        """Write the intent; return the line of an earlier run that already has the result."""
        with self._writing():
            steps, key = self._chain.steps, intent.idempotency_key
            orphan, done = steps.open_intent(key), steps.done(key)
            held = self._chain.lines(seq for seq in (orphan, done) if seq is not None)
            closing = [] if orphan is None else [recovery(held[orphan], run_id)]
            self._write([*closing, intent])
            return None if done is None else held[done]

    def _write(self, wanted: Sequence[CheckedRecord]) -> list[Appended]:
        """Append what is new of the records; the caller holds the lock."""
        chain = self._chain
        now = self._now()
        path = chain.file_for(now.date())
        first = chain.tail.seq + 1
        fresh: dict[int, LedgerLine] = {}
        raws: list[bytes] = []
        places: list[tuple[int, bool]] = []
        for record in wanted:
            placement = chain.steps.place(
                record.idempotency_key, record.record.record_type, record.payload_hash
            )
            if placement.already is not None:
                places.append((placement.already, False))
                continue
            line, raw = record.seal(
                seq=chain.tail.seq + 1,
                batch_seq=first,
                ts_utc=now,
                supersedes=placement.supersedes,
                prev_hash=chain.tail.hash,
            )
            # At once, for the same record may come twice in one append.
            chain.take(path, line, raw)
            fresh[line.seq] = line
            raws.append(raw)
            places.append((line.seq, True))
        if raws:
            append_lines(path, raws)
            Head(chain.tail.seq, chain.tail.hash).write(self._folder)
        held = chain.lines(seq for seq, _ in places if seq not in fresh) | fresh
        return [Appended(held[seq], is_new) for seq, is_new in places]

    def _now(self) -> datetime:
        now = self._clock()
        if now.tzinfo is None:
            raise LedgerError(f"the clock says {now} without a time zone", expected="UTC")
        return now.astimezone(UTC)

    def _settle_head(self) -> None:
        head, tail = Head.read(self._folder), self._chain.tail
        disagreement = tail.disagreement(head)
        if disagreement:
            raise LedgerError(
                f"ledger {self._folder.ledger_type!r}: {disagreement}",
                expected="an unbroken chain to append to",
                mend=VERIFY,
            )
        if head.seq != tail.seq:
            Head(tail.seq, tail.hash).write(self._folder)

    def _set_aside_torn_lines(self) -> list[CheckedRecord]:
        """Set aside what a crash left of a last line, and return the record that says so."""
        files = self._folder.day_files()
        aside = set_aside_torn_tail(files[-1]) if files else None
        if aside is None:
            return []
        with file_errors(aside, "read"):
            return [torn_line(aside.name, aside.read_bytes())]

    def _lines_of(self, path: Path) -> Iterator[LedgerLine]:
        raws, _still_being_written = complete_lines(path)
        for number, raw in enumerate(raws, start=1):
            try:
                yield LedgerLine.from_json(raw)
            except ValueError as error:
                raise LedgerError(f"line {number} of {path} {error}", mend=VERIFY) from error
