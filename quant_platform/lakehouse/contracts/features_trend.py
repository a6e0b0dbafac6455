"""Trend features: averages, oscillators, ranges, performance, and what is voted from them."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.feature import feature
from quant_platform.lakehouse.rules import filled_share, row_count

_UNMOVED = "or where nothing moved"
_VOTING = 50
"""Sessions that recommend_other is made of, and its oscillators are given: found once for both."""


class FeaturesTrend(dy.Schema):
    """Trend features of one security at one session's cutoff."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    close = dy.Float64(
        min_exclusive=0,
        description="Close as known at the cutoff, price.",
        metadata={"unit": "price"},
    )
    # -- averages
    sma_5 = feature("Mean close of 5 sessions", "price", 5, above=0)
    sma_10 = feature("Mean close of 10 sessions", "price", 10, above=0)
    sma_20 = feature("Mean close of 20 sessions", "price", 20, above=0)
    sma_30 = feature("Mean close of 30 sessions", "price", 30, above=0)
    sma_50 = feature("Mean close of 50 sessions", "price", 50, above=0)
    sma_100 = feature("Mean close of 100 sessions", "price", 100, above=0)
    sma_200 = feature("Mean close of 200 sessions", "price", 200, above=0)
    sma_10_distance = feature("close / sma_10 - 1", "fraction", 10, least=-1)
    sma_20_distance = feature("close / sma_20 - 1", "fraction", 20, least=-1)
    sma_50_distance = feature("close / sma_50 - 1", "fraction", 50, least=-1)
    sma_100_distance = feature("close / sma_100 - 1", "fraction", 100, least=-1)
    sma_200_distance = feature("close / sma_200 - 1", "fraction", 200, least=-1)
    sma_50_slope = feature("Change of sma_50 over 10 sessions", "percent", 60)
    weekly_trend = feature(
        "1 where close > mean of 10 weekly closes > mean of 40, -1 the other way round, 0 "
        "otherwise; weeks of 5 sessions, counted back from this one",
        "ratio of -1, 0 or 1",
        196,
        least=-1,
        most=1,
    )
    vwma_20 = feature("Mean close of 20 sessions, weighted by volume", "price", 20, above=0)
    hull_9 = feature(
        "Hull's average of 9 sessions: the weighted mean of 3 of twice that of 4 less that of 9",
        "price",
        11,
    )
    ichimoku_base_26 = feature("Mid of highest and lowest price of 26", "price", 26, above=0)
    # -- oscillators
    momentum_10 = feature("close - close 10 sessions ago", "price", 11, window=_VOTING)
    roc_9 = feature("Change of the close over 9 sessions", "percent", 10, least=-100)
    stochastic_k_14 = feature(
        "Place of the close in the range of 14 sessions, mean of 3",
        "0..100",
        16,
        window=_VOTING,
        null=_UNMOVED,
        least=0,
        most=100,
    )
    stochastic_d_14 = feature(
        "Mean of 3 of stochastic_k_14",
        "0..100",
        18,
        window=_VOTING,
        null=_UNMOVED,
        least=0,
        most=100,
    )
    stochastic_rsi_k_14 = feature(
        "Place of rsi_14 in its range of 14 sessions, mean of 3",
        "0..100",
        30,
        window=_VOTING,
        state=16,
        null=_UNMOVED,
        least=0,
        most=100,
    )
    cci_20 = feature(
        "close less its mean of 20, over 0.015 mean absolute deviations",
        "ratio",
        20,
        window=_VOTING,
        null=_UNMOVED,
    )
    williams_14 = feature(
        "Distance from the highest high in the range of 14 sessions",
        "percent",
        14,
        window=_VOTING,
        null=_UNMOVED,
        least=-100,
        most=0,
    )
    awesome = feature("Mean mid price of 5 sessions less that of 34", "price", 34, window=_VOTING)
    ultimate = feature(
        "Buying pressure over true range of 7, 14 and 28 sessions, weighted 4 : 2 : 1",
        "0..100",
        29,
        window=_VOTING,
        null=_UNMOVED,
        least=0,
        most=100,
    )
    bulls_bears = feature(
        "(high - ema_13) + (low - ema_13), the power of bulls and bears", "price", 13, state=1
    )
    # -- bands
    bollinger_upper_20 = feature("sma_20 plus two population deviations", "price", 20, above=0)
    bollinger_lower_20 = feature("sma_20 less two population deviations", "price", 20)
    bollinger_position_20 = feature(
        "Place of the close between the lower band, 0, and the upper, 1",
        "ratio",
        20,
        null=_UNMOVED,
    )
    bollinger_width_20 = feature("Width of the bands over sma_20", "fraction", 20, least=0)
    donchian_upper_20 = feature("Highest high of 20 sessions", "price", 20, above=0)
    donchian_lower_20 = feature("Lowest low of 20 sessions", "price", 20, above=0)
    high_252_distance = feature(
        "close / highest high of 252 sessions - 1", "fraction", 252, least=-1, most=0
    )
    # -- performance
    performance_1 = feature("close / close 1 session ago - 1", "fraction", 2, least=-1)
    performance_5 = feature("close / close 5 sessions ago - 1", "fraction", 6, least=-1)
    performance_21 = feature("close / close 21 sessions ago - 1", "fraction", 22, least=-1)
    performance_63 = feature("close / close 63 sessions ago - 1", "fraction", 64, least=-1)
    performance_126 = feature("close / close 126 sessions ago - 1", "fraction", 127, least=-1)
    performance_252 = feature("close / close 252 sessions ago - 1", "fraction", 253, least=-1)
    # -- volatility and volume
    volatility_1 = feature(
        "Volatility of the session from its range, ln(high / low) / sqrt(4 ln 2)",
        "fraction per session",
        1,
        least=0,
    )
    volatility_5 = feature(
        "Standard deviation of 5 daily log returns", "fraction per session", 6, least=0
    )
    volatility_21 = feature(
        "Standard deviation of 21 daily log returns", "fraction per session", 22, least=0
    )
    volume_ratio_10 = feature("Volume / mean volume of 10 sessions", "ratio", 10, least=0)
    volume_ratio_20 = feature("Volume / mean volume of 20 sessions", "ratio", 20, least=0)
    # -- votes and scores
    atr_pct_ratio = feature(
        "atr_pct / its median of 120 sessions", "ratio", 134, state=120, least=0
    )
    trend_score = feature(
        "2 sma_50_slope + 0.7 adx_14 with the slope's sign - 10 atr_pct_ratio",
        "units of the score",
        134,
        state=120,
    )
    recommend_ma = feature(
        "Mean vote of 15 averages: simple and exponential of 10, 20, 30, 50, 100, 200, Ichimoku, "
        "vwma_20, hull_9",
        "share of the votes",
        200,
        state=1,
        least=-1,
        most=1,
    )
    recommend_other = feature(
        "Mean vote of 11 oscillators", "share of the votes", _VOTING, state=19, least=-1, most=1
    )
    recommend_all = feature(
        "Mean of recommend_ma and recommend_other",
        "share of the votes",
        200,
        state=19,
        least=-1,
        most=1,
    )
    bars_252 = dy.UInt16(
        description="Bars known among the last 252 sessions.",
        max=252,
        metadata={"unit": "bars", "warm_up": 252},
    )


FEATURES_TREND = Contract(
    kind="features_trend",
    schema=FeaturesTrend,
    version=1,
    grain="one security at one session's cutoff",
    rules=(row_count(), filled_share("sma_20", "bars_252", 20)),
)
