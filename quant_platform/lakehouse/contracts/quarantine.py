"""Rows from outside that broke their contract, with the rule and the raw row."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract


class Quarantine(dy.Schema):
    """One rejected row."""

    knowledge_session = dy.Date(
        primary_key=True, description="Partition of the table that rejected the row."
    )
    row = dy.UInt32(primary_key=True, description="Position among the session's rejected rows.")
    rule = dy.String(min_length=1, description="Rules that the row broke, joined by ', '.")
    raw = dy.String(min_length=2, description="The row as it arrived, as a JSON object.")


QUARANTINE = Contract(
    kind="quarantine",
    schema=Quarantine,
    version=1,
    grain="one rejected row of an external table",
    external=True,
)
