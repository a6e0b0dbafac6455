"""What a selection decided: one payload of its ledger for each deciding session."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from quant_platform.settings.selection import SelectionSettings

LEDGER = "selection"


def action_of(sleeve: str) -> str:
    """Name the selecting of one sleeve: each restates its own lines and no other's."""
    return f"select:{sleeve}"


def selection_decisions(
    rows: pl.DataFrame, settings: SelectionSettings
) -> list[tuple[date, str, dict[str, Any]]]:
    """Say of each deciding session who won, by which stage, and what stopped the others.

    Parameters
    ----------
    rows
        Rows of ``selection``.
    settings
        Mode and limits that decided.

    Returns
    -------
    list of (date, str, dict)
        Session, identity and payload of each.
    """
    told = []
    decided = rows.filter(pl.col("session") == pl.col("decided_on")).sort("session", "security_id")
    for (session,), part in decided.partition_by("session", as_dict=True).items():
        asked = part.select("vetoes").explode("vetoes").unnest("vetoes").drop_nulls("rule")
        fired = asked.group_by("rule").agg(pl.len(), pl.col("fired").sum()).sort("rule")
        won = part.filter("selected").sort("rank")
        payload = {
            "mode": settings.mode,
            "signal": settings.signal,
            "preset": settings.vetoes.preset,
            "regime": part["regime_label"].cast(pl.String).drop_nulls().first(),
            "candidates": part.height,
            "passed": int(part["passed"].sum()),
            "clusters": part["cluster"].drop_nulls().n_unique(),
            "winners": [
                {
                    "security_id": row["security_id"],
                    "direction": row["direction"],
                    "score": row["score"],
                    "admitted": row["admitted"],
                    "passed": row["passed"],
                }
                for row in won.iter_rows(named=True)
            ],
            "gates": {
                rule: {"asked": count, "fired": stopped}
                for rule, count, stopped in fired.iter_rows()
            },
        }
        told.append((session, session.isoformat(), payload))
    return told
