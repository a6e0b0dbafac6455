"""Rows of the evening's tables for the page: positions, targets, orders and fills one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from quant_platform.execution.account import CASH
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.reports.account import not_handed
from quant_platform.reports.figure import Rows, by_session
from quant_platform.reports.notation import amount, price, written
from quant_platform.reports.scope import DailyScope
from quant_platform.reports.table import Table


def detail_tables(
    frames: Mapping[str, pl.LazyFrame], scope: DailyScope, tonight: SessionRange
) -> dict[str, list[Table]]:
    """Write the tables of one session, by the section of the page that they belong to.

    Parameters
    ----------
    frames
        What ``daily_figures`` got.
    scope
        What there is to report on; without an account there are no tables.
    tonight
        Range of the one session.
    """
    if scope.account is None or scope.before_account(tonight.last):
        return {}

    def rows(name: str) -> Rows:
        return by_session(frames.get(name), tonight).get(tonight.last, [])

    positions, fills = rows("positions"), rows("fills")
    ready = rows("execution_ready")
    reasons = ready[0]["reasons"] if ready else []
    before = _before(frames, tonight)
    return {
        "Account": [_positions(positions)],
        "Targets of tonight": [_blocked(rows("risk_controls"))],
        "Orders": [_orders(rows("orders_plan"), rows("orders"), reasons)],
        "Fills": [_fills(fills, "" if before else "The account opened on this session.")],
    }


def _before(frames: Mapping[str, pl.LazyFrame], tonight: SessionRange) -> bool:
    """Tell whether the account existed on an earlier session."""
    rows = frames["positions"].filter(pl.col("session") < tonight.last)
    return bool(rows.select(pl.len()).collect().item())


def _positions(rows: Rows) -> Table:
    """Write positions, the largest first; what was sold on the session has weight zero."""
    held = [row for row in rows if row["item"] != CASH]
    held.sort(key=lambda row: (-row["weight"], row["item"]))
    return Table(
        "Positions",
        ("Symbol", "Security", "Weight", "Units", "Mark", "Value", "Paid", "Earned", "Costs"),
        [
            [
                row["symbol"] or "",
                row["item"],
                written(row["weight"], "fraction"),
                written(row["quantity"], "units"),
                price(row["mark"]),
                amount(row["value"]),
                price(row["average_price"]),
                amount(row["earned"], signed=True),
                amount(row["costs"]),
            ]
            for row in held
        ],
        "All cash: nothing is held.",
        text=frozenset({0, 1}),
    )


def _blocked(rows: Rows) -> Table:
    """Write the targets whose increase was blocked, the largest wish first."""
    blocked = [row for row in rows if row["blocked"] is not None]
    blocked.sort(key=lambda row: (row["weight"] - row["requested"], row["security_id"]))
    return Table(
        "Increases that were blocked",
        ("Symbol", "Security", "Target", "After the overlay", "Code"),
        [
            [
                row["symbol"],
                row["security_id"],
                written(row["requested"], "fraction"),
                written(row["weight"], "fraction"),
                row["blocked"],
            ]
            for row in blocked
        ],
        "No increase was blocked." if rows else "There are no targets tonight.",
        text=frozenset({0, 1, 4}),
    )


def _orders(plan: Rows, orders: Rows, reasons: list[str]) -> Table:
    """Write the plan with the broker's answers, the largest order first."""
    answers = {row["order_id"]: row for row in orders}
    return Table(
        "Planned orders",
        ("Symbol", "Side", "Units", "Expected", "Amount", "From", "To", "Reason", "Broker"),
        [
            [
                row["symbol"],
                row["side"],
                written(row["quantity"], "units"),
                price(row["expected_price"]),
                amount(row["notional"]),
                written(row["current_weight"], "fraction"),
                written(row["target_weight"], "fraction"),
                row["reason"],
                _answer(answers.get(row["order_id"])),
            ]
            for row in sorted(plan, key=lambda row: (-row["notional"], row["order_id"]))
        ],
        "No orders: the book is where the targets want it, or there is nothing to aim at.",
        text=frozenset({0, 1, 7, 8}),
        notes=() if orders or not plan else [f"Orders: {not_handed(reasons)}"],
    )


def _answer(order: Mapping[str, Any] | None) -> str:
    if order is None:
        return "not handed over"
    return order["status"] if order["reason"] is None else f"{order['status']}: {order['reason']}"


def _fills(rows: Rows, why: str) -> Table:
    """Write fills, the dearest slippage first."""

    def money(row: Mapping[str, Any]) -> float:
        return float(row["quantity"] * row["ideal_price"] * row["slippage_bps"])

    return Table(
        "Fills one by one",
        ("Symbol", "Side", "Filled on", "Units", "Price", "Ideal", "Amount", "Fee", "Slippage"),
        [
            [
                row["symbol"],
                row["side"],
                row["filled_on"].isoformat(),
                written(row["quantity"], "units"),
                price(row["price"]),
                price(row["ideal_price"]),
                amount(row["quantity"] * row["price"]),
                amount(row["commission"]),
                written(row["slippage_bps"], "bps", signed=True),
            ]
            for row in sorted(rows, key=lambda row: (-money(row), row["fill_id"]))
        ],
        f"No fills. {why or 'No order of the evening before was filled.'}",
        text=frozenset({0, 1, 2}),
    )
