"""Provenance: what made each partition, in an append-only log per table and in the file's footer.

Each write of a partition appends one line to ``_provenance/<table>.jsonl`` after the file has its
name. The last line of a session is the truth about it: where the file is, how large it is, what its
content hashes to, which inputs, code and settings made it, and how its rules came out. The footer
of the Parquet file carries the same, so that a crash between the two can be repaired from the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic_core import from_json

from quant_platform.errors import LakeError
from quant_platform.lakehouse.files import (
    append_lines,
    complete_lines,
    file_errors,
    set_aside_torn_tail,
)
from quant_platform.lakehouse.rules import OUTCOME_SCHEMA

Verdict = Literal["passed", "warned", "blocked"]
FOOTER_KEY = "quant_platform"
_SESSION = slice(0, len('{"session":"YYYY-MM-DD"'))
"""Where a line says its session."""


@dataclass(frozen=True)
class Stamp:
    """What made a partition, apart from its inputs: the same for every session of one run.

    Parameters
    ----------
    run_id
        Dagster run, or a name such as ``repair``.
    code_version
        Hash of the domain module, its first-party imports and the numeric libraries.
    config_hash
        Hash of the settings that the asset was given.
    git_sha
        Commit of the checkout, informational.
    written_at
        Wall clock of the write, ISO 8601 UTC; never part of any comparison.
    """

    run_id: str
    code_version: str
    config_hash: str
    git_sha: str
    written_at: str


@dataclass(frozen=True)
class Entry:
    """One line of a table's provenance log.

    ``size`` and ``checksum`` (SHA-256) are those of the file. A footer is part of its file and
    cannot hold them: it says 0 and nothing. So does the line of a partition without a file: one
    without rows that took no other's place. ``carried_hash`` is the part of the input hash that a
    record continues: its own earlier sessions and tables; it is empty for every other table.
    """

    table: str
    session: date
    schema_version: int
    content_hash: str
    input_hash: str
    rows: int
    size: int
    verdict: Verdict
    stamp: Stamp
    outcomes: tuple[Mapping[str, Any], ...] = field(default=())
    note: str = ""
    checksum: str = ""
    carried_hash: str = ""

    @property
    def filed(self) -> bool:
        """Whether the partition of a line has a file."""
        return bool(self.checksum)

    def made_by(self, input_hash: str, code_version: str, config_hash: str) -> bool:
        """Whether these inputs, this code and these settings made the partition."""
        return (self.input_hash, self.stamp.code_version, self.stamp.config_hash) == (
            input_hash,
            code_version,
            config_hash,
        )

    def to_json(self) -> str:
        """One line of the log, or the footer's value; the session always comes first."""
        record = {
            "session": self.session.isoformat(),
            **{name: value for name, value in vars(self).items() if name != "session"},
            "stamp": vars(self.stamp),
        }
        return json.dumps(record, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Entry:
        """Read one line of the log, or a footer's value."""
        record = from_json(text)
        record["session"] = date.fromisoformat(record["session"])
        record["stamp"] = Stamp(**record["stamp"])
        record["outcomes"] = tuple(record["outcomes"])
        return cls(**record)


class ProvenanceLog:
    """The log of one table, read once per change of its file.

    Parameters
    ----------
    path
        The ``.jsonl`` file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[date, Entry] = {}
        self._begin_anew(-1)

    def latest(self) -> dict[date, Entry]:
        """Last entry of each session; a torn last line is left for the next writer to report."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._begin_anew(-1)
            return self._entries
        if status.st_ino != self._inode or status.st_size < self._read_to:
            self._begin_anew(status.st_ino)
        if status.st_size > self._read_to:
            with file_errors(self.path, "read"), self.path.open("rb") as stream:
                stream.seek(self._read_to)
                fresh = stream.read()
            whole = fresh[: fresh.rfind(b"\n") + 1]
            # Only the last line of a session counts; the others need not be understood.
            lines = list(enumerate(whole.splitlines(), start=self._lines + 1))
            newest = {line[_SESSION]: (number, line) for number, line in lines}
            for number, line in newest.values():
                entry = self._parse(line, number)
                self._entries[entry.session] = entry
            self._read_to += len(whole)
            self._lines += len(lines)
        return self._entries

    def _begin_anew(self, inode: int) -> None:
        """Forget what was read, of this file or of another that had its name."""
        self._entries = {}
        self._inode, self._read_to, self._lines = inode, 0, 0

    def history(self, session: date) -> list[Entry]:
        """Every entry of one session, oldest first."""
        return [entry for entry in self.every() if entry.session == session]

    def every(self) -> list[Entry]:
        """Every entry, oldest first."""
        lines, _torn = complete_lines(self.path)
        return [self._parse(line, number) for number, line in enumerate(lines, start=1)]

    def append(self, entries: Sequence[Entry]) -> Path | None:
        """Append entries in one write; the caller holds the table's lock.

        Returns
        -------
        Path or None
            Where a torn last line of an earlier crash was set aside, if there was one.
        """
        if not entries:
            return None
        torn = set_aside_torn_tail(self.path) if self.path.exists() else None
        lines = [entry.to_json().encode() for entry in entries]
        before = self._state()
        append_lines(self.path, lines)
        if before == (self._inode, self._read_to):
            # Nobody else wrote since it was read: its own lines need not be read back.
            self._entries |= {entry.session: entry for entry in entries}
            self._inode, self._read_to = self._state()
            self._lines += len(lines)
        return torn

    def _state(self) -> tuple[int, int]:
        """Which file it is, and its size; as before the first line if there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return -1, 0
        return status.st_ino, status.st_size

    def _parse(self, line: bytes, number: int) -> Entry:
        try:
            return Entry.from_json(line)
        except (ValueError, KeyError, TypeError) as error:
            raise LakeError(
                f"line {number} of {self.path} is not a provenance entry",
                expected="one JSON object per line",
                mend="restore the file from a backup, or move it away and run "
                "'quant doctor --repair', which rebuilds it from the partitions' footers",
            ) from error


def outcome_frame(entries: Iterable[Entry]) -> pl.DataFrame:
    """Outcomes of the rules of many sessions as the rows of ``checks/<table>``."""
    rows = [
        {"session": entry.session, **outcome} for entry in entries for outcome in entry.outcomes
    ]
    return pl.DataFrame(rows, schema=OUTCOME_SCHEMA)
