"""The screener: what scanners look at, named as users of screeners know it."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import row_count


class Screener(dy.Schema):
    """One listed security at one session's cutoff."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the session.")
    exchange = dy.String(min_length=1, description="Exchange code, as in the symbol.")
    asset_class = dy.Enum(["stock", "etf", "crypto"], description="What kind of thing it is.")
    sector = dy.String(nullable=True, description="Sector of a stock; null where unknown.")
    category = dy.String(nullable=True, description="Category of a fund or coin; null if unknown.")
    requested = columns.requested()
    actual = columns.actual()
    fallback = columns.fallback()
    close = dy.Float64(min_exclusive=0, description="Close of the session, price.")
    volume = dy.Float64(min=0, description="Units traded in the session.")
    value_traded = dy.Float64(
        alias="Value.Traded",
        nullable=True,
        min=0,
        description="Mean of close times volume over 20 sessions, money; null until there are 20.",
    )
    change = dy.Float64(
        nullable=True, min=-1, description="Return of the session, fraction; null on the first."
    )
    perf_1m = dy.Float32(
        alias="Perf.1M",
        nullable=True,
        min=-1,
        description="Return over 21 sessions, fraction; null until there are as many.",
    )
    perf_y = dy.Float32(
        alias="Perf.Y",
        nullable=True,
        min=-1,
        description="Return over 252 sessions, fraction; null until there are as many.",
    )
    volatility_m = dy.Float32(
        alias="Volatility.M",
        nullable=True,
        min=0,
        description="Standard deviation of 21 daily log returns, fraction per session; null until "
        "there are as many.",
    )
    sma_50 = dy.Float32(
        alias="SMA50",
        nullable=True,
        min_exclusive=0,
        description="Mean close of 50 sessions, price; null until there are as many.",
    )
    sma_200 = dy.Float32(
        alias="SMA200",
        nullable=True,
        min_exclusive=0,
        description="Mean close of 200 sessions, price; null until there are as many.",
    )
    sma_50_slope = dy.Float32(
        alias="SMA50.Slope",
        nullable=True,
        description="Change of SMA50 over 10 sessions, percent, signed; null until there are 60.",
    )
    rsi = dy.Float32(
        alias="RSI",
        nullable=True,
        min=0,
        max=100,
        description="RSI of 14 bars, 0..100; null before the state has seen as many.",
    )


def _from_features(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 1 did not say where its values are from: there was one place."""
    return rows.with_columns(
        pl.lit("features").alias("requested"),
        pl.lit("features").alias("actual"),
        pl.lit(None, pl.String).alias("fallback"),
    ).select(*Screener.columns())


SCREENER = Contract(
    kind="screener",
    schema=Screener,
    version=2,
    grain="one listed security with a bar on the session",
    rules=(row_count(),),
    upgrades={1: _from_features},
)
