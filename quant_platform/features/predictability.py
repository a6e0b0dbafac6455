"""Predictability statistics: kernels over matrices, one series a column, sessions down.

Each kernel takes complete series of standardised returns, the oldest first, and returns one value
for each. On raw returns volatility clustering reads as predictability: on a GARCH martingale
Ljung-Box rejects one time in five at 5 percent. Callers divide each return by the volatility that
was known the session before.

The values depend on the length of a series more than on the asset: on white noise permutation
entropy of order 5 of 120 values averages 0.88, the slope of rescaled ranges 0.57 to 0.61. They mean
something as their place among those of noise of the same length, which
`quant_platform.features.noise` keeps; the Hurst exponent is the slope less what noise has too much
of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import factorial

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

LAGS = 5
"""Lags of Ljung and Box's statistic."""
MEMORY_LAGS = 20
MEMORY_THRESHOLD = 0.02
"""Autocorrelation above which a lag counts as memory."""
VARIANCE_SPAN = 5
"""Sessions of the long return of the variance ratio."""
SHORTEST_PIECE = 8
"""Values of the shortest piece whose range is rescaled."""


def permutation_entropy(series: Matrix, order: int = 5, delay: int = 1) -> Vector:
    """Shannon entropy of the order patterns, as a share of the largest possible, 0..1.

    Bandt and Pompe (2002). Equal values are in the order of time.
    """
    size = len(series) - (order - 1) * delay
    parts = [series[lag * delay : lag * delay + size] for lag in range(order)]
    codes = np.zeros(parts[0].shape, dtype=np.int64)
    for lag in range(order - 1):
        # How many later values are lower: with those of the other lags, one code for each order.
        lower = sum((later < parts[lag]).astype(np.int8) for later in parts[lag + 1 :])
        codes = codes * (order - lag) + lower
    patterns, width = factorial(order), series.shape[1]
    places = codes + patterns * np.arange(width)
    counts = np.bincount(places.ravel(), minlength=patterns * width).reshape(width, patterns)
    share = np.arange(size + 1) / size
    surprise = share * np.log2(np.where(share > 0, share, 1.0))
    entropy = -np.sum(surprise[counts], axis=1)
    return np.asarray(np.maximum(entropy, 0.0) / np.log2(patterns))


def rescaled_slope(series: Matrix) -> Vector:
    """Slope of the mean rescaled range over the length of the pieces, both in logarithms.

    Hurst (1951); biased upwards in short series.
    """
    length = len(series)
    pieces = np.unique(np.geomspace(SHORTEST_PIECE, length // 2, 10).astype(int))
    path, squares = (
        np.concatenate([np.zeros_like(series[:1]), np.cumsum(values, axis=0)])
        for values in (series, series * series)
    )
    ranges = []
    for piece in pieces:
        count = length // piece
        start = length - count * piece
        before, upto = path[start:-1:piece], path[start + piece :: piece]
        mean = (upto - before) / piece
        # The path of a piece's distances from its mean, from what was summed up before it.
        slope = mean[:, None] * np.arange(1, piece + 1)[:, None]
        way = np.subtract(path[start + 1 :].reshape(slope.shape), slope, out=slope)
        highest, lowest = way.max(axis=1) - before, way.min(axis=1) - before
        reach = np.maximum(highest, 0.0) - np.minimum(lowest, 0.0)
        variance = (squares[start + piece :: piece] - squares[start:-1:piece]) / piece - mean**2
        with np.errstate(invalid="ignore", divide="ignore"):
            ranges.append(np.log(np.mean(reach / np.sqrt(variance), axis=0)))
    across = np.log(pieces.astype(float))
    across -= across.mean()
    weighed = sum(weight * level for weight, level in zip(across, ranges, strict=True))
    return np.asarray(weighed / np.sum(across**2))


def efficiency(series: Matrix) -> Vector:
    """Distance covered over the way gone, 0..1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.abs(series.sum(axis=0)) / np.abs(series).sum(axis=0))


def autocorrelations(series: Matrix, lags: int) -> Matrix:
    """Autocorrelation at lags 1 to ``lags``, one row each."""
    apart = series - series.mean(axis=0)
    whole = np.sum(apart**2, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack(
            [np.sum(apart[lag:] * apart[:-lag], axis=0) / whole for lag in range(1, lags + 1)]
        )


def ljung_box(series: Matrix) -> Vector:
    """Smallest p-value of Ljung and Box's statistic over 1 to `LAGS` lags, 0..1."""
    length = len(series)
    lags = np.arange(1, LAGS + 1)
    parts = autocorrelations(series, LAGS) ** 2 / (length - lags)[:, None]
    statistic = length * (length + 2) * np.cumsum(parts, axis=0)
    return np.asarray(gammaincc(lags[:, None] / 2, statistic / 2).min(axis=0))


def first_autocorrelation(series: Matrix) -> Vector:
    """Autocorrelation at lag 1, -1..1."""
    return np.asarray(autocorrelations(series, 1)[0])


def memory_depth(series: Matrix) -> Vector:
    """Lags in a row, from the first, whose autocorrelation is above `MEMORY_THRESHOLD`."""
    remembers = autocorrelations(series, MEMORY_LAGS) > MEMORY_THRESHOLD
    return np.asarray(np.sum(np.cumprod(remembers, axis=0), axis=0), dtype=np.float64)


def half_life(series: Matrix) -> Vector:
    """Sessions in which half of a distance from the mean is made good; infinite for none.

    Of an Ornstein-Uhlenbeck process: the sum of the series, regressed on itself.
    """
    path = np.cumsum(series, axis=0)
    apart = path[:-1] - path[:-1].mean(axis=0)
    pull = np.sum(apart * series[1:], axis=0) / np.sum(apart**2, axis=0)
    reverts = (pull < 0) & (pull > -1)
    speed = -np.log1p(np.where(reverts, pull, -0.5))
    return np.asarray(np.where(reverts, np.log(2) / speed, np.where(pull <= -1, 0.0, np.inf)))


def dickey_fuller(series: Matrix) -> Vector:
    """Statistic of the augmented test for a unit root, with a constant and one lag.

    Of the sum of the series; the more negative, the less a unit root is likely. Said and Dickey
    (1984). Its p-value is its place among random walks of the same length.
    """
    path = np.cumsum(series, axis=0)
    change, level, before = (
        part - part.mean(axis=0) for part in (series[2:], path[1:-1], series[1:-1])
    )
    # Two slopes by Cramer's rule; the constant is in the means.
    squares, joint, others = (
        np.sum(one * other, axis=0)
        for one, other in ((level, level), (level, before), (before, before))
    )
    pull, push = np.sum(level * change, axis=0), np.sum(before * change, axis=0)
    determinant = squares * others - joint * joint
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (pull * others - push * joint) / determinant
        drag = (push * squares - pull * joint) / determinant
        residual = change - slope * level - drag * before
        variance = np.sum(residual * residual, axis=0) / (len(change) - 3)
        return np.asarray(slope / np.sqrt(variance * others / determinant))


def variance_ratio(series: Matrix) -> Vector:
    """Variance of returns over `VARIANCE_SPAN` sessions over that many variances of one.

    Lo and MacKinlay (1988), overlapping and unbiased; 1 for a random walk.
    """
    length, span = len(series), VARIANCE_SPAN
    mean = series.mean(axis=0)
    single = np.sum((series - mean) ** 2, axis=0) / (length - 1)
    path = np.concatenate([np.zeros_like(series[:1]), np.cumsum(series, axis=0)])
    long = path[span:] - path[:-span]
    scale = span * (length - span + 1) * (1 - span / length)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sum((long - span * mean) ** 2, axis=0) / scale / single)


@dataclass(frozen=True)
class Statistic:
    """A kernel, and how many of the last values it is given.

    Parameters
    ----------
    kernel
        The function.
    length
        Values.
    discrete
        Whether many series share a value, so that places among noise are middle ranks.
    """

    kernel: Callable[[Matrix], Vector]
    length: int
    discrete: bool = False


STATISTICS: Mapping[str, Statistic] = {
    "permutation_entropy": Statistic(permutation_entropy, 120, discrete=True),
    "rescaled_slope": Statistic(rescaled_slope, 250),
    "efficiency": Statistic(efficiency, 120),
    "ljung_box": Statistic(ljung_box, 250),
    "first_autocorrelation": Statistic(first_autocorrelation, 250),
    "memory_depth": Statistic(memory_depth, 250, discrete=True),
    "half_life": Statistic(half_life, 250),
    "dickey_fuller": Statistic(dickey_fuller, 250),
    "variance_ratio": Statistic(variance_ratio, 250),
}
"""The statistics by name, each with the length that chapter 03 of the specification speaks of."""

LONGEST = max(statistic.length for statistic in STATISTICS.values())


def statistics_of(series: Matrix) -> dict[str, Vector]:
    """Every statistic of the last values of series.

    Parameters
    ----------
    series
        At least `LONGEST` values of each series, none lacking.
    """
    return {
        name: statistic.kernel(series[-statistic.length :])
        for name, statistic in STATISTICS.items()
    }
