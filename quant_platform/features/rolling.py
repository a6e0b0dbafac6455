"""Rolling kernels on matrices: sessions down, series across, NaN where there is no bar.

Each takes what is there of a window, and says NaN only where nothing is; how much may be lacking is
the family's rule (`quant_platform.features.finite`). A sum runs from the matrix's first row, so its
bytes depend on that row: callers begin at calendar-fixed places. Counts, extremes, medians and
shifts are exact from anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

Matrix = npt.NDArray[np.float64]
_Number = TypeVar("_Number", np.float64, np.int64)


def shifted(matrix: Matrix, rows: int) -> Matrix:
    """Values ``rows`` sessions earlier; NaN where the matrix does not reach."""
    if rows == 0:
        return matrix
    earlier = np.full_like(matrix, np.nan)
    earlier[rows:] = matrix[:-rows]
    return earlier


def window_sum(matrix: npt.NDArray[_Number], length: int) -> npt.NDArray[_Number]:
    """Sum of the last ``length`` rows, fewer near the top; NaN-free input."""
    running = np.cumsum(matrix, axis=0)
    sums = running.copy()
    sums[length:] -= running[:-length]
    return sums


def count(matrix: Matrix, length: int) -> npt.NDArray[np.int64]:
    """Values among the last ``length`` rows."""
    return np.asarray(window_sum((~np.isnan(matrix)).astype(np.int64), length), dtype=np.int64)


def total(matrix: Matrix, length: int) -> Matrix:
    """Sum of the values in the last ``length`` rows; 0 where there is none."""
    return np.asarray(window_sum(np.where(np.isnan(matrix), 0.0, matrix), length))


def mean(matrix: Matrix, length: int) -> Matrix:
    """Mean of the values in the last ``length`` rows."""
    there = count(matrix, length)
    return np.where(there > 0, total(matrix, length) / np.maximum(there, 1), np.nan)


def deviation(matrix: Matrix, length: int) -> Matrix:
    """Sample standard deviation of the values in the last ``length`` rows.

    From sums and sums of squares, as suits values around zero, such as returns.
    """
    there = count(matrix, length)
    least = np.maximum(there, 2)
    sums = total(matrix, length)
    variance = np.maximum(total(matrix * matrix, length) - sums * sums / least, 0.0)
    return np.where(there > 1, np.sqrt(variance / (least - 1)), np.nan)


def scatter(matrix: Matrix, center: Matrix, length: int, power: int = 1) -> Matrix:
    """Mean distance of the values in the last ``length`` rows from each row's own center.

    Parameters
    ----------
    matrix, center, length
        Values, their center, and the window.
    power
        1 for absolute distances, 2 for squares.
    """
    apart = np.zeros_like(matrix)
    for back in range(length):
        apart += np.nan_to_num(np.abs(shifted(matrix, back) - center) ** power)
    return apart / np.maximum(count(matrix, length), 1)


def highest(matrix: Matrix, length: int) -> Matrix:
    """Highest value in the last ``length`` rows, by doubling: exact in any order."""
    found = np.where(np.isnan(matrix), -np.inf, matrix)
    span = 1
    while span < length:
        step = min(span, length - span)
        earlier = np.full_like(found, -np.inf)
        earlier[step:] = found[:-step] if step < len(found) else found[:0]
        found = np.maximum(found, earlier)
        span += step
    return np.where(np.isneginf(found), np.nan, found)


def lowest(matrix: Matrix, length: int) -> Matrix:
    """Lowest value in the last ``length`` rows."""
    return -highest(-matrix, length)


def weighted(matrix: Matrix, weights: Sequence[float]) -> Matrix:
    """Weighted mean of the last rows, the newest first; what is lacking has no weight."""
    sums, used = np.zeros_like(matrix), np.zeros_like(matrix)
    for rows, weight in enumerate(weights):
        if not weight:
            continue
        earlier = shifted(matrix, rows)
        there = ~np.isnan(earlier)
        sums += np.where(there, weight * earlier, 0.0)
        used += np.where(there, weight, 0.0)
    return np.where(used > 0, sums / np.where(used > 0, used, 1.0), np.nan)


def median(matrix: Matrix, length: int) -> Matrix:
    """Median of the values in the last ``length`` rows."""
    names = [str(number) for number in range(matrix.shape[1])]
    frame = pl.DataFrame(matrix, schema=names, orient="row") if names else pl.DataFrame()
    rolling = pl.all().fill_nan(None).rolling_median(length, min_samples=1)
    return frame.select(rolling).fill_null(np.nan).to_numpy() if names else matrix
