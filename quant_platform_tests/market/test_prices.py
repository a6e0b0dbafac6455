"""The as-of price window: smooth across splits, blind to what came later, nothing rewritten."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from quant_platform.market.prices import price_window
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS, bar, bars_frame
from quant_platform_tests.market.actions import action, actions_frame

DAYS = SESSIONS[:8]


def closes(bars: list[Any], actions: list[Any], at: int, *, cash: bool = False) -> list[float]:
    window = price_window(bars_frame(bars), actions_frame(actions), CALENDAR, DAYS[at], cash=cash)
    assert window["session"].to_list() == DAYS[: at + 1]
    return window["close"].to_list()


def test_a_window_is_in_the_units_of_its_session() -> None:
    bars = [bar("a", day, 40.0 if day < DAYS[4] else 10.0) for day in DAYS]
    split = action("a", DAYS[4], 4.0)
    assert closes(bars, [split], 3) == [40.0] * 4
    assert closes(bars, [split], 7) == [10.0] * 8
    volume = price_window(bars_frame(bars), actions_frame([split]), CALENDAR, DAYS[7])["volume"]
    assert volume.to_list() == [400.0] * 4 + [100.0] * 4


def test_what_is_known_later_is_not_seen() -> None:
    bars = [bar("a", day, 10.0) for day in DAYS] + [bar("a", DAYS[2], 11.0, late=4)]
    late = action("a", DAYS[3], 2.0, known=DAYS[6])
    assert closes(bars, [late], 5) == [10.0] * 6
    assert closes(bars, [late], 6) == [5.0, 5.0, 5.5, 10.0, 10.0, 10.0, 10.0]


def test_cash_is_taken_out_of_the_prices_before_it() -> None:
    bars = [bar("a", day, 40.0 if day < DAYS[4] else 38.0) for day in DAYS]
    paid = [action("a", DAYS[4], 2.0, kind="dividend")]
    assert closes(bars, paid, 7) == [40.0] * 4 + [38.0] * 4
    assert closes(bars, paid, 7, cash=True) == pytest.approx([38.0] * 8)
    assert closes(bars, paid, 3, cash=True) == [40.0] * 4


def test_cash_before_a_split_is_in_old_units() -> None:
    prices = [40.0] * 2 + [38.0] * 2 + [9.5] * 4
    bars = [bar("a", day, price) for day, price in zip(DAYS, prices, strict=True)]
    actions = [action("a", DAYS[2], 2.0, kind="dividend"), action("a", DAYS[4], 4.0)]
    assert closes(bars, actions, 7, cash=True) == pytest.approx([9.5] * 8)


def test_securities_do_not_touch_one_another() -> None:
    bars = [bar(name, day, 20.0) for name in "ab" for day in DAYS]
    actions = actions_frame([action("a", DAYS[4], 1.0, kind="dividend")])
    window = price_window(bars_frame(bars), actions, CALENDAR, DAYS[7], cash=True)
    assert window.filter(pl.col("security_id") == "b")["close"].to_list() == [20.0] * 8
