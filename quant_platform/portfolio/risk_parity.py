"""Risk parity: every name contributes the same share of the portfolio's variance.

1. The weights that minimise ½ x'Σx - (1/n) Σ ln x, scaled to a sum of one, contribute equally
   (Maillard, Roncalli and Teïletche 2010, "The properties of equally weighted risk contribution
   portfolios"; Spinu 2013 for the convex form).
2. The covariance is taken as correlations, whose solution differs by the deviations alone, so that
   scales cancel; Newton's steps, shortened while they would leave the positive numbers, settle in a
   handful.

By hand because what others have takes a modelling library; tests hold it to Riskfolio's published
weights and to the definition.
"""

from __future__ import annotations

import numpy as np

from quant_platform.portfolio.covariance import Matrix, Vector, correlation

_STEPS = 200
_SETTLED = 1e-13


def equal_contributions(covariance: Matrix) -> Vector | None:
    """Positive weights, adding up to one, whose shares of the variance are alike.

    Parameters
    ----------
    covariance
        Positive definite, names by names.

    Returns
    -------
    numpy.ndarray or None
        None where Newton's steps do not settle.
    """
    names = len(covariance)
    correlations = correlation(covariance)
    budget = 1 / names
    weights = np.full(names, 1 / np.sqrt(float(correlations.sum())))
    for _ in range(_STEPS):
        gradient = correlations @ weights - budget / weights
        curvature = correlations + np.diag(budget / weights**2)
        step = np.linalg.solve(curvature, -gradient)
        decrement = float(-gradient @ step)
        if not np.isfinite(decrement):
            return None
        if decrement <= _SETTLED * _SETTLED:
            break
        # Damped as self-concordant functions ask for: the step never leaves the positive numbers.
        far = float(np.abs(step / weights).max())
        weights = weights + step * (1.0 if far < 0.5 else 1 / (1 + far))
    shares = weights * (correlations @ weights)
    if np.abs(shares / shares.sum() - budget).max() > 1e-9:
        return None
    plain = weights / np.sqrt(np.diag(covariance))
    return np.asarray(plain / plain.sum())
