"""The figures of an evening, as the daily report shows them."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract

SECTIONS = (
    "equity",
    "profiles",
    "meta_weights",
    "targets",
    "top_targets",
    "orders",
    "fills",
    "slippage",
    "gates",
    "fire_rates",
    "regime",
)
"""Sections of the report, in the order in which they are read."""


class Daily(dy.Schema):
    """One figure of the report on one session."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    section = dy.Enum(list(SECTIONS), primary_key=True, description="Section of the report.")
    item = dy.String(
        primary_key=True,
        min_length=1,
        description="What the figure is about: a portfolio and profile, a security, a side, a gate",
    )
    figure = dy.String(primary_key=True, min_length=1, description="Which figure of the item.")
    value = dy.Float64(
        nullable=True,
        metadata={"warm_up": 0},
        description="The figure, signed; fraction, bps, currency or count as unit says. Null where "
        "there is none, and then the note says why.",
    )
    unit = dy.String(
        min_length=1,
        description="fraction, bps, count, flag (1 for yes, 0 for no), score, points, or the "
        "account's currency.",
    )
    note = dy.String(
        nullable=True,
        description="Why the value is null, what it lacks, or what no number can say: a symbol, a "
        "label, a code.",
    )

    @dy.rule()
    def a_missing_figure_says_why(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Leave nobody to guess."""
        return pl.col("value").is_not_null() | pl.col("note").is_not_null()


DAILY = Contract(
    kind="daily",
    schema=Daily,
    version=1,
    grain="one figure of the report on one session",
)
