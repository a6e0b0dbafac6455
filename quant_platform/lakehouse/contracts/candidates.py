"""The union of what a sleeve's scanners found."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract


class Candidates(dy.Schema):
    """One security that at least one scanner of the sleeve found."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the session.")
    asset_class = dy.Enum(["stock", "etf", "crypto"], description="What kind of thing it is.")
    sector = dy.String(nullable=True, description="Sector of a stock; null where unknown.")
    scanners = dy.List(dy.String(), description="Scanners that found it, by name.")


CANDIDATES = Contract(
    kind="candidates",
    schema=Candidates,
    version=1,
    grain="one security found by at least one scanner at one session's cutoff",
)
