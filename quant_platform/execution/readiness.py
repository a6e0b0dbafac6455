"""The gates of an evening: whether its orders may go out, and if not, why.

A closed gate stops the evening as a whole, sells included, because it means that what we believe of
the account or of the market may be wrong. (Rules about single names block increases only, in
``overlay``.) The codes:

``RECONCILIATION``  an item differs from the broker's record, or nothing was reconciled at all
``KILL_SWITCH``     the switch of the settings is on since this session or an earlier one
``NO_REGIME``       an increase was blocked because the session has no regime
``GROSS``           the weights after the overlay add up to more than the limit
``STALE``           too many targets were blocked for want of a fresh mark
``MAX_ORDERS``      the plan has more orders than the limit
``MAX_ORDER``       a buy order is larger than the limit; a sell order of any size may go

An evening without orders is ready: there is nothing to hold back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from quant_platform.execution.account import EQUITY, first_session
from quant_platform.execution.overlay import NO_MARK, NO_REGIME, STALE_MARK
from quant_platform.execution.records import PlannedOrder, by_session, records
from quant_platform.lakehouse.contracts.execution import EXECUTION_READY
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings.execution import ExecutionSettings

# Weights that add up to one do so to rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Evidence:
    """What the gates look at on one evening.

    Parameters
    ----------
    matched
        For each reconciled item whether it agreed.
    equity
        Our equity; 0 if nothing was reconciled.
    weights
        Weights after the overlay.
    blocked
        For each target the code of what blocked it, or None.
    orders
        The plan.
    """

    matched: Sequence[bool]
    equity: float
    weights: Sequence[float]
    blocked: Sequence[str | None]
    orders: Sequence[PlannedOrder]

    @property
    def gross(self) -> float:
        """Sum of the weights after the overlay."""
        return math.fsum(self.weights)


def closed_gates(session: date, evidence: Evidence, settings: ExecutionSettings) -> list[str]:
    """Codes of the gates that are closed on an evening; empty if all are open."""
    gates = settings.gates
    stale = sum(code in {NO_MARK, STALE_MARK} for code in evidence.blocked)
    largest = max((o.notional for o in evidence.orders if o.side == "buy"), default=0.0)
    closed = {
        "RECONCILIATION": not evidence.matched or not all(evidence.matched),
        "KILL_SWITCH": killed(session, settings),
        "NO_REGIME": NO_REGIME in evidence.blocked,
        "GROSS": evidence.gross > gates.max_gross + _ROUNDING,
        "STALE": stale > gates.max_stale * len(evidence.blocked),
        "MAX_ORDERS": len(evidence.orders) > gates.max_orders,
        "MAX_ORDER": largest > gates.max_order * evidence.equity,
    }
    return [code for code, is_closed in closed.items() if is_closed]


def killed(session: date, settings: ExecutionSettings) -> bool:
    """Whether the kill switch holds a session's orders back."""
    since = settings.gates.kill_switch
    return since is not None and session >= since


def readiness_windows(settings: ExecutionSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``execution_ready`` depends on."""
    return {
        name: Window(f"execution/{name}")
        for name in ("orders_plan", "reconciliation", "risk_controls")
    }


def readiness(
    frames: Mapping[str, pl.LazyFrame], settings: ExecutionSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``execution_ready`` for a range.

    Parameters
    ----------
    frames
        ``orders_plan``, ``reconciliation`` and ``risk_controls`` of the range.
    settings
        Limits of the gates; first session of the account.
    wanted
        Sessions to judge.

    Returns
    -------
    polars.DataFrame
        One row per session from the account's first one on.
    """
    plans, books, controls = (
        by_session(frames[name], wanted)
        for name in ("orders_plan", "reconciliation", "risk_controls")
    )
    opening = first_session(settings, wanted)
    rows = []
    for session in wanted.sessions:
        if session < opening:
            continue
        book, control = books.get(session), controls.get(session)
        equity = [] if book is None else book.filter(pl.col("item") == EQUITY)["ours"].to_list()
        evidence = Evidence(
            matched=[] if book is None else book["matched"].to_list(),
            equity=equity[0] if equity else 0.0,
            weights=[] if control is None else control["weight"].to_list(),
            blocked=[] if control is None else control["blocked"].to_list(),
            orders=records(PlannedOrder, plans[session]) if session in plans else [],
        )
        codes = closed_gates(session, evidence, settings)
        rows.append((session, not codes, codes, len(evidence.orders), evidence.gross))
    return pl.DataFrame(rows, schema=EXECUTION_READY.empty().schema, orient="row")
