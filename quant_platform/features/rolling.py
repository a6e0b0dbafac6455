"""Rolling kernels on matrices: sessions down, series across, NaN where there is no bar.

Each takes what is there of a window, and says NaN only where nothing is; how much may be lacking is
the family's rule (`quant_platform.features.finite`).

A row's value has the same bytes wherever its matrix begins, as long as the window is in it. Sums
are made by doubling: of 2, 4, 8 … rows, and of those the one that is asked for, so that the order
of the additions depends on the length of the window alone. A running sum would depend on its
beginning, and would drag the rounding of everything before along.

Most matrices are whole, and of those nothing needs to be counted. That way gives the same bytes as
the other: what one series lacks changes nothing of its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import rank_filter

Matrix = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int32]
_Number = TypeVar("_Number", np.float64, np.int32)


def shifted(matrix: Matrix, rows: int) -> Matrix:
    """Values ``rows`` sessions earlier; NaN where the matrix does not reach."""
    if rows == 0:
        return matrix
    earlier = np.empty_like(matrix)
    earlier[:rows] = np.nan
    earlier[rows:] = matrix[:-rows]
    return earlier


def window_sum(matrix: npt.NDArray[_Number], length: int, step: int = 1) -> npt.NDArray[_Number]:
    """Sum of the last ``length`` rows, fewer near the top; NaN-free input.

    Parameters
    ----------
    matrix, length
        Values, and how many of them.
    step
        Rows from one of them to the next.
    """
    # Of `span` rows, and of those that bits of the length have asked for so far.
    doubled, span = matrix, 1
    found, reach = (matrix, 1) if length & 1 else (None, 0)
    while 2 * span <= length:
        doubled = _added(doubled, doubled, span * step)
        span *= 2
        if length & span:
            found = doubled if found is None else _added(found, doubled, reach * step)
            reach += span
    assert found is not None
    return found


def _added(
    now: npt.NDArray[_Number], before: npt.NDArray[_Number], rows: int
) -> npt.NDArray[_Number]:
    """Sum of each row and of another matrix' row some sessions earlier, where there is one."""
    sums = np.empty_like(now)
    sums[:rows] = now[:rows]
    np.add(now[rows:], before[:-rows], out=sums[rows:])
    return sums


def count(matrix: Matrix, length: int, step: int = 1) -> Counts:
    """Values among the last ``length`` rows; one column for all series of a whole matrix."""
    there = ~np.isnan(matrix)
    if there.all():
        rows = np.minimum(np.arange(len(matrix)) // step + 1, length)
        return rows.astype(np.int32)[:, None]
    return window_sum(there.astype(np.int32), length, step)


def total(matrix: Matrix, length: int, step: int = 1) -> Matrix:
    """Sum of the values in the last ``length`` rows; 0 where there is none."""
    return window_sum(_filled(matrix), length, step)


def _filled(matrix: Matrix) -> Matrix:
    """Values, 0 where there is none."""
    return put(matrix, np.isnan(matrix), 0.0)


def put(matrix: Matrix, places: npt.NDArray[np.bool_], value: float) -> Matrix:
    """Put a value in some places of a copy; without any it is the matrix itself.

    Of few places that is several times as fast as ``np.where``.

    Parameters
    ----------
    matrix, places, value
        Values, where to replace them, and by what.
    """
    found = np.flatnonzero(places)
    if not len(found):
        return matrix
    copy = np.array(matrix, order="C")
    copy.reshape(-1)[found] = value
    return copy


def mean(matrix: Matrix, length: int, step: int = 1) -> Matrix:
    """Mean of the values in the last ``length`` rows.

    Parameters
    ----------
    matrix, length
        Values and the window.
    step
        Rows from one value to the next: of 5 the mean is of weekly values, counted back from each
        row.
    """
    there = count(matrix, length, step)
    sums = total(matrix, length, step) / np.maximum(there, 1)
    return put(sums, there == 0, np.nan)


def deviation(matrix: Matrix, length: int) -> Matrix:
    """Sample standard deviation of the values in the last ``length`` rows.

    From sums and sums of squares, as suits values around zero, such as returns.
    """
    there = count(matrix, length)
    least = np.maximum(there, 2)
    values = _filled(matrix)
    sums = window_sum(values, length)
    variance = np.maximum(window_sum(values * values, length) - sums * sums / least, 0.0)
    return np.where(there > 1, np.sqrt(variance / (least - 1)), np.nan)


def variance(matrix: Matrix, length: int) -> Matrix:
    """Return the population variance of the last ``length`` rows; 0 where there is none.

    Two neighbouring windows make one: squares apart, and the distance of their means. Chan, Golub
    and LeVeque (1983), "Algorithms for computing the sample variance"; it keeps its digits where
    values lie far from zero, such as prices.
    """
    lacking = np.isnan(matrix)
    there = (~lacking).astype(np.float64) if lacking.any() else np.ones((len(matrix), 1))
    whole = _Moments(there, _filled(matrix), np.zeros_like(matrix))
    doubled, span = whole, 1
    found, reach = (whole, 1) if length & 1 else (None, 0)
    while 2 * span <= length:
        doubled = doubled.and_before(doubled, span)
        span *= 2
        if length & span:
            found = doubled if found is None else found.and_before(doubled, reach)
            reach += span
    assert found is not None
    return found.squares / np.maximum(found.count, 1)


@dataclass(frozen=True)
class _Moments:
    """Number, sum and squared distances from their mean of the values of windows."""

    count: Matrix
    sums: Matrix
    squares: Matrix

    def and_before(self, other: _Moments, rows: int) -> _Moments:
        """Join windows that end some rows earlier, where there are such rows."""
        own, others = self.count[rows:], other.count[:-rows]
        apart = self.sums[rows:] / np.maximum(own, 1) - other.sums[:-rows] / np.maximum(others, 1)
        apart *= apart
        # 0 where one of the two windows is empty.
        apart *= own * others / np.maximum(own + others, 1)
        squares = _added(self.squares, other.squares, rows)
        squares[rows:] += apart
        return _Moments(
            _added(self.count, other.count, rows), _added(self.sums, other.sums, rows), squares
        )


def scatter(matrix: Matrix, center: Matrix, length: int) -> Matrix:
    """Mean distance of the values in the last ``length`` rows from each row's own center.

    Parameters
    ----------
    matrix, center, length
        Values, their center, and the window.
    """
    lacking = np.isnan(matrix)
    there = None if not lacking.any() else (~lacking).astype(np.float64)
    values = _filled(matrix)
    sums, part = np.zeros_like(matrix), np.empty_like(matrix)
    for back in range(min(length, len(matrix))):
        upto = len(matrix) - back
        apart = np.subtract(values[:upto], center[back:], out=part[:upto])
        np.abs(apart, out=apart)
        if there is not None:
            apart *= there[:upto]
        sums[back:] += apart
    sums /= np.maximum(count(matrix, length), 1)
    return sums


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
    series = np.ascontiguousarray(np.concatenate([above, matrix[-(rows + length - 1) :]]).T)
    lacking = np.isnan(series).any(axis=1)
    whole, torn = np.flatnonzero(~lacking), np.flatnonzero(lacking)
    found = np.empty((rows, matrix.shape[1]))
    if len(whole):
        found[:, whole] = _middle_of_whole(series[whole], length).T
    for place in torn:
        found[:, place] = _middle(sliding_window_view(series[place], length))
    return found


def _middle_of_whole(series: Matrix, length: int) -> Matrix:
    """Medians of the full windows of each row, a heap carried along."""
    beside = series.ravel()
    low, high = (
        rank_filter(beside, rank, size=length, origin=(length - 1) // 2)
        for rank in ((length - 1) // 2, length // 2)
    )
    # Windows that reach into the series before are those that are not full.
    return np.asarray((low + high) / 2).reshape(series.shape)[:, length - 1 :]


def _middle(windows: Matrix) -> Matrix:
    """Median of the values in each row; NaN of none."""
    length = windows.shape[1]
    # What is lacking is sorted behind everything.
    ordered = np.sort(windows, axis=1)
    there = length - np.count_nonzero(np.isnan(ordered), axis=1)
    row = np.arange(len(ordered))
    middle = ordered[row, np.maximum(there - 1, 0) // 2] + ordered[row, there // 2 % length]
    return np.where(there > 0, middle / 2, np.nan)
