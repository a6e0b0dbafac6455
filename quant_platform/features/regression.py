"""Regressions of many series at once: rolling betas, and exposures with errors of Newey and West.

One series a column, sessions down, NaN where a return lacks. Everything is sums down the columns,
lane by lane, never a product of matrices: a library of linear algebra adds up in an order that
depends on how many columns there are, and a series must have the same bytes whoever is beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant_platform.features.rolling import window_sum

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def trailing_beta(
    returns: Matrix, benchmark: Vector, length: int, chosen: Mask | None = None
) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """Slope of the returns on the benchmark's over the last ``length`` rows.

    Parameters
    ----------
    returns, benchmark
        Returns, NaN for none.
    length
        Rows of the window, fewer near the top.
    chosen
        Rows that count; all of them by default.

    Returns
    -------
    beta, count
        NaN where the benchmark did not move; and how many rows were there.
    """
    there = ~np.isnan(returns) & ~np.isnan(benchmark)[:, None]
    if chosen is not None:
        there &= chosen[:, None]
    own = np.where(there, returns, 0.0)
    other = np.where(there, np.nan_to_num(benchmark)[:, None], 0.0)
    count, sums, others, both, squares = (
        window_sum(part, length)
        for part in (there.astype(np.float64), own, other, own * other, other * other)
    )
    known = np.maximum(count, 1)
    spread = squares - others * others / known
    moved = spread > 1e-12 * np.maximum(squares, 1e-300)
    beta = (both - sums * others / known) / np.where(moved, spread, 1.0)
    return np.where(moved & (count > 1), beta, np.nan), count.astype(np.int64)


@dataclass(frozen=True)
class Exposures:
    """Coefficients and standard errors, regressors down; NaN for series with too few rows."""

    coefficient: Matrix
    error: Matrix


def exposures(returns: Matrix, factors: Matrix, least: int, lags: int) -> Exposures:
    """Regress every series on the factors, with errors that bear autocorrelation.

    Ordinary least squares; covariance by Newey and West (1987) with Bartlett's kernel and the
    correction n / (n - k). A lag is counted in rows, also where some lack.

    Parameters
    ----------
    returns
        Series, NaN for none.
    factors
        Regressors across, the constant among them, rows as in ``returns``; NaN-free.
    least
        Rows that a series must have.
    lags
        Of the kernel.
    """
    terms, width = factors.shape[1], returns.shape[1]
    there = ~np.isnan(returns)
    count = there.sum(axis=0)
    coefficient, error = np.full((2, terms, width), np.nan)
    complete = np.asarray(count == len(returns))
    for lanes in (np.flatnonzero(complete), np.flatnonzero(~complete & (count >= least))):
        if len(lanes) and len(returns) >= least:
            mask = None if complete[lanes[0]] else there[:, lanes].astype(np.float64)
            found = _regressed(returns[:, lanes], factors, mask, lags)
            coefficient[:, lanes], error[:, lanes] = found
    return Exposures(coefficient, error)


def _regressed(
    returns: Matrix, factors: Matrix, mask: Matrix | None, lags: int
) -> tuple[Matrix, Matrix]:
    """Coefficients and errors of series; without a mask all have every row."""
    height, terms = factors.shape
    values = returns if mask is None else np.where(mask > 0, returns, 0.0)
    weights = np.ones((height, 1)) if mask is None else mask
    moments = np.empty((weights.shape[1], terms, terms))
    for j in range(terms):
        for k in range(j + 1):
            product = (factors[:, j] * factors[:, k])[:, None] * weights
            moments[:, j, k] = moments[:, k, j] = down(product)
    inverse = np.linalg.inv(moments)
    targets = [down(factors[:, k, None] * values) for k in range(terms)]
    coefficient = np.empty((terms, returns.shape[1]))
    for k in range(terms):
        coefficient[k] = sum(inverse[:, k, j] * targets[j] for j in range(terms))
    residual = values - sum(factors[:, k, None] * coefficient[k] for k in range(terms))
    residual *= weights
    count = down(np.broadcast_to(weights, returns.shape))
    error = np.empty_like(coefficient)
    for k in range(terms):
        along = sum(factors[:, j, None] * inverse[:, k, j] for j in range(terms)) * residual
        # Bartlett's weights are those of the squares of sums over lags + 1 rows.
        padded = np.zeros((height + 2 * lags, returns.shape[1]))
        padded[lags : lags + height] = along
        runs = padded[: height + lags].copy()
        for shift in range(1, lags + 1):
            runs += padded[shift : shift + height + lags]
        error[k] = np.sqrt(down(runs * runs) / (lags + 1) * count / (count - terms))
    return coefficient, error


def down(matrix: Matrix) -> Vector:
    """Sum of each column, row after row.

    A single column is summed beside a copy of itself: numpy would add it up in another order.
    """
    if matrix.shape[1] == 1:
        return np.asarray(np.repeat(matrix, 2, axis=1).sum(axis=0)[:1])
    return np.asarray(np.ascontiguousarray(matrix).sum(axis=0))
