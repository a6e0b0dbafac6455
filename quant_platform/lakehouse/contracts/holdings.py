"""What each profile holds after each session, and what each holding earned and cost."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract


class Holdings(dy.Schema):
    """One security held, bought or sold by one profile on one session.

    All amounts are shares of the profile's value at the cutoff of the session before.
    """

    session = dy.Date(primary_key=True, description="Session that has passed.")
    profile = dy.String(primary_key=True, min_length=1, description="Risk profile that holds it.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    held = dy.Float64(min=0, description="Share held at the cutoff of the session before.")
    traded = dy.Float64(
        description="Share bought (positive) or sold at the execution price, signed."
    )
    cost = dy.Float64(min=0, description="What the trade cost, fraction, never negative.")
    earned_before = dy.Float64(
        description="P&L from the mark before to the execution price, fraction, signed."
    )
    earned_after = dy.Float64(
        description="P&L from the execution price to the mark, and the cash paid to who held "
        "before, fraction, signed."
    )
    weight = dy.Float64(
        min=0, description="Weight at this session's cutoff, as a share of the value then."
    )
    wanted = dy.Float64(
        min=0, description="Target share in force; differs where a name could not be traded."
    )


HOLDINGS = Contract(
    kind="holdings",
    schema=Holdings,
    version=1,
    grain="one security held or traded by one profile on one session",
)
