"""A small market and its grid, and how a decision is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from quant_platform_tests.lakehouse.small_lake import SESSIONS
from quant_platform_tests.selection.naive import (
    SETTINGS,
    path,
)

HISTORY = SESSIONS[:36]
DAYS = HISTORY[20:]
"""After as many returns as moments and tails need."""
GRID = {DAYS[6], DAYS[11]}
NAMES = "abcd"
RETURNS = [one for seed, name in enumerate(NAMES) for one in path(name, HISTORY, seed)]


RELAXED = SETTINGS.model_copy(update={"winners_floor": 2})
"""Somebody wins although a history of days has no moments."""


def of(made: pl.DataFrame, session: date) -> dict[str, dict[str, Any]]:
    """Rows of one session by security."""
    rows = made.filter(pl.col("session") == session).to_dicts()
    return {row["security_id"]: row for row in rows}


def selected(made: pl.DataFrame, session: date) -> set[str]:
    return {name for name, row in of(made, session).items() if row["selected"]}


def vetoes_of(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Vetoes and cuts of a row by rule."""
    return {veto["rule"]: veto for veto in row["vetoes"]}
