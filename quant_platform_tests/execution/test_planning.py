"""The plan: from weights to orders, sells first, nothing that is too small or may not be bought."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from quant_platform.execution.book import Book
from quant_platform.execution.planning import Wish, order_id, plan
from quant_platform.execution.records import PlannedOrder
from quant_platform_tests.execution.world import settings

NAMES = ["a", "b", "c", "d"]
EVENING = date(2024, 6, 28)


def evening(
    units: list[float],
    weights: list[float],
    *,
    cash: float = 10_000.0,
    mark: list[float] | None = None,
    may_buy: list[bool] | None = None,
    **changes: Any,
) -> tuple[list[PlannedOrder], dict[str, str | None]]:
    """Plan for four names; b has lots of 0.001 and never stops trading."""
    marks = np.array(mark or [100.0] * 4)
    book = replace(
        Book.opening(cash, 4),
        quantity=np.array(units),
        mark=np.where(np.array(units) > 0, marks, np.nan),
        symbol=np.array([f"X:{name.upper()}" for name in NAMES], dtype=object),
    )
    wish = Wish(
        np.array(weights),
        np.array(may_buy or [True] * 4),
        marks,
        np.array([1.0, 0.001, 1.0, 1.0]),
        np.array([False, True, False, False]),
        book.symbol,
    )
    made = plan(EVENING, book, wish, NAMES, settings(**{"cash_buffer": 0.0} | changes))
    return made.orders, dict(zip(NAMES, made.unordered.tolist(), strict=True))


def planned(units: list[float], weights: list[float], **changes: Any) -> list[PlannedOrder]:
    return evening(units, weights, **changes)[0]


def told(orders: list[PlannedOrder]) -> list[tuple[str, str, float, str]]:
    return [(o.security_id, o.side, o.quantity, o.reason) for o in orders]


def test_an_order_of_each_reason_sells_first_and_larger_first() -> None:
    # Equity 20 000: 100 units of everything.
    orders = planned([10, 10, 40, 40], [0.1, 0.2, 0.1, 0.0], cash=10_000)
    assert told(orders) == [
        ("d", "sell", 40, "leave"),
        ("c", "sell", 20, "decrease"),
        ("b", "buy", 30, "increase"),
        ("a", "buy", 10, "increase"),
    ]
    assert [order.place for order in orders] == [1, 2, 3, 4]
    assert [order.order_type for order in orders] == [
        *("opening_auction", "opening_auction", "market", "opening_auction")
    ]
    assert orders[0].order_id == "20240628-meta-d-sell-1-1-0"
    assert orders[2].notional == 3000
    assert (orders[2].current_weight, orders[2].target_weight) == (0.05, 0.2)
    (entry,) = planned([0, 0, 0, 0], [0.5, 0, 0, 0])
    assert (entry.reason, entry.quantity, entry.symbol) == ("enter", 50, "X:A")


def test_whole_lots() -> None:
    orders = planned([0, 0, 0, 0], [0.333, 0.333, 0, 0], mark=[70.0] * 4)
    assert told(orders) == [("b", "buy", 47.571, "enter"), ("a", "buy", 47.0, "enter")]
    # What a split left over goes with the rest, and not before it.
    assert told(planned([7.5, 0, 0, 0], [0, 0, 0, 0])) == [("a", "sell", 7.5, "leave")]
    (decrease,) = planned([7.5, 0, 0, 0], [0.03, 0, 0, 0])
    assert decrease.quantity == 4  # 10 750 x 0.03 / 100 = 3.225 to keep, 4.275 to sell


def test_small_orders_are_left_out_unless_they_leave() -> None:
    orders = planned([10, 1, 10, 0], [0.13, 0, 0.08, 0.02], cash=7900, min_trade=0.025)
    assert told(orders) == [("b", "sell", 1, "leave"), ("a", "buy", 3, "increase")]
    smaller = planned([10, 1, 10, 0], [0.13, 0, 0.08, 0.02], cash=7900, min_trade=0.02)
    assert {order.security_id for order in smaller} == {"a", "b", "c", "d"}


def test_the_buffer_stays_in_cash() -> None:
    orders = planned([0, 0, 0, 0], [0.5, 0, 0.5, 0], cash_buffer=0.1)
    assert told(orders) == [("a", "buy", 45, "enter"), ("c", "buy", 45, "enter")]
    assert [order.target_weight for order in orders] == [0.45, 0.45]
    enough = planned([0, 0, 0, 0], [0.4, 0, 0.4, 0], cash_buffer=0.1)
    assert [order.quantity for order in enough] == [40, 40]


def test_a_blocked_name_is_never_bought() -> None:
    orders = planned([10, 0, 0, 0], [0.2, 0.3, 0, 0], may_buy=[False, False, True, True])
    assert orders == []
    (decrease,) = planned([10, 0, 0, 0], [0.05, 0, 0, 0], may_buy=[False] * 4)
    assert decrease.reason == "decrease"


@pytest.mark.parametrize("mark", [float("nan"), 0.0])
def test_a_name_without_a_price_has_no_order(mark: float) -> None:
    assert planned([0, 0, 0, 0], [0.5, 0, 0, 0], mark=[mark, 1, 1, 1]) == []


def test_the_same_decision_has_the_same_identity_and_others_have_others() -> None:
    made = {
        order_id(day, portfolio, security, side)
        for day in (EVENING, date(2024, 7, 1))
        for portfolio in ("meta", "meta_two")
        for security in ("a", "b")
        for side in ("buy", "sell")
    }
    assert len(made) == 16
    assert planned([0] * 4, [0.1] * 4) == planned([0] * 4, [0.1] * 4)


def test_a_change_that_makes_no_order_says_why() -> None:
    """Equity 10 000: a lacks a lot, b is too small, c is cut by the buffer, d gets its order."""
    orders, codes = evening(
        [0, 0, 0, 0], [0.0099, 0.002, 0.0101, 0.97], cash_buffer=0.02, min_trade=0.005
    )
    assert told(orders) == [("d", "buy", 95, "enter")]
    assert codes == {"a": "LOT", "b": "MIN_TRADE", "c": "BUFFER", "d": None}
    # Without the buffer c is one lot, and nothing else changes.
    orders, codes = evening(
        [0, 0, 0, 0], [0.0099, 0.002, 0.0101, 0.97], cash_buffer=0.0, min_trade=0.005
    )
    assert [order.security_id for order in orders] == ["d", "c"]
    assert codes == {"a": "LOT", "b": "MIN_TRADE", "c": None, "d": None}


def test_a_decrease_that_makes_no_order_says_why() -> None:
    """Equity 10 000 of 50 units each: half a unit less is no lot; a thousandth is too small."""
    orders, codes = evening([50, 50, 0, 0], [0.495, 0.499, 0, 0], cash=0.0, min_trade=0.005)
    assert orders == []
    assert codes == {"a": "LOT", "b": "MIN_TRADE", "c": None, "d": None}


def test_what_is_wanted_as_it_is_or_blocked_has_no_code() -> None:
    _, codes = evening([10, 0, 0, 0], [0.1, 0.3, 0, 0], cash=9000.0, may_buy=[True, False] * 2)
    assert codes == dict.fromkeys(NAMES)


def test_a_target_without_a_price_says_so() -> None:
    _, codes = evening([0, 0, 0, 0], [0.5, 0, 0, 0], mark=[0.0, 1, 1, 1])
    assert codes["a"] == "NO_PRICE"
