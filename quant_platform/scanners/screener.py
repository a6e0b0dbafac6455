"""The screener: one row per listed security and session, in columns that scanners are written in.

1. The published bars become a panel, one column per security and vintage, so that each session
   sees closes and volumes as they were known at its cutoff.
2. ``Value.Traded`` is the mean of close times volume over the last 20 sessions, added up slice by
   slice in calendar order: the same bytes wherever the range begins. The product is taken within
   each session, so a split between them changes nothing, and no adjustment is needed.
3. A cell stays where its vintage applies and the session has a bar.
4. It is described by the last description known at the cutoff, and dropped unless that says that
   the security is listed.
5. A security that `market.quality` calls stale is out of the universe, and has no row.
6. Trend, state and return of the same session are joined on; what has no row there is null.

Look-ahead cannot enter: bars and descriptions are bounded by their knowledge session, the rest is
read at the session itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from quant_platform.features.panel import Matrix, Panel
from quant_platform.lakehouse.contracts.screener import SCREENER
from quant_platform.lakehouse.vintages import ALL_HISTORY
from quant_platform.lakehouse.windows import SessionRange, Window
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
        "securities": Window("securities", ALL_HISTORY),
        "bars": Window("bars", VALUE_SESSIONS - 1),
        "features_trend": Window("features_trend"),
        "features_state": Window("features_state"),
        "returns": Window("returns"),
        "quality": Window("quality"),
    }


def screen(
    frames: Mapping[str, pl.LazyFrame], settings: TrendSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``screener`` for a range.

    Parameters
    ----------
    frames
        ``securities``: every description published so far. ``bars``: published bars of the range
        and of 19 sessions before it. ``features_trend``, ``features_state``, ``returns``,
        ``quality``: those of the range.
    settings
        The tolerance for missing bars, which is that of the trend features.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security that is listed and has a bar, both as known at the session's cutoff,
        by session and security.
    """
    rows = _described(_traded(frames["bars"], settings, wanted), frames["securities"])
    stale = frames["quality"].filter(pl.col("flag").cast(pl.String) == "stale").select(_KEY)
    rows = rows.join(stale, on=_KEY, how="anti")
    trend = frames["features_trend"].select(
        *_KEY, **{new: pl.col(old) for old, new in _TREND.items()}
    )
    state = frames["features_state"].select(*_KEY, RSI="rsi_14")
    returns = frames["returns"].select(*_KEY, change="total")
    for features in (trend, state, returns):
        rows = rows.join(features, on=_KEY, how="left")
    return rows.select(*SCREENER.columns).sort(_KEY).collect()


def _traded(published: pl.LazyFrame, settings: TrendSettings, wanted: SessionRange) -> pl.LazyFrame:
    """Close, volume and ``Value.Traded`` wherever a session has a bar that was known in time."""
    loaded = wanted.loaded(screener_windows(settings)["bars"])
    bars = published.select(
        "security_id", "session", "knowledge_session", "known_at", "close", "volume"
    )
    panel = Panel.of(bars.collect(), wanted, loaded, ["close", "volume"])
    close, volume = panel.columns["close"], panel.columns["volume"]
    start = len(loaded) - len(wanted.sessions)
    total, count = _window_sums(close * volume, start)
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


def _window_sums(values: Matrix, start: int) -> tuple[Matrix, Matrix]:
    """Sum and number of the values in the windows that end at each row from ``start`` on."""
    height = len(values) - start
    before = np.full((VALUE_SESSIONS - 1, values.shape[1]), np.nan)
    padded = np.concatenate([before, values])
    total, count = np.zeros((2, height, values.shape[1]))
    for offset in range(VALUE_SESSIONS):
        earlier = padded[start + offset : start + offset + height]
        there = ~np.isnan(earlier)
        total += np.where(there, earlier, 0.0)
        count += there
    return total, count


def _described(traded: pl.LazyFrame, securities: pl.LazyFrame) -> pl.LazyFrame:
    """Join the last description known at each session and keep what it calls listed."""
    descriptions = (
        securities.sort("knowledge_session", "security_id", "known_at")
        .unique(["knowledge_session", "security_id"], keep="last", maintain_order=True)
        .select(
            "security_id",
            "knowledge_session",
            "symbol",
            "exchange",
            "asset_class",
            "sector",
            "category",
            "listed_on",
            "delisted_on",
        )
    )
    listed = (pl.col("listed_on") <= pl.col("session")) & (
        pl.col("delisted_on").is_null() | (pl.col("delisted_on") > pl.col("session"))
    )
    # A window that begins before the first session of trading is not 20 sessions long.
    whole = pl.col("window_from") >= pl.col("listed_on")
    return (
        traded.sort("session")
        .join_asof(
            descriptions,
            left_on="session",
            right_on="knowledge_session",
            by="security_id",
            strategy="backward",
            check_sortedness=False,
        )
        .filter(listed)
        .with_columns(pl.when(whole).then("Value.Traded").alias("Value.Traded"))
    )
