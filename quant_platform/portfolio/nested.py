"""Portfolios of clusters: hierarchical equal risk contribution and nested clusters.

1. Names are joined into a tree by the distances of their correlations, without ordering the leaves,
   and the tree is cut into as many clusters as the gaps between its dispersions say (`clusters_of`;
   Yue, Wang and Wei 2008, two-order difference).
2. *HERC* (Raffinot 2018): inside a cluster weights in inverse proportion to the variance. From the
   root of the tree down to the clusters, each of two branches gets its share in inverse proportion
   to the sum of the risks of the other's clusters.
3. *NCO* (Lopez de Prado 2019): the least variance inside each cluster, then the least variance of
   the clusters' portfolios, from one covariance throughout.

Our own kernels; tests hold them to skfolio's, which take 13 and 412 ms a fit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_platform.portfolio.covariance import Matrix, Vector
from quant_platform.portfolio.limits import Limits
from quant_platform.portfolio.programs import least_variance
from quant_platform.selection.tree import Linkage, condensed, distance, tree_of

Labels = npt.NDArray[np.int64]

_MOST_ASKED = 8
"""Clusters that are looked at where names are few; the root of their number where they are more."""


def herc_weights(covariance: Matrix, correlations: Matrix, linkage: Linkage) -> Vector:
    """Weights of hierarchical equal risk contribution, positive, adding up to one.

    Parameters
    ----------
    covariance
        Names by names, positive on the diagonal.
    correlations
        What the distances are taken from.
    linkage
        How the distance between clusters follows from that between their members.
    """
    names = len(covariance)
    if names < 2:
        return np.ones(names)
    distances = distance(correlations)
    tree = tree_of(condensed(distances), linkage, leaf_order=False)
    labels = clusters_of(distances, tree)
    inverse = 1 / np.diag(covariance)
    weights = np.ones(names)
    risks = np.zeros(labels.max() + 1)
    for label in range(len(risks)):
        own = labels == label
        weights[own] = inverse[own] / inverse[own].sum()
        risks[label] = weights[own] @ covariance[np.ix_(own, own)] @ weights[own]
    shares = np.ones(len(risks))
    for left, right in _splits(tree, labels):
        lefts, rights = float(risks[left].sum()), float(risks[right].sum())
        shares[left] *= 1 - lefts / (lefts + rights)
        shares[right] *= lefts / (lefts + rights)
    return np.asarray(weights * shares[labels])


def nco_weights(covariance: Matrix, correlations: Matrix, linkage: Linkage) -> Vector | None:
    """Weights of nested clusters, not negative, adding up to one; None where one is not solved.

    Parameters
    ----------
    covariance
        Positive definite, names by names.
    correlations, linkage
        As of `herc_weights`.
    """
    names = len(covariance)
    if names < 2:
        return np.ones(names)
    distances = distance(correlations)
    tree = tree_of(condensed(distances), linkage, leaf_order=False)
    labels = clusters_of(distances, tree)
    inner = np.zeros((labels.max() + 1, names))
    for label in range(len(inner)):
        own = labels == label
        part = covariance[np.ix_(own, own)]
        found = least_variance(part, Limits.alike(len(part), 0.0, 1.0))
        if found is None:
            return None
        inner[label, own] = found
    outer = least_variance(inner @ covariance @ inner.T, Limits.alike(len(inner), 0.0, 1.0))
    return None if outer is None else np.asarray(outer @ inner)


def clusters_of(distances: Matrix, tree: Matrix) -> Labels:
    """Cluster of each name, from 0 on, in as many clusters as the gaps of the dispersions say.

    The dispersion of a cut is the sum over its clusters of the mean distance inside. The number is
    the one after which it falls the most more than it fell before.

    Parameters
    ----------
    distances
        Names by names.
    tree
        Of those names, in the form of ``scipy.cluster.hierarchy``.
    """
    from scipy.cluster import hierarchy

    names = len(distances)
    count = 2
    if names > 2:
        cuts = hierarchy.cut_tree(tree)
        most = min(names, max(_MOST_ASKED, round(np.sqrt(names))))
        told = np.array([_dispersion(distances, cuts[:, names - 1 - k]) for k in range(most)])
        count = int(np.argmax(told[2:] + told[:-2] - 2 * told[1:-1])) + 2
    return np.asarray(hierarchy.fcluster(tree, count, criterion="maxclust") - 1, dtype=np.int64)


def _dispersion(distances: Matrix, labels: Labels) -> float:
    """Sum over the clusters of the mean distance between two different members."""
    total = 0.0
    for label in range(labels.max() + 1):
        own = labels == label
        if own.sum() > 1:
            total += float(condensed(distances[np.ix_(own, own)]).mean())
    return total


def _splits(tree: Matrix, labels: Labels) -> list[tuple[Labels, Labels]]:
    """Clusters left and right of every joint above the clusters, the root first."""
    names = len(labels)
    members = [frozenset([int(label)]) for label in labels]
    found = []
    for left, right, *_ in tree:
        one, other = members[int(left)], members[int(right)]
        members.append(one | other)
        # A joint inside a cluster has the same cluster on both sides.
        if not one & other:
            found.append((np.array(sorted(one)), np.array(sorted(other))))
    assert len(members) == 2 * names - 1
    return found[::-1]
