"""Trend features: averages, oscillators, ranges and performance, each a function of a block.

The lines of the contract say what each is, in which unit, and of how many sessions; how a range
becomes blocks, and when a cell is null, is told in `quant_platform.features.finite`. Definitions
are those of the charting service whose names the screener uses, so that its printed values are
known answers. Recursive averages, Wilder's indicators among them, are in `features_state`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from quant_platform.features.family import Family
from quant_platform.features.finite import Block, finite_features, finite_windows
from quant_platform.features.ratings import RATED_STATE, averages_vote, oscillators_vote
from quant_platform.features.rolling import (
    Matrix,
    count,
    deviation,
    highest,
    lowest,
    mean,
    median,
    scatter,
    shifted,
    total,
    variance,
    weighted,
)
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings import TrendSettings

TREND = Family(FEATURES_TREND, reads=("atr_pct", "ema_13", *RATED_STATE))

WEEK = 5
"""Sessions of a week, as in the performance of a week, on every calendar."""


def trend_windows() -> dict[str, Window]:
    """Sessions of its inputs that ``features_trend`` depends on."""
    return finite_windows(TREND)


def trend_features(
    frames: Mapping[str, pl.LazyFrame], settings: TrendSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``features_trend`` for a range; see `finite_features`."""
    return finite_features(TREND, frames, settings, wanted)


# -- averages --------------------------------------------------------------------------------------


@TREND.column
def close(block: Block) -> Matrix:
    """Close of the session."""
    return block.close


@TREND.column
def sma(block: Block, length: int) -> Matrix:
    """Mean close."""
    return block.shared(f"sma_{length}", lambda: mean(block.close, length))


@TREND.column
def sma_distance(block: Block, length: int) -> Matrix:
    """Distance of the close from its mean."""
    return block.close / sma(block, length) - 1


@TREND.column
def sma_slope(block: Block, length: int) -> Matrix:
    """Change of the mean close over 10 sessions, percent."""
    average = sma(block, length)
    return 100 * (average / shifted(average, 10) - 1)


@TREND.column
def weekly_trend(block: Block) -> Matrix:
    """Order of the close and the means of 10 and 40 weekly closes."""
    quarter, year = (mean(block.close, weeks, WEEK) for weeks in (10, 40))
    rising = (block.close > quarter) & (quarter > year)
    falling = (block.close < quarter) & (quarter < year)
    return rising.astype(np.float64) - falling


@TREND.column
def vwma(block: Block, length: int) -> Matrix:
    """Mean close, weighted by volume."""
    return total(block.close * block.volume, length) / total(block.volume, length)


@TREND.column
def hull(block: Block, length: int) -> Matrix:
    """Hull's moving average."""
    half, third = length // 2, int(np.sqrt(length))
    fast, slow, smooth = (
        [float(weight) for weight in range(span, 0, -1)] for span in (half, length, third)
    )
    return weighted(2 * weighted(block.close, fast) - weighted(block.close, slow), smooth)


@TREND.column
def ichimoku_base(block: Block, length: int) -> Matrix:
    """Mid of the highest and lowest price."""
    return (highest(block.high, length) + lowest(block.low, length)) / 2


# -- oscillators -----------------------------------------------------------------------------------


@TREND.column
def momentum(block: Block, length: int) -> Matrix:
    """Change of the close in money."""
    return block.close - shifted(block.close, length)


@TREND.column
def roc(block: Block, length: int) -> Matrix:
    """Change of the close, percent."""
    return 100 * (block.close / shifted(block.close, length) - 1)


def _place(value: Matrix, low: Matrix, high: Matrix) -> Matrix:
    """Place between two levels, 0..100; NaN where they are one."""
    return np.clip(np.where(high > low, 100 * (value - low) / (high - low), np.nan), 0, 100)


@TREND.column
def stochastic_k(block: Block, length: int) -> Matrix:
    """Place of the close in the range, smoothed over 3 sessions."""

    def make() -> Matrix:
        raw = _place(block.close, lowest(block.low, length), highest(block.high, length))
        return mean(raw, 3)

    return block.shared(f"stochastic_k_{length}", make)


@TREND.column
def stochastic_d(block: Block, length: int) -> Matrix:
    """Mean of 3 of the smoothed place."""
    return block.shared(f"stochastic_d_{length}", lambda: mean(stochastic_k(block, length), 3))


@TREND.column
def stochastic_rsi_k(block: Block, length: int) -> Matrix:
    """Place of the RSI in its own range, smoothed over 3 sessions."""

    def make() -> Matrix:
        strength = block.state["rsi_14"]
        raw = _place(strength, lowest(strength, length), highest(strength, length))
        return mean(raw, 3)

    return block.shared(f"stochastic_rsi_k_{length}", make)


@TREND.column
def cci(block: Block, length: int) -> Matrix:
    """Commodity channel index of closes, as the charting service computes it."""

    def make() -> Matrix:
        average = sma(block, length)
        apart = scatter(block.close, average, length)
        # Of equal prices a mean may leave the last bits: no scatter is told from rounding.
        moved = apart > 1e-12 * average
        away = (block.close - average) / (0.015 * np.where(moved, apart, 1.0))
        return np.where(moved, away, np.nan)

    return block.shared(f"cci_{length}", make)


@TREND.column
def williams(block: Block, length: int) -> Matrix:
    """Distance from the highest high in the range, percent."""

    def make() -> Matrix:
        return _place(block.close, lowest(block.low, length), highest(block.high, length)) - 100

    return block.shared(f"williams_{length}", make)


@TREND.column
def awesome(block: Block) -> Matrix:
    """Bill Williams' oscillator of mid prices."""

    def make() -> Matrix:
        middle = (block.high + block.low) / 2
        return mean(middle, 5) - mean(middle, 34)

    return block.shared("awesome", make)


@TREND.column
def ultimate(block: Block) -> Matrix:
    """Larry Williams' ultimate oscillator."""

    def make() -> Matrix:
        floor = np.minimum(block.low, block.before)
        pressure = block.close - floor
        span = np.maximum(block.high, block.before) - floor
        parts = [(4.0, 7), (2.0, 14), (1.0, 28)]
        ratios = [
            weight * _place(total(pressure, length), np.zeros_like(span), total(span, length))
            for weight, length in parts
        ]
        return np.asarray(sum(ratios) / 7)

    return block.shared("ultimate", make)


@TREND.column
def bulls_bears(block: Block) -> Matrix:
    """Elder's powers of bulls and bears, added."""
    return block.high + block.low - 2 * block.state["ema_13"]


# -- bands -----------------------------------------------------------------------------------------


def _bands(block: Block, length: int) -> tuple[Matrix, Matrix]:
    """Middle of Bollinger's bands, and two population deviations."""

    def make() -> tuple[Matrix, Matrix]:
        return sma(block, length), 2 * np.sqrt(variance(block.close, length))

    return block.shared(f"bands_{length}", make)


@TREND.column
def bollinger_upper(block: Block, length: int) -> Matrix:
    """Upper band."""
    middle, width = _bands(block, length)
    return middle + width


@TREND.column
def bollinger_lower(block: Block, length: int) -> Matrix:
    """Lower band."""
    middle, width = _bands(block, length)
    return middle - width


@TREND.column
def bollinger_position(block: Block, length: int) -> Matrix:
    """Place of the close between the bands."""
    middle, width = _bands(block, length)
    moved = width > 1e-7 * middle
    apart = (block.close - middle) / np.where(moved, width, 1.0)
    return np.where(moved, (apart + 1) / 2, np.nan)


@TREND.column
def bollinger_width(block: Block, length: int) -> Matrix:
    """Width of the bands over their middle."""
    middle, width = _bands(block, length)
    return 2 * width / middle


@TREND.column
def donchian_upper(block: Block, length: int) -> Matrix:
    """Highest high."""
    return highest(block.high, length)


@TREND.column
def donchian_lower(block: Block, length: int) -> Matrix:
    """Lowest low."""
    return lowest(block.low, length)


@TREND.column
def high_distance(block: Block, length: int) -> Matrix:
    """Distance of the close from the highest high."""
    return block.close / highest(block.high, length) - 1


# -- performance, volatility, volume ---------------------------------------------------------------


@TREND.column
def performance(block: Block, length: int) -> Matrix:
    """Return over some sessions."""
    return block.close / shifted(block.close, length) - 1


@TREND.column
def volatility_1(block: Block) -> Matrix:
    """Volatility of one session from its range.

    Parkinson (1980), "The extreme value method for estimating the variance of the rate of return".
    """
    return np.asarray(np.log(block.high / block.low) / np.sqrt(4 * np.log(2)))


@TREND.column
def volatility(block: Block, length: int) -> Matrix:
    """Sample standard deviation of log returns."""
    return deviation(block.returns, length)


@TREND.column
def volume_ratio(block: Block, length: int) -> Matrix:
    """Volume over its mean."""
    return block.volume / mean(block.volume, length)


# -- votes and scores ------------------------------------------------------------------------------


@TREND.column
def atr_pct_ratio(block: Block) -> Matrix:
    """Average true range against its median of 120 sessions."""
    spread = block.state["atr_pct"]
    return block.answer(spread) / median(spread, 120, block.asked)


@TREND.column
def trend_score(block: Block) -> Matrix:
    """Slope, strength and calm of the trend in one number."""
    slope, spread = block.made["sma_50_slope"], block.made["atr_pct_ratio"]
    strength = block.state["adx_14"][-len(slope) :] * np.sign(slope)
    return 2 * slope + 0.7 * strength - 10 * spread


@TREND.column
def recommend_ma(block: Block) -> Matrix:
    """Mean vote of the averages."""
    lengths = (10, 20, 30, 50, 100, 200)
    finite = [block.answer(sma(block.over(length), length)) for length in lengths]
    weighed = [vwma(block.over(20), 20), hull(block.over(11), 9)]
    return averages_vote(block, [*finite, *map(block.answer, weighed)])


@TREND.column
def recommend_other(block: Block) -> Matrix:
    """Mean vote of the oscillators."""
    strength = stochastic_rsi_k(block, 14)
    return oscillators_vote(
        block,
        stochastic=(stochastic_k(block, 14), stochastic_d(block, 14)),
        stochastic_rsi=(strength, mean(strength, 3)),
        channel=cci(block, 20),
        awesome=awesome(block),
        momentum=momentum(block, 10),
        williams=williams(block, 14),
        ultimate=ultimate(block),
    )


@TREND.column
def recommend_all(block: Block) -> Matrix:
    """Mean of both votes."""
    return (block.made["recommend_ma"] + block.made["recommend_other"]) / 2


@TREND.column
def bars_252(block: Block) -> Matrix:
    """Bars of a year."""
    bars = count(block.close, 252).astype(np.float64)
    return np.broadcast_to(bars, block.close.shape)
