"""Where the values of a screener row come from: columns ``requested``, ``actual``, ``fallback``."""

from __future__ import annotations

import polars as pl

FEATURES = "features"
VENDOR = "tradingview"

FROM_FEATURES: tuple[pl.Expr, ...] = (
    pl.lit(FEATURES).alias("requested"),
    pl.lit(FEATURES).alias("actual"),
    pl.lit(None, pl.String).alias("fallback"),
)
"""What a row says that is made from features, because nothing else was asked for."""
