"""Trend features from finite windows."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import filled_share, row_count


def _feature(
    description: str,
    warm_up: int,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
) -> dy.Float32:
    """Column of a feature that needs ``warm_up`` sessions before its first value."""
    return dy.Float32(
        nullable=True,
        min=least,
        min_exclusive=above,
        max=most,
        description=f"{description} Null before {warm_up} sessions, or where bars are lacking.",
        metadata={"warm_up": warm_up},
    )


class FeaturesTrend(dy.Schema):
    """Trend features of one security at one session's cutoff."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    close = dy.Float64(min_exclusive=0, description="Close as known at the cutoff, price.")
    sma_20 = _feature("Mean close of 20 sessions, price.", 20, above=0)
    sma_50 = _feature("Mean close of 50 sessions, price.", 50, above=0)
    sma_200 = _feature("Mean close of 200 sessions, price.", 200, above=0)
    sma_50_slope = _feature("Change of sma_50 over 10 sessions, percent, signed.", 60)
    performance_21 = _feature("close / close 21 sessions ago - 1, fraction.", 22, least=-1)
    performance_252 = _feature("close / close 252 sessions ago - 1, fraction.", 253, least=-1)
    volatility_21 = _feature(
        "Standard deviation of 21 daily log returns, fraction per session.", 22, least=0
    )
    high_252_distance = _feature(
        "close / highest high of 252 sessions - 1, fraction, never positive.", 252, least=-1, most=0
    )
    volume_ratio_20 = _feature("Volume / mean volume of 20 sessions, ratio.", 20, least=0)
    bars_252 = dy.UInt16(description="Bars known among the last 252 sessions.", max=252)


FEATURES_TREND = Contract(
    kind="features_trend",
    schema=FeaturesTrend,
    version=1,
    grain="one security at one session's cutoff",
    rules=(row_count(), filled_share("sma_20", "bars_252", 20)),
)
