"""From a scanner's file to a question: names, units, what cannot be asked."""

from __future__ import annotations

from typing import Any

import pytest

from quant_platform.settings import ScannerSettings
from quant_platform.settings.tradingview import TradingViewSettings
from quant_platform.sources.tradingview.client import ScreenerClient, Timing
from quant_platform.sources.tradingview.query import Condition, class_query, scanner_query
from quant_platform_tests.sources.tradingview.test_client import Asleep
from quant_platform_tests.sources.tradingview.vendor import Vendor, fund


def scanner(**own: Any) -> ScannerSettings:
    told = {
        "name": "any",
        "asset_class": "etf",
        "filters": [{"left": "Perf.1M", "operation": "greater", "right": 0.07}],
        "final_sort_by": "Perf.1M",
        "limit": 10,
    }
    return ScannerSettings.model_validate(told | own)


def test_rules_are_pushed_down_in_the_vendors_names_and_units() -> None:
    rules = [
        {"left": "Perf.1M", "operation": "greater", "right": 0.07},
        {"left": "change", "operation": "in_range", "right": [-0.01, 0.02]},
        {"left": "Value.Traded", "operation": "egreater", "right": 1e7},
        {"left": "RSI", "operation": "less", "right": 70.0},
    ]
    pushed = scanner_query(scanner(filters=rules))
    assert pushed.query.conditions[2:] == (
        Condition("Perf.1M", "greater", 7.0),
        Condition("change", "in_range", (-1.0, 2.0)),
        Condition("AvgValue.Traded_30d", "egreater", 1e7),
        Condition("RSI", "less", 70.0),
    )
    assert pushed.remaining == ()


def test_a_rule_that_cannot_be_asked_is_named() -> None:
    rules = [
        {"left": "SMA50.Slope", "operation": "greater", "right": 0.0},
        {"left": "RSI", "operation": "less", "right": 70.0},
    ]
    pushed = scanner_query(scanner(filters=rules))
    assert pushed.remaining == ("SMA50.Slope",)
    assert [c.left for c in pushed.query.conditions[2:]] == ["RSI"]


def test_the_request_has_class_order_and_range() -> None:
    own = {"sort_by": "Perf.Y", "sort_order": "asc", "prefilter_limit": 40}
    body = scanner_query(scanner(**own)).query.body(20, 40)
    assert body["markets"] == ["america"]
    assert body["filter"][0] == {"left": "type", "operation": "equal", "right": "fund"}
    assert body["filter"][1] == {"left": "typespecs", "operation": "has", "right": ["etf"]}
    assert body["sort"] == {"sortBy": "Perf.Y", "sortOrder": "asc", "nullsFirst": False}
    assert body["range"] == [20, 40]
    assert body["ignore_unknown_fields"] is False
    assert scanner_query(scanner(**own)).query.limit == 40


def test_stocks_are_primary_listings_and_coins_another_market() -> None:
    stocks = class_query("stock", 10).body(0, 10)
    assert {"left": "is_primary", "operation": "equal", "right": True} in stocks["filter"]
    coins = scanner_query(scanner(asset_class="crypto")).query
    assert (coins.market, coins.sort_by) == ("crypto", "average_volume_30d_calc_usd")


def test_the_vendor_finds_what_the_scanner_asks() -> None:
    held = {
        "AMEX:UP": fund(Perf__1M=8.0),
        "AMEX:FLAT": fund(Perf__1M=7.0),
        "NASDAQ:STOCK": fund(Perf__1M=9.0, type="stock"),
        "AMEX:NEW": fund(Perf__1M=None),
    }
    timing: Timing = Asleep().timing()
    with Vendor(held).serve() as vendor:
        settings = TradingViewSettings(base_url=vendor.address)
        with ScreenerClient(settings, timing) as client:
            assert list(client.scan(scanner_query(scanner()).query).rows) == ["AMEX:UP"]


@pytest.mark.parametrize(
    "address", ["ftp://host/x", "scanner", "https://me:word@host", "http://h?q=1"]
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused(address: str) -> None:
    with pytest.raises(ValueError):
        TradingViewSettings(base_url=address)
    assert TradingViewSettings(base_url="https://host/").base_url == "https://host"
