"""The evidence that scores and vetoes share: reward, risk and tails of the same returns.

1. The published bars become a panel of closes, one column per security and vintage: a deciding
   session sees the path of closes as it was known at its cutoff, in units of that session.
   `returns` would not do. They keep a wrong close and its later correction as the two jumps that
   holders saw, and a security whose price never jumped would be vetoed for its volatility.
2. A session without a bar has the close of the session before, as a mark stands: its return is
   zero, and the next one is that of both. A close stands for `STANDING` sessions and no longer, so
   that one lost session does not veto a whole market, and a suspended security has no evidence.
3. Of the returns between them the last ``lookback`` make momentum and volatility, and all of them
   must be there. Up to `YEAR` make the moments and the tails, as far back as there are any.
4. A security whose price never moved has no figure.

Returns are turned into the direction of the trade before anything is made of them
(`quant_platform.selection.direction`), so that a fall is the reward of a short.

Look-ahead cannot enter: the rows of a deciding session end with it, and a vintage holds what was
known in time. The matrix of a session has its own candidates as columns and nobody else: sums have
the same bytes whatever range they are made in.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.panel import Matrix, Panel
from quant_platform.features.volatility import tail_mean

Vector = npt.NDArray[np.float64]

YEAR = 252
"""Returns that moments and tails are made of; the antifragility of fewer counts for less."""
LEAST = 20
"""Returns below which there are neither moments nor tails: the tail of 5 % is one of them."""
CHANGE = 9
"""Sessions of the rate of change, as of TradingView's."""
MOTIONLESS = 1e-12
"""Deviation per session below which returns are equal but for rounding: there is no risk figure."""
STANDING = 5
"""Sessions for which a close stands: a trading week."""


def returns_of(closes: Panel, row: int, securities: pl.Series, length: int = YEAR) -> Matrix:
    """Lay out the returns of some securities up to a session, as they were known at its cutoff.

    Parameters
    ----------
    closes
        Closes by session, and by security and vintage, in its column ``close``.
    row
        Place of the session among those of the panel.
    securities
        Securities; one that the panel lacks has no returns.
    length
        How many returns are looked back at.

    Returns
    -------
    numpy.ndarray
        At most ``length`` rows by securities, the session last; NaN where there is none.
    """
    marks = _marks(known_closes(closes, row, securities, length + STANDING))
    return np.asarray((marks[1:] / marks[:-1] - 1)[-length:])


def known_closes(closes: Panel, row: int, securities: pl.Series, before: int) -> Matrix:
    """Lay out the closes of some securities up to a session, as they were known at its cutoff.

    Parameters
    ----------
    closes, row, securities
        See `returns_of`.
    before
        Sessions before it that are looked back at, as far as the panel has them.

    Returns
    -------
    numpy.ndarray
        Sessions by securities, the session last; NaN where there is no close.
    """
    seen = np.flatnonzero(closes.visible(row, row + 1)[0])
    owners = closes.series["security_id"].gather(seen)
    place = (
        pl.DataFrame({"security_id": securities})
        .join(
            pl.DataFrame({"security_id": owners, "column": seen}),
            on="security_id",
            how="left",
            maintain_order="left",
        )["column"]
        .fill_null(-1)
        .to_numpy()
    )
    first = max(row - before, 0)
    own = np.full((row + 1 - first, len(securities)), np.nan)
    own[:, place >= 0] = closes.columns["close"][first : row + 1, place[place >= 0]]
    return own


def _marks(closes: Matrix) -> Matrix:
    """Let each close stand for some sessions."""
    marks = closes.copy()
    age = np.zeros(marks.shape[1], dtype=np.int64)
    for before, row in pairwise(marks):
        lacking = np.isnan(row)
        age = np.where(lacking, age + 1, 0)
        np.copyto(row, before, where=lacking & (age <= STANDING))
    return marks


def rate_of_change(returns: Matrix, lookback: int) -> Vector:
    """Change of the price over the last `CHANGE` sessions, percent; NaN where one return lacks.

    As ``roc_9`` of the trend features, but that a lost bar does not take it away: it guards.

    Parameters
    ----------
    returns
        Returns in the direction of the price, the deciding session last.
    lookback
        Returns that make reward and risk, where those are fewer.
    """
    length = min(CHANGE, lookback)
    recent = returns[-length:]
    if len(recent) < length:
        return np.full(returns.shape[1], np.nan)
    return np.asarray(100 * (np.prod(1 + recent, axis=0) - 1))


def evidence(returns: Matrix, lookback: int, periods_per_year: int) -> dict[str, Vector]:
    """Reward, risk and tails of returns in the direction of the trade.

    Parameters
    ----------
    returns
        Sessions by securities, the deciding session last.
    lookback
        How many returns make reward and risk.
    periods_per_year
        Sessions of a year.

    Returns
    -------
    dict of numpy.ndarray
        ``momentum``: compounded return, fraction. ``annual_return``: mean times
        ``periods_per_year``. ``annual_volatility``: sample standard deviation times its root,
        fraction per year. All NaN without full evidence. ``observations``: returns of up to a year.
        ``skewness``, ``kurtosis`` (in excess of the normal distribution) by population moments;
        ``tail`` and ``upper_tail``, means of the worst and of the best 5 %, fraction a session. All
        NaN of fewer than `LEAST` returns.
    """
    recent = returns[-lookback:]
    mean = recent.mean(axis=0) if len(recent) else np.full(returns.shape[1], np.nan)
    deviation = np.sqrt(np.sum((recent - mean) ** 2, axis=0) / (lookback - 1))
    # A missing return is NaN, which no sum loses; a short history lacks whole rows.
    known = (deviation > MOTIONLESS) & (len(recent) == lookback)
    reward = {
        "momentum": np.prod(1 + recent, axis=0) - 1,
        "annual_return": mean * periods_per_year,
        "annual_volatility": deviation * np.sqrt(periods_per_year),
    }
    return {name: np.where(known, told, np.nan) for name, told in reward.items()} | _shape(returns)


def _shape(returns: Matrix) -> dict[str, Vector]:
    """Moments and tails of the returns that there are."""
    there = ~np.isnan(returns)
    count = there.sum(axis=0)
    least = np.maximum(count, 1)
    apart = np.where(there, returns, 0.0)
    apart = np.where(there, apart - apart.sum(axis=0) / least, 0.0)
    second, third, fourth = (np.sum(apart**power, axis=0) / least for power in (2, 3, 4))
    moved = (count >= LEAST) & (second > MOTIONLESS**2)
    spread = np.where(moved, second, 1.0)
    nothing = np.full(returns.shape[1], np.nan)
    enough = len(returns) >= LEAST
    worst, best = (
        (tail_mean(signed, len(signed), 1)[0] if enough else nothing)
        for signed in (returns, -returns)
    )
    shape = {
        "skewness": third / spread**1.5,
        "kurtosis": fourth / spread**2 - 3,
        "tail": worst,
        "upper_tail": -best,
    }
    return {"observations": count.astype(np.float64)} | {
        name: np.where(moved, told, np.nan) for name, told in shape.items()
    }
