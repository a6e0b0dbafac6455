"""The screener: one row per security of the universe and session, in the columns of scanners.

1. The published bars become a panel, one column per security and vintage, so that each session
   sees closes and volumes as they were known at its cutoff.
2. ``Value.Traded`` is the mean of close times volume over the last 20 sessions, added up slice by
   slice in calendar order: the same bytes wherever the range begins. The product is taken within
   each session, so a split between them changes nothing, and no adjustment is needed.
3. A cell stays where its vintage applies and the session has a bar.
4. It is dropped unless the security is in the universe of the session (`scanners.universe`), which
   says what it is.
5. Trend, state and return of the same session are joined on; what has no row there is null.

Look-ahead cannot enter: bars are bounded by their knowledge session, the rest is read at the
session itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from quant_platform.features.panel import Panel, window_sums
from quant_platform.lakehouse.contracts.screener import SCREENER
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.scanners.origin import FROM_FEATURES
from quant_platform.settings import TrendSettings

VALUE_SESSIONS = 20
"""Sessions over which ``Value.Traded`` is averaged."""

_TREND = {
    "performance_21": "Perf.1M",
    "performance_252": "Perf.Y",
    "volatility_21": "Volatility.M",
    "sma_50": "SMA50",
    "sma_200": "SMA200",
    "sma_50_slope": "SMA50.Slope",
}
_KEY = ["session", "security_id"]


def screener_windows(settings: TrendSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``screener`` depends on."""
    return {
        "universe": Window("universe"),
        "bars": Window("bars", VALUE_SESSIONS - 1),
        "features_trend": Window("features_trend"),
        "features_state": Window("features_state"),
        "returns": Window("returns"),
    }


def screen(
    frames: Mapping[str, pl.LazyFrame], settings: TrendSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``screener`` for a range.

    Parameters
    ----------
    frames
        ``bars``: published bars of the range and of 19 sessions before it. ``universe``,
        ``features_trend``, ``features_state``, ``returns``: those of the range.
    settings
        The tolerance for missing bars, which is that of the trend features.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security of the universe that has a bar, as known at the session's cutoff, by
        session and security.
    """
    rows = _described(_traded(frames["bars"], settings, wanted), frames["universe"])
    trend = frames["features_trend"].select(
        *_KEY, **{new: pl.col(old) for old, new in _TREND.items()}
    )
    state = frames["features_state"].select(*_KEY, RSI="rsi_14")
    returns = frames["returns"].select(*_KEY, change="total")
    for features in (trend, state, returns):
        rows = rows.join(features, on=_KEY, how="left")
    return rows.with_columns(*FROM_FEATURES).select(*SCREENER.columns).sort(_KEY).collect()


def _traded(published: pl.LazyFrame, settings: TrendSettings, wanted: SessionRange) -> pl.LazyFrame:
    """Close, volume and ``Value.Traded`` wherever a session has a bar that was known in time."""
    loaded = wanted.loaded(screener_windows(settings)["bars"])
    bars = published.select(
        "security_id", "session", "knowledge_session", "known_at", "close", "volume"
    )
    panel = Panel.of(bars.collect(), wanted, loaded, ["close", "volume"])
    close, volume = panel.columns["close"], panel.columns["volume"]
    start = len(loaded) - len(wanted.sessions)
    total, count = window_sums(close * volume, start, VALUE_SESSIONS)
    most_missing = int(settings.max_missing_share * VALUE_SESSIONS)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count >= max(VALUE_SESSIONS - most_missing, 1), total / count, np.nan)
    keep = panel.visible(start, len(loaded)) & ~np.isnan(close[start:])
    rows, columns = np.nonzero(keep)
    days = pl.Series(loaded, dtype=pl.Date)
    return pl.LazyFrame(
        {
            "session": days.gather(rows + start),
            # Null where the window would begin before the loaded history.
            "window_from": days.shift(VALUE_SESSIONS - 1).gather(rows + start),
            "security_id": panel.series["security_id"].gather(columns),
            "close": close[start:][rows, columns],
            "volume": volume[start:][rows, columns],
            "Value.Traded": pl.Series(mean[rows, columns]).fill_nan(None),
        }
    )


def _described(traded: pl.LazyFrame, universe: pl.LazyFrame) -> pl.LazyFrame:
    """Keep what is in the universe of the session, with what it is."""
    # A window that begins before the first session of trading is not 20 sessions long.
    whole = pl.col("window_from") >= pl.col("listed_on")
    return traded.join(universe.filter("included"), on=_KEY).with_columns(
        pl.when(whole).then("Value.Traded").alias("Value.Traded")
    )
