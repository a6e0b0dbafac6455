"""Corporate actions as their source published them."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract


class Actions(dy.Schema):
    """One published version of one action of one security."""

    knowledge_session = dy.Date(
        description="Partition: first session whose cutoff is at or after known_at; the first of "
        "history holds all that was known before it."
    )
    security_id = dy.String(
        primary_key=True, min_length=1, description="Stable key of the security for every join."
    )
    session = dy.Date(
        primary_key=True,
        description="Ex session: the first that trades on the new terms, or not any more.",
    )
    kind = dy.Enum(
        ["split", "delisting"],
        primary_key=True,
        description="split: value is new units per old one; delisting: value is the cash per unit "
        "that holders get on the ex session.",
    )
    known_at = dy.Datetime(
        primary_key=True,
        time_zone="UTC",
        time_unit="us",
        description="When this version became publicly available, UTC; a split is known before "
        "its ex session.",
    )
    known_at_basis = dy.Enum(
        ["observed", "assumed"],
        description="observed: seen when it was published; assumed: session close plus a lag.",
    )
    value = dy.Float64(min=0, description="By kind: ratio of a split, price of a delisting.")

    @dy.rule()
    def a_split_has_a_ratio(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Require a positive ratio of a split."""
        return (pl.col("kind") != "split") | (pl.col("value") > 0)


ACTIONS = Contract(
    kind="actions",
    schema=Actions,
    version=1,
    grain="one published version of one action (security, ex session, kind, known_at)",
    external=True,
)
