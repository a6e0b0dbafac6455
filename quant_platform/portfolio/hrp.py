"""Hierarchical risk parity (Lopez de Prado 2016), in a variant that has a name.

1. Correlations become distances: the square root of (1 - correlation) / 2, or, as the first paper
   has it, the Euclidean distance between the columns of that matrix.
2. Names are clustered by a linkage, and its leaves put in order.
3. The order is halved again and again. Each half gets its share of the weight in inverse proportion
   to the variance of its inverse-variance portfolio.

Our own kernel: skfolio's, to which tests hold it, takes 16 ms a fit and four seconds to import.
The variants by distance, linkage and leaf order: PyPortfolioOpt is ``correlation``, ``single``,
off; Riskfolio ``correlation``, ``single``, on; the paper ``columns``, ``single``, off; skfolio's
default, which is ours too, ``correlation``, ``ward``, on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_platform.portfolio.covariance import Matrix, Vector
from quant_platform.selection.tree import condensed, distance, euclidean, leaves, tree_of
from quant_platform.settings.portfolio import HrpSettings


def hrp_order(correlations: Matrix, variant: HrpSettings) -> npt.NDArray[np.intp]:
    """Order of the names along the leaves of the tree; two names or more."""
    distances = distance(correlations)
    pairs = euclidean(distances) if variant.distance == "columns" else condensed(distances)
    return leaves(tree_of(pairs, variant.linkage, leaf_order=variant.leaf_order))


def hrp_weights(covariance: Matrix, correlations: Matrix, variant: HrpSettings) -> Vector:
    """Weights of hierarchical risk parity, positive, adding up to one.

    Parameters
    ----------
    covariance
        Names by names, positive on the diagonal.
    correlations
        What the distances are taken from; usually those of ``covariance``.
    variant
        Distance, linkage and leaf order.
    """
    names = len(covariance)
    weights = np.ones(names)
    if names < 2:
        return weights
    inverse = 1 / np.diag(covariance)
    halves = [hrp_order(correlations, variant)]
    while halves:
        part = halves.pop()
        if len(part) < 2:
            continue
        left, right = part[: len(part) // 2], part[len(part) // 2 :]
        risks = [_variance(covariance, inverse, half) for half in (left, right)]
        share = 1 - risks[0] / (risks[0] + risks[1])
        weights[left] *= share
        weights[right] *= 1 - share
        halves += [left, right]
    return weights


def _variance(covariance: Matrix, inverse: Vector, part: npt.NDArray[np.intp]) -> float:
    """Variance of the inverse-variance portfolio of some names."""
    weights = inverse[part] / inverse[part].sum()
    return float(weights @ covariance[np.ix_(part, part)] @ weights)
