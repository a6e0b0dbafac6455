"""The shipped scanners: held to their numbers, by symbols that pass or fail one rule each.

The rules are written out here once more on purpose: a manifest that changes has to say so twice.
Each scanner is shown ten symbols through the real screener: each rule is failed by one of them
alone, by a value that is just not enough or by none at all, and the others pass everything. One
more is something else than the scanner looks at, and is not there at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.lakehouse.contracts.scan import SCAN
from quant_platform.scanners.engine import scan
from quant_platform.scanners.judgement import BASE_LIMIT, IDENTITY, LIMIT
from quant_platform.scanners.screener import screen, screener_windows
from quant_platform.settings.scanner import COMPOSITE, names_asked, rules_of
from quant_platform.settings.screener_fields import FIELDS
from quant_platform_tests.lakehouse.small_lake import CALENDAR, span
from quant_platform_tests.scanners.manifests import DAY, SHIPPED, shipped, shipped_settings

LIQUID_300 = ("Value.Traded", "desc", 300)
LIQUID_200 = ("Value.Traded", "desc", 200)
FUND_COLUMNS = ("Perf.Y", "Volatility.M", "aum", "expense_ratio", "dividend_yield_recent")

Asked = tuple[str, str, str, float | str]
"""Name of a rule in the audit, column, comparison, threshold."""


def asked(left: str, comparison: str, right: float | str, name: str = "") -> Asked:
    column = f" {right}" if isinstance(right, str) else ""
    return name or f"{left} {comparison}{column}", left, comparison, right


FLOOR, NICHE = asked("Value.Traded", "egreater", 1e7), asked("Value.Traded", "egreater", 2e6)
COIN_FLOOR = asked("Value.Traded", "egreater", 1e6)
NO_PENNY = asked("close", "egreater", 5)
COIN_TREND = (
    COIN_FLOOR,
    asked("Recommend.All", "egreater", 0, "trend_recommendation"),
    asked("ADX", "egreater", 10, "trend_adx"),
)
BONDS = ("56", "57", "58", "59", "60", "61", "62", "63", "64", "68", "70")


@dataclass(frozen=True)
class Expected:
    """One shipped scanner: its rules and cuts, and what a symbol has that passes."""

    asset_class: str
    rules: tuple[Asked, ...]
    final: tuple[str, str, int]
    good: Mapping[str, float]
    first: tuple[str, str, int] = LIQUID_300
    categories: tuple[str, ...] = ()
    swap: bool = False
    composite: tuple[str, ...] = field(default=())


MONTH, SLOPE = asked("Perf.1M", "greater", 0), asked("SMA50.Slope", "greater", 0)
CALM = asked("Volatility.M", "eless", 0.05)
EXPECTED = {
    "us_trend": Expected(
        "stock",
        (MONTH, SLOPE, CALM, NO_PENNY, FLOOR),
        ("Perf.1M", "desc", 25),
        {"Perf.1M": 0.0625, "SMA50.Slope": 1.5, "Volatility.M": 0.03125},
    ),
    "mean_reversion": Expected(
        "stock",
        (asked("RSI", "less", 40), CALM, NO_PENNY, FLOOR),
        ("RSI", "asc", 10),
        {"RSI": 31.0, "Volatility.M": 0.03125},
    ),
    "sector_leaders": Expected(
        "stock",
        (
            asked("High.52W.Distance", "egreater", -0.1),
            asked("Perf.3M", "greater", 0),
            asked("close", "greater", "SMA50"),
            NO_PENNY,
            FLOOR,
        ),
        ("Perf.3M", "desc", 25),
        {"High.52W.Distance": -0.0625, "Perf.3M": 0.125, "SMA50": 30.0},
    ),
    "avwap_swing": Expected(
        "stock",
        (
            asked("Trend.Score", "egreater", 5),
            asked("ADV.Shares", "egreater", 750_000),
            asked("AVWAP.Distance", "egreater", -8),
            asked("AVWAP.Distance", "eless", 8),
            asked("Composite.Rank", "eless", 0.1),
            asked("Value.Traded", "egreater", 1e6),
        ),
        ("Composite.Rank", "asc", 50),
        {"Trend.Score": 9.0, "ADV.Shares": 1e6, "AVWAP.Distance": 1.5, "Composite.Rank": 0.0625},
        ("Value.Traded", "desc", 3000),
    ),
    "xs_momentum": Expected(
        "stock",
        (asked("Perf.Y", "greater", 0), FLOOR),
        (COMPOSITE, "desc", 30),
        {"Perf.3M": 0.125, "Perf.6M": 0.25, "Perf.Y": 0.5},
        composite=("Perf.3M", "Perf.6M", "Perf.Y"),
    ),
    "volatility_breakout": Expected(
        "stock",
        (
            asked("close", "greater", "BB.upper"),
            asked("relative_volume_10d_calc", "greater", 1.8),
            asked("change", "greater", 0),
            NO_PENNY,
            FLOOR,
        ),
        ("relative_volume_10d_calc", "desc", 15),
        {"BB.upper": 30.0, "relative_volume_10d_calc": 2.5, "change": 0.0625},
    ),
    "etf_equity_momentum": Expected(
        "etf",
        (MONTH, SLOPE, FLOOR),
        ("Perf.1M", "desc", 25),
        {"Perf.1M": 0.0625, "SMA50.Slope": 1.5},
        categories=("26",),
    ),
    "sector_etf_trend": Expected(
        "etf",
        (SLOPE, asked("RSI", "egreater", 50), asked("RSI", "eless", 80), FLOOR),
        ("SMA50.Slope", "desc", 15),
        {"SMA50.Slope": 1.5, "RSI": 61.0},
    ),
    "index_etf_trend": Expected(
        "etf",
        (
            asked("close", "greater", "SMA200"),
            asked("SMA50", "greater", "SMA200"),
            FLOOR,
        ),
        ("Perf.6M", "desc", 15),
        {"SMA50": 35.0, "SMA200": 30.0, "Perf.6M": 0.125},
        categories=("26",),
    ),
    "etf_bond_yield_trend": Expected(
        "etf",
        (MONTH, FLOOR),
        ("ADX", "desc", 25),
        {"Perf.1M": 0.0625, "ADX": 21.0},
        categories=BONDS,
    ),
    "etf_commodity_supercycle": Expected(
        "etf",
        (asked("Perf.3M", "greater", 0), FLOOR),
        ("Perf.3M", "desc", 25),
        {"Perf.3M": 0.125},
        categories=("4", "5", "6", "7", "8"),
    ),
    "etf_thematic_momentum": Expected(
        "etf",
        (
            NICHE,
            asked("ADX", "egreater", 15, "trend_adx"),
            asked("Perf.W", "greater", 0, "trend_momentum Perf.W"),
            asked("Perf.1M", "greater", 0, "trend_momentum Perf.1M"),
        ),
        ("Perf.1M", "desc", 25),
        {"ADX": 21.0, "Perf.W": 0.03125, "Perf.1M": 0.0625},
        categories=("27", "26", "71", "35"),
    ),
    "etf_yield_alpha": Expected(
        "etf",
        (
            NICHE,
            asked("ADX", "egreater", 10, "trend_adx"),
            asked("Perf.1M", "greater", -0.01, "trend_momentum Perf.1M"),
        ),
        ("Perf.3M", "desc", 25),
        {"ADX": 21.0, "Perf.1M": 0.0625, "Perf.3M": 0.125},
        categories=("44", "68", "69", "59", "61", "70"),
    ),
    "buffer_income": Expected(
        "etf",
        (
            asked("Perf.3M", "egreater", 0),
            asked("Volatility.M", "eless", 0.01),
            NICHE,
        ),
        ("Volatility.M", "asc", 10),
        {"Perf.3M": 0.125, "Volatility.M": 0.0078125},
        categories=("Buffer", "44"),
    ),
    "binance_spot_trend": Expected(
        "crypto",
        (MONTH, asked("SMA50.Slope", "egreater", 0), *COIN_TREND),
        ("Perf.1M", "desc", 25),
        {"Perf.1M": 0.0625, "SMA50.Slope": 1.5, "Recommend.All": 0.25, "ADX": 21.0},
        LIQUID_200,
    ),
    "binance_perp_trend": Expected(
        "crypto",
        (MONTH, asked("SMA50.Slope", "egreater", 0), *COIN_TREND),
        ("Perf.1M", "desc", 25),
        {"Perf.1M": 0.0625, "SMA50.Slope": 1.5, "Recommend.All": 0.25, "ADX": 21.0},
        LIQUID_200,
        swap=True,
    ),
    "binance_acceleration_trend": Expected(
        "crypto",
        (asked("change", "greater", 0.02), asked("Perf.W", "greater", 0), *COIN_TREND),
        ("change", "desc", 15),
        {"change": 0.0625, "Perf.W": 0.125, "Recommend.All": 0.25, "ADX": 21.0},
        LIQUID_200,
    ),
    "perp_short_cycle": Expected(
        "crypto",
        (asked("Perf.W", "greater", 0), asked("close", "greater", "SMA20"), *COIN_TREND),
        ("Perf.W", "desc", 15),
        {"Perf.W": 0.125, "SMA20": 30.0, "Recommend.All": 0.25, "ADX": 21.0},
        LIQUID_200,
        swap=True,
    ),
}
BASIC = {"close": 40.0, "volume": 1000.0, "Value.Traded": 5e7}
SHIPPED_PRESETS = {
    *("dynamic_etf_discovery", "dynamic_etf_discovery_niche", "us_stocks_liquid", "russell_like"),
    *("us_top300", "binance_spot_top50", "binance_perp_top50", "global_perp_top50"),
}


def test_every_shipped_scanner_is_held_to_its_numbers() -> None:
    assert {path.stem: path.parent.name for path in SHIPPED} == {
        name: expected.asset_class for name, expected in EXPECTED.items()
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_rules_and_cuts_are_the_shipped_ones(name: str) -> None:
    found, expected = shipped(name), EXPECTED[name]
    assert (found.sort_by, found.sort_order, found.prefilter_limit) == expected.first
    assert (found.final_sort_by, found.final_sort_order, found.limit) == expected.final
    assert found.momentum_composite_fields == expected.composite
    rules = [(r.name, r.left, r.comparison, r.right) for r in rules_of(found)]
    assert rules == list(expected.rules)
    assert not found.research
    names = {rule.left: rule.names for rule in names_asked(found)}
    assert names.get("category", ()) == expected.categories
    if expected.asset_class == "etf":
        assert found.columns == FUND_COLUMNS
    if expected.asset_class == "crypto":
        assert names["exchange"] == ("BINANCE",)
        assert names["currency"] == ("BUSD", "FDUSD", "USD", "USDC", "USDT")
        assert names["type"] == ("swap" if expected.swap else "spot",)
        assert (found.exclude_stable_bases, found.base_universe_limit) == (True, 50)
        assert "Perf.3M" not in {rule.left for rule in rules_of(found)}


def test_base_universes_are_shipped_with_their_numbers() -> None:
    presets = shipped_settings().presets
    universes = {name: preset for name, preset in presets.items() if preset.layer == "universe"}
    assert set(universes) == SHIPPED_PRESETS
    floors = {n: p.volume.value_traded_min for n, p in universes.items() if p.volume is not None}
    assert floors == {
        "dynamic_etf_discovery": 1e7,
        "dynamic_etf_discovery_niche": 2e6,
        "us_stocks_liquid": 1e7,
        "russell_like": 1e6,
    }
    assert [name for name, preset in universes.items() if preset.research] == ["global_perp_top50"]
    assert universes["us_top300"].metadata == {"market_proxy": "AMEX:SPY"}
    assert universes["us_top300"].prefilter_limit == 300


def told(values: Mapping[str, Mapping[str, Any]], expected: Expected) -> dict[str, pl.LazyFrame]:
    """Lay out features of symbols, and make the screener of them."""
    quoted = "USDT.P" if expected.swap else "USDT"
    exchange = {"stock": "NYSE", "etf": "AMEX", "crypto": "BINANCE"}[expected.asset_class]
    tables: dict[str, list[dict[str, Any]]] = {
        field.table: [] for field in FIELDS.values() if field.table
    }
    for security, one in values.items():
        ticker = security.upper() + (quoted if expected.asset_class == "crypto" else "")
        own = {"session": DAY, "security_id": security}
        rows: dict[str, dict[str, Any]] = {table: dict(own) for table in tables}
        for name, value in one.items():
            line = FIELDS.get(name)
            if line is not None and line.table:
                rows[line.table][line.column] = value
        rows["universe"] |= {
            "symbol": f"{one.get('exchange', exchange)}:{ticker}",
            "exchange": one.get("exchange", exchange),
            "asset_class": expected.asset_class,
            "category": one.get("category"),
            "included": True,
        }
        rows["bars"] |= {"knowledge_session": DAY, "known_at": CALENDAR.close(DAY)}
        for table, given in rows.items():
            tables[table].append(given)
    frames = {
        table: pl.DataFrame(rows, schema=CONTRACTS[table].empty().schema).lazy()
        for table, rows in tables.items()
    }
    asked_for = screener_windows(())
    wanted = span(DAY, DAY)
    made = screen({n: f for n, f in frames.items() if n in asked_for}, None, wanted)
    return {"screener": CONTRACTS["screener"].validate("x/screener", made).lazy()}


def short_of(rule: Asked, good: Mapping[str, float]) -> float:
    """Return a value that just fails a rule; at the threshold itself where that does."""
    _, _, comparison, right = rule
    bound = good[right] if isinstance(right, str) else right
    below = np.float32(bound) * (1 - np.sign(bound) * 2.0**-10) - (2.0**-20 if not bound else 0)
    above = np.float32(bound) * (1 + np.sign(bound) * 2.0**-10) + (2.0**-20 if not bound else 0)
    exact = float(np.float32(bound)) == bound
    return {
        "greater": float(bound if exact else below),
        "egreater": float(below),
        "less": float(bound if exact else above),
        "eless": float(above),
    }[comparison]


@pytest.mark.parametrize("name", EXPECTED)
def test_each_symbol_passes_or_fails_exactly_its_rule(name: str) -> None:
    expected = EXPECTED[name]
    good: dict[str, Any] = {**BASIC, **expected.good}
    if expected.categories:
        good["category"] = expected.categories[-1]
    values: dict[str, dict[str, Any]] = {}
    fails: dict[str, str | None] = {}
    for number, rule in enumerate(expected.rules):
        values[f"short{number}"] = good | {rule[1]: short_of(rule, good)}
        if rule[1] == "close" and not isinstance(rule[3], str):
            # Still above the averages that the close is compared with.
            values[f"short{number}"] |= {r[3]: 0.5 for r in expected.rules if isinstance(r[3], str)}
        fails[f"short{number}"] = rule[0]
    twice = {rule[1] for rule in expected.rules} & {"AVWAP.Distance", "RSI", "close"}
    for number, rule in enumerate(expected.rules):
        # A column of two rules would fail both; the close is never null.
        if len(values) < 9 and rule[1] not in twice:
            values[f"null{number}"] = good | {rule[1]: None}
            fails[f"null{number}"] = rule[0]
    sort_by, order, most = expected.final
    while len(values) < 10:
        better = 1 + (len(values) + 1) / 64
        better = 1 / better if order == "asc" else better
        scaled = expected.composite or (sort_by,)
        values[f"good{len(values)}"] = good | {n: good[n] * better for n in scaled}
        fails[f"good{len(values) - 1}"] = None
    other: dict[str, Any] = good | (
        {"category": "99"} if expected.categories else {"exchange": "LSE"}
    )
    frames = told(values | {"other": other}, expected)
    scanner = shipped(name)
    made = SCAN.validate(f"x/scan_{name}", scan(frames, scanner, span(DAY, DAY)))
    found = {one["security_id"]: one for one in made.to_dicts()}
    assert set(found) == set(values)
    passing = [symbol for symbol, rule in fails.items() if rule is None]
    kept = {field.name: field for field in FIELDS.values()}
    for symbol, rule in fails.items():
        one, row = found[symbol], values[symbol]

        def number_of(column: str, row: Mapping[str, Any] = row) -> float | None:
            value = row[column]
            wide = value is None or kept[column].wide
            return value if wide else float(np.float32(value))

        entries = [
            (
                label,
                label != rule,
                number_of(left),
                number_of(right) if isinstance(right, str) else right,
            )
            for label, left, _, right in expected.rules
        ]
        tail = []
        if rule is None:
            if expected.asset_class == "crypto":
                tail = [(IDENTITY, True, 1.0, 1.0), (BASE_LIMIT, True, None, 50.0)]
            tail.append((LIMIT, True, float(one["rank"]), float(most)))
        audit = [(e["rule"], e["passed"], e["value"], e["threshold"]) for e in one["passes"]]
        audit = [
            (label, passed, None if label == BASE_LIMIT else value, bound)
            for label, passed, value, bound in audit
        ]
        assert audit == [*entries, *tail], symbol
        assert (one["passed"], one["reason"]) == (rule is None, rule)
        assert one["admitted_by"] == ("rules" if rule is None else None)
    # The last of the good ones is the best by construction, and each is better than the one before.
    assert sorted(passing, key=lambda symbol: found[symbol]["rank"]) == passing[::-1]
