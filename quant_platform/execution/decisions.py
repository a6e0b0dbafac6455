"""What the evenings of a range decided: one payload of the ledger ``decisions`` for each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from quant_platform.execution.records import by_session
from quant_platform.lakehouse.content import frame_hash, partition_hashes
from quant_platform.lakehouse.contracts import Contract
from quant_platform.lakehouse.contracts.execution import ORDERS_PLAN, RISK_CONTROLS
from quant_platform.lakehouse.windows import SessionRange

LEDGER = "decisions"
ACTION = "execution_decide"


def evening_decisions(
    frames: Mapping[str, pl.LazyFrame], ready: pl.DataFrame, wanted: SessionRange
) -> list[tuple[date, dict[str, Any]]]:
    """Sum evenings up: exposure and why, what is blocked, what is planned, whether it goes out.

    Parameters
    ----------
    frames
        ``risk_controls`` and ``orders_plan`` of the range, as ``readiness`` gets them.
    ready
        ``execution_ready`` of the range.
    wanted
        The range.

    Returns
    -------
    list of (date, dict)
        By session, for each that has a row in ``ready``; the frames stand in the payload by their
        content hashes.
    """
    controls, control_hashes = _told(frames["risk_controls"], RISK_CONTROLS, wanted)
    plans, plan_hashes = _told(frames["orders_plan"], ORDERS_PLAN, wanted)
    evenings = by_session(ready.lazy(), wanted)
    return [
        (
            session,
            _decision(evenings[session].row(0, named=True), controls[session], plans[session])
            | {"risk_controls": control_hashes[session], "orders_plan": plan_hashes[session]},
        )
        for session in wanted.sessions
        if session in evenings
    ]


def _told(
    frame: pl.LazyFrame, contract: Contract, wanted: SessionRange
) -> tuple[dict[date, pl.DataFrame], dict[date, str]]:
    """Rows of each session and their content hash; a session without rows has an empty frame."""
    parts, empty = by_session(frame, wanted), contract.empty()
    rows = {session: parts.get(session, empty) for session in wanted.sessions}
    hashes = dict.fromkeys(wanted.sessions, frame_hash(empty, contract.key))
    return rows, hashes | partition_hashes(pl.concat([empty, *parts.values()]), contract.key)


def _decision(
    evening: Mapping[str, Any], controls: pl.DataFrame, plan: pl.DataFrame
) -> dict[str, Any]:
    first = controls.row(0, named=True) if controls.height else {}
    codes = zip(*controls.sort("security_id").select("security_id", "blocked"), strict=True)
    orders = list(zip(plan["side"], plan["notional"], strict=True))
    return {
        "ready": evening["ready"],
        "reasons": evening["reasons"],
        "orders": evening["orders"],
        "gross_weight": evening["gross_weight"],
        "exposure": first.get("exposure"),
        "portfolio_volatility": first.get("portfolio_volatility"),
        "regime_multiplier": first.get("regime_multiplier"),
        "blocked": {security: code for security, code in codes if code is not None},
        "buys": math.fsum(notional for side, notional in orders if side == "buy"),
        "sells": math.fsum(notional for side, notional in orders if side == "sell"),
    }
