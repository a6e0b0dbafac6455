"""The audit of thinly traded funds: what trading one costs, and whether it may be found.

1. Looked over are the funds of the screener whose mean traded money lies between two bounds: below
   the first no base universe takes them, from the second on they are liquid. Whether a scanner
   found one is said and makes no difference: a place among those found alone would jump with them.
2. Amihud's measure, the return that a million moves, has its place among them on the session: the
   share that has at most as much.
3. The cost of the sleeve's median order, one way, is half the spread and the impact
   (`market.impact`). The half-spread is scaled by that place: once of the most liquid, twice of
   the least. Chapter 05 of the specification names the scaling and no number; that it is a double
   is a choice.
4. Three limits are asked of everybody: the place, bars without volume, the cost. A limit without a
   value fails. The audit keeps nobody out of anything: selection has its own vetoes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from quant_platform.lakehouse.contracts.scan_liquidity_audit import LIMITS, SCAN_LIQUIDITY_AUDIT
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.market.impact import impact_bps
from quant_platform.scanners.audit import entry, first_failed
from quant_platform.settings.liquidity_audit import LiquidityAuditSettings

_KEY = ["session", "security_id"]


def liquidity_audit_windows() -> dict[str, Window]:
    """Sessions of its inputs that ``scan_liquidity_audit`` depends on."""
    tables = ("screener", "features_liquidity", "features_trend")
    # What a fund costs is told whether or not it is known who found it.
    found = Window("candidates", withdraws=False)
    return {**{table: Window(table) for table in tables}, "candidates": found}


def audit_liquidity(
    frames: Mapping[str, pl.LazyFrame], settings: LiquidityAuditSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``scan_liquidity_audit`` for a range.

    Parameters
    ----------
    frames
        ``screener``, ``features_liquidity``, ``features_trend`` and ``candidates``: the range.
    settings
        Bounds, order and limits.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per session and fund that is looked over, by session and security.
    """
    rows = _looked_over(frames, settings, wanted)
    # Places and money go through numpy: division has the same bits wherever a row stands.
    place = rows["place"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    share = place / rows["of"].cast(pl.Float64).to_numpy()
    volatility = rows["volatility_21"].fill_null(np.nan).to_numpy()
    spread = settings.half_spread_bps * (1 + share)
    impact = impact_bps(volatility, settings.order, rows["adv_money_20"].to_numpy())
    told = {
        "amihud_pctile": share,
        "half_spread_bps": spread,
        "impact_bps": impact,
        "cost_bps": spread + impact,
    }
    limits = {
        "amihud_pctile": settings.max_amihud_pctile,
        "zero_volume_20": float(settings.max_zero_volume),
        "cost_bps": settings.max_cost_bps,
    }
    asked = [
        entry(name, pl.col(name) <= limits[name], pl.col(name), limits[name]) for name in LIMITS
    ]
    return (
        rows.with_columns(pl.Series(name, values).fill_nan(None) for name, values in told.items())
        .with_columns(passes=pl.concat_list(asked), reason=first_failed(asked))
        .with_columns(passed=pl.col("reason").is_null())
        .select(*SCAN_LIQUIDITY_AUDIT.columns)
        .sort(_KEY)
    )


def _looked_over(
    frames: Mapping[str, pl.LazyFrame], settings: LiquidityAuditSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Funds between the bounds, with what is known of each and its place by Amihud."""
    wide = ("adv_money_20", "amihud_20", "zero_volume_20")
    liquidity = frames["features_liquidity"].select(
        *_KEY, *(pl.col(n).cast(pl.Float64) for n in wide)
    )
    volatility = frames["features_trend"].select(*_KEY, pl.col("volatility_21").cast(pl.Float64))
    nobody = pl.lit([], dtype=pl.List(pl.String))
    return (
        frames["screener"]
        .filter(pl.col("session").is_between(wanted.first, wanted.last), pl.col("type") == "fund")
        .select(*_KEY, "symbol")
        .join(liquidity, on=_KEY)
        .filter(
            pl.col("adv_money_20") >= settings.value_traded_from,
            pl.col("adv_money_20") < settings.value_traded_below,
        )
        .join(volatility, on=_KEY, how="left")
        .join(frames["candidates"].select(*_KEY, "scanners"), on=_KEY, how="left")
        .sort(_KEY)
        .with_columns(
            scanners=pl.coalesce("scanners", nobody),
            place=pl.col("amihud_20").rank("max").over("session"),
            of=pl.col("amihud_20").count().over("session"),
        )
        .collect()
    )
