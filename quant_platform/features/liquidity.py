"""Liquidity: volume, Amihud's illiquidity, sessions without trade, a spread from highs and lows.

Amihud (2002), "Illiquidity and stock returns", with money in millions. Corwin and Schultz (2012),
"A simple way to estimate bid-ask spreads from daily high and low prices": of two sessions the
range of both holds the variance of two sessions and one spread, the sum of both ranges the variance
of two and two spreads. Prices are moved by the gap overnight, as the authors do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from quant_platform.features.family import Family
from quant_platform.features.finite import Block, finite_features, finite_windows
from quant_platform.features.rolling import Matrix, mean, shifted, total
from quant_platform.lakehouse.contracts.features_liquidity import BUCKETS, FEATURES_LIQUIDITY
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings import TrendSettings
from quant_platform.settings.execution import AROUND_THE_CLOCK

LIQUIDITY = Family(FEATURES_LIQUIDITY)

LEAST_SHARES = {"mid": 7.5e5, "large": 2e6, "mega": 5e6}
"""Mean shares a session from which a name is in a bucket (chapter 03 of the specification)."""
MONEY_OF_A_SHARE = 40.0
"""What turns the buckets into money where coins have no common size: 200, 80, 30 million."""
_MILLION = 1e6


def liquidity_windows() -> dict[str, Window]:
    """Sessions of its inputs that ``features_liquidity`` depends on."""
    return finite_windows(LIQUIDITY)


def liquidity_features(
    frames: Mapping[str, pl.LazyFrame], settings: TrendSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``features_liquidity`` for a range; see `finite_features`."""
    return finite_features(LIQUIDITY, frames, settings, wanted)


@LIQUIDITY.column
def adv_shares(block: Block, length: int) -> Matrix:
    """Mean volume."""
    return mean(block.volume, length)


@LIQUIDITY.column
def adv_money(block: Block, length: int) -> Matrix:
    """Mean money traded."""
    return mean(block.close * block.volume, length)


@LIQUIDITY.column
def amihud(block: Block, length: int) -> Matrix:
    """Absolute return that a million of money moves."""
    money = block.close * block.volume / _MILLION
    moved = np.abs(block.close / block.before - 1)
    return mean(np.where(money > 0, moved / np.where(money > 0, money, 1.0), np.nan), length)


@LIQUIDITY.column
def zero_volume(block: Block, length: int) -> Matrix:
    """Bars without volume."""
    return total(np.where(block.volume == 0, 1.0, 0.0), length)


@LIQUIDITY.column
def spread(block: Block, length: int) -> Matrix:
    """Mean spread of pairs of sessions."""
    gap = np.maximum(block.low - block.before, 0.0) - np.maximum(block.before - block.high, 0.0)
    high, low = block.high - gap, block.low - gap
    before_high, before_low = shifted(block.high, 1), shifted(block.low, 1)
    single = np.log(high / low) ** 2 + np.log(before_high / before_low) ** 2
    joint = np.log(np.maximum(high, before_high) / np.minimum(low, before_low)) ** 2
    scale = 3 - 2 * np.sqrt(2)
    alpha = (np.sqrt(2 * single) - np.sqrt(single)) / scale - np.sqrt(joint / scale)
    return mean(np.maximum(2 * np.tanh(alpha / 2), 0.0), length)


@LIQUIDITY.column
def liquidity_bucket(block: Block) -> Matrix:
    """Place of the bucket."""
    around_the_clock = block.calendar == AROUND_THE_CLOCK
    traded = block.made["adv_money_20" if around_the_clock else "adv_shares_20"]
    unit = MONEY_OF_A_SHARE if around_the_clock else 1.0
    places = np.zeros_like(traded)
    for name in BUCKETS[1:]:
        places += traded >= LEAST_SHARES[name] * unit
    return np.where(np.isnan(traded), np.nan, places)
