"""Who was selected, and why the others were not."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract


class Selection(dy.Schema):
    """One candidate at a rebalance session; between those, one selected security.

    Who was selected before and has no bar on a rebalance session has a row that says so.
    """

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the decision.")
    decided_on = dy.Date(
        description="Rebalance session that decided; the session itself, or before."
    )
    score = dy.Float64(
        nullable=True,
        description="Score of the decision, a ratio, signed, larger is better; null without one.",
    )
    rank = dy.UInt32(nullable=True, min=1, description="Place among those not vetoed; 1 is best.")
    vetoes = dy.List(
        dy.Struct(
            {
                "rule": dy.String(),
                "fired": dy.Bool(),
                "value": dy.Float64(nullable=True),
                "threshold": dy.Float64(nullable=True),
            }
        ),
        description="Every veto that was asked, with its value and threshold; one without a value "
        "fires.",
    )
    selected = dy.Bool(description="Whether it is held from the next session on.")
    reason = dy.String(
        nullable=True,
        description="Why it was not selected: the veto's name, 'top_n', or 'no_bar' for who was "
        "selected before and no scanner could see.",
    )


SELECTION = Contract(
    kind="selection",
    schema=Selection,
    version=1,
    grain="one candidate on a rebalance session, one selected security on the others",
)
