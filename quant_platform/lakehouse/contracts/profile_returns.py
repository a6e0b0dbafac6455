"""The return matrix: what each profile earned, gross and net."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract


class ProfileReturns(dy.Schema):
    """One profile over one session, from the session after its first decision on."""

    session = dy.Date(primary_key=True, description="Session that has passed.")
    profile = dy.String(primary_key=True, min_length=1, description="Risk profile that earned it.")
    before = dy.Float64(min=-1, description="Return up to the execution prices, fraction.")
    after = dy.Float64(
        min=-1, description="Net return from the execution prices on, costs included, fraction."
    )
    gross = dy.Float64(min=-1, description="Return before costs, fraction.")
    cost = dy.Float64(min=0, description="Costs of the session's trades, fraction.")
    net = dy.Float64(min=-1, description="gross - cost = (1 + before)(1 + after) - 1, fraction.")
    turnover = dy.Float64(min=0, description="One-way turnover, sum of |traded| / 2, fraction.")
    names = dy.UInt32(description="Securities held at the cutoff.")
    cash = dy.Float64(
        min=-1e-9, max=1, description="Share in cash at the cutoff; it earns nothing."
    )
    concentration = dy.Float64(
        min=0, max=1, description="Sum of squared weights at the cutoff, fraction."
    )
    untraded = dy.UInt32(description="Wanted trades without an execution price.")

    @dy.rule()
    def net_is_gross_less_cost(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Keep the identity of the account."""
        return (pl.col("net") - (pl.col("gross") - pl.col("cost"))).abs() <= 1e-12


PROFILE_RETURNS = Contract(
    kind="profile_returns",
    schema=ProfileReturns,
    version=1,
    grain="one profile over one session",
)
