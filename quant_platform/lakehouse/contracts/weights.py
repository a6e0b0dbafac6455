"""Target weights of each risk profile, decided at the close and executed on the next session."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import sums_at_most_one


class Weights(dy.Schema):
    """Target weight of one security in one profile."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    profile = dy.String(primary_key=True, min_length=1, description="Risk profile that holds it.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the decision.")
    decided_on = dy.Date(
        description="Rebalance session that decided; the session itself, or before."
    )
    weight = dy.Float64(
        min=0, max=1, description="Share of the profile's value; what is missing to 1 is cash."
    )
    requested = dy.String(min_length=1, description="Method that was asked for.")
    actual = dy.String(
        min_length=1, description="Method that made the weight; another one is a fallback."
    )


WEIGHTS = Contract(
    kind="weights",
    schema=Weights,
    version=1,
    grain="one security in one profile at one session's cutoff",
    rules=(sums_at_most_one("weight", "profile"),),
)
