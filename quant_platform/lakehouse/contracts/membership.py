"""Which securities belong to an index, and since when that is known."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract


class Membership(dy.Schema):
    """One published version of one stay of a security in an index."""

    knowledge_session = columns.knowledge_session(before_history=True)
    index = dy.String(
        primary_key=True, min_length=1, description="Name of the index of which it is a member."
    )
    security_id = columns.security_id()
    valid_from = dy.Date(primary_key=True, description="First day as a member.")
    known_at = columns.known_at()
    known_at_basis = columns.known_at_basis()
    valid_to = dy.Date(nullable=True, description="Last day as a member; null until that is known.")

    @dy.rule()
    def a_stay_ends_after_it_began(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """No stay ends before its first day."""
        return pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from"))


MEMBERSHIP = Contract(
    kind="membership",
    schema=Membership,
    version=1,
    grain="one published version of one stay in an index (index, security, valid_from, known_at)",
    external=True,
)
