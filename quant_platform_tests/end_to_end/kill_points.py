"""The moments between two system calls at which a writer can die, each made to happen.

A point is installed in a process of its own and kills that process with −9 when it is reached: the
function behind the moment is replaced by one that dies before or after the real one. The timers of
``killed_runs`` find moments that nobody thought of; these are the ones that somebody did.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from quant_platform.lakehouse import provenance
from quant_platform.lakehouse.layout import PART
from quant_platform.orchestration.io import LakeIOManager
from quant_platform_tests.end_to_end.published import FIRST, PublishedSource
from quant_platform_tests.small_project import SmallProject

TREND = "instruments/features_trend"
BARS = "instruments/bars"
TABLES = (TREND, "instruments/features_state")
"""Tables that are made, with all that they read."""


def die() -> NoReturn:
    """End this process the way a power cut or the kernel's memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def _on_rename(chosen: Callable[[Path, Path], bool], number: int, *, after: bool) -> None:
    """Die at the ``number``-th rename of those chosen, before or after it."""
    honest, seen = Path.replace, count(1)

    def replace(self: Path, target: Path) -> Path:
        mine = chosen(self, Path(target)) and next(seen) == number
        if mine and not after:
            die()
        done = honest(self, target)
        if mine:
            die()
        return done

    Path.replace = replace


def _is_trend(draft: Path, target: Path) -> bool:
    return target.name == PART and TREND in str(target) and draft.name.startswith(f".{PART}.")


def _is_bars(target: Path) -> bool:
    return target.name == PART and BARS in str(target) and "quarantine" not in target.parts


def linked_and_not_renamed() -> None:
    """Leave the old partition with a second name and the new one without its first."""
    _on_rename(_is_trend, 3, after=False)


def renamed_and_not_logged() -> None:
    """Leave new partitions in place, and a log that speaks of the old ones."""
    _on_rename(_is_trend, 3, after=True)


def bars_renamed_and_not_logged() -> None:
    """Leave the same in a table that others read."""
    _on_rename(lambda draft, target: _is_bars(target) and draft.name.startswith("."), 2, after=True)


def blocked_beside_the_old() -> None:
    """Leave a withdrawn partition, and the old one still where readers look."""
    _on_rename(lambda _, target: _is_bars(target) and "_blocked" in target.parts, 1, after=True)


def named_and_not_begun() -> None:
    """Leave the note of which sessions will change, and none of them changed."""
    _on_rename(lambda _draft, target: target.name == "features_trend.pending", 1, after=True)


def _on_append(table: str, act: Callable[[Callable[..., None], Path, list[bytes]], None]) -> None:
    honest = provenance.append_lines

    def append_lines(path: Path, lines: list[bytes]) -> None:
        if str(path).endswith(f"_provenance/{table}.jsonl"):
            act(honest, path, lines)
        honest(path, lines)

    provenance.append_lines = append_lines


def torn_log_line() -> None:
    """Leave one line and a half of those that the log gets in one write."""

    def tear(_honest: Callable[..., None], path: Path, lines: list[bytes]) -> None:
        with path.open("ab") as stream:
            stream.write(lines[0] + b"\n" + lines[1][: len(lines[1]) // 2])
        die()

    _on_append(TREND, tear)


def logged_and_still_pending() -> None:
    """Leave a complete log, and the note that a write is under way."""

    def write(honest: Callable[..., None], path: Path, lines: list[bytes]) -> None:
        honest(path, lines)
        die()

    _on_append(TREND, write)


def quarantined_and_not_stored() -> None:
    """Leave the rejected rows filed and their table untouched."""
    honest = LakeIOManager._quarantine

    def quarantine(self: LakeIOManager, made: Any) -> None:
        honest(self, made)
        die()

    LakeIOManager._quarantine = quarantine


def stored_and_not_told() -> None:
    """Leave everything stored, and Dagster without word of it."""
    honest = LakeIOManager.store

    def store(self: LakeIOManager, made: Any) -> Any:
        report = honest(self, made)
        if made.stage.table == TREND:
            die()
        return report

    LakeIOManager.store = store


def withdrawn_and_not_logged() -> None:
    """Leave the partition of a closed day moved, and its log as it was."""
    _on_rename(lambda _old, target: "_blocked" in target.parts, 1, after=True)


POINTS: tuple[Callable[[], None], ...] = (
    linked_and_not_renamed,
    renamed_and_not_logged,
    bars_renamed_and_not_logged,
    blocked_beside_the_old,
    named_and_not_begun,
    torn_log_line,
    logged_and_still_pending,
    quarantined_and_not_stored,
    stored_and_not_told,
)


def fill(
    folder: Path,
    rows: pl.DataFrame,
    last: date,
    changes: dict[str, Any],
    point: Callable[[], None] | None,
) -> None:
    """Make every session of the stocks anew, in a process of its own, up to a point."""
    project = SmallProject.create(
        folder,
        sources={"instruments": PublishedSource({"instruments": rows})},
        tables=TABLES,
        **changes,
    )
    if point is not None:
        point()
    project.fill(FIRST, last, jobs=["us_daily"], force=True)
    project.close()
