"""Names joined into a tree by the distances between them: one implementation for all who need one.

Correlations become distances, the square root of (1 - correlation) / 2 (Mantegna 1999,
"Hierarchical structure in financial markets", up to a constant factor): 0 for what moves as one,
0.71 for what has nothing in common, 1 for what moves opposite. A linkage joins the two nearest
again and again; the leaves are put in the order of least distance between neighbours (Bar-Joseph,
Gifford and Jaakkola 2001, "Fast optimal leaf ordering for hierarchical clustering").
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Order = npt.NDArray[np.intp]

Linkage = Literal["single", "complete", "average", "ward"]


def distance(correlations: Matrix) -> Matrix:
    """Distances between names, 0..1; a correlation beyond one by rounding counts as one."""
    return np.asarray(np.sqrt(np.clip((1 - correlations) / 2, 0.0, 1.0)))


def condensed(distances: Matrix) -> Vector:
    """Distances above the diagonal of a symmetric matrix, row by row, as scipy asks for them."""
    # Imported late, here as below: it takes a second, which a process that decides nothing
    # need not spend.
    from scipy.spatial.distance import squareform

    return np.asarray(squareform(distances, checks=False))


def euclidean(columns: Matrix) -> Vector:
    """Euclidean distances between the columns of a symmetric matrix, condensed."""
    from scipy.spatial.distance import pdist

    return np.asarray(pdist(columns))


def tree_of(pairs: Vector, linkage: Linkage, *, leaf_order: bool) -> Matrix:
    """Tree of two names or more, in the form of ``scipy.cluster.hierarchy``.

    Parameters
    ----------
    pairs
        Distances of the pairs, condensed.
    linkage
        How the distance between clusters follows from that between their members.
    leaf_order
        Whether the leaves are put in the order of least distance between neighbours.
    """
    from scipy.cluster import hierarchy

    tree = hierarchy.linkage(pairs, method=linkage, optimal_ordering=leaf_order)
    return np.asarray(tree)


def leaves(tree: Matrix) -> Order:
    """Names along the leaves of a tree."""
    from scipy.cluster.hierarchy import leaves_list

    return np.asarray(leaves_list(tree), dtype=np.intp)


def joints(tree: Matrix) -> Vector:
    """Height at which each leaf joins the one before it, along the leaves; NaN for the first.

    With the order of the leaves these numbers are the whole tree: two leaves join at the largest of
    the heights between them.
    """
    from scipy.cluster.hierarchy import cophenet
    from scipy.spatial.distance import squareform

    order = leaves(tree)
    heights = squareform(cophenet(tree))[order[1:], order[:-1]]
    return np.concatenate([[np.nan], heights])


def cut(tree: Matrix, height: float, most: int) -> npt.NDArray[np.int64]:
    """Cluster of each name, 1..k along the leaves: the branches below a height, or fewer.

    Parameters
    ----------
    tree
        A tree whose heights never fall.
    height
        Names that join at most at this height are in one cluster.
    most
        Most clusters; where the height leaves more, the lowest joints close until no more are left.
    """
    from scipy.cluster.hierarchy import fcluster

    found = fcluster(tree, height, criterion="distance")
    if found.max() > most:
        found = fcluster(tree, most, criterion="maxclust")
    along = found[leaves(tree)]
    # A cluster's leaves are neighbours: it begins where its number first appears.
    begins = np.r_[True, along[1:] != along[:-1]]
    number = np.empty(found.max() + 1, dtype=np.int64)
    number[along[begins]] = np.arange(1, begins.sum() + 1)
    return np.asarray(number[found])
