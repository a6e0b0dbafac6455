"""What was last told of each fund, as known at each session."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quant_platform.lakehouse.windows import SessionRange

FACTS_SESSIONS = 252
"""How many sessions may have passed since the day that the last fact of a fund describes."""

_KEY = ["session", "security_id"]


def last_told(
    facts: pl.LazyFrame, rows: pl.LazyFrame, wanted: SessionRange, columns: Sequence[str]
) -> pl.LazyFrame:
    """Join to each row the newest facts of the fund that were known by then.

    Parameters
    ----------
    facts
        Published facts, every version.
    rows
        Session and security of what is asked.
    wanted
        Sessions that are asked, for their calendar.
    columns
        Facts that are taken.

    Returns
    -------
    polars.LazyFrame
        Session, security and the facts of those of whom something is known that describes a day no
        older than a year.
    """
    told = (
        facts.sort("knowledge_session", "security_id", "session", "known_at")
        # An old fact that is told late is not news.
        .filter(pl.col("session") >= pl.col("session").cum_max().over("security_id"))
        .unique(["knowledge_session", "security_id"], keep="last", maintain_order=True)
        .select("security_id", "knowledge_session", *columns, described="session")
    )
    ordinals = wanted.calendar.frame().lazy()
    return (
        rows.select(_KEY)
        .sort("session", "security_id")
        .join_asof(
            told,
            left_on="session",
            right_on="knowledge_session",
            by="security_id",
            strategy="backward",
            check_sortedness=False,
        )
        .join(ordinals.select("session", now="ordinal"), on="session")
        .sort("described")
        # The day may be none of the calendar: the session before it counts.
        .join_asof(
            ordinals.select(described="session", then="ordinal").sort("described"),
            on="described",
            strategy="backward",
        )
        .filter(pl.col("now") - pl.col("then") <= FACTS_SESSIONS)
        .select(*_KEY, *columns)
    )
