"""The as-of price window: what the prices of some sessions were, in the units of one of them.

Nothing stored is rewritten when a split arrives. A window is adjusted when it is read, by the
actions that are in effect at its session and by no others:

1. Of each bar the last version known at the session is taken.
2. Prices are divided, and volumes multiplied, by the splits in effect whose ex session is after the
   bar's: that is what indicators look at.
3. With ``cash=True`` prices before a payment are multiplied by ``1 - d / P`` as well, P being the
   last close before the ex session: a chart of what was earned. Volumes are not concerned.

A notebook hands over ``lake.as_of("<sleeve>/bars", session, lookback)`` and
``lake.as_of("<sleeve>/actions", session, …)``; the frames of an asset serve as well.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.vintages import splits_in_effect, vintages
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.returns import CASH_KINDS

_PRICES = ("open", "high", "low", "close")


def price_window(
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    calendar: SessionCalendar,
    session: date,
    *,
    cash: bool = False,
) -> pl.DataFrame:
    """Return bars in the units of a session, as they were known at its cutoff.

    Parameters
    ----------
    bars, actions
        Published rows, every version; later ones are not looked at.
    calendar
        Calendar of the tables.
    session
        Session whose units and whose knowledge count.
    cash
        Whether dividends are taken out of the prices before them.

    Returns
    -------
    polars.DataFrame
        Columns of ``bars``, one row per security and session, in that order.
    """
    known = actions.filter(pl.col("knowledge_session") <= session)
    wanted = SessionRange(calendar, (session,), session)
    splits = splits_in_effect(known)
    window = vintages(
        bars.filter(pl.col("knowledge_session") <= session, pl.col("session") <= session),
        wanted,
        splits,
    ).select(bars.columns)
    return _without_cash(window, known, splits, session) if cash else window


def _without_cash(
    window: pl.DataFrame, known: pl.DataFrame, splits: pl.DataFrame, session: date
) -> pl.DataFrame:
    """Take what was paid out of the prices before it."""
    paid = (
        known.filter(pl.col("kind").cast(pl.String).is_in(CASH_KINDS), pl.col("session") <= session)
        .sort("known_at")
        .unique(["security_id", "session", "kind"], keep="last")
        .group_by("security_id", "session")
        .agg(paid=pl.col("value").sum())
    )
    # Cash is told per unit of before the ex session; the window is in units of its own session.
    later = splits.filter(pl.col("effective") <= session)
    units = (
        paid.join(later.select("security_id", "ex", "step"), on="security_id", how="left")
        .group_by("security_id", "session", "paid")
        .agg(
            units=pl.when(pl.col("ex") >= pl.col("session"))
            .then("step")
            .otherwise(1.0)
            .fill_null(1.0)
            .product()
        )
    )
    closes = window.select("security_id", "session", "close").sort("session")
    factors = (
        units.sort("session")
        .join_asof(
            closes.with_columns(before="session"),
            on="session",
            by="security_id",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .filter(pl.col("close").is_not_null())
        .select(
            "security_id",
            "session",
            factor=1 - pl.col("paid") / pl.col("units") / pl.col("close"),
        )
    )
    scaled = (
        window.select("security_id", "session")
        .join(factors.rename({"session": "ex"}), on="security_id", how="left")
        .group_by("security_id", "session")
        .agg(
            scale=pl.when(pl.col("ex") > pl.col("session"))
            .then("factor")
            .otherwise(1.0)
            .fill_null(1.0)
            .product()
        )
    )
    return (
        window.join(scaled, on=["security_id", "session"], how="left", maintain_order="left")
        .with_columns(pl.col(_PRICES) * pl.col("scale"))
        .drop("scale")
    )
