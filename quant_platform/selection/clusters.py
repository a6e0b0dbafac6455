"""Clusters: which of some securities are one bet.

1. For each window, the returns of its last sessions are correlated pair by pair, over the sessions
   on which both have a return (pairwise complete). A ridge is added to each variance: correlations
   are divided by ``1 + ridge``.
2. A pair with fewer than ``min_joint`` such sessions, or one of which a partner did not move on
   them, has no correlation in that window.
3. A correlation becomes a distance (see ``tree``). Correlations and distances are averaged over the
   windows that know the pair. A pair that no window knows counts as unrelated: its distance is that
   of a correlation of zero, 0.71, and its correlation is NaN. So who has no returns is a cluster
   of its own as long as there may be one more.
4. Ward's linkage joins the securities into a tree with the leaves in optimal order; the tree is cut
   at ``threshold``, or higher up where that leaves more than ``max_clusters``. Clusters are
   numbered along the leaves.

Distances of signed correlations: what moves opposite is far apart. Pairwise correlations need not
form a covariance, which a tree does not ask for. The last rows of the matrix decide and nothing
else; which column is which matters only where distances are equal, so callers order securities by
``security_id``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant_platform.selection.tree import (
    Matrix,
    Order,
    Vector,
    condensed,
    cut,
    distance,
    leaves,
    tree_of,
)
from quant_platform.settings.clusters import ClusterSettings

MOTIONLESS = 1e-12
"""Deviation per session below which returns are equal but for rounding."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Clusters of some securities.

    Parameters
    ----------
    labels
        Cluster of each security, 1..k along the leaves.
    order
        Securities along the leaves of the tree.
    distance
        Distances, averaged over the windows, 0..1; 0 on the diagonal.
    correlation
        Correlations, averaged over the windows, with the ridge; NaN of a pair that no window knows,
        1 on the diagonal.
    tree
        The tree, in the form of ``scipy.cluster.hierarchy``; without rows for fewer than two.
    """

    labels: npt.NDArray[np.int64]
    order: Order
    distance: Matrix
    correlation: Matrix
    tree: Matrix


def clustered(returns: Matrix, settings: ClusterSettings) -> Clusters:
    """Cluster securities by the correlations of their returns.

    Parameters
    ----------
    returns
        Sessions by securities, fractions, the deciding session last; NaN where there is no return.
        Fewer rows than a window are what there is of it.
    settings
        Windows, ridge and cut.
    """
    count = returns.shape[1]
    correlations, distances = _averaged(returns, settings)
    if count < 2:
        labels = np.ones(count, dtype=np.int64)
        order = np.arange(count, dtype=np.intp)
        return Clusters(labels, order, distances, correlations, np.empty((0, 4)))
    tree = tree_of(condensed(distances), "ward", leaf_order=True)
    labels = cut(tree, settings.threshold, settings.max_clusters)
    return Clusters(labels, leaves(tree), distances, correlations, tree)


def _averaged(returns: Matrix, settings: ClusterSettings) -> tuple[Matrix, Matrix]:
    """Correlations and distances, averaged over the windows that know the pair."""
    count = returns.shape[1]
    known = np.zeros((count, count), dtype=np.int64)
    correlations, distances = np.zeros((2, count, count))
    for length in settings.windows:
        found = pairwise_correlation(returns[-length:], settings.min_joint) / (1 + settings.ridge)
        there = ~np.isnan(found)
        known += there
        correlations += np.where(there, found, 0.0)
        distances += np.where(there, distance(found), 0.0)
    some = known > 0
    windows = np.where(some, known, 1)
    correlations = np.where(some, correlations / windows, np.nan)
    distances = np.where(some, distances / windows, distance(np.zeros(1)))
    np.fill_diagonal(correlations, 1.0)
    np.fill_diagonal(distances, 0.0)
    return correlations, distances


def pairwise_correlation(window: Matrix, least: int) -> Matrix:
    """Correlation of each pair over the sessions on which both have a return.

    Parameters
    ----------
    window
        Sessions by securities; NaN where there is no return.
    least
        Fewest such sessions; a pair with fewer, or a partner that does not move on them, is NaN.
    """
    found, _ = joint_correlation(window, window, least)
    # Sums of a pair and of its mirror image may differ in their last bits.
    below = np.tril_indices(len(found), -1)
    found[below] = found.T[below]
    return found


def joint_correlation(left: Matrix, right: Matrix, least: int) -> tuple[Matrix, Matrix]:
    """Correlation of each column of one matrix with each of another, over their joint rows.

    Parameters
    ----------
    left, right
        As many rows each; NaN where there is no value.
    least
        Fewest joint rows; a pair with fewer, or a partner that does not move on them, is NaN.

    Returns
    -------
    correlation, joint
        Columns of ``left`` by columns of ``right``: the correlation, and how many rows are joint.
    """
    # One layout in memory: products of matrices have the same bytes however these were cut out.
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    here, there = ~np.isnan(left), ~np.isnan(right)
    mine, other = here.astype(np.float64), there.astype(np.float64)
    joint = mine.T @ other
    rows = np.maximum(joint, 1.0)
    # What overflows is no number, and no correlation.
    with np.errstate(over="ignore", invalid="ignore"):
        moves, others = _centred(left, here), _centred(right, there)
        means, beside = (moves.T @ other) / rows, (mine.T @ others) / rows
        spread = (moves * moves).T @ other / rows - means**2
        width = mine.T @ (others * others) / rows - beside**2
        products = (moves.T @ others) / rows - means * beside
        found = products / np.sqrt(np.maximum(spread * width, MOTIONLESS**4))
        moving = (spread > MOTIONLESS**2) & (width > MOTIONLESS**2)
    known = (joint >= least) & moving & np.isfinite(found)
    return np.where(known, np.clip(found, -1.0, 1.0), np.nan), joint


def _centred(values: Matrix, there: npt.NDArray[np.bool_]) -> Matrix:
    """Values less the mean of their column, 0 where there is none.

    Moments about the column's own mean lose fewer digits than those about zero.
    """
    known = np.where(there, values, 0.0)
    means = known.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return np.where(there, known - means, 0.0)


def cohesions(found: Clusters) -> Vector:
    """Mean correlation inside the cluster of each security; NaN where no pair of it has one."""
    member = (found.labels[:, None] == np.unique(found.labels)).astype(np.float64)
    pairs = ~np.isnan(found.correlation) & ~np.eye(len(member), dtype=bool)
    summed = ((np.where(pairs, found.correlation, 0.0) @ member) * member).sum(axis=0)
    count = ((pairs.astype(np.float64) @ member) * member).sum(axis=0)
    mean = np.where(count > 0, summed / np.maximum(count, 1.0), np.nan)
    return np.asarray(mean[found.labels - 1])
