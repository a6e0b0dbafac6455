"""Liquidity against the definitions, and the spread against a market whose spread is known."""

from __future__ import annotations

import math
from datetime import date
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_platform.features.liquidity import liquidity_features, liquidity_windows
from quant_platform.lakehouse.contracts.features_liquidity import FEATURES_LIQUIDITY
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.settings import TrendSettings
from quant_platform_tests.features.naive import frame_of, walk
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS, span
from quant_platform_tests.sources.markets import CRYPTO

SETTINGS = TrendSettings()


def made(
    rows: list[dict[str, Any]], first: date, last: date, wanted: SessionRange | None = None
) -> pl.DataFrame:
    asked = span(first, last) if wanted is None else wanted
    window = liquidity_windows()["bars"]
    bars = frame_of(rows).filter(pl.col("knowledge_session").is_in(asked.loaded(window)))
    frame = liquidity_features({"bars": bars.lazy()}, SETTINGS, asked)
    return FEATURES_LIQUIDITY.validate("x/features_liquidity", frame)


def test_every_value_is_that_of_its_definition() -> None:
    rows = walk("a", SESSIONS[:90], 3)
    for quiet in (70, 75, 76):
        rows[quiet]["volume"] = 0.0
    found = made(rows, SESSIONS[80], SESSIONS[80]).row(0, named=True)

    def illiquidity(length: int) -> float:
        return fmean(
            abs(rows[n]["close"] / rows[n - 1]["close"] - 1)
            / (rows[n]["close"] * rows[n]["volume"] / 1e6)
            for n in range(81 - length, 81)
            if rows[n]["volume"] > 0
        )

    month = rows[61:81]
    expected = {
        "adv_shares_20": fmean(row["volume"] for row in month),
        "adv_money_20": fmean(row["close"] * row["volume"] for row in month),
        "amihud_20": illiquidity(20),
        "amihud_63": illiquidity(63),
        "zero_volume_20": 3.0,
        "spread_20": fmean(_spread(rows[n - 1], rows[n]) for n in range(61, 81)),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6), name


def _spread(before: dict[str, Any], row: dict[str, Any]) -> float:
    """Estimate one pair's spread, from Corwin and Schultz's equations 14 and 18."""
    high, low = row["high"], row["low"]
    if before["close"] < low:
        high, low = high - (low - before["close"]), before["close"]
    elif before["close"] > high:
        high, low = before["close"], low + (before["close"] - high)
    beta = math.log(high / low) ** 2 + math.log(before["high"] / before["low"]) ** 2
    gamma = math.log(max(high, before["high"]) / min(low, before["low"])) ** 2
    scale = 3 - 2 * math.sqrt(2)
    alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / scale - math.sqrt(gamma / scale)
    return max(2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha)), 0.0)


def test_the_spread_of_a_market_that_bounces_between_bid_and_ask() -> None:
    """Many trades a session at half a percent around a walk that moves little."""
    random = np.random.default_rng(5)
    rows = []
    for row in walk("a", SESSIONS[:60], 1):
        start = math.log(rows[-1]["close"] if rows else 50.0)
        path = np.exp(start + np.cumsum(random.normal(0, 0.0001, 390)))
        trades = path * (1 + 0.0025 * random.choice([-1, 1], 390))
        prices = {"open": trades[0], "high": trades.max(), "low": trades.min(), "close": path[-1]}
        rows.append(row | {name: float(price) for name, price in prices.items()})
        rows[-1]["high"] = max(rows[-1]["high"], rows[-1]["close"])
        rows[-1]["low"] = min(rows[-1]["low"], rows[-1]["close"])
    found = made(rows, SESSIONS[59], SESSIONS[59])["spread_20"].item()
    assert 0.004 < found < 0.006


@pytest.mark.parametrize(
    ("volume", "bucket"),
    [
        (5e6, "mega"),
        (4.9e6, "large"),
        (2e6, "large"),
        (1.9e6, "mid"),
        (7.5e5, "mid"),
        (7.4e5, "small"),
        (0.0, "small"),
    ],
)
def test_buckets_of_shares(volume: float, bucket: str) -> None:
    rows = [row | {"volume": volume} for row in walk("a", SESSIONS[:25], 1)]
    found = made(rows, SESSIONS[18], SESSIONS[24])
    assert found["liquidity_bucket"].to_list() == [None] + [bucket] * 6


@pytest.mark.parametrize(
    ("money", "bucket"), [(2.1e8, "mega"), (8.1e7, "large"), (3.1e7, "mid"), (2.9e7, "small")]
)
def test_buckets_of_coins_are_in_money(money: float, bucket: str) -> None:
    days = CRYPTO.between(date(2024, 1, 1), date(2024, 1, 25))
    rows = [
        row | {"volume": money / row["close"], "session": day, "knowledge_session": day}
        for row, day in zip(walk("a", SESSIONS[:25], 1), days, strict=True)
    ]
    wanted = SessionRange(CRYPTO, tuple(days[-1:]), days[0])
    assert made(rows, days[0], days[0], wanted)["liquidity_bucket"].item() == bucket
    assert CALENDAR.code != CRYPTO.code
