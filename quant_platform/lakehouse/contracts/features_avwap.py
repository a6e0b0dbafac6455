"""Anchored volume-weighted average prices: the best anchor of each security, and its setup."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.feature import feature, label
from quant_platform.lakehouse.rules import row_count

ANCHORS = ("year_to_date", "gap", "breakout", "month_to_date", "swing_low", "swing_high")
POSITIONS = ("below", "at", "above")
STATES = ("gap_reset", "reclaim", "acceptance", "above", "at", "below")
EXTENSIONS = ("balanced", "stretched", "extended")
STRUCTURES = ("falling", "mixed", "rising")

_NONE = "and where no anchor is accepted"
_REACH = 366
"""Sessions of the longest calendar year, on a calendar that never closes."""
_WARM_UP = 21


class FeaturesAvwap(dy.Schema):
    """Best anchor of one security at one session's cutoff."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    anchor = label("Where the average begins", ANCHORS, _WARM_UP, window=_REACH, null=_NONE)
    anchor_age = feature(
        "Sessions since the anchor", "units", _WARM_UP, window=_REACH, null=_NONE, least=1
    )
    anchor_score = feature(
        "Priority of the anchor, nearness and trend_score",
        "units of the score",
        _WARM_UP,
        window=_REACH,
        null=f"{_NONE}, or without a trend_score",
    )
    avwap = feature(
        "Average price since the anchor, weighted by volume",
        "price",
        _WARM_UP,
        window=_REACH,
        null=_NONE,
        above=0,
    )
    avwap_slope = feature(
        "Change of avwap per session over 10 sessions, or since the anchor where that is later",
        "percent per session",
        _WARM_UP,
        window=_REACH,
        null=_NONE,
    )
    dist_pct = feature(
        "Distance of the close from avwap", "percent", _WARM_UP, window=_REACH, null=_NONE
    )
    confluence = feature(
        "Averages of other anchors within 1 percent of avwap, and itself",
        "units",
        _WARM_UP,
        window=_REACH,
        null=_NONE,
        least=1,
    )
    position = label(
        "Where the close is, at: within 0.2 percent", POSITIONS, _WARM_UP, window=_REACH, null=_NONE
    )
    setup_state = label(
        "What happens at avwap, the first that holds: a gap of 4 percent today, a close above "
        "after one below, three closes above, the position",
        STATES,
        _WARM_UP,
        window=_REACH,
        null=_NONE,
    )
    extension = label(
        "How far the close is from avwap: balanced up to 1 percent, extended from 6 on",
        EXTENSIONS,
        _WARM_UP,
        window=_REACH,
        null=_NONE,
    )
    structure = label("Order of the close and the means of 20 and 50 sessions", STRUCTURES, 50)
    entry = feature(
        "Close, or avwap where the close is below it",
        "price",
        _WARM_UP,
        window=_REACH,
        null=_NONE,
        above=0,
    )
    stop = feature(
        "Lower of the swing low less 0.5 percent and avwap less 0.3, at least one atr_14 and 1.5 "
        "percent below the entry",
        "price",
        _WARM_UP,
        window=_REACH,
        state=1,
        null=f"{_NONE}, or without an atr_14",
    )
    r1 = feature("Floor pivot: twice the typical price less the low", "price", 1)
    r2 = feature("Floor pivot: typical price plus the range", "price", 1, above=0)


FEATURES_AVWAP = Contract(
    kind="features_avwap",
    schema=FeaturesAvwap,
    version=1,
    grain="one security at one session's cutoff",
    rules=(row_count(),),
)
