"""Checksums of partition files: read from the disk, or remembered as long as a file is the same.

Reading thousands of files takes a hundred times as long as asking for their times. A process
therefore reads a file once and again only when its inode, its size or one of its times changes.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

SETTLED = 50_000_000
"""Nanoseconds after which a further change of a file shows in its times: several kernel ticks."""

_State = tuple[int, int, int]

_KNOWN: dict[tuple[int, int], tuple[_State, str]] = {}
"""By device and inode: size and times of a file when it was read, and its checksum."""


def file_checksum(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return _read(path)[1]


def known_checksum(path: Path) -> str:
    """SHA-256 of a file's bytes, which are read once per process for each state of the file."""
    place, state = _identity(path.stat())
    known = _KNOWN.get(place)
    if known is not None and known[0] == state:
        return known[1]
    status, checksum = _read(path)
    place, state = _identity(status)
    # Two changes within one tick of the clock leave the same times: such a file is not remembered.
    if time.time_ns() - max(state[1:]) > SETTLED:
        _KNOWN[place] = state, checksum
    return checksum


def _read(path: Path) -> tuple[os.stat_result, str]:
    """Read a file at once: partitions are small, and a buffer would cost more than the hash."""
    with path.open("rb", buffering=0) as stream:
        return os.fstat(stream.fileno()), hashlib.sha256(stream.read()).hexdigest()


def _identity(status: os.stat_result) -> tuple[tuple[int, int], _State]:
    """Which file it is, and what changes when its bytes do."""
    state = status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return (status.st_dev, status.st_ino), state
