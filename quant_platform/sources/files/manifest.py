"""What an import was made of: the manifest of the newest one, and the journal of all of them.

The manifest says which file of bars is in which segment. The journal has a line for each import:
when it was made, and the content hash of every file that was new or different then. Each bar keeps
the name of its file and the number of the import that first told it (`ImportStore.origin`), so that
an auditor gets from a bar to the bytes that it was read from.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from quant_platform.sources.files.restated import RESTATED

_CHUNK = 1 << 20


@dataclass(frozen=True)
class ImportedFile:
    """One file of bars as it was imported; ``ended`` is whether by a line break, if it is text."""

    file: str
    size: int
    changed_ns: int
    rows: int
    segment: str
    out_of_order: int = 0
    sha256: str = ""
    ended: bool = True

    def is_still(self, path: Path) -> bool:
        """Whether the file on disk is the one that was imported."""
        state = path.stat()
        return state.st_size == self.size and state.st_mtime_ns == self.changed_ns


@dataclass(frozen=True)
class Manifest:
    """What an import was made of.

    Parameters
    ----------
    folder, mapping, calendar
        The folder, the digest of the mapping, the code of the calendar.
    kinds
        Kinds of data that it has.
    bars
        Its files of bars.
    number
        How many imports there were, this one included.
    restated
        Splits by which files have restated what they told before; rows of `RESTATED`.
    """

    folder: str
    mapping: str
    calendar: str
    kinds: tuple[str, ...]
    bars: tuple[ImportedFile, ...]
    number: int = 0
    restated: tuple[tuple[str, str, str, float, bool], ...] = ()

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read a manifest as it was written."""
        told: dict[str, Any] = json.loads(text)
        bars = tuple(ImportedFile(**entry) for entry in told.pop("bars"))
        restated = tuple(tuple(line) for line in told.pop("restated", ()))
        return cls(**{**told, "kinds": tuple(told["kinds"])}, bars=bars, restated=restated)

    def restatements(self) -> pl.DataFrame:
        """Return the splits by which files have restated what they told before."""
        rows = [
            (file, symbol, date.fromisoformat(day), ratio, volumes)
            for file, symbol, day, ratio, volumes in self.restated
        ]
        return pl.DataFrame(rows, schema=RESTATED, orient="row")


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def is_ended(path: Path) -> bool:
    """Whether a file ends with a line break; one that is no text needs none."""
    if path.suffix.lower() == ".parquet" or not path.stat().st_size:
        return True
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) in (b"\n", b"\r")


@dataclass(frozen=True)
class Journal:
    """All imports of a sleeve, a line each, oldest first."""

    path: Path

    def lines(self) -> list[dict[str, Any]]:
        """Return every import: ``number``, ``at``, ``folder``, ``mapping``, ``files``."""
        if not self.path.is_file():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def files(self) -> pl.DataFrame:
        """Return every file that was new or different, with its ``import`` and ``sha256``."""
        rows = [
            (line["number"], line["at"], one["kind"], one["file"], one["size"], one["sha256"])
            for line in self.lines()
            for one in line["files"]
        ]
        schema = {
            "import": pl.UInt32(),
            "at": pl.String(),
            "kind": pl.String(),
            "file": pl.String(),
            "size": pl.Int64(),
            "sha256": pl.String(),
        }
        return pl.DataFrame(rows, schema=schema, orient="row")

    def told(self) -> dict[tuple[str, str], str]:
        """Return the hash of each file as the newest import that took it found it."""
        files = self.files()
        return {
            (kind, file): digest
            for kind, file, digest in files.select("kind", "file", "sha256").iter_rows()
        }

    def line(
        self, number: int, at: datetime, manifest: Manifest, files: Sequence[dict[str, Any]]
    ) -> str:
        """Return the line of an import."""
        told = {
            "number": number,
            "at": at.isoformat(),
            "folder": manifest.folder,
            "mapping": manifest.mapping,
            "files": list(files),
        }
        return json.dumps(told)
