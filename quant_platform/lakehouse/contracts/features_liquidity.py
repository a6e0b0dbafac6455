"""Liquidity features: how much is traded, what trading moves, and what the spread may be."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.feature import feature, label
from quant_platform.lakehouse.rules import row_count

BUCKETS = ("small", "mid", "large", "mega")


class FeaturesLiquidity(dy.Schema):
    """Liquidity of one security at one session's cutoff."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    adv_shares_20 = feature("Mean volume of 20 sessions", "shares or coins", 20, least=0)
    adv_money_20 = feature("Mean close times volume of 20 sessions", "money", 20, least=0)
    amihud_20 = feature(
        "Mean of absolute returns over traded money of 20 sessions, those without trade left out",
        "fraction per million of money",
        21,
        null="or without any trade",
        least=0,
    )
    amihud_63 = feature(
        "Mean of absolute returns over traded money of 63 sessions, those without trade left out",
        "fraction per million of money",
        64,
        null="or without any trade",
        least=0,
    )
    zero_volume_20 = feature("Bars of 20 sessions without volume", "units", 20, least=0)
    spread_20 = feature(
        "Spread as highs and lows of 20 pairs of sessions tell it, Corwin and Schultz's estimate, "
        "negative ones taken as 0",
        "fraction",
        21,
        least=0,
    )
    liquidity_bucket = label(
        "mega from 5,000,000 shares a session, large from 2,000,000, mid from 750,000; around the "
        "clock as much in money, 40 a share",
        BUCKETS,
        20,
    )


FEATURES_LIQUIDITY = Contract(
    kind="features_liquidity",
    schema=FeaturesLiquidity,
    version=1,
    grain="one security at one session's cutoff",
    rules=(row_count(),),
)
