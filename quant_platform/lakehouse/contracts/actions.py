"""Corporate actions as their source published them."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract


class Actions(dy.Schema):
    """One published version of one action of one security."""

    knowledge_session = columns.knowledge_session(before_history=True)
    security_id = columns.security_id()
    session = dy.Date(
        primary_key=True,
        description="Ex session: the first that trades on the new terms, or not any more.",
    )
    kind = dy.Enum(
        [
            "split",
            "dividend",
            "special_dividend",
            "stock_dividend",
            "spin_off",
            "merger",
            "delisting",
            "rename",
        ],
        primary_key=True,
        description="What happens; what value means depends on it.",
    )
    known_at = columns.known_at(remark="; a split is known before its ex session")
    known_at_basis = columns.known_at_basis()
    value = dy.Float64(
        nullable=True,
        min=0,
        description="split, stock_dividend: new units per old one. dividend, special_dividend, "
        "spin_off: cash per old unit. merger, delisting: cash per unit that holders get, null "
        "where it is not told. rename: null.",
    )
    counterpart = dy.String(
        nullable=True, description="Acquirer of a merger, new symbol of a rename; else null."
    )

    @dy.rule()
    def a_split_has_a_ratio(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Require a positive ratio of a split or stock dividend."""
        concerned = pl.col("kind").cast(pl.String).is_in(["split", "stock_dividend"])
        return ~concerned | (pl.col("value").fill_null(0.0) > 0)

    @dy.rule()
    def a_dividend_has_an_amount(cls) -> pl.Expr:  # noqa: N805
        """Require the cash of what pays some."""
        paying = ["dividend", "special_dividend", "spin_off"]
        return ~pl.col("kind").cast(pl.String).is_in(paying) | pl.col("value").is_not_null()


def _two_kinds(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 1 knew splits and delistings, and no counterpart."""
    return rows.with_columns(
        pl.col("kind").cast(pl.String).cast(Actions.columns()["kind"].dtype),
        counterpart=pl.lit(None, pl.String),
    )


ACTIONS = Contract(
    kind="actions",
    schema=Actions,
    version=2,
    grain="one published version of one action (security, ex session, kind, known_at)",
    external=True,
    upgrades={1: _two_kinds},
)
