"""Lead and lag: who moves some sessions before whom.

1. What all securities share is taken out: the mean return of a session, as far as each security
   moved with it over its own sessions. What remains is its own.
2. Each security's own returns become ranks among themselves (Spearman's correlation): one session
   of results does not decide, and the null band does not depend on the tails.
3. For each lag from one session on, the ranks of each security are correlated with those that each
   other has so many sessions later, over the sessions that both have. Lags below zero are the same
   pairs, seen from the other side.
4. Where nobody leads anybody, such a correlation over n sessions has deviation 1/√(n − 1) and is
   nearly normal. The band holds all pairs and lags of the session together with the chance that is
   asked for (Bonferroni), so that a correlation outside of it means something although thousands
   were looked at.
5. The leader of a security is the one whose correlation with it lies farthest out in its band, of
   equals that of the shorter lag, then the first.

Fewer than ten securities do not tell what they share, and nobody is said to lead. A leader may
lead downwards: the sign of the correlation is the direction in which is followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.selection.clusters import joint_correlation
from quant_platform.selection.tree import Matrix, Vector
from quant_platform.settings.clusters import LeadLagSettings

FEWEST = 10
"""Securities of which the mean is what they share, and not mostly one of them."""


@dataclass(frozen=True, eq=False)
class Leads:
    """The strongest leader of each security.

    Parameters
    ----------
    leader
        Its column; -1 where nobody could be compared.
    lag
        Sessions by which it leads; 0 where nobody could be compared.
    correlation
        Rank correlation of its own returns with those of the follower so much later, -1..1; NaN
        likewise.
    band
        Absolute correlation up to which this pair and lag are noise, NaN likewise; may be above 1.
    """

    leader: npt.NDArray[np.int64]
    lag: npt.NDArray[np.int64]
    correlation: Vector
    band: Vector

    @property
    def follows(self) -> npt.NDArray[np.bool_]:
        """Who follows its leader: its correlation lies outside of the band."""
        return np.asarray(np.abs(self.correlation) > self.band)


def leads(returns: Matrix, settings: LeadLagSettings) -> Leads:
    """Find the strongest leader of each security.

    Parameters
    ----------
    returns
        Sessions by securities, fractions, the deciding session last; NaN where there is no return.
    settings
        Look-back, lags, and how sure one must be.
    """
    count = returns.shape[1]
    unknown = np.full(count, np.nan)
    none = np.full(count, -1, dtype=np.int64)
    best = Leads(none, np.zeros(count, dtype=np.int64), unknown, unknown.copy())
    if count < FEWEST:
        return best
    ranks = own_ranks(returns[-settings.lookback :])
    trials = count * (count - 1) * settings.max_lag
    out = -NormalDist().inv_cdf(settings.false_alarms / 2 / trials)
    farthest = np.zeros(count)
    for lag in range(1, min(settings.max_lag, len(ranks) - 1) + 1):
        found, joint = joint_correlation(ranks[:-lag], ranks[lag:], settings.min_joint)
        np.fill_diagonal(found, np.nan)
        distance = np.nan_to_num(np.abs(found) * np.sqrt(np.maximum(joint - 1, 1.0)))
        leader = distance.argmax(axis=0)
        followers = np.arange(count)
        far = distance[leader, followers]
        better = far > farthest
        farthest = np.where(better, far, farthest)
        band = out / np.sqrt(np.maximum(joint[leader, followers] - 1, 1.0))
        best = Leads(
            np.where(better, leader, best.leader),
            np.where(better, lag, best.lag),
            np.where(better, found[leader, followers], best.correlation),
            np.where(better, band, best.band),
        )
    return best


def own_ranks(returns: Matrix) -> Matrix:
    """Rank of each return among its security's, after what all share is taken out; NaN stays.

    Parameters
    ----------
    returns
        Sessions by securities; NaN where there is no return.
    """
    there = ~np.isnan(returns)
    known = np.where(there, returns, 0.0)
    shared = known.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    sessions = np.maximum(there.sum(axis=0), 1)
    # What overflows ranks nowhere, and is compared with nobody.
    with np.errstate(over="ignore", invalid="ignore"):
        own = np.where(there, known - known.sum(axis=0) / sessions, 0.0)
        market = np.where(there, shared[:, None], 0.0)
        market = np.where(there, market - market.sum(axis=0) / sessions, 0.0)
        wide = (market * market).sum(axis=0)
        beta = np.where(wide > 0, (own * market).sum(axis=0) / np.where(wide > 0, wide, 1.0), 0.0)
        left = np.where(there, own - beta * market, np.nan)
    frame = pl.DataFrame(left, nan_to_null=True)
    ranked = frame.select(pl.all().rank("average").cast(pl.Float64).fill_null(np.nan))
    return np.ascontiguousarray(ranked.to_numpy())
