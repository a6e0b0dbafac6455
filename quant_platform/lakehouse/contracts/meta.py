"""The tables of a meta-portfolio over sleeves."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.profile_returns import ProfileReturns
from quant_platform.lakehouse.rules import sums_at_most_one

DECIDED, HELD = "decided", "held"
"""What a weight stands on: a decision that is still to be executed, or what a book holds."""


class MetaReturns(dy.Schema):
    """One sleeve's stream of one profile over one session on which every sleeve has one.

    A sleeve of another calendar is compounded over its own sessions since the joint session before.
    """

    session = dy.Date(primary_key=True, description="Session of the meta's calendar.")
    profile = dy.String(primary_key=True, min_length=1, description="Risk profile of the streams.")
    sleeve = dy.String(primary_key=True, min_length=1, description="Sleeve, by its name.")
    since = dy.Date(description="First session of the sleeve that is in the return.")
    before = dy.Float64(min=-1, description="Return up to the first execution prices, fraction.")
    after = dy.Float64(min=-1, description="Net return from those on, fraction.")
    net = dy.Float64(min=-1, description="(1 + before)(1 + after) - 1, fraction.")

    @dy.rule()
    def net_is_before_and_after(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Make the whole of its parts."""
        whole = (1 + pl.col("before")) * (1 + pl.col("after")) - 1
        return (pl.col("net") - whole).abs() <= 1e-12


class MetaWeights(dy.Schema):
    """Target weight of one sleeve in one profile of the meta."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    profile = dy.String(primary_key=True, min_length=1, description="Risk profile of the streams.")
    sleeve = dy.String(primary_key=True, min_length=1, description="Sleeve, by its name.")
    decided_on = dy.Date(description="Rebalance session that decided.")
    weight = dy.Float64(min=0, max=1, description="Share of the meta's value.")
    joint_sessions = dy.UInt32(description="Joint sessions that the decision saw.")
    requested = dy.String(min_length=1, description="Method that was asked for.")
    actual = dy.String(min_length=1, description="Method that made the weight.")


CONTRIBUTOR: dict[str, dy.Column] = {
    "sleeve": dy.String(),
    "meta_weight": dy.Float64(),
    "meta_basis": dy.String(),
    "sleeve_weight": dy.Float64(),
    "sleeve_basis": dy.String(),
}
"""What is told of each sleeve that a target weight comes from."""


class TargetPortfolio(dy.Schema):
    """Target weight of one security, flattened over the sleeves.

    The weights of a sleeve, and those of the meta, are the decided ones while the decision is still
    to be executed, and what is held at the cutoff between decisions.
    """

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    profile = dy.String(primary_key=True, min_length=1, description="Risk profile of the streams.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the decision or session.")
    weight = dy.Float64(min=0, max=1, description="Share of the portfolio; the rest to 1 is cash.")
    contributors = dy.List(
        dy.Struct(CONTRIBUTOR),
        description="Whose weights make it: sum of meta_weight x sleeve_weight. The basis of "
        "each is 'decided', a decision that is still to be executed, or 'held'.",
    )


class MetaHoldings(dy.Schema):
    """One sleeve held by one profile of the meta over one session; columns as in holdings."""

    session = dy.Date(primary_key=True, description="Session that has passed.")
    profile = dy.String(primary_key=True, min_length=1, description="Risk profile of the streams.")
    sleeve = dy.String(primary_key=True, min_length=1, description="Sleeve, by its name.")
    held = dy.Float64(min=0, description="Share held at the cutoff of the session before.")
    traded = dy.Float64(
        description="Share bought (positive) or sold at the execution prices, signed."
    )
    cost = dy.Float64(min=0, description="What the trade cost, fraction, never negative.")
    earned_before = dy.Float64(description="P&L up to the execution prices, fraction, signed.")
    earned_after = dy.Float64(description="P&L from the execution prices on, fraction, signed.")
    weight = dy.Float64(min=0, description="Share at this session's cutoff.")
    wanted = dy.Float64(min=0, description="Target share in force.")


def _all_decided(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 1 multiplied decided weights on every session."""
    basis = pl.lit(DECIDED)
    based = pl.struct(
        pl.element().struct.field("sleeve"),
        pl.element().struct.field("meta_weight"),
        basis.alias("meta_basis"),
        pl.element().struct.field("sleeve_weight"),
        basis.alias("sleeve_basis"),
    )
    return rows.with_columns(pl.col("contributors").list.eval(based))


META_RETURNS = Contract(
    kind="meta/returns",
    schema=MetaReturns,
    version=1,
    grain="one sleeve's stream of one profile over one joint session",
)
META_WEIGHTS = Contract(
    kind="meta/weights",
    schema=MetaWeights,
    version=1,
    grain="one sleeve in one profile of the meta at one session's cutoff",
    rules=(sums_at_most_one("weight", "profile"),),
)
META_TARGET_PORTFOLIO = Contract(
    kind="meta/target_portfolio",
    schema=TargetPortfolio,
    version=2,
    grain="one security in one profile of the meta at one session's cutoff",
    rules=(sums_at_most_one("weight", "profile"),),
    upgrades={1: _all_decided},
)
META_HOLDINGS = Contract(
    kind="meta/holdings",
    schema=MetaHoldings,
    version=1,
    grain="one sleeve held by one profile of the meta over one session",
)
META_PORTFOLIO_RETURNS = Contract(
    kind="meta/portfolio_returns",
    schema=ProfileReturns,
    version=1,
    grain="one profile of the meta over one session",
)
