"""Figures of the account: what it is worth, what it ordered, what that cost, what held it back.

The equity of a session is what ``positions`` stored. Return and drawdown are ratios of stored
equities, so nothing is summed up over sessions; only slippage also looks a month back, and takes
the exact sums of those fills.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from quant_platform.backtest.metrics import falls
from quant_platform.execution.account import CASH
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.reports.figure import Figure, Rows, by_session, counted, lacking
from quant_platform.reports.scope import EVENING, MONTH, YEAR, DailyScope

NO_ACCOUNT = "no account is configured"
SIDES = ("buy", "sell")


@dataclass(frozen=True)
class _Tables:
    """Rows of the account's tables by session; none where there is no account."""

    scope: DailyScope
    positions: Mapping[date, Rows]
    fills: Mapping[date, Rows]
    orders: Mapping[date, Rows]
    evening: Mapping[str, Mapping[date, Rows]]
    equity: Mapping[date, float]

    def why_not(self, session: date) -> str:
        """Say why an evening has no rows."""
        if self.scope.account is None:
            return NO_ACCOUNT
        if self.scope.before_account(session):
            return f"the account opens on {self.scope.account.opened}"
        return "the account has no rows tonight: its tables were withdrawn"


def account_figures(
    frames: Mapping[str, pl.LazyFrame], scope: DailyScope, wanted: SessionRange
) -> dict[date, list[Figure]]:
    """Compute the sections equity, orders, fills, slippage and gates of a range.

    Parameters
    ----------
    frames
        What ``scope.daily_windows`` asks for.
    scope
        The account, if there is one.
    wanted
        Sessions to report on.
    """
    calendar = wanted.calendar
    month_before = calendar.sessions[max(calendar.ordinal(wanted.first) - MONTH + 1, 0)]
    month = SessionRange(
        calendar, tuple(calendar.between(month_before, wanted.last)), wanted.history_start
    )
    tables = _Tables(
        scope,
        by_session(frames.get("positions"), wanted),
        by_session(frames.get("fills"), month),
        by_session(frames.get("orders"), wanted),
        {name: by_session(frames.get(name), wanted) for name in EVENING},
        equities(frames),
    )
    found = {}
    for session in wanted.sessions:
        position = calendar.ordinal(session)
        year = calendar.sessions[max(position - YEAR, 0) : position + 1]
        found[session] = [
            *_equity(tables, session, year),
            *_orders(tables, session),
            *_fills(tables, session),
            *_slippage(tables, year[-MONTH:]),
            *_gates(tables, session),
        ]
    return found


def equities(frames: Mapping[str, pl.LazyFrame]) -> dict[date, float]:
    """Take the stored equity of every session in the frames; empty without an account."""
    if "positions" not in frames:
        return {}
    rows = frames["positions"].filter(pl.col("item") == CASH).select("session", "equity")
    return dict(rows.sort("session").collect().iter_rows())


def _equity(tables: _Tables, session: date, year: Sequence[date]) -> Iterator[Figure]:
    """Yield what the account is worth and what it earned; ``year`` ends with the session."""
    money, rows = tables.scope.currency, tables.positions.get(session, [])
    if not rows:
        yield lacking("equity", "account", "equity", money, tables.why_not(session))
        return
    equity = rows[0]["equity"]
    earned = math.fsum(row["earned"] for row in rows)
    costs = math.fsum(row["costs"] for row in rows)
    cash = math.fsum(row["value"] for row in rows if row["item"] == CASH)
    held = [row for row in rows if row["item"] != CASH and row["quantity"] != 0]
    yield Figure("equity", "account", "equity", equity, money)
    yield Figure("equity", "account", "profit", math.fsum([earned, -costs]), money)
    yield Figure("equity", "account", "earned", earned, money)
    yield Figure("equity", "account", "costs", costs, money)
    yield Figure("equity", "account", "cash", cash, money)
    yield Figure("equity", "account", "positions", float(len(held)), "count")
    for figure, back in (("return_1", 1), ("return_21", MONTH), ("return_252", YEAR)):
        start = tables.equity.get(year[-1 - back]) if len(year) > back else None
        if start is None:
            note = f"the account is younger than {counted(back, 'session')}"
            if tables.scope.account is not None and not (
                len(year) <= back or tables.scope.before_account(year[-1 - back])
            ):
                note = f"the account has no row on {year[-1 - back]}"
            yield lacking("equity", "account", figure, "fraction", note)
        elif start <= 0:
            yield lacking("equity", "account", figure, "fraction", "nothing was left to earn on")
        else:
            yield Figure("equity", "account", figure, equity / start - 1, "fraction")
    path = [tables.equity[day] for day in year if day in tables.equity]
    note = f"over {counted(len(path), 'session')}"
    yield Figure(
        "equity", "account", "drawdown", float(falls(np.array(path)).min()), "fraction", note
    )


def _orders(tables: _Tables, session: date) -> Iterator[Figure]:
    """Yield what the plan asks for, and what the broker answered."""
    money = tables.scope.currency
    ready = tables.evening["execution_ready"].get(session)
    if not ready:
        yield lacking("orders", "plan", "count", "count", tables.why_not(session))
        return
    plan, orders = tables.evening["orders_plan"].get(session, []), tables.orders.get(session, [])
    for side in SIDES:
        own = [row for row in plan if row["side"] == side]
        yield Figure("orders", side, "planned", float(len(own)), "count")
        notional = math.fsum(row["notional"] for row in own)
        yield Figure("orders", side, "planned_notional", notional, money)
        sent = [row for row in orders if row["side"] == side]
        for status in ("accepted", "rejected"):
            count = sum(row["status"] == status for row in sent)
            if not orders and plan:
                yield lacking("orders", side, status, "count", not_handed(ready[0]["reasons"]))
            else:
                yield Figure("orders", side, status, float(count), "count")


def not_handed(reasons: Sequence[str]) -> str:
    """Say why a plan has no orders.

    Parameters
    ----------
    reasons
        Codes of the closed gates.
    """
    if reasons:
        return f"held back by {', '.join(reasons)}"
    return "not handed to the broker: not yet, or the evening was missed"


def _fills(tables: _Tables, session: date) -> Iterator[Figure]:
    """Yield what was filled since the evening before."""
    money = tables.scope.currency
    if not tables.positions.get(session):
        yield lacking("fills", "all", "count", "count", tables.why_not(session))
        return
    rows = tables.fills.get(session, [])
    for item in (*SIDES, "all"):
        own = [row for row in rows if item in {"all", row["side"]}]
        yield Figure("fills", item, "count", float(len(own)), "count")
        notional = math.fsum(row["quantity"] * row["price"] for row in own)
        yield Figure("fills", item, "notional", notional, money)
        commission = math.fsum(row["commission"] for row in own)
        yield Figure("fills", item, "commission", commission, money)


def _slippage(tables: _Tables, month: Sequence[date]) -> Iterator[Figure]:
    """Yield the mean cost against the ideal price, of the session and of a month, a cost > 0."""
    session = month[-1]
    if tables.scope.account is None or not tables.positions.get(session):
        yield lacking("slippage", "all", "mean", "bps", tables.why_not(session))
        return
    recent = [row for day in month for row in tables.fills.get(day, [])]
    for item in (*SIDES, "all"):
        for suffix, rows in (("", tables.fills.get(session, [])), ("_21", recent)):
            own = [row for row in rows if item in {"all", row["side"]}]
            yield Figure("slippage", item, f"count{suffix}", float(len(own)), "count")
            yield _mean_cost(item, f"mean{suffix}", own)


def _mean_cost(item: str, figure: str, fills: Rows) -> Figure:
    """Mean cost weighted by the amounts at the ideal price: total cost over total amount."""
    ideal = [row["quantity"] * row["ideal_price"] for row in fills]
    whole = math.fsum(ideal)
    if not whole > 0:
        return lacking("slippage", item, figure, "bps", "no fills")
    cost = math.fsum(a * row["slippage_bps"] for a, row in zip(ideal, fills, strict=True))
    return Figure("slippage", item, figure, cost / whole, "bps")


def _gates(tables: _Tables, session: date) -> Iterator[Figure]:
    """Yield whether orders may go out, what is closed, and what was blocked name by name."""
    ready = tables.evening["execution_ready"].get(session)
    if not ready:
        yield lacking("gates", "execution", "ready", "flag", tables.why_not(session))
        return
    codes = ready[0]["reasons"]
    told = f"closed: {', '.join(codes)}" if codes else None
    yield Figure("gates", "execution", "ready", float(ready[0]["ready"]), "flag", told)
    for code in codes:
        yield Figure("gates", code, "closed", 1.0, "flag")
    compared = tables.evening["reconciliation"].get(session, [])
    if compared:
        wrong = sum(not row["matched"] for row in compared)
        yield Figure("gates", "reconciliation", "items", float(len(compared)), "count")
        yield Figure("gates", "reconciliation", "mismatches", float(wrong), "count")
    else:
        note = "nothing was reconciled, or the record was withdrawn"
        yield lacking("gates", "reconciliation", "mismatches", "count", note)
    controls = tables.evening["risk_controls"].get(session, [])
    blocked = Counter(row["blocked"] for row in controls if row["blocked"] is not None)
    for code, count in sorted(blocked.items()):
        yield Figure("gates", code, "blocked_names", float(count), "count")
