"""What is known of each security: listings and delistings, bitemporal."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract


class Securities(dy.Schema):
    """One published description of one security."""

    knowledge_session = dy.Date(
        description="Partition: first session whose cutoff is at or after known_at; the first of "
        "history holds all that was known before it."
    )
    security_id = dy.String(
        primary_key=True, min_length=1, description="Stable key of the security for every join."
    )
    known_at = dy.Datetime(
        primary_key=True,
        time_zone="UTC",
        time_unit="us",
        description="When this description became publicly available, UTC.",
    )
    known_at_basis = dy.Enum(
        ["observed", "assumed"],
        description="observed: seen when it was published; assumed: session close plus a lag.",
    )
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER; may be reused by others later.")
    name = dy.String(min_length=1, description="Name as people know it.")
    exchange = dy.String(min_length=1, description="Exchange code, as in the symbol.")
    asset_class = dy.Enum(["stock", "etf", "crypto"], description="What kind of thing it is.")
    sector = dy.String(nullable=True, description="Sector of a stock; null where unknown.")
    category = dy.String(nullable=True, description="Category of a fund or coin; null if unknown.")
    listed_on = dy.Date(description="First session on which it trades.")
    delisted_on = dy.Date(
        nullable=True,
        description="First session on which it does not trade any more; null until that is known.",
    )


SECURITIES = Contract(
    kind="securities",
    schema=Securities,
    version=1,
    grain="one published description of one security (security, known_at)",
    external=True,
)
