"""The market's regime, smoothed, at each session's cutoff."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import share_known

INPUTS = ["volatility_20", "drawdown_63", "trend", "breadth"]
"""What model E1 judges a session by."""
_LABELS = ["RISK_ON", "NEUTRAL", "RISK_OFF", "STRESSED"]


class Regime(dy.Schema):
    """Regime of one benchmark at one session's cutoff (model E1)."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    benchmark = dy.String(
        primary_key=True, min_length=1, description="Stable security key of the benchmark."
    )
    symbol = dy.String(
        nullable=True,
        min_length=3,
        description="EXCHANGE:TICKER of the benchmark as of the session; null if nobody had "
        "described it by then.",
    )
    volatility_20 = dy.Float64(
        nullable=True,
        min=0,
        description="Annualised sd of 20 daily returns, fraction; null before.",
    )
    drawdown_63 = dy.Float64(
        nullable=True,
        min=-1,
        max=0,
        description="Last close / highest of 63 sessions - 1, fraction, <= 0; null before.",
    )
    trend = dy.Float64(
        nullable=True,
        description="Mean of 50 sessions / mean of 200 - 1, fraction, signed; null before.",
    )
    breadth = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Share of securities above their SMA200; null where none has one.",
    )
    e1_raw = dy.Enum(
        _LABELS, nullable=True, description="Label of this session alone; null while inputs lack."
    )
    e1_label = dy.Enum(_LABELS, description="Label in force: the last confirmed; else NEUTRAL.")
    confirmed = dy.Bool(
        description="Whether sessions confirmed the label. False: NEUTRAL by default, before the "
        "first confirmation or since the evidence for RISK_ON ran out."
    )
    candidate = dy.Enum(
        _LABELS, nullable=True, description="Label on its way to confirmation; null for none."
    )
    streak = dy.UInt32(description="Consecutive sessions that speak for the candidate.")
    risk_multiplier = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Throttle of gross exposure, fraction; null where the benchmark says nothing.",
    )
    lacking = dy.String(
        nullable=True, description="Which inputs are lacking, and why; null if none is."
    )

    @dy.rule()
    def what_is_lacking_is_told(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Give a reason where an input has no value, and only there."""
        return pl.any_horizontal(pl.col(INPUTS).is_null()) == pl.col("lacking").is_not_null()


REGIME = Contract(
    kind="regime",
    schema=Regime,
    version=1,
    grain="one benchmark at one session's cutoff",
    rules=(share_known(INPUTS, "inputs"),),
)
