"""The gates of an evening: whether its orders may go out, and if not, why.

A closed gate stops the evening as a whole, sells included, because it means that what we believe of
the account or of the market may be wrong. (Rules about single names block increases only, in
``overlay``.) The codes are those of ``GATES``:

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from quant_platform.execution.account import EQUITY, first_session
from quant_platform.execution.overlay import NO_MARK, NO_REGIME, STALE_MARK
from quant_platform.execution.records import PlannedOrder, by_session, records
from quant_platform.lakehouse.contracts.execution import EXECUTION_READY
from quant_platform.lakehouse.gates import Gate
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings.execution import ExecutionSettings

# Weights that add up to one do so to rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Evidence:
    """What the gates look at on one evening.

    Parameters
    ----------
    session
        The evening.
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

    session: date
    matched: Sequence[bool]
    equity: float
    weights: Sequence[float]
    blocked: Sequence[str | None]
    orders: Sequence[PlannedOrder]

    @property
    def gross(self) -> float:
        """Sum of the weights after the overlay."""
        return math.fsum(self.weights)

    @property
    def stale(self) -> int:
        """Targets that were blocked for want of a fresh mark."""
        return sum(code in {NO_MARK, STALE_MARK} for code in self.blocked)

    @property
    def largest_buy(self) -> float:
        """Amount of the largest buy order, money."""
        return max((o.notional for o in self.orders if o.side == "buy"), default=0.0)


@dataclass(frozen=True)
class EveningGate(Gate):
    """A gate that closes an evening.

    Parameters
    ----------
    closes
        Whether the evidence closes it.
    """

    closes: Callable[[Evidence, ExecutionSettings], bool]


def closed_gates(evidence: Evidence, settings: ExecutionSettings) -> list[str]:
    """Codes of the gates that are closed on an evening; empty if all are open."""
    return [gate.name for gate in GATES if gate.closes(evidence, settings)]


def killed(session: date, settings: ExecutionSettings) -> bool:
    """Whether the kill switch holds a session's orders back."""
    since = settings.gates.kill_switch
    return since is not None and session >= since


GATES = (
    EveningGate(
        "RECONCILIATION", "guard", lambda seen, _: not seen.matched or not all(seen.matched)
    ),
    EveningGate("KILL_SWITCH", "guard", lambda seen, limits: killed(seen.session, limits)),
    EveningGate("NO_REGIME", "guard", lambda seen, _: NO_REGIME in seen.blocked),
    EveningGate(
        "GROSS", "guard", lambda seen, limits: seen.gross > limits.gates.max_gross + _ROUNDING
    ),
    EveningGate(
        "STALE",
        "guard",
        lambda seen, limits: seen.stale > limits.gates.max_stale * len(seen.blocked),
    ),
    EveningGate(
        "MAX_ORDERS", "guard", lambda seen, limits: len(seen.orders) > limits.gates.max_orders
    ),
    EveningGate(
        "MAX_ORDER",
        "guard",
        lambda seen, limits: seen.largest_buy > limits.gates.max_order * seen.equity,
    ),
)
"""Every gate of an evening, in the order in which the reasons are listed."""


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
            session=session,
            matched=[] if book is None else book["matched"].to_list(),
            equity=equity[0] if equity else 0.0,
            weights=[] if control is None else control["weight"].to_list(),
            blocked=[] if control is None else control["blocked"].to_list(),
            orders=records(PlannedOrder, plans[session]) if session in plans else [],
        )
        codes = closed_gates(evidence, settings)
        rows.append((session, not codes, codes, len(evidence.orders), evidence.gross))
    return pl.DataFrame(rows, schema=EXECUTION_READY.empty().schema, orient="row")
