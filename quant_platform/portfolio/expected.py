"""Expected returns of a decision: the means of its window, shrunk towards one of them all.

Means of a few months are mostly noise. They are shrunk towards the mean of the portfolio of least
variance by the intensity of Jorion (1986, "Bayes-Stein estimation for portfolio analysis"):
``(n + 2) / (n + 2 + T d'S⁻¹d)``, d the means less that one, S the covariance, T the sessions, n the
names.
"""

from __future__ import annotations

import numpy as np

from quant_platform.portfolio.covariance import Matrix, Vector


def shrunk_mean(returns: Matrix, covariance: Matrix) -> Vector:
    """Shrink the mean returns of some names towards that of their least variance.

    Fractions a session, one for each name.

    Parameters
    ----------
    returns
        Sessions by names, excess returns or returns, without NaN.
    covariance
        Positive definite, of the same names and per session.
    """
    rows, names = returns.shape
    mean = returns.mean(axis=0)
    inverse = np.linalg.solve(covariance, np.stack([np.ones(names), mean], axis=1))
    base = float(inverse[:, 1].sum() / inverse[:, 0].sum())
    apart = mean - base
    distance = rows * float(apart @ (inverse[:, 1] - base * inverse[:, 0]))
    intensity = (names + 2) / (names + 2 + max(distance, 0.0))
    return np.asarray((1 - intensity) * mean + intensity * base)
