"""Trend features from finite windows, in calendar-fixed blocks.

1. The published bars become a panel, one column per security and vintage. A split begins a vintage,
   and each series is in the units of its own, so that no window sees the price jump.
2. The panel is cut into blocks of ``block_sessions`` counted from the calendar's epoch. Each block
   is computed from ``LOOKBACK`` sessions before its start, with running sums that begin there.
   A block's sums depend on where it begins and on nothing after the row in hand, so a value has the
   same bytes whether its session is computed alone, in a chunk or in ten years.
3. A cell is kept where its vintage applies and the security has a bar at that session.

Windows count sessions. A window may lack ``max_missing_share`` of its bars, rounded down; with
fewer the value is null. Look-ahead cannot enter: row i of a block reads rows up to i.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.panel import Matrix, Panel
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.settings import TrendSettings

_Number = TypeVar("_Number", np.float64, np.int64)

LOOKBACK = 252
"""Sessions before the output session that the longest window reaches: 252 returns, 253 closes."""


def trend_windows(settings: TrendSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``features_trend`` depends on."""
    return {
        "bars": Window("bars", LOOKBACK, settings.block_sessions),
        "actions": Window("actions", ALL_HISTORY),
    }


def trend_features(
    frames: Mapping[str, pl.LazyFrame], settings: TrendSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``features_trend`` for a range.

    Parameters
    ----------
    frames
        ``bars``: published bars of the loaded sessions. ``actions``: published actions; without
        that frame no price is adjusted.
    settings
        Block length and the tolerance for missing bars.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security with a bar known at the session's cutoff, by session and security.
    """
    loaded = wanted.loaded(trend_windows(settings)["bars"])
    bars = frames["bars"].collect()
    actions = frames.get("actions")
    splits = None if actions is None else splits_in_effect(actions.collect())
    panel = Panel.of(bars, wanted, loaded, ["close", "high", "volume"], splits)
    blocks = [
        _block(panel, first, start, stop, settings.max_missing_share)
        for first, start, stop in _blocks(wanted, loaded, settings.block_sessions)
    ]
    frame = pl.concat(blocks) if blocks else FEATURES_TREND.empty()
    return frame.sort("session", "security_id")


def _blocks(
    wanted: SessionRange, loaded: list[date], length: int
) -> Iterator[tuple[int, int, int]]:
    """Yield, per block, the rows where its sums begin, its output begins, and it ends."""
    calendar = wanted.calendar
    row_of = {session: row for row, session in enumerate(loaded)}
    starts = sorted({calendar.block_start(session, length) for session in wanted.sessions})
    for number, begin in enumerate(starts):
        output = max(begin, wanted.first)
        stop = row_of[starts[number + 1]] if number + 1 < len(starts) else len(loaded)
        # Near the start of history the look-back is cut short, at the same session for any range.
        block_row = row_of.get(begin, 0)
        yield max(block_row - LOOKBACK, 0), row_of[output], stop


def _block(panel: Panel, first: int, start: int, stop: int, missing: float) -> pl.DataFrame:
    """Features of rows ``start`` to ``stop``, from sums that begin at row ``first``."""
    keep = panel.visible(start, stop) & ~np.isnan(panel.columns["close"][start:stop])
    # Of the many vintages that a late session begins, a block needs its own.
    series = np.flatnonzero(keep.any(axis=0))
    close, high, volume = (
        panel.columns[name][first:stop, series] for name in ("close", "high", "volume")
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        sma_50 = _mean(close, 50, missing)
        values = {
            "close": close,
            "sma_20": _mean(close, 20, missing),
            "sma_50": sma_50,
            "sma_200": _mean(close, 200, missing),
            "sma_50_slope": 100 * (sma_50 / _shifted(sma_50, 10) - 1),
            "performance_21": close / _shifted(close, 21) - 1,
            "performance_252": close / _shifted(close, 252) - 1,
            "volatility_21": _deviation(close, 21, missing),
            "high_252_distance": close / _highest(high, 252, missing) - 1,
            "volume_ratio_20": volume / _mean(volume, 20, missing),
            "bars_252": _count(close, 252).astype(np.float64),
        }
    rows, columns = np.nonzero(keep[:, series])
    frame = {
        "session": pl.Series(panel.sessions[start:stop], dtype=pl.Date).gather(rows),
        "security_id": panel.series["security_id"].gather(series[columns]),
    }
    for name, matrix in values.items():
        dtype = FEATURES_TREND.columns[name].dtype
        cells = pl.Series(matrix[start - first :][rows, columns])
        frame[name] = cells.fill_nan(None).cast(dtype)
    return pl.DataFrame(frame)


def _shifted(matrix: Matrix, rows: int) -> Matrix:
    """Values ``rows`` sessions earlier; NaN where the matrix does not reach."""
    shifted = np.full_like(matrix, np.nan)
    if rows < len(matrix):
        shifted[rows:] = matrix[:-rows]
    return shifted


def _window_sum(matrix: npt.NDArray[_Number], length: int) -> npt.NDArray[_Number]:
    """Sum of the last ``length`` rows, fewer near the top; NaN-free input."""
    running = np.cumsum(matrix, axis=0)
    sums = running.copy()
    sums[length:] -= running[:-length]
    return sums


def _count(matrix: Matrix, length: int) -> npt.NDArray[np.int64]:
    """Bars among the last ``length`` rows."""
    return np.asarray(_window_sum((~np.isnan(matrix)).astype(np.int64), length), dtype=np.int64)


def _enough(matrix: Matrix, length: int, missing: float, least: int = 1) -> npt.NDArray[np.bool_]:
    """Whether the window is long enough and lacks no more than the allowed share of bars."""
    full = np.arange(len(matrix))[:, None] >= length - 1
    needed = max(length - int(missing * length), least)
    return np.asarray((_count(matrix, length) >= needed) & full)


def _mean(matrix: Matrix, length: int, missing: float) -> Matrix:
    """Mean of the bars in the last ``length`` sessions."""
    sums = _window_sum(np.where(np.isnan(matrix), 0.0, matrix), length)
    mean = sums / np.maximum(_count(matrix, length), 1)
    return np.where(_enough(matrix, length, missing), mean, np.nan)


def _deviation(close: Matrix, length: int, missing: float) -> Matrix:
    """Sample standard deviation of the last ``length`` log returns."""
    # The first row has no return: a window of returns needs one close more than it has rows.
    returns = np.log(close[1:] / close[:-1])
    values = np.where(np.isnan(returns), 0.0, returns)
    count = np.maximum(_count(returns, length), 2)
    sums = _window_sum(values, length)
    squares = _window_sum(values * values, length)
    variance = np.maximum(squares - sums * sums / count, 0.0) / (count - 1)
    deviation = np.where(_enough(returns, length, missing, 2), np.sqrt(variance), np.nan)
    return np.concatenate([np.full_like(close[:1], np.nan), deviation])


def _highest(matrix: Matrix, length: int, missing: float) -> Matrix:
    """Highest value in the last ``length`` sessions, by doubling: exact in any order."""
    highest = np.where(np.isnan(matrix), -np.inf, matrix)
    span = 1
    while span < length:
        step = min(span, length - span)
        earlier = np.full_like(highest, -np.inf)
        earlier[step:] = highest[:-step] if step < len(highest) else highest[:0]
        highest = np.maximum(highest, earlier)
        span += step
    return np.where(_enough(matrix, length, missing), highest, np.nan)
