"""Snapshots as they were received: one file each, never changed, named by time and content.

::

    <lake>/_snapshots/<sleeve>/<first asked>-<complete>-<content hash>.jsonl.gz

The first line says who was asked what, each other line is one page with its time and its text as it
came. The hash is that of the lines; it stands in every row that was made of them, so that an
auditor gets from a row to the vendor's own words, and a file that was touched is found out.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from quant_platform.errors import SourceError
from quant_platform.lakehouse.files import file_errors, write_atomic
from quant_platform.sources.tradingview.answer import (
    TransientAnswerError,
    frame_of,
    merged,
    page_of,
)
from quant_platform.sources.tradingview.query import Condition, ScanQuery

FOLDER = "_snapshots"
_FORMAT = 1
_STAMP = "%Y%m%dT%H%M%S%fZ"
_NAME = re.compile(r"(?P<begun>\d{8}T\d{12}Z)-(?P<complete>\d{8}T\d{12}Z)-(?P<hash>[0-9a-f]{64})")
_SUFFIX = ".jsonl.gz"


@dataclass(frozen=True)
class KeptPage:
    """A page of one question.

    Parameters
    ----------
    query
        Place of the question among those of the snapshot.
    first, asked
        Place of its first row, and how many were asked for.
    received_at
        When it was complete.
    body
        Its text.
    """

    query: int
    first: int
    asked: int
    received_at: datetime
    body: str


@dataclass(frozen=True)
class KeptSnapshot:
    """A file of the store, by its name.

    Parameters
    ----------
    path
        The file.
    begun, complete
        When its first page was asked for, and when its last had come.
    content_hash
        SHA-256 of its lines.
    """

    path: Path
    begun: datetime
    complete: datetime
    content_hash: str

    def frame(self) -> pl.DataFrame:
        """Read it as columns of the screener, by symbol.

        Returns
        -------
        polars.DataFrame
            ``symbol`` and the field table's columns. A symbol that two questions found is as the
            first told it.

        Raises
        ------
        SourceError
            When the file is not what was kept.
        """
        with file_errors(self.path, "read"):
            packed = self.path.read_bytes()
        try:
            lines = gzip.decompress(packed)
        except (OSError, EOFError, ValueError) as error:
            raise self._touched() from error
        if hashlib.sha256(lines).hexdigest() != self.content_hash:
            raise self._touched()
        header, *pages = map(json.loads, lines.decode().splitlines())
        frames = []
        for number, told in enumerate(header["queries"]):
            query = _query_of(told)
            own = [page for page in pages if page["query"] == number]
            try:
                read = [page_of(p["body"], query, p["first"], p["asked"]) for p in own]
            except TransientAnswerError as error:
                raise self._touched() from error
            frames.append(frame_of(query, merged(query, read)))
        return pl.concat(frames).unique("symbol", keep="first", maintain_order=True).sort("symbol")

    def _touched(self) -> SourceError:
        return SourceError(
            f"the snapshot {self.path} is not what was received",
            expected=f"lines with the hash {self.content_hash[:16]}…",
            mend="restore the file, or remove it: its session then takes its features",
        )


@dataclass(frozen=True)
class SnapshotStore:
    """The snapshots of one sleeve.

    Parameters
    ----------
    folder
        Where they lie.
    """

    folder: Path

    @classmethod
    def of(cls, lake_root: Path, sleeve: str) -> SnapshotStore:
        """Return the store of a sleeve; its folder need not exist yet."""
        return cls(lake_root / FOLDER / sleeve)

    def keep(
        self, begun: datetime, queries: Sequence[ScanQuery], pages: Sequence[KeptPage]
    ) -> KeptSnapshot:
        """Write a snapshot.

        Parameters
        ----------
        begun
            When its first page was asked for.
        queries
            Its questions.
        pages
            Their pages, in the order in which they came.
        """
        complete = max(page.received_at for page in pages)
        header = {"format": _FORMAT, "queries": [asdict(query) for query in queries]}
        told: list[dict[str, Any]] = [
            {**asdict(page), "received_at": page.received_at.isoformat()} for page in pages
        ]
        lines = "".join(f"{json.dumps(line)}\n" for line in (header, *told)).encode()
        content = hashlib.sha256(lines).hexdigest()
        name = f"{begun.astimezone(UTC):{_STAMP}}-{complete.astimezone(UTC):{_STAMP}}-{content}"
        path = self.folder / f"{name}{_SUFFIX}"
        write_atomic(path, gzip.compress(lines, mtime=0))
        return KeptSnapshot(path, begun, complete, content)

    def kept(self) -> Iterator[KeptSnapshot]:
        """Yield what there is, oldest first."""
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            found = _NAME.fullmatch(path.name.removesuffix(_SUFFIX))
            if found is not None:
                yield KeptSnapshot(
                    path, _moment(found["begun"]), _moment(found["complete"]), found["hash"]
                )


def _moment(text: str) -> datetime:
    return datetime.strptime(text, _STAMP).replace(tzinfo=UTC)


def _query_of(told: dict[str, Any]) -> ScanQuery:
    conditions = tuple(
        Condition(
            c["left"],
            c["operation"],
            tuple(c["right"]) if isinstance(c["right"], list) else c["right"],
        )
        for c in told["conditions"]
    )
    return ScanQuery(**{**told, "columns": tuple(told["columns"]), "conditions": conditions})
