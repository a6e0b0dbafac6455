"""The tables of a range while it is simulated, and the targets it is simulated from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.execution.account import CASH, Account
from quant_platform.execution.book import Book
from quant_platform.execution.market import Vector
from quant_platform.execution.overlay import Controls
from quant_platform.execution.reconcile import Comparison
from quant_platform.execution.records import Collected, Fill, Order, PlannedOrder, record_frame
from quant_platform.lakehouse.contracts.execution import (
    BROKER_STATE,
    FILLS,
    ORDERS,
    ORDERS_PLAN,
    POSITIONS,
    RECONCILIATION,
    RISK_CONTROLS,
)
from quant_platform.lakehouse.windows import SessionRange

KINDS = (
    "fills",
    "broker_state",
    "positions",
    "reconciliation",
    "risk_controls",
    "orders_plan",
)
"""Tables that one call makes, in the order of the evening."""


class Target(NamedTuple):
    """One session's target weights, and the names of the securities then."""

    weight: dict[str, float]
    symbol: dict[str, str]


def read_targets(frame: pl.LazyFrame, profile: str, wanted: SessionRange) -> dict[date, Target]:
    """Target weights of each session, by security."""
    rows = (
        frame.filter((pl.col("profile") == profile) & pl.col("session").is_in(wanted.sessions))
        .select("session", "security_id", "weight", "symbol")
        .collect()
    )
    targets: dict[date, Target] = {}
    for session, security, weight, symbol in rows.sort("session", "security_id").iter_rows():
        target = targets.setdefault(session, Target({}, {}))
        target.weight[security] = weight
        target.symbol[security] = symbol
    return targets


class Tables:
    """The tables while they grow."""

    def __init__(self) -> None:
        self.fills: list[Fill] = []
        self.plan: list[PlannedOrder] = []
        self.orders: list[Order] = []
        self.broker_state = Collected(BROKER_STATE)
        self.positions = Collected(POSITIONS)
        self.reconciliation = Collected(RECONCILIATION)
        self.risk_controls = Collected(RISK_CONTROLS)

    def frames(self) -> dict[str, pl.DataFrame]:
        """Return all tables, by their kind."""
        return {
            "fills": record_frame(FILLS, self.fills),
            "broker_state": self.broker_state.frame(),
            "positions": self.positions.frame(),
            "reconciliation": self.reconciliation.frame(),
            "risk_controls": self.risk_controls.frame(),
            "orders_plan": record_frame(ORDERS_PLAN, self.plan),
            "orders": record_frame(ORDERS, self.orders),
        }

    def keep_account(self, session: date, account: Account) -> None:
        """Add a session to ``broker_state``."""
        held = sorted(account.holdings.items())
        self.broker_state.add(
            session,
            1 + len(held),
            {
                "item": [CASH, *(item for item, _ in held)],
                "quantity": [account.cash, *(holding.quantity for _, holding in held)],
                "average_price": [None, *(holding.average_price for _, holding in held)],
            },
        )

    def keep_book(self, session: date, book: Book, securities: Sequence[str]) -> None:
        """Add a session to ``positions``."""
        shown = np.flatnonzero(book.shown).tolist()
        equity = book.equity
        self.positions.add(
            session,
            1 + len(shown),
            {
                "item": [CASH, *(securities[place] for place in shown)],
                "symbol": [None, *book.symbol[shown].tolist()],
                "quantity": [book.cash, *book.quantity[shown].tolist()],
                "mark": [1.0, *book.mark[shown].tolist()],
                "value": [book.cash, *book.value[shown].tolist()],
                "average_price": [None, *book.average[shown].tolist()],
                "weight": [
                    book.cash / equity if equity > 0 else 0.0,
                    *book.weight[shown].tolist(),
                ],
                "equity": equity,
                "earned": [0.0, *book.earned[shown].tolist()],
                "costs": [0.0, *book.costs[shown].tolist()],
            },
        )

    def keep_comparison(self, session: date, compared: Comparison) -> None:
        """Add a session to ``reconciliation``."""
        self.reconciliation.add(
            session,
            len(compared.item),
            {
                "item": compared.item,
                "ours": compared.ours,
                "broker": compared.broker,
                "difference": compared.difference,
                "tolerance": compared.tolerance,
                "matched": compared.matched,
            },
        )

    def keep_controls(
        self,
        session: date,
        target: Target,
        requested: Vector,
        made: Controls,
        unordered: npt.NDArray[np.object_],
    ) -> None:
        """Add a session to ``risk_controls``."""
        self.risk_controls.add(
            session,
            len(requested),
            {
                "security_id": list(target.weight),
                "symbol": list(target.symbol.values()),
                "requested": requested,
                "weight": made.weight,
                "portfolio_volatility": made.portfolio_volatility,
                "regime_multiplier": made.regime_multiplier,
                "exposure": made.exposure,
                "blocked": made.blocked,
                "unordered": unordered,
            },
        )
