"""The universe: who is listed at each session, and who of them may be looked at."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract


class Universe(dy.Schema):
    """One security that is listed, as known at one session's cutoff."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the session.")
    exchange = dy.String(min_length=1, description="Exchange code, as in the symbol.")
    asset_class = dy.Enum(["stock", "etf", "crypto"], description="What kind of thing it is.")
    sector = dy.String(nullable=True, description="Sector of a stock; null where unknown.")
    category = dy.String(nullable=True, description="Category of a fund or coin; null if unknown.")
    listed_on = dy.Date(description="First session of trading.")
    passes = columns.passes("Every screen in the order in which it was asked")
    included = dy.Bool(description="Every screen passed: the security is in the universe.")
    reason = dy.String(nullable=True, description="First screen that failed; null if included.")


UNIVERSE = Contract(
    kind="universe",
    schema=Universe,
    version=1,
    grain="one security that is listed as known at the session's cutoff",
)
