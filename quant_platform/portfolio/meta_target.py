"""The target portfolio: a meta's weights over sleeves, flattened to securities.

1. For each profile, a sleeve's weight in the meta multiplies the weights that the sleeve's own
   profile of the same name has in its securities. A sleeve of another calendar counts as of its
   last session up to the meta's.
2. A security that several sleeves want gets the sum, and names them as contributors. What a sleeve
   keeps in cash stays cash: the sum of the targets is that of the products.

Only securities with a weight have a row; why another one has none is told by the sleeve's weights.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import date

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts.meta import META_TARGET_PORTFOLIO
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.portfolio.meta_returns import require_members
from quant_platform.settings.portfolio import MetaSettings


def target_portfolio_windows(settings: MetaSettings) -> dict[str, Window]:
    """Sessions of its inputs; those of a sleeve of another calendar reach one session back."""
    return {"meta_weights": Window("meta/weights")} | {
        sleeve: Window("weights", 1) for sleeve in settings.members
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
        ``meta/weights`` of the range; by sleeve, its ``weights`` of the range and of the session
        before.
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
    require_members(frames, settings, calendars)
    parts = [
        _part(frames["meta_weights"], frames[sleeve], sleeve, wanted, calendars[sleeve])
        for sleeve in settings.members
    ]
    # Lists are added up in the order of the sleeves; a grouped sum has no order of its own.
    flat = (
        pl.concat(parts)
        .filter(pl.col("product") > 0, pl.col("profile").is_in(settings.profiles))
        .sort("session", "profile", "security_id", "sleeve")
        .group_by("session", "profile", "security_id", maintain_order=True)
        .agg(
            pl.col("symbol").first(),
            pl.col("product"),
            pl.struct("sleeve", "meta_weight", "sleeve_weight").alias("contributors"),
        )
        .with_columns(weight=pl.col("product").list.sum())
    )
    return flat.select(
        pl.col(name).cast(column.dtype) for name, column in META_TARGET_PORTFOLIO.columns.items()
    )


def _part(
    meta: pl.LazyFrame,
    weights: pl.LazyFrame,
    sleeve: str,
    wanted: SessionRange,
    calendar: SessionCalendar,
) -> pl.DataFrame:
    """Work out what one sleeve contributes to each session, profile and security."""
    own: dict[date, date] = {}
    for session in wanted.sessions:
        position = bisect_right(calendar.sessions, session) - 1
        if position >= 0:
            own[session] = calendar.sessions[position]
    shares = (
        meta.filter((pl.col("sleeve") == sleeve) & pl.col("session").is_in(list(wanted.sessions)))
        .select("session", "profile", "sleeve", pl.col("weight").alias("meta_weight"))
        .collect()
    )
    dates = pl.DataFrame(
        {"session": list(own), "own": list(own.values())},
        schema={"session": pl.Date, "own": pl.Date},
    )
    named = weights.select(
        pl.col("session").alias("own"),
        "profile",
        "security_id",
        "symbol",
        pl.col("weight").alias("sleeve_weight"),
    ).collect()
    return (
        shares.join(dates, on="session")
        .join(named, on=["own", "profile"])
        .drop("own")
        .with_columns(product=pl.col("meta_weight") * pl.col("sleeve_weight"))
    )
