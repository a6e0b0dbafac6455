"""A small lake written by hand: bars and features of a few securities on NYSE sessions of 2024."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from quant_platform.calendars import build_calendar
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import Stamp, Verdict
from quant_platform.lakehouse.store import Judgement, WriteReport
from quant_platform.lakehouse.windows import SessionRange

CALENDAR = build_calendar("XNYS", horizon=date(2024, 12, 31), grace=timedelta(minutes=90))
HISTORY = date(2024, 1, 2)
SESSIONS = CALENDAR.between(HISTORY, date(2024, 6, 28))
EVENING = datetime(2024, 7, 15, 12, tzinfo=UTC)
"""After the cutoff of every session in ``SESSIONS``."""
BARS_TABLE = "instruments/bars"
TREND_TABLE = "instruments/features_trend"


def bar(
    security: str, session: date, close: float = 10.0, *, late: int = 0, minutes: int = 30
) -> dict[str, Any]:
    """One published version of a bar, known ``late`` sessions and some minutes after its close."""
    arrival = CALENDAR.offset(session, late)
    return {
        "knowledge_session": arrival,
        "security_id": security,
        "session": session,
        "known_at": CALENDAR.close(arrival) + timedelta(minutes=minutes),
        "known_at_basis": "observed" if late else "assumed",
        "symbol": f"NYSE:{security.upper()}",
        "open": close,
        "high": close,
        "low": close,
        "close": close,
        "volume": 100.0,
    }


def bars_frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows in the columns of the bars contract."""
    schema = {name: column.dtype for name, column in BARS.columns.items()}
    return pl.DataFrame(list(rows), schema=schema)


def trend_frame(sessions: Sequence[date], security: str = "a", close: float = 10.0) -> pl.DataFrame:
    """One security's feature rows, all null but the close."""
    empty = FEATURES_TREND.empty()
    rows = pl.DataFrame(
        {"session": list(sessions), "security_id": security, "close": close, "bars_252": 1},
        schema={name: empty.schema[name] for name in ("session", "security_id", "close")}
        | {"bars_252": empty.schema["bars_252"]},
    )
    return pl.concat([empty, rows], how="diagonal").select(empty.columns)


def span(first: date, last: date, history: date = HISTORY) -> SessionRange:
    """Range of sessions between two days."""
    return SessionRange(CALENDAR, tuple(CALENDAR.between(first, last)), history)


def stamp(run_id: str = "run-1", code: str = "code-1", config: str = "config-1") -> Stamp:
    """Name what made a partition; the clock stands still, so that nothing can lean on it."""
    return Stamp(run_id, code, config, "sha", EVENING.isoformat())


def open_lake(root: Path, clock: datetime = EVENING) -> Lake:
    """Open a lake whose wall clock stands still."""
    return Lake.create(root / "lake", clock=lambda: clock)


def write(
    lake: Lake,
    table: str,
    frame: pl.DataFrame,
    sessions: Sequence[date] | None = None,
    *,
    verdicts: Mapping[date, Verdict] | None = None,
    input_hash: str = "input-1",
    outcomes: tuple[Mapping[str, Any], ...] = (),
    made_by: Stamp | None = None,
) -> WriteReport:
    """Write partitions as the IO manager does; by default those that have rows."""
    partition = lake.layout(table).contract.partition
    days = sorted(frame[partition].unique()) if sessions is None else list(sessions)
    judged = verdicts or {}
    lake.describe(table, CALENDAR)
    return lake.store(table).write(
        frame,
        {day: Judgement(judged.get(day, "passed"), input_hash, outcomes) for day in days},
        made_by or stamp(),
    )
