"""Recursive indicators, carried from session to session."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import none_lost, row_count


class FeaturesState(dy.Schema):
    """Recursive indicators of one security after one session, and the state that makes the next.

    State columns are Float64: a rounded state would make a restart differ from an undisturbed run.
    """

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    ema_20 = dy.Float32(
        nullable=True,
        min_exclusive=0,
        description="Exponential mean, alpha 2/21, price; null before 20 bars.",
        metadata={"warm_up": 20},
    )
    ema_200 = dy.Float32(
        nullable=True,
        min_exclusive=0,
        description="Exponential mean, alpha 2/201, price; null before 200 bars.",
        metadata={"warm_up": 200},
    )
    rsi_14 = dy.Float32(
        nullable=True,
        min=0,
        max=100,
        description="Wilder's RSI of 14 bars, 0..100; null before "
        "15 bars and where no bar of the state ever moved.",
        metadata={"warm_up": 15},
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
    close_state = dy.Float64(min_exclusive=0, description="State: last close taken in, price.")
    ema_20_state = dy.Float64(
        min_exclusive=0, description="State: mean, seeded by the plain mean, price."
    )
    ema_200_state = dy.Float64(
        min_exclusive=0, description="State: mean, seeded by the plain mean, price."
    )
    gain_14_state = dy.Float64(min=0, description="State: Wilder mean of rises, price.")
    loss_14_state = dy.Float64(min=0, description="State: Wilder mean of falls, price, positive.")


FEATURES_STATE = Contract(
    kind="features_state",
    schema=FeaturesState,
    version=1,
    grain="one security at one session's cutoff",
    rules=(row_count(), none_lost()),
)
