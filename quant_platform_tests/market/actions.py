"""Corporate actions written by hand, as published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl

from quant_platform.lakehouse.contracts.actions import ACTIONS
from quant_platform_tests.lakehouse.small_lake import CALENDAR


def action(
    security: str, ex: date, value: float | None, *, kind: str = "split", known: date | None = None
) -> dict[str, Any]:
    """One published version of an action; known on the session before its ex session."""
    arrival = CALENDAR.offset(ex, -1) if known is None else known
    return {
        "knowledge_session": arrival,
        "security_id": security,
        "session": ex,
        "kind": kind,
        "known_at": CALENDAR.close(arrival) + timedelta(minutes=30),
        "known_at_basis": "observed",
        "value": value,
        "counterpart": None,
    }


def actions_frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows in the columns of the actions contract."""
    schema = {name: column.dtype for name, column in ACTIONS.columns.items()}
    return pl.DataFrame(list(rows), schema=schema)
