"""What one scanner said of each security that it looked at; rejects are kept."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract


class Scan(dy.Schema):
    """One security before one scanner."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    scanner = dy.String(primary_key=True, min_length=1, description="Name of the scanner.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the session.")
    passes = columns.passes("Every rule in the order in which it was asked")
    passed = dy.Bool(description="All rules passed and the security is within the limit.")
    reason = dy.String(
        nullable=True,
        description="First rule that failed, 'limit' for one ranked below the cut; null if passed.",
    )
    rank = dy.UInt32(
        nullable=True, min=1, description="Place among those that passed every rule; 1 is best."
    )
    sort_value = dy.Float64(
        nullable=True,
        description="Value of the final sort field, signed, in the units of that field; null if it "
        "has none.",
    )


SCAN = Contract(
    kind="scan",
    schema=Scan,
    version=1,
    grain="one security that reached a scanner's filters at one session's cutoff",
)
