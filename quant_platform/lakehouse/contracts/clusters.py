"""Which candidates are one bet, and who of them moves first."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract

_FEW = "null where nobody could be compared with it"


class Clusters(dy.Schema):
    """One candidate of a rebalance session in its cluster."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the session.")
    cluster = dy.UInt32(min=1, description="Its cluster, numbered along the leaves of the tree.")
    size = dy.UInt32(min=1, description="Members of the cluster.")
    cohesion = dy.Float64(
        nullable=True,
        min=-1,
        max=1,
        description="Mean correlation of the cluster's pairs over the windows, ratio, signed; null "
        "where no pair has one, as of a cluster of one.",
    )
    homogeneous = dy.Bool(
        nullable=True,
        description="Whether the cohesion is at least `homogeneous_from`: it is one bet; null "
        "where there is none.",
    )
    identity = dy.String(
        min_length=1,
        description="What it is economically: the underlying of a fund or contract, the coin of a "
        "pair, else the security itself.",
    )
    leverage = dy.Float64(
        description="Factor on the underlying's daily return, ratio, signed; 1 where none is told."
    )
    twin_of = dy.String(
        nullable=True,
        description="Candidate of the session with the same identity whose leverage is nearest to "
        "1; null where none is nearer than its own.",
    )
    leader = dy.String(
        nullable=True,
        description="Candidate whose own returns tell most of its own ones some sessions later; "
        f"{_FEW}.",
    )
    leader_lag = dy.UInt32(
        nullable=True, min=1, description=f"Sessions by which the leader is ahead; {_FEW}."
    )
    leader_correlation = dy.Float64(
        nullable=True,
        min=-1,
        max=1,
        description=f"Rank correlation at that lag, ratio, signed; {_FEW}.",
    )
    leader_band = dy.Float64(
        nullable=True,
        min_exclusive=0,
        description="Absolute correlation, ratio, that noise does not reach, all pairs and lags of "
        f"the session counted; {_FEW}.",
    )
    follows = dy.Bool(
        description="Whether it follows its leader: the correlation lies outside of the band."
    )
    returns = dy.UInt32(description="Its returns in the longest window of the correlations.")
    position = dy.UInt32(min=1, description="Place along the leaves of the tree, from 1.")
    joined_at = dy.Float64(
        nullable=True,
        min=0,
        description="Distance at which it joins the member before it along the leaves, ratio: 0 "
        "the same, 0.71 unrelated; null for the first.",
    )
    correlations = dy.List(
        dy.Float32(nullable=True),
        description="Correlations with all members of the session along the leaves, itself "
        "included, averaged over the windows; null of a pair without enough joint returns.",
    )

    @dy.rule()
    def a_leader_is_told_in_full(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Lag, correlation and band are there where a leader is; nobody follows without one."""
        there = pl.col("leader").is_not_null()
        told = ("leader_lag", "leader_correlation", "leader_band")
        whole = pl.all_horizontal(pl.col(name).is_not_null() == there for name in told)
        return whole & (there | pl.col("follows").not_())


CLUSTERS = Contract(
    kind="clusters",
    schema=Clusters,
    version=1,
    grain="one candidate on a rebalance session",
)
