"""The target portfolio: a meta's weights over sleeves, flattened to securities.

An account that follows it holds what the meta's and the sleeves' own books hold.

1. A book that is about to execute a decision aims at the decided weights. Any other holds with
   drift until the next rebalance, and aims at what it holds at the cutoff: an account that traded
   back to the decision every evening would hold another portfolio than the one whose returns were
   judged, and pay for it. So names that left and names that could not be bought are no targets, and
   what could not be sold still is one. ``books.standing`` says which it is, by the very rule that
   the books trade by; a decision of the meta that no joint session could execute yet is waited for
   as ``meta_holding`` does.
2. For each profile, a sleeve's weight in the meta multiplies the weights that the sleeve's own
   profile of the same name has in its securities. A sleeve of another calendar counts as of its
   last session up to the meta's.
3. A security that several sleeves want gets the sum, and names them as contributors, each with the
   weights that were used and what these stand on. What a sleeve keeps in cash stays cash: the sum
   of the targets is that of the products.

Only securities with a weight have a row; why another one has none is told by the sleeve's weights
and holdings.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import date

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts.meta import CONTRIBUTOR, DECIDED, META_TARGET_PORTFOLIO
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.portfolio.books import standing, targets_in_force
from quant_platform.portfolio.meta_holding import WAIT, due_targets
from quant_platform.portfolio.meta_returns import require_members
from quant_platform.settings.portfolio import MetaSettings

_SLEEVE_TABLES = ("weights", "holdings", "returns")


def target_portfolio_windows(settings: MetaSettings) -> dict[str, Window]:
    """Sessions of its inputs; those of a sleeve of another calendar reach one session back."""
    return {
        "meta_weights": Window("meta/weights"),
        "meta_holdings": Window("meta/holdings"),
        "meta_returns": Window("meta/returns", WAIT - 1),
    } | {
        f"{table}_{sleeve}": Window(f"{sleeve}/{table}", 1)
        for sleeve in settings.members
        for table in _SLEEVE_TABLES
    }


def target_portfolio(
    frames: Mapping[str, pl.LazyFrame],
    settings: MetaSettings,
    wanted: SessionRange,
    calendars: Mapping[str, SessionCalendar],
) -> pl.DataFrame:
    """Compute ``meta/target_portfolio`` for a range.

    Parameters
    ----------
    frames
        ``meta_weights`` and ``meta_holdings`` of the range; ``meta_returns``, the joint streams, of
        ``WAIT`` - 1 sessions before it as well. By sleeve ``weights_<sleeve>``,
        ``holdings_<sleeve>`` and ``returns_<sleeve>`` of the range and of the session before;
        returns only say what a security is called.
    settings
        Members and profiles.
    wanted
        Sessions to compute.
    calendars
        By sleeve: the calendar of its own sessions.

    Returns
    -------
    polars.DataFrame
        One row per profile and security, by session, profile and security.
    """
    require_members(frames, settings, calendars, [f"{table}_" for table in _SLEEVE_TABLES])
    shares = _shares(frames, wanted)
    parts = [
        _named(frames, sleeve, wanted, calendars[sleeve]).join(
            shares.filter(pl.col("sleeve") == sleeve), on=["session", "profile"]
        )
        for sleeve in settings.members
    ]
    product = pl.col("meta_weight") * pl.col("sleeve_weight")
    # Lists are added up in the order of the sleeves; a grouped sum has no order of its own.
    flat = (
        pl.concat(parts)
        .with_columns(product=product)
        .filter(pl.col("product") > 0, pl.col("profile").is_in(settings.profiles))
        .sort("session", "profile", "security_id", "sleeve")
        .group_by("session", "profile", "security_id", maintain_order=True)
        .agg(pl.col("symbol").first(), "product", pl.struct(*CONTRIBUTOR).alias("contributors"))
        .with_columns(weight=pl.col("product").list.sum())
    )
    return flat.select(
        pl.col(name).cast(column.dtype) for name, column in META_TARGET_PORTFOLIO.columns.items()
    )


def _shares(frames: Mapping[str, pl.LazyFrame], wanted: SessionRange) -> pl.DataFrame:
    """Work out what each profile of the meta aims at in each sleeve."""
    inside = pl.col("session").is_in(list(wanted.sessions))
    weights = frames["meta_weights"].filter(inside)
    joint = set(frames["meta_returns"].select("session", "profile").unique().collect().iter_rows())
    due = due_targets(targets_in_force(weights, "sleeve"), joint, wanted)
    return standing(weights, frames["meta_holdings"].filter(inside), "sleeve", due).rename(
        {"weight": "meta_weight", "basis": "meta_basis"}
    )


def _named(
    frames: Mapping[str, pl.LazyFrame],
    sleeve: str,
    wanted: SessionRange,
    calendar: SessionCalendar,
) -> pl.DataFrame:
    """Work out what each profile of a sleeve aims at, as of its last session up to each."""
    own: dict[date, date] = {}
    for session in wanted.sessions:
        position = bisect_right(calendar.sessions, session) - 1
        if position >= 0:
            own[session] = calendar.sessions[position]
    inside = pl.col("session").is_in(sorted(set(own.values())))
    weights, holdings, returns = (
        frames[f"{table}_{sleeve}"].filter(inside) for table in _SLEEVE_TABLES
    )
    aims = standing(weights, holdings, "security_id", targets_in_force(weights, "security_id"))
    key = ["session", "security_id"]
    decided = weights.select(*key, "symbol").unique().collect()
    held = returns.select(*key, "symbol").collect()
    is_decided = pl.col("basis") == DECIDED
    named = pl.concat(
        [
            aims.filter(is_decided).join(decided, on=key),
            aims.filter(~is_decided).join(held, on=key),
        ]
    )
    dates = pl.DataFrame(
        {"session": list(own), "own": list(own.values())},
        schema={"session": pl.Date, "own": pl.Date},
    )
    return dates.join(
        named.rename({"session": "own", "weight": "sleeve_weight", "basis": "sleeve_basis"}),
        on="own",
    ).drop("own")
