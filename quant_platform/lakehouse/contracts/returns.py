"""Returns of each security over one session, as they were known at its cutoff."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import row_count


class Returns(dy.Schema):
    """One security's return from the mark of the session before to the mark of this one.

    The *mark* is the last close known at the cutoff, in units of this session (splits up to it
    applied). Marks chain: a bar that comes late, or a correction, moves the mark of the session in
    which it becomes known, so that the product of the returns is the ratio of the marks.
    """

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the session.")
    mark = dy.Float64(
        min=0, description="Last close known at the cutoff, or what a delisting pays; price."
    )
    mark_session = dy.Date(description="Session whose close the mark is.")
    execution_price = dy.Float64(
        nullable=True,
        min_exclusive=0,
        description="Price, at which an order of the evening before fills: the official open, or "
        "the mean of open, high, low and close where there is no auction (a proxy: the open of a "
        "UTC day is before the cutoff that decided). Null: no trade today.",
    )
    before = dy.Float64(
        min=-1,
        description="Price return from the mark of the session before to the execution price; the "
        "whole price return where there is no execution price. Fraction.",
    )
    after = dy.Float64(
        min=-1, description="Return from the execution price to the mark; 0 without one. Fraction."
    )
    price = dy.Float64(
        min=-1, description="Price return: (1 + before)(1 + after) - 1, splits applied, fraction."
    )
    cash = dy.Float64(
        description="Cash that a unit held at the cutoff before is paid on this session "
        "(dividends, the worth of a spin-off), per unit of then, price; signed, because a "
        "correction may take some back."
    )
    income = dy.Float64(description="cash over the mark of the session before, fraction, signed.")
    total = dy.Float64(
        description="Total return: price + income, that is "
        "(mark x split + cash) / mark before - 1; fraction, signed."
    )
    split = dy.Float64(
        min_exclusive=0,
        description="New units per old one on this session, stock dividends included; 1: none.",
    )
    delisted = dy.Bool(description="The security left on this session; the mark is what it paid.")
    settlement = dy.Enum(
        ["terms", "last_price"],
        nullable=True,
        description="What a security that left paid: the terms of its delisting or merger, or its "
        "last traded price because none were told. Null while it stays.",
    )

    @dy.rule()
    def total_is_before_and_after(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Make the whole of its parts."""
        whole = (1 + pl.col("before")) * (1 + pl.col("after")) - 1
        return ((pl.col("price") - whole).abs() <= 1e-12) & (
            (pl.col("total") - pl.col("price") - pl.col("income")).abs() <= 1e-12
        )

    @dy.rule()
    def who_leaves_says_what_it_paid(cls) -> pl.Expr:  # noqa: N805
        """Tell the terms from the last price."""
        return pl.col("settlement").is_not_null() == pl.col("delisted")


def _without_cash(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 1 knew no cash, and no delisting without terms."""
    told = pl.when(pl.col("mark_session") == pl.col("session")).then(pl.lit("terms"))
    return rows.with_columns(
        price="total",
        cash=pl.lit(0.0),
        income=pl.lit(0.0),
        settlement=pl.when("delisted")
        .then(told.otherwise(pl.lit("last_price")))
        .cast(Returns.columns()["settlement"].dtype),
    ).select(*Returns.columns())


RETURNS = Contract(
    kind="returns",
    schema=Returns,
    version=2,
    grain="one security's return over one session, at that session's cutoff",
    rules=(row_count(),),
    upgrades={1: _without_cash},
)
