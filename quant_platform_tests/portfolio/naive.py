"""A book as a bookkeeper has it: units, prices and money, one session after another.

It shares no formula with the platform's account: no returns, no weights but the targets. The amount
to invest after costs is found by bisection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from quant_platform.lakehouse.contracts.returns import RETURNS
from quant_platform_tests.portfolio.stages import frame_of


@dataclass(frozen=True)
class Price:
    """One security on one session, in units of that session; cash per unit of the one before."""

    mark: float
    execution: float | None = None
    split: float = 1.0
    delisted: bool = False
    cash: float = 0.0


Prices = Mapping[date, Mapping[str, Price]]


@dataclass
class Book:
    """Units and money, and what happened on the way."""

    cash: float = 100.0
    units: dict[str, float] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    traded: list[dict[str, float]] = field(default_factory=list)


def returns_of(prices: Prices) -> pl.DataFrame:
    """Lay out returns between the marks of successive sessions, as the contract defines them."""
    rows: list[dict[str, Any]] = []
    last: dict[str, float] = {}
    for session, day in sorted(prices.items()):
        for name, price in sorted(day.items()):
            start = last.get(name, price.execution or price.mark)
            previous = start / price.split
            early = (price.execution or price.mark) / previous - 1
            late = price.mark / price.execution - 1 if price.execution else 0.0
            rows.append(
                {
                    "session": session,
                    "security_id": name,
                    "symbol": f"NYSE:{name.upper()}",
                    "mark": price.mark,
                    "mark_session": session,
                    "execution_price": price.execution,
                    "before": early,
                    "after": late,
                    "price": (1 + early) * (1 + late) - 1,
                    "cash": price.cash,
                    "income": price.cash / start,
                    "total": (1 + early) * (1 + late) - 1 + price.cash / start,
                    "split": price.split,
                    "delisted": price.delisted,
                    "settlement": "terms" if price.delisted else None,
                }
            )
            last[name] = price.mark
    return frame_of(RETURNS, rows)


def keep(
    prices: Prices,
    decisions: Mapping[date, Mapping[str, float]],
    sessions: Sequence[date],
    rate: float,
) -> Book:
    """Keep a book over sessions; a decision is executed on the session after it."""
    book = Book()
    for number, session in enumerate(sessions):
        day = prices[session]
        # Paid to who held the evening before, and not traded with on the day itself.
        paid = sum(units * day[name].cash for name, units in book.units.items())
        for name in book.units:
            book.units[name] *= day[name].split
        decision = decisions.get(sessions[number - 1]) if number else None
        traded, cost = ({}, 0.0) if decision is None else _rebalance(book, day, decision, rate)
        book.cash += paid
        for name in [name for name in book.units if day[name].delisted]:
            book.cash += book.units.pop(name) * day[name].mark
        book.values.append(book.cash + sum(u * day[n].mark for n, u in book.units.items()))
        book.costs.append(cost)
        book.traded.append(traded)
    return book


def _rebalance(
    book: Book, day: Mapping[str, Price], decision: Mapping[str, float], rate: float
) -> tuple[dict[str, float], float]:
    """Trade to target weights at the execution prices; return amounts bought and the cost."""

    def worth(name: str) -> float:
        price = day[name].execution
        return book.units.get(name, 0.0) * (day[name].mark if price is None else price)

    names = sorted({*book.units, *decision})
    free = [n for n in names if n in day and day[n].execution is not None and not day[n].delisted]
    stuck = sum(worth(name) for name in book.units if name not in free)
    value = book.cash + sum(worth(name) for name in book.units)

    def trades(remaining: float) -> dict[str, float]:
        wanted = {name: decision.get(name, 0.0) * remaining for name in free}
        total, room = sum(wanted.values()), remaining - stuck
        scale = min(1.0, room / total) if total > 0 else 1.0
        return {name: wanted[name] * scale - worth(name) for name in free}

    low, high = value * 0.5, value
    for _ in range(200):
        middle = (low + high) / 2
        spent = rate * sum(abs(amount) for amount in trades(middle).values())
        low, high = (middle, high) if value - spent > middle else (low, middle)
    amounts = trades((low + high) / 2)
    cost = rate * sum(abs(amount) for amount in amounts.values())
    for name, amount in amounts.items():
        price = day[name].execution
        assert price is not None
        book.units[name] = book.units.get(name, 0.0) + amount / price
    book.cash -= sum(amounts.values()) + cost
    book.units = {name: held for name, held in book.units.items() if abs(held) > 1e-13}
    return amounts, cost
