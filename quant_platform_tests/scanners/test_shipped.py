"""The shipped scanners: held to their numbers, by symbols that pass or fail one rule each.

The rules are written out here once more on purpose: a manifest that changes has to say so twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from quant_platform.lakehouse.contracts.scan import SCAN
from quant_platform.scanners.engine import LIMIT, scan
from quant_platform_tests.lakehouse.small_lake import span
from quant_platform_tests.scanners.manifests import DAY, SHIPPED, row, screener, shipped

FLOOR = ("Value.Traded egreater", 1e7)
CRYPTO_FLOOR = ("Value.Traded egreater", 1e6)
LIQUID_300 = ("Value.Traded", "desc", 300)
LIQUID_200 = ("Value.Traded", "desc", 200)


@dataclass(frozen=True)
class Expected:
    """One shipped scanner: its rules and cuts, a symbol that passes, and changes that do not."""

    asset_class: str
    rules: tuple[tuple[str, float], ...]
    first: tuple[str, str, int]
    final: tuple[str, str, int]
    good: Mapping[str, float]
    passing: Mapping[str, Mapping[str, float]]
    """Symbols that pass: what differs from ``good``."""
    failing: Mapping[str, tuple[str, Mapping[str, float | None]]] = field(default_factory=dict)
    """Symbols that fail one rule: the rule, and what differs from ``good``."""


EXPECTED = {
    "us_trend": Expected(
        "stock",
        (
            FLOOR,
            ("close egreater", 5),
            ("Perf.1M greater", 0),
            ("SMA50.Slope greater", 0),
            ("Volatility.M eless", 0.05),
        ),
        LIQUID_300,
        ("Perf.1M", "desc", 25),
        {
            "Value.Traded": 5e7,
            "close": 40.0,
            "Perf.1M": 0.0625,
            "SMA50.Slope": 1.5,
            "Volatility.M": 0.03125,
        },
        {
            "plain": {},
            "at_the_floor": {"Value.Traded": 1e7, "close": 5.0},
            "barely": {"Perf.1M": 2.0**-20, "SMA50.Slope": 2.0**-20},
        },
        {
            "illiquid": ("Value.Traded egreater", {"Value.Traded": 9_999_999.0}),
            "unknown_value": ("Value.Traded egreater", {"Value.Traded": None}),
            "penny": ("close egreater", {"close": 4.99}),
            "flat": ("Perf.1M greater", {"Perf.1M": 0.0}),
            "young": ("Perf.1M greater", {"Perf.1M": None}),
            "turning": ("SMA50.Slope greater", {"SMA50.Slope": -0.25}),
            "wild": ("Volatility.M eless", {"Volatility.M": 0.0625}),
        },
    ),
    "mean_reversion": Expected(
        "stock",
        (FLOOR, ("close egreater", 5), ("RSI less", 40), ("Volatility.M eless", 0.05)),
        LIQUID_300,
        ("RSI", "asc", 10),
        {"Value.Traded": 5e7, "close": 40.0, "RSI": 31.0, "Volatility.M": 0.03125},
        {
            "plain": {},
            "at_the_floor": {"Value.Traded": 1e7, "close": 5.0},
            "barely": {"RSI": 39.875},
            "most_oversold": {"RSI": 12.0},
        },
        {
            "illiquid": ("Value.Traded egreater", {"Value.Traded": 9_999_999.0}),
            "penny": ("close egreater", {"close": 4.99}),
            "not_sold": ("RSI less", {"RSI": 40.0}),
            "young": ("RSI less", {"RSI": None}),
            "wild": ("Volatility.M eless", {"Volatility.M": 0.0625}),
            "unknown_risk": ("Volatility.M eless", {"Volatility.M": None}),
        },
    ),
    "etf_equity_momentum": Expected(
        "etf",
        (FLOOR, ("Perf.1M greater", 0), ("SMA50.Slope greater", 0)),
        LIQUID_300,
        ("Perf.1M", "desc", 25),
        {"Value.Traded": 5e7, "Perf.1M": 0.0625, "SMA50.Slope": 1.5},
        {
            "plain": {},
            "at_the_floor": {"Value.Traded": 1e7},
            "barely": {"Perf.1M": 2.0**-20, "SMA50.Slope": 2.0**-20},
            "strong": {"Perf.1M": 0.5},
        },
        {
            "illiquid": ("Value.Traded egreater", {"Value.Traded": 9_999_999.0}),
            "unknown_value": ("Value.Traded egreater", {"Value.Traded": None}),
            "flat": ("Perf.1M greater", {"Perf.1M": 0.0}),
            "fallen": ("Perf.1M greater", {"Perf.1M": -0.25}),
            "turning": ("SMA50.Slope greater", {"SMA50.Slope": 0.0}),
            "young": ("SMA50.Slope greater", {"SMA50.Slope": None}),
        },
    ),
    "sector_etf_trend": Expected(
        "etf",
        (FLOOR, ("SMA50.Slope greater", 0), ("RSI egreater", 50), ("RSI eless", 80)),
        LIQUID_300,
        ("SMA50.Slope", "desc", 15),
        {"Value.Traded": 5e7, "SMA50.Slope": 1.5, "RSI": 61.0},
        {
            "plain": {},
            "at_the_floor": {"Value.Traded": 1e7},
            "lowest": {"RSI": 50.0},
            "highest": {"RSI": 80.0},
            "steep": {"SMA50.Slope": 4.0},
        },
        {
            "illiquid": ("Value.Traded egreater", {"Value.Traded": 9_999_999.0}),
            "turning": ("SMA50.Slope greater", {"SMA50.Slope": 0.0}),
            "young": ("SMA50.Slope greater", {"SMA50.Slope": None}),
            "falling": ("RSI egreater", {"RSI": 49.875}),
            "overheated": ("RSI eless", {"RSI": 80.125}),
        },
    ),
    "binance_spot_trend": Expected(
        "crypto",
        (CRYPTO_FLOOR, ("Perf.1M greater", 0), ("SMA50.Slope egreater", 0)),
        LIQUID_200,
        ("Perf.1M", "desc", 25),
        {"Value.Traded": 5e7, "Perf.1M": 0.0625, "SMA50.Slope": 1.5},
        {
            "plain": {},
            "at_the_floor": {"Value.Traded": 1e6},
            "level": {"SMA50.Slope": 0.0},
            "strong": {"Perf.1M": 0.5},
        },
        {
            "illiquid": ("Value.Traded egreater", {"Value.Traded": 999_999.0}),
            "unknown_value": ("Value.Traded egreater", {"Value.Traded": None}),
            "flat": ("Perf.1M greater", {"Perf.1M": 0.0}),
            "new": ("Perf.1M greater", {"Perf.1M": None}),
            "turning": ("SMA50.Slope egreater", {"SMA50.Slope": -0.25}),
            "young": ("SMA50.Slope egreater", {"SMA50.Slope": None}),
        },
    ),
    "binance_acceleration_trend": Expected(
        "crypto",
        (CRYPTO_FLOOR, ("change greater", 0.02), ("Perf.1M greater", 0)),
        LIQUID_200,
        ("change", "desc", 15),
        {"Value.Traded": 5e7, "change": 0.0625, "Perf.1M": 0.25},
        {
            "plain": {},
            "at_the_floor": {"Value.Traded": 1e6},
            "barely": {"change": 0.0200001, "Perf.1M": 2.0**-20},
            "largest": {"change": 0.5},
        },
        {
            "illiquid": ("Value.Traded egreater", {"Value.Traded": 999_999.0}),
            "quiet": ("change greater", {"change": 0.02}),
            "falling": ("change greater", {"change": -0.0625}),
            "first_day": ("change greater", {"change": None}),
            "bounce": ("Perf.1M greater", {"Perf.1M": -0.25}),
            "new": ("Perf.1M greater", {"Perf.1M": None}),
        },
    ),
}


def test_every_shipped_scanner_is_held_to_its_numbers() -> None:
    assert {path.stem: path.parent.name for path in SHIPPED} == {
        name: expected.asset_class for name, expected in EXPECTED.items()
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_cuts_are_the_shipped_ones(name: str) -> None:
    found, expected = shipped(name), EXPECTED[name]
    assert (found.sort_by, found.sort_order, found.prefilter_limit) == expected.first
    assert (found.final_sort_by, found.final_sort_order, found.limit) == expected.final


@pytest.mark.parametrize("name", EXPECTED)
def test_each_symbol_passes_or_fails_exactly_its_rule(name: str) -> None:
    expected = EXPECTED[name]
    fails: dict[str, tuple[str | None, Mapping[str, Any]]] = {
        symbol: (None, changes) for symbol, changes in expected.passing.items()
    }
    fails |= expected.failing
    values = {symbol: {**expected.good, **changes} for symbol, (_, changes) in fails.items()}
    assert len(fails) == 10
    assert {rule for rule, _ in fails.values()} - {None} == {rule for rule, _ in expected.rules}
    rows = [row(s, asset_class=expected.asset_class, **v) for s, v in values.items()]
    frames = {"screener": screener(rows).lazy()}
    made = SCAN.validate(f"x/scan_{name}", scan(frames, shipped(name), span(DAY, DAY)))
    found = {one["security_id"]: one for one in made.to_dicts()}
    assert set(found) == set(values)
    sort_by, order, _ = expected.final
    best_first = sorted(
        sorted(expected.passing), key=lambda s: values[s][sort_by], reverse=order == "desc"
    )
    for symbol, (rule, _) in fails.items():
        one = found[symbol]
        assert one["passes"] == [
            {
                "rule": asked,
                "passed": asked != rule,
                "value": values[symbol][asked.split()[0]],
                "threshold": threshold,
            }
            for asked, threshold in expected.rules
        ] + [
            {"rule": LIMIT, "passed": True, "value": one["rank"], "threshold": expected.final[2]}
        ] * (rule is None)
        assert (one["passed"], one["reason"]) == (rule is None, rule)
        assert one["rank"] == (best_first.index(symbol) + 1 if rule is None else None)
        assert one["sort_value"] == values[symbol][sort_by]
        assert one["scanner"] == name
