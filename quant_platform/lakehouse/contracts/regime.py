"""The market's regime, smoothed, at each session's cutoff."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract

_LABELS = ["RISK_ON", "NEUTRAL", "RISK_OFF", "STRESSED"]


class Regime(dy.Schema):
    """Regime of one benchmark at one session's cutoff (model E1)."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    benchmark = dy.String(primary_key=True, min_length=3, description="Symbol of the benchmark.")
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
    entry_multiplier = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Throttle of new positions, fraction; null where the benchmark says nothing.",
    )


REGIME = Contract(
    kind="regime",
    schema=Regime,
    version=1,
    grain="one benchmark at one session's cutoff",
)
