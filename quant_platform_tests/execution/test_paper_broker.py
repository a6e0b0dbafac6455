"""The paper exchange: numbered cases, each worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from quant_platform.execution.account import Account, Holding
from quant_platform.execution.market import Quote
from quant_platform.execution.paper_broker import TradingDay, Venue, trade
from quant_platform.execution.records import Order
from quant_platform.settings.execution import TermsSettings

THURSDAY, FRIDAY = date(2024, 6, 27), date(2024, 6, 28)
SATURDAY, SUNDAY, MONDAY = date(2024, 6, 29), date(2024, 6, 30), date(2024, 7, 1)

# 10 bps against the price, 20 bps of fee: a buy at 100 costs 100.1, and 0.2002 of fee.
SHARES = TermsSettings(half_spread_bps=6.0, slippage_bps=4.0, commission_bps=20.0, lot=1.0)
COINS = SHARES.model_copy(update={"lot": 0.001})
VENUES = {
    "a": Venue(SHARES, MONDAY),
    "b": Venue(SHARES, MONDAY),
    "coin": Venue(COINS, SATURDAY),
    "closed": Venue(SHARES, None),
}


def order(security: str, side: str, quantity: float, expected: float = 100.0) -> Order:
    return Order(
        FRIDAY, f"id-{security}", "paper", security, f"X:{security.upper()}", side, quantity,
        "opening_auction", expected, "0" * 64, "accepted", None,
    )  # fmt: skip


def quote(
    execution: float | None,
    mark: float = 100.0,
    split: float = 1.0,
    delisted: bool = False,
    cash: float = 0.0,
) -> Quote:
    return Quote(execution, mark, split, delisted, cash)


@dataclass
class Case:
    """What goes in, and what must come out: fills as (security, units, price, day)."""

    name: str
    orders: list[Order]
    days: list[TradingDay]
    fills: list[tuple[str, float, float, date]]
    cash: float
    held: dict[str, tuple[float, float]]
    before: dict[str, tuple[float, float]] = field(default_factory=dict)
    money: float = 10_000.0


def monday(**quotes: Quote) -> list[TradingDay]:
    return [TradingDay(MONDAY, quotes)]


CASES = [
    Case(
        "1 a buy pays spread and fee",
        [order("a", "buy", 10)],
        monday(a=quote(100)),
        [("a", 10, 100.1, MONDAY)],
        10_000 - 1001 - 2.002,
        {"a": (10, 100.1)},
    ),
    Case(
        "2 a sell gets less than the price, less the fee",
        [order("a", "sell", 4)],
        monday(a=quote(100)),
        [("a", 4, 99.9, MONDAY)],
        10_000 + 399.6 - 0.7992,
        {"a": (6, 80)},
        {"a": (10, 80)},
    ),
    Case(
        "3 a name without a row: the day order expires",
        [order("a", "buy", 10)],
        monday(b=quote(100)),
        [],
        10_000,
        {},
    ),
    Case(
        "4 a halt: a row without an execution price, nothing fills",
        [order("a", "buy", 10), order("b", "sell", 5)],
        monday(a=quote(None), b=quote(None)),
        [],
        10_000,
        {"b": (5, 50)},
        {"b": (5, 50)},
    ),
    Case(
        "5 an expired order does not come back on a later day",
        [order("coin", "buy", 1)],
        [
            TradingDay(SATURDAY, {"coin": quote(None)}),
            TradingDay(SUNDAY, {"coin": quote(100)}),
            TradingDay(MONDAY, {"coin": quote(100)}),
        ],
        [],
        10_000,
        {},
    ),
    Case(
        "6 a coin fills on the first day of the weekend, a share on Monday",
        [order("coin", "buy", 0.5), order("a", "buy", 1)],
        [
            TradingDay(SATURDAY, {"coin": quote(200)}),
            TradingDay(SUNDAY, {"coin": quote(300)}),
            TradingDay(MONDAY, {"coin": quote(400), "a": quote(100)}),
        ],
        [("coin", 0.5, 200.2, SATURDAY), ("a", 1, 100.1, MONDAY)],
        10_000 - 100.1 - 0.2002 - 100.1 - 0.2002,
        {"coin": (0.5, 200.2), "a": (1, 100.1)},
    ),
    Case(
        "7 a sleeve that is closed all the time: the order expires",
        [order("closed", "buy", 1), order("nobody", "buy", 1)],
        monday(closed=quote(100), nobody=quote(100)),
        [],
        10_000,
        {},
    ),
    Case(
        "8 a split while holding: units times two, mean price by two, cash as it was",
        [],
        monday(a=quote(50, 50, 2.0)),
        [],
        10_000,
        {"a": (20, 40)},
        {"a": (10, 80)},
    ),
    Case(
        "9 a split between decision and fill restates a buy",
        [order("a", "buy", 10)],
        monday(a=quote(50, 50, 2.0)),
        [("a", 20, 50.05, MONDAY)],
        10_000 - 1001 - 2.002,
        {"a": (20, 50.05)},
    ),
    Case(
        "10 a split between decision and fill restates a sell of everything",
        [order("a", "sell", 5)],
        monday(a=quote(60, 60, 1.5)),
        [("a", 7.5, 59.94, MONDAY)],
        10_000 + 449.55 - 0.8991,
        {},
        {"a": (5, 80)},
    ),
    Case(
        "11 a reverse split rounds an order to whole shares, and to nothing below one",
        [order("a", "buy", 25), order("b", "buy", 5)],
        monday(a=quote(1000, 1000, 0.1), b=quote(1000, 1000, 0.1)),
        [("a", 2, 1001, MONDAY)],
        10_000 - 2002 - 4.004,
        {"a": (2, 1001)},
    ),
    Case(
        "12 a delisting inside the holding pays the mark",
        [],
        monday(a=quote(None, 30, 1.0, True)),
        [],
        10_300,
        {"b": (1, 1)},
        {"a": (10, 80), "b": (1, 1)},
    ),
    Case(
        "13 a sell on the last day fills before the rest is paid out",
        [order("a", "sell", 4)],
        monday(a=quote(100, 30, 1.0, True)),
        [("a", 4, 99.9, MONDAY)],
        10_000 + 399.6 - 0.7992 + 180,
        {},
        {"a": (10, 80)},
    ),
    Case(
        "14 a bankruptcy pays nothing",
        [],
        monday(a=quote(None, 0.0, 1.0, True)),
        [],
        10_000,
        {},
        {"a": (10, 80)},
    ),
    Case(
        "15 cash short: the buy is cut to whole shares that the cash pays, fee included",
        [order("a", "buy", 10)],
        monday(a=quote(100)),
        [("a", 4, 100.1, MONDAY)],
        500 - 400.4 - 0.8008,
        {"a": (4, 100.1)},
        money=500,
    ),
    Case(
        "16 cash short: the larger order is served first",
        [order("a", "buy", 2), order("b", "buy", 4)],
        monday(a=quote(100), b=quote(100)),
        [("b", 4, 100.1, MONDAY)],
        500 - 400.4 - 0.8008,
        {"b": (4, 100.1)},
        money=500,
    ),
    Case(
        "17 without cash nothing is bought",
        [order("a", "buy", 2)],
        monday(a=quote(100)),
        [],
        0,
        {},
        money=0,
    ),
    Case(
        "18 sells pay for buys of the same day",
        [order("a", "buy", 9), order("b", "sell", 10)],
        monday(a=quote(100), b=quote(100)),
        [("b", 10, 99.9, MONDAY), ("a", 9, 100.1, MONDAY)],
        999 - 1.998 - 900.9 - 1.8018,
        {"a": (9, 100.1)},
        {"b": (10, 80)},
        money=0,
    ),
    Case(
        "19 Monday's sale does not pay for Saturday's coin",
        [order("coin", "buy", 9), order("b", "sell", 10)],
        [
            TradingDay(SATURDAY, {"coin": quote(100)}),
            TradingDay(MONDAY, {"coin": quote(100), "b": quote(100)}),
        ],
        [("coin", 0.997, 100.1, SATURDAY), ("b", 10, 99.9, MONDAY)],
        100 - 99.7997 - 0.1995994 + 999 - 1.998,
        {"coin": (0.997, 100.1)},
        {"b": (10, 80)},
        money=100,
    ),
    Case(
        "20 a sell is cut to what is held, and of nothing sells nothing",
        [order("a", "sell", 100), order("b", "sell", 100)],
        monday(a=quote(100), b=quote(100)),
        [("a", 10, 99.9, MONDAY)],
        10_000 + 999 - 1.998,
        {},
        {"a": (10, 80)},
    ),
    Case(
        "21 a buy on top of a position averages the price",
        [order("a", "buy", 10)],
        monday(a=quote(100)),
        [("a", 10, 100.1, MONDAY)],
        10_000 - 1001 - 2.002,
        {"a": (20, 90.05)},
        {"a": (10, 80)},
    ),
    Case(
        "22 two splits on a weekend and a fill between them",
        [order("coin", "buy", 1)],
        [
            TradingDay(SATURDAY, {"coin": quote(100)}),
            TradingDay(SUNDAY, {"coin": quote(50, 50, 2.0)}),
            TradingDay(MONDAY, {"coin": quote(10, 10, 5.0)}),
        ],
        [("coin", 1, 100.1, SATURDAY)],
        10_000 - 100.1 - 0.2002,
        {"coin": (30, (2 * 80 + 100.1) / 30)},
        {"coin": (2, 80)},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    account = Account(case.money, {name: Holding(*held) for name, held in case.before.items()})
    fills, after = trade(MONDAY, account, case.orders, case.days, VENUES)
    told = [(fill.security_id, fill.quantity, fill.price, fill.filled_on) for fill in fills]
    assert [(name, day) for name, _, _, day in told] == [(f[0], f[3]) for f in case.fills]
    for (_, units, price, _), (_, units_expected, price_expected, _) in zip(
        told, case.fills, strict=True
    ):
        assert units == pytest.approx(units_expected, rel=1e-12)
        assert price == pytest.approx(price_expected, rel=1e-12)
    assert after.cash == pytest.approx(case.cash, abs=1e-9)
    assert set(after.holdings) == set(case.held)
    for name, (units, average) in case.held.items():
        assert after.holdings[name].quantity == pytest.approx(units, rel=1e-12)
        assert after.holdings[name].average_price == pytest.approx(average, rel=1e-12)
    # The account that came in is as it was: the function is pure.
    assert account.cash == case.money
    assert {n: (h.quantity, h.average_price) for n, h in account.holdings.items()} == case.before


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_slippage_is_positive_when_it_costs_on_both_sides(side: str) -> None:
    account = Account(10_000, {"a": Holding(10, 100)})
    (fill,), _ = trade(MONDAY, account, [order("a", side, 2)], monday(a=quote(100)), VENUES)
    assert fill.slippage_bps == pytest.approx(10)
    assert (fill.price > fill.ideal_price) == (side == "buy")
    assert fill.commission == pytest.approx(2 * fill.price * 0.002)


def test_the_expected_price_is_restated_with_the_order() -> None:
    account = Account(10_000, {})
    orders = [order("a", "buy", 10, expected=98.0)]
    (fill,), _ = trade(MONDAY, account, orders, monday(a=quote(50, 50, 2.0)), VENUES)
    assert fill.expected_price == 49.0
    assert fill.ideal_price == 50.0


def test_the_order_of_the_rows_does_not_matter() -> None:
    """``orders`` comes back from the lake sorted by its key, not by its place."""
    orders = [order("a", "buy", 3), order("b", "buy", 4), order("coin", "buy", 2)]
    days = [
        TradingDay(SATURDAY, {"coin": quote(100)}),
        TradingDay(MONDAY, {"a": quote(100), "b": quote(100)}),
    ]
    made: list[Any] = [
        trade(MONDAY, Account(850, {}), rows, days, VENUES) for rows in (orders, orders[::-1])
    ]
    assert made[0] == made[1]
    assert [fill.quantity for fill in made[0][0]] == [2, 4, 2]
