"""What is known of each security: listings, delistings, names, bitemporal."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract


class Securities(dy.Schema):
    """One published description of one security."""

    knowledge_session = columns.knowledge_session(before_history=True)
    security_id = columns.security_id()
    known_at = columns.known_at("description")
    known_at_basis = columns.known_at_basis()
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
    tick = dy.Float64(
        nullable=True,
        min_exclusive=0,
        description="Smallest price step, quote currency; null if unknown.",
    )
    lot = dy.Float64(
        nullable=True,
        min_exclusive=0,
        description="Smallest quantity step, in units; null if unknown.",
    )
    leverage = dy.Float64(
        nullable=True,
        description="Ratio of a fund's daily return to its underlying's, signed: below zero for an "
        "inverse one; null is 1.",
    )
    underlying = dy.String(
        nullable=True, description="security_id or name of what a fund or contract is built on."
    )
    country = dy.String(nullable=True, description="Country or region of exposure.")


def _undescribed(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 1 did not say how it is quoted and what it is built on."""
    return rows.with_columns(
        *(pl.lit(None, pl.Float64).alias(name) for name in ("tick", "lot", "leverage")),
        *(pl.lit(None, pl.String).alias(name) for name in ("underlying", "country")),
    )


SECURITIES = Contract(
    kind="securities",
    schema=Securities,
    version=2,
    grain="one published description of one security (security, known_at)",
    external=True,
    upgrades={1: _undescribed},
)
