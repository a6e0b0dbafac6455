"""Recursive indicators, carried from session to session."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.feature import carried, feature
from quant_platform.lakehouse.rules import none_lost, row_count

_UNMOVED = "or where no bar of the state ever moved"


class FeaturesState(dy.Schema):
    """Recursive indicators of one security after one session, and the state that makes the next.

    A security that did not trade keeps what it had. State columns are Float64: a rounded state
    would make a restart differ from an undisturbed run.
    """

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    ema_5 = feature("Exponential mean, alpha 2/6", "price", 5, of="bars", above=0)
    ema_10 = feature("Exponential mean, alpha 2/11", "price", 10, of="bars", above=0)
    ema_13 = feature("Exponential mean, alpha 2/14", "price", 13, of="bars", above=0)
    ema_20 = feature("Exponential mean, alpha 2/21", "price", 20, of="bars", above=0)
    ema_30 = feature("Exponential mean, alpha 2/31", "price", 30, of="bars", above=0)
    ema_50 = feature("Exponential mean, alpha 2/51", "price", 50, of="bars", above=0)
    ema_100 = feature("Exponential mean, alpha 2/101", "price", 100, of="bars", above=0)
    ema_200 = feature("Exponential mean, alpha 2/201", "price", 200, of="bars", above=0)
    ema_10_distance = feature("Last close / ema_10 - 1", "fraction", 10, of="bars", least=-1)
    ema_20_distance = feature("Last close / ema_20 - 1", "fraction", 20, of="bars", least=-1)
    ema_50_distance = feature("Last close / ema_50 - 1", "fraction", 50, of="bars", least=-1)
    ema_100_distance = feature("Last close / ema_100 - 1", "fraction", 100, of="bars", least=-1)
    ema_200_distance = feature("Last close / ema_200 - 1", "fraction", 200, of="bars", least=-1)
    rsi_14 = feature(
        "Wilder's RSI of 14 bars", "0..100", 15, of="bars", null=_UNMOVED, least=0, most=100
    )
    macd = feature("Exponential mean of 12 bars less that of 26", "price", 26, of="bars")
    macd_signal = feature("Exponential mean of 9 bars of macd", "price", 34, of="bars")
    atr_14 = feature("Wilder's mean true range of 14 bars", "price", 15, of="bars", least=0)
    atr_pct = feature("atr_14 over the last close", "percent", 15, of="bars", least=0)
    plus_di_14 = feature(
        "Wilder's +DI of 14 bars", "0..100", 15, of="bars", null=_UNMOVED, least=0, most=100
    )
    minus_di_14 = feature(
        "Wilder's -DI of 14 bars", "0..100", 15, of="bars", null=_UNMOVED, least=0, most=100
    )
    adx_14 = feature("Wilder's ADX of 14 bars", "0..100", 28, of="bars", least=0, most=100)
    obv = feature("On-balance volume since the security's first bar", "shares", 1, of="bars")
    ewma_volatility = feature(
        "Square root of the exponential mean of squared daily log returns, lambda 0.94",
        "fraction per session",
        22,
        of="bars",
        least=0,
    )
    performance_ytd = dy.Float32(
        nullable=True,
        min=-1,
        description="Last close / last close of the calendar year before - 1, fraction; null "
        "where there is none.",
        metadata={"unit": "fraction"},
    )
    restated_from = dy.Date(
        nullable=True,
        description="First session replayed because a late bar or a correction arrived today.",
    )
    revisions_missed = dy.UInt32(
        description="Late rows so far that could not be replayed when they came."
    )
    bars = dy.UInt32(min=1, description="State: bars taken in since the security's first.")
    idle = dy.UInt32(description="State: sessions since the last bar; 0 when it traded today.")
    close_state = carried("last close taken in", "price", above=0)
    high_state = carried("high of the last bar", "price", above=0)
    low_state = carried("low of the last bar", "price", above=0)
    ema_5_state = carried("mean, seeded by the plain mean", "price", above=0)
    ema_10_state = carried("mean, seeded by the plain mean", "price", above=0)
    ema_12_state = carried("mean, seeded by the plain mean", "price", above=0)
    ema_13_state = carried("mean, seeded by the plain mean", "price", above=0)
    ema_20_state = carried("mean, seeded by the plain mean", "price", above=0)
    ema_26_state = carried("mean, seeded by the plain mean", "price", above=0)
    ema_30_state = carried("mean, seeded by the plain mean", "price", above=0)
    ema_50_state = carried("mean, seeded by the plain mean", "price", above=0)
    ema_100_state = carried("mean, seeded by the plain mean", "price", above=0)
    ema_200_state = carried("mean, seeded by the plain mean", "price", above=0)
    macd_signal_state = carried("mean of the MACD since bar 26, seeded by the plain mean", "price")
    gain_14_state = carried("Wilder mean of rises", "price", least=0)
    loss_14_state = carried("Wilder mean of falls, positive", "price", least=0)
    range_14_state = carried("Wilder mean of true ranges", "price", least=0)
    plus_14_state = carried("Wilder mean of upward moves", "price", least=0)
    minus_14_state = carried("Wilder mean of downward moves, positive", "price", least=0)
    adx_14_state = carried("Wilder mean of the directional index, 0..100", "ratio", least=0)
    obv_state = carried("volume with the sign of each move, added up", "shares")
    ewma_variance_state = carried("exponential mean of squared log returns", "ratio", least=0)
    year_close_state = carried("last close of the year before, 0 for none", "price", least=0)


FEATURES_STATE = Contract(
    kind="features_state",
    schema=FeaturesState,
    version=1,
    grain="one security at one session's cutoff",
    rules=(row_count(), none_lost()),
)
"""Contract of the table."""
