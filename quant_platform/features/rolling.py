"""Rolling kernels on matrices: sessions down, series across, NaN where there is no bar.

Each takes what is there of a window, and says NaN only where nothing is; how much may be lacking is
the family's rule (`quant_platform.features.finite`). A sum runs from the matrix's first row, so its
bytes depend on that row: callers begin at calendar-fixed places. Counts, extremes, medians and
shifts are exact from anywhere.

Most matrices are whole, and of those nothing needs to be counted. That way gives the same bytes as
the other: what one series lacks changes nothing of its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Matrix = npt.NDArray[np.float64]
_Number = TypeVar("_Number", np.float64, np.int64)


def shifted(matrix: Matrix, rows: int) -> Matrix:
    """Values ``rows`` sessions earlier; NaN where the matrix does not reach."""
    if rows == 0:
        return matrix
    earlier = np.empty_like(matrix)
    earlier[:rows] = np.nan
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
    there = ~np.isnan(matrix)
    if there.all():
        rows = np.minimum(np.arange(1, len(matrix) + 1), length)[:, None]
        return np.broadcast_to(rows, matrix.shape)
    return np.asarray(window_sum(there.astype(np.int64), length), dtype=np.int64)


def total(matrix: Matrix, length: int) -> Matrix:
    """Sum of the values in the last ``length`` rows; 0 where there is none."""
    lacking = np.isnan(matrix)
    return window_sum(np.where(lacking, 0.0, matrix) if lacking.any() else matrix, length)


def mean(matrix: Matrix, length: int) -> Matrix:
    """Mean of the values in the last ``length`` rows."""
    sums, there = total(matrix, length), count(matrix, length)
    sums /= np.maximum(there, 1)
    np.copyto(sums, np.nan, where=there == 0)
    return sums


def mean_of_every(matrix: Matrix, step: int, times: int) -> Matrix:
    """Mean of the last row and of those every ``step`` before it, ``times`` in all."""
    height, width = matrix.shape
    # Rows of a step side by side: what is a step apart is one row apart.
    below = np.zeros((-height % step, width))
    folded = np.concatenate([matrix, below]).reshape(-1, step * width)
    return mean(folded, times).reshape(-1, width)[:height]


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
    above = np.full((length - 1, matrix.shape[1]), np.nan)
    padded = np.concatenate([above, matrix])
    apart, part = np.zeros_like(matrix), np.empty_like(matrix)
    whole = not np.isnan(matrix).any()
    for back in range(length):
        begin = length - 1 - back
        np.subtract(padded[begin : begin + len(matrix)], center, out=part)
        if power == 1:
            np.abs(part, out=part)
        else:
            np.multiply(part, part, out=part)
        lacks = part[: back if whole else len(part)]
        np.copyto(lacks, 0.0, where=np.isnan(lacks))
        apart += part
    apart /= np.maximum(count(matrix, length), 1)
    return apart


def highest(matrix: Matrix, length: int) -> Matrix:
    """Highest value in the last ``length`` rows, by doubling: exact in any order."""
    return _furthest(matrix, length, np.fmax)


def lowest(matrix: Matrix, length: int) -> Matrix:
    """Lowest value in the last ``length`` rows."""
    return _furthest(matrix, length, np.fmin)


def _furthest(matrix: Matrix, length: int, further: np.ufunc) -> Matrix:
    found, span = matrix, 1
    while span < length:
        step = min(span, length - span)
        longer = np.empty_like(found)
        longer[:step] = found[:step]
        further(found[step:], found[:-step], out=longer[step:])
        found = longer
        span += step
    return found


def weighted(matrix: Matrix, weights: Sequence[float]) -> Matrix:
    """Weighted mean of the last rows, the newest first; what is lacking has no weight."""
    lacking = np.isnan(matrix)
    whole = not lacking.any()
    values = matrix if whole else np.where(lacking, 0.0, matrix)
    there = np.ones((len(matrix), 1)) if whole else (~lacking).astype(np.float64)
    sums, used = np.zeros_like(matrix), np.zeros_like(there)
    for rows, weight in enumerate(weights):
        upto = max(len(matrix) - rows, 0)
        sums[rows:] += weight * values[:upto]
        used[rows:] += weight * there[:upto]
    return np.where(used > 0, sums / np.where(used > 0, used, 1.0), np.nan)


def median(matrix: Matrix, length: int, rows: int = 0) -> Matrix:
    """Median of the values in the last ``length`` rows.

    Parameters
    ----------
    matrix, length
        Values and the window.
    rows
        How many of the last rows are wanted; 0 for all.
    """
    rows = rows or len(matrix)
    above = np.full((max(length - 1 - (len(matrix) - rows), 0), matrix.shape[1]), np.nan)
    series = np.concatenate([above, matrix[-(rows + length - 1) :]]).T
    windows = sliding_window_view(np.ascontiguousarray(series), length, axis=1)
    found = np.empty((rows, matrix.shape[1]))
    for row in range(rows):
        found[row] = _middle(windows[:, row])
    return found


def _middle(windows: Matrix) -> Matrix:
    """Median of the values in each row; NaN of none."""
    length = windows.shape[1]
    # Sorting beats selecting, for it is vectorised. What is lacking is sorted behind everything.
    ordered = np.sort(windows, axis=1)
    if not np.isnan(ordered[:, -1]).any():
        return np.asarray((ordered[:, (length - 1) // 2] + ordered[:, length // 2]) / 2)
    there = length - np.count_nonzero(np.isnan(ordered), axis=1)
    row = np.arange(len(ordered))
    middle = ordered[row, np.maximum(there - 1, 0) // 2] + ordered[row, there // 2 % length]
    return np.where(there > 0, middle / 2, np.nan)
