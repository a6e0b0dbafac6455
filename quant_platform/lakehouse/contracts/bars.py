"""Daily bars as their source published them: raw, unadjusted, never filled forward."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import late_share, rejected_share, row_count


class Bars(dy.Schema):
    """One published version of one security's bar of one session."""

    knowledge_session = columns.knowledge_session()
    security_id = columns.security_id()
    session = dy.Date(primary_key=True, description="Session that the bar describes.")
    known_at = columns.known_at()
    known_at_basis = columns.known_at_basis()
    symbol = dy.String(
        min_length=3, description="EXCHANGE:TICKER as of the session; may be reused by others."
    )
    open = dy.Float64(min_exclusive=0, description="First price, quote currency, unadjusted.")
    high = dy.Float64(min_exclusive=0, description="Highest price, quote currency, unadjusted.")
    low = dy.Float64(min_exclusive=0, description="Lowest price, quote currency, unadjusted.")
    close = dy.Float64(min_exclusive=0, description="Last price, quote currency, unadjusted.")
    volume = dy.Float64(min=0, description="Units traded in the session (shares, coins).")

    @dy.rule()
    def low_is_lowest(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Low is at most open and close."""
        return pl.col("low") <= pl.min_horizontal("open", "close")

    @dy.rule()
    def high_is_highest(cls) -> pl.Expr:  # noqa: N805
        """High is at least open and close."""
        return pl.col("high") >= pl.max_horizontal("open", "close")

    @dy.rule()
    def session_is_known(cls) -> pl.Expr:  # noqa: N805
        """No bar is known in a session before its own."""
        return pl.col("session") <= pl.col("knowledge_session")


BARS = Contract(
    kind="bars",
    schema=Bars,
    version=1,
    grain="one published version of one security's daily bar (security, session, known_at)",
    external=True,
    rules=(row_count(), rejected_share(), late_share()),
)
