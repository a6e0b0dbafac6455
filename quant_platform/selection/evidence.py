"""The evidence that scores and vetoes share: reward and risk of the same sessions.

1. The published bars become a panel of closes, one column per security and vintage: a deciding
   session sees the path of closes as it was known at its cutoff, in units of that session.
   `returns` would not do. They keep a wrong close and its later correction as the two jumps that
   holders saw, and a security whose price never jumped would be vetoed for its volatility.
2. For a deciding session the last ``lookback_sessions`` + 1 closes are taken, no more and no fewer.
   A session without a bar has the close of the session before, as a mark stands: its return is
   zero, and the next one is that of both. The close of the first session may come from as many as
   `STANDING` sessions before it, so that one lost session does not veto a whole market.
3. The returns between them are multiplied and added up row by row: the same bytes whatever else
   the frame holds.
4. A security without a close for the first of those sessions, or whose price never moved, has no
   figure.

Look-ahead cannot enter: the rows of a deciding session end with it, and a vintage holds what was
known in time.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.panel import Matrix, Panel

Vector = npt.NDArray[np.float64]

MOTIONLESS = 1e-12
"""Deviation per session below which returns are equal but for rounding: there is no risk figure."""
STANDING = 5
"""Sessions for which a close stands at the beginning of the evidence: a trading week."""


def evidence(closes: Panel, session: date, lookback: int, periods_per_year: int) -> pl.DataFrame:
    """Reward and risk of every security over the sessions that end with ``session``.

    Parameters
    ----------
    closes
        Closes by session, and by security and vintage, in its column ``close``.
    session
        Deciding session.
    lookback
        How many returns are looked back at.
    periods_per_year
        Sessions of a year.

    Returns
    -------
    polars.DataFrame
        ``security_id``; ``momentum``: compounded return, fraction; ``annual_volatility``: sample
        standard deviation of the returns times the root of ``periods_per_year``, fraction per
        year. Both null without full evidence.
    """
    end = closes.sessions.index(session) + 1
    own = closes.visible(end - 1, end)[0]
    securities = closes.series["security_id"].filter(pl.Series(own, dtype=pl.Boolean))
    first = max(end - lookback - 1 - STANDING, 0)
    totals = _returns(closes.columns["close"][first:end, own])[-lookback:]
    growth = np.ones(len(securities))
    summed = np.zeros(len(securities))
    squared = np.zeros(len(securities))
    for row in totals:
        growth = growth * (1 + row)
        summed = summed + row
    mean = summed / lookback
    for row in totals:
        squared = squared + (row - mean) ** 2
    deviation = np.sqrt(squared / (lookback - 1))
    # A missing return is NaN, which no sum loses; a short history lacks whole rows.
    known = (deviation > MOTIONLESS) & (len(totals) == lookback)
    annual = deviation * np.sqrt(periods_per_year)
    return pl.DataFrame(
        {
            "security_id": securities,
            "momentum": _or_null(growth - 1, known),
            "annual_volatility": _or_null(annual, known),
        }
    )


def _returns(closes: Matrix) -> Matrix:
    """Return from each row to the next, a lacking close being that of the row before."""
    marks = closes.copy()
    for earlier, row in pairwise(marks):
        np.copyto(row, earlier, where=np.isnan(row))
    return marks[1:] / marks[:-1] - 1


def _or_null(values: Vector, known: npt.NDArray[np.bool_]) -> pl.Series:
    return pl.Series(np.where(known, values, np.nan)).fill_nan(None)
