"""Funds that are traded thinly: what trading them costs, and who passes."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract

LIMITS = ("amihud_pctile", "zero_volume_20", "cost_bps")
"""Columns that are asked, in their order."""


class ScanLiquidityAudit(dy.Schema):
    """One thinly traded fund at one session's cutoff."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the session.")
    scanners = dy.List(
        dy.String(), description="Scanners that found it, by name; empty if none did."
    )
    adv_money_20 = dy.Float64(
        min=0, description="Mean close times volume of 20 sessions, money; who is looked over."
    )
    amihud_20 = dy.Float64(
        nullable=True,
        min=0,
        description="Mean of absolute returns over traded money of 20 sessions, fraction per "
        "million of money; null where features_liquidity has none.",
    )
    amihud_pctile = dy.Float64(
        nullable=True,
        min_exclusive=0,
        max=1,
        description="Share of the funds looked over on the session whose amihud_20 is at most as "
        "large, 0..1; null where that is.",
    )
    zero_volume_20 = dy.Float64(
        nullable=True,
        min=0,
        description="Bars of 20 sessions without volume, units; null where features_liquidity has "
        "none.",
    )
    volatility_21 = dy.Float64(
        nullable=True,
        min=0,
        description="Standard deviation of 21 daily log returns, fraction per session; null where "
        "features_trend has none.",
    )
    half_spread_bps = dy.Float64(
        nullable=True,
        min=0,
        description="Half-spread as set, times one plus amihud_pctile, bps; null where that is.",
    )
    impact_bps = dy.Float64(
        nullable=True,
        min=0,
        description="Impact of the median order, one way, bps; null where volatility_21 is.",
    )
    cost_bps = dy.Float64(
        nullable=True,
        min=0,
        description="Half-spread and impact, one way, bps; null where one of them is.",
    )
    passes = columns.passes("Place by Amihud, bars without volume and cost")
    passed = dy.Bool(description="It is within every one of the three limits.")
    reason = dy.String(nullable=True, description="First limit that failed; null if passed.")

    @dy.rule()
    def failed_for_a_reason(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Ask for a reason where it did not pass, and nowhere else."""
        return pl.col("passed") == pl.col("reason").is_null()


SCAN_LIQUIDITY_AUDIT = Contract(
    kind="scan_liquidity_audit",
    schema=ScanLiquidityAudit,
    version=1,
    grain="one thinly traded fund of the screener at one session's cutoff",
)
