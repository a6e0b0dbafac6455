"""Announcements as of a session: of each fiscal period the last that was published by its cutoff.

A date that was revised later is not seen before, and neither is a figure. What decides by
announcements in history (a blackout around them) reads them here, so that no look-up of today's
calendar can leak into it.
"""

from __future__ import annotations

from datetime import date

import polars as pl


def announcements_as_of(earnings: pl.DataFrame, session: date) -> pl.DataFrame:
    """Return what was known of announcements at the cutoff of a session.

    Parameters
    ----------
    earnings
        Rows of an ``earnings`` table, every published version.
    session
        The session that asks; what became known later is not looked at.

    Returns
    -------
    polars.DataFrame
        Columns of ``earnings``, one row per security and period, in that order. ``status`` says
        whether ``announced_on`` is the expected day or the actual one.
    """
    key = ["security_id", "period"]
    return (
        earnings.filter(pl.col("knowledge_session") <= session)
        .sort(*key, "known_at", maintain_order=True)
        .unique(key, keep="last", maintain_order=True)
    )
