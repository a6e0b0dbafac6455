"""The small lake, filled; what was known in it, told the slow way."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from quant_platform.lakehouse.catalog import query_catalog
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.lakehouse.small_lake import (
    BARS_TABLE,
    CALENDAR,
    SESSIONS,
    TREND_TABLE,
    bar,
    bars_frame,
    open_lake,
    trend_frame,
    write,
)

DAYS = SESSIONS[:8]
OUTCOME = {
    "rule": "row_count",
    "severity": "warning",
    "passed": False,
    "value": 0.25,
    "threshold": 0.5,
    "cause": "it's thin",
}
ROWS = [
    *(bar("a", day, 10.0 + number) for number, day in enumerate(DAYS)),
    bar("a", DAYS[1], 99.0, late=2),
    bar("a", DAYS[1], 77.0, late=4),
    bar("b", DAYS[2], 5.0, late=3),
    bar("b", DAYS[7], 6.0),
]


def filled_for_reading(folder: Path) -> Lake:
    """Fill a lake with late bars and a few feature rows."""
    lake = open_lake(folder)
    write(lake, BARS_TABLE, bars_frame(ROWS), SESSIONS[:12])
    write(lake, TREND_TABLE, trend_frame(DAYS))
    return lake


def filled_for_spoiling(folder: Path) -> Lake:
    """Fill a lake with feature rows alone."""
    lake = open_lake(folder)
    write(lake, TREND_TABLE, trend_frame(DAYS))
    return lake


def known(rows: list[dict[str, Any]], session: date) -> dict[tuple[str, date], float]:
    """Find what was known at a session's cutoff, one row after the other."""
    latest: dict[tuple[str, date], dict[str, Any]] = {}
    for row in rows:
        if row["known_at"] <= CALENDAR.cutoff(session):
            key = (row["security_id"], row["session"])
            if key not in latest or latest[key]["known_at"] < row["known_at"]:
                latest[key] = row
    return {key: row["close"] for key, row in latest.items()}


def as_dict(rows: pl.LazyFrame) -> dict[tuple[str, date], float]:
    frame = rows.collect()
    keys = list(zip(frame["security_id"], frame["session"], strict=True))
    assert len(keys) == len(set(keys))
    return dict(zip(keys, frame["close"], strict=True))


def filled_for_asking(folder: Path) -> Lake:
    """Fill a lake with bars and features of five sessions, for queries."""
    lake = open_lake(folder)
    rows = [
        *(bar("a", day, 10.0 + number) for number, day in enumerate(DAYS[:5])),
        bar("a", DAYS[1], 99.0, late=2),
        bar("b", DAYS[0], 5.0),
    ]
    write(lake, BARS_TABLE, bars_frame(rows))
    write(lake, TREND_TABLE, trend_frame(DAYS[:5]), outcomes=(OUTCOME,))
    return lake


def ask(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    """Ask for the rows of a query."""
    return query_catalog(lake, query).rows()
