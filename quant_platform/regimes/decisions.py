"""What each model said of each session: one payload of its ledger for each benchmark."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from quant_platform.regimes.table import TRACKS

MODELS = ("e1", "e2")
LEDGERS = {model: f"regime_{model}" for model in MODELS}
"""Ledger of each model."""

_MEASURED = (
    *("volatility_20", "drawdown_63", "trend", "breadth"),
    *("credit_z", "term_structure", "cross_asset"),
)
_STATES = tuple(f"{track}_label" for track in TRACKS if track not in MODELS)


def action_of(table: str) -> str:
    """Name the judging of one market: each restates its own lines and no other's."""
    return f"judge_regime:{table.partition('/')[0]}"


def regime_decisions(rows: pl.DataFrame, model: str) -> list[tuple[date, str, dict[str, Any]]]:
    """Say what a model made of each session, and of what.

    Parameters
    ----------
    rows
        Rows of ``regime``.
    model
        The model.

    Returns
    -------
    list of (date, str, dict)
        Session, identity and payload of each row.
    """
    own = [name for name in rows.columns if name.startswith(f"{model}_")]
    told = []
    for row in rows.sort("session", "benchmark").iter_rows(named=True):
        payload = {
            "benchmark": row["benchmark"],
            "symbol": row["symbol"],
            "read": row["model"] == model,
            **{name.removeprefix(f"{model}_"): row[name] for name in own},
            "inputs": {name: row[name] for name in _MEASURED},
            "states": {name: row[name] for name in _STATES},
            "lacking": row["lacking"],
        }
        told.append((row["session"], f"{row['session']} {row['benchmark']}", payload))
    return told
