"""A small book: bars, positions that are carried and their comparison, gates that read it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.orchestration.io import LakeIOManager
from quant_platform.orchestration.made import Made
from quant_platform.orchestration.making import make_range
from quant_platform.orchestration.plan import stale_sessions
from quant_platform.orchestration.stage import Stage, calls, resolved
from quant_platform.settings.base import SettingsModel
from quant_platform_tests.lakehouse.small_lake import (
    CALENDAR,
    HISTORY,
    SESSIONS,
    bar,
    bars_frame,
    open_lake,
    trend_frame,
    write,
)

DAYS = SESSIONS[:14]
BARS, POSITIONS, COMPARED, GATES = (
    f"x/{kind}" for kind in ("bars", "features_state", "reconciliation", "features_trend")
)
HELD = ("a", "b", "c")
BOOK = "x/book"


class Faults(SettingsModel):
    """What goes wrong in a book, and when."""

    lost: tuple[date, ...] = ()
    unmatched: tuple[date, ...] = ()


def keep_book(
    frames: Mapping[str, pl.LazyFrame], faults: Faults, wanted: SessionRange
) -> dict[str, pl.DataFrame]:
    """Add each session's close to what the session before left, and compare."""
    before = wanted.calendar.offset(wanted.first, -1)
    carried = frames["positions"].filter(pl.col("session") == before).collect()
    held = dict(zip(carried["security_id"], carried["close_state"], strict=True))
    closes = dict(frames["bars"].select("session", "close").collect().iter_rows())
    positions, compared = [], []
    for session in wanted.sessions:
        held = {item: held.get(item, 0.0) + closes.get(session, 0.0) for item in HELD}
        kept = HELD[:1] if session in faults.lost else HELD
        positions += [position(session, item, held[item]) for item in kept]
        ours = sum(held.values())
        compared.append(
            {
                "session": session,
                "item": "equity",
                "ours": ours,
                "broker": ours,
                "difference": 0.0,
                "tolerance": 0.01,
                "matched": session not in faults.unmatched,
            }
        )
    return {
        "features_state": pl.DataFrame(positions, schema=stage(POSITIONS).contract.empty().schema),
        "reconciliation": pl.DataFrame(compared, schema=stage(COMPARED).contract.empty().schema),
        "features_trend": trend_frame(wanted.sessions),
    }


def position(session: date, security: str, value: float) -> dict[str, Any]:
    columns = stage(POSITIONS).contract.empty().columns
    numbers = dict.fromkeys(("bars", "idle", "revisions_missed"), 0)
    states = {name: value for name in columns if name.endswith("_state")}
    return (
        dict.fromkeys(columns)
        | numbers
        | {"bars": 1}
        | states
        | {"session": session, "security_id": security}
    )


def read_gates(
    frames: Mapping[str, pl.LazyFrame], _settings: None, wanted: SessionRange
) -> pl.DataFrame:
    return trend_frame(wanted.sessions)


def stage(table: str, **changes: Any) -> Stage:
    plain = Stage(
        table=table,
        calendar=CALENDAR,
        history_start=HISTORY,
        function=read_gates,
        settings=None,
        modules=("quant_platform.features.panel",),
        description="",
        group="test",
    )
    return replace(plain, **changes)


def graph(faults: Faults, **changes: Any) -> list[Stage]:
    """Bars, a book of positions and their comparison, and gates that read the comparison.

    The book carries the gates of the session before, as the account carries its orders.
    """
    shared: dict[str, Any] = {
        "function": keep_book,
        "settings": faults,
        "book": BOOK,
        "windows": {
            "bars": Window(BARS),
            "positions": Window(POSITIONS, 1, own=True),
            "gates": Window(GATES, 1, own=True, required=False),
        },
    }
    return resolved(
        [
            stage(BARS),
            stage(POSITIONS, **shared | changes),
            stage(COMPARED, **shared | changes),
            stage(GATES, windows={"compared": Window(COMPARED)}, **changes),
        ]
    )


def with_bars(folder: Path) -> Lake:
    made = open_lake(folder)
    write(made, BARS, bars_frame([bar("a", day, 10.0 + n) for n, day in enumerate(DAYS)]))
    return made


def make(
    lake: Lake, stages: Sequence[Stage], days: Sequence[date], tables: Collection[str] = ()
) -> list[Made]:
    """Make a range of all calls but the bars, as the asset bodies do."""
    io = LakeIOManager(lake, {known.table: known for known in stages})
    every = []
    for together in calls(stages)[1:]:
        if tables and not any(known.table in tables for known in together):
            continue
        wanted = together[0].range_of(days)
        frames = {name: io.read(w, wanted) for name, w in together[0].windows.items()}
        made = make_range(together, lake, frames, wanted, "run")
        for each in made:
            io.store(each)
        every += made
    return every


def stale(lake: Lake, stages: Sequence[Stage]) -> dict[str, list[date]]:
    found = stale_sessions(lake, stages[1:], stages[0].range_of(DAYS))
    return {table: sorted(days) for table, days in found.items()}


def everywhere(days: Sequence[date]) -> dict[str, list[date]]:
    return {table: list(days) for table in NONE}


NONE: dict[str, list[date]] = {POSITIONS: [], COMPARED: [], GATES: []}
