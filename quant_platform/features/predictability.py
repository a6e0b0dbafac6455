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

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import factorial, gamma

import numpy as np
import numpy.typing as npt
from scipy.special import erfc

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


@dataclass(frozen=True)
class Sample:
    """Series, and what several statistics are made of, made once.

    Parameters
    ----------
    series
        Complete series, one a column, the oldest value first.
    """

    series: Matrix

    @cached_property
    def mean(self) -> Vector:
        """Mean of each series."""
        return np.asarray(self.series.mean(axis=0))

    @cached_property
    def apart(self) -> Matrix:
        """Distances from the mean."""
        return self.series - self.mean

    @cached_property
    def path(self) -> Matrix:
        """Sum of what is before each value, and of all of them."""
        return _path(self.series)

    @cached_property
    def correlations(self) -> Matrix:
        """Autocorrelation at 1 to `LAGS` lags, one row each."""
        return autocorrelations(self.apart, range(1, LAGS + 1))


def permutation_entropy(sample: Sample, order: int = 5, delay: int = 1) -> Vector:
    """Shannon entropy of the order patterns, as a share of the largest possible, 0..1.

    Bandt and Pompe (2002). Equal values are in the order of time.
    """
    series = sample.series
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


def rescaled_slope(sample: Sample) -> Vector:
    """Slope of the mean rescaled range over the length of the pieces, both in logarithms.

    Hurst (1951); biased upwards in short series.
    """
    series, path = sample.series, sample.path
    length = len(series)
    pieces = np.unique(np.geomspace(SHORTEST_PIECE, length // 2, 10).astype(int))
    squares = _path(series * series)
    ways, ranges = np.empty_like(series), []
    for piece in pieces:
        count = length // piece
        start = length - count * piece
        before, upto = path[start:-1:piece], path[start + piece :: piece]
        mean = (upto - before) / piece
        # The path of a piece's distances from its mean, from what was summed up before it.
        way = ways[start:].reshape(count, piece, -1)
        np.multiply(mean[:, None], np.arange(1.0, piece + 1)[:, None], out=way)
        np.subtract(path[start + 1 :].reshape(way.shape), way, out=way)
        highest, lowest = way.max(axis=1) - before, way.min(axis=1) - before
        reach = np.maximum(highest, 0.0) - np.minimum(lowest, 0.0)
        variance = (squares[start + piece :: piece] - squares[start:-1:piece]) / piece - mean**2
        with np.errstate(invalid="ignore", divide="ignore"):
            ranges.append(np.log(np.mean(reach / np.sqrt(variance), axis=0)))
    across = np.log(pieces.astype(float))
    across -= across.mean()
    weighed = sum(weight * level for weight, level in zip(across, ranges, strict=True))
    return np.asarray(weighed / np.sum(across**2))


def efficiency(sample: Sample) -> Vector:
    """Distance covered over the way gone, 0..1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.abs(sample.series.sum(axis=0)) / np.abs(sample.series).sum(axis=0))


def autocorrelations(apart: Matrix, lags: Iterable[int]) -> Matrix:
    """Autocorrelation at some lags, one row each.

    Parameters
    ----------
    apart
        Distances from the mean of each series.
    lags
        The lags.
    """
    whole = _product(apart, apart)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([_product(apart[lag:], apart[:-lag]) / whole for lag in lags])


def ljung_box(sample: Sample) -> Vector:
    """Smallest p-value of Ljung and Box's statistic over 1 to `LAGS` lags, 0..1."""
    length = len(sample.series)
    parts = sample.correlations**2 / (length - np.arange(1, LAGS + 1))[:, None]
    half = length * (length + 2) * np.cumsum(parts, axis=0) / 2
    tails = [_upper_tail(lags, half[lags - 1]) for lags in range(1, LAGS + 1)]
    return np.asarray(np.min(tails, axis=0))


def _upper_tail(degrees: int, half: Vector) -> Vector:
    """Upper tail of chi-square at twice ``half``: a sum of as many terms as degrees need."""
    odd = degrees % 2
    tail = erfc(np.sqrt(half)) if odd else np.exp(-half)
    for power in np.arange(1 - odd / 2, degrees / 2):
        tail = tail + half**power * np.exp(-half) / gamma(power + 1)
    return np.asarray(tail)


def first_autocorrelation(sample: Sample) -> Vector:
    """Autocorrelation at lag 1, -1..1."""
    return np.asarray(sample.correlations[0])


def memory_depth(sample: Sample) -> Vector:
    """Lags in a row, from the first, whose autocorrelation is above `MEMORY_THRESHOLD`."""
    depth = _leading(sample.correlations)
    # Few remember so long that more lags are worth looking at.
    deep = np.flatnonzero(depth == LAGS)
    if len(deep):
        # numpy adds up a single column in another order than one of several.
        apart = np.take(sample.apart, np.append(deep, deep[-1]), axis=1)
        more = autocorrelations(apart, range(LAGS + 1, MEMORY_LAGS + 1))
        depth[deep] += _leading(more)[:-1]
    return depth


def _leading(correlations: Matrix) -> Vector:
    """Rows from the first on that are above the threshold."""
    remembers = np.cumprod(correlations > MEMORY_THRESHOLD, axis=0)
    return np.asarray(np.sum(remembers, axis=0), dtype=np.float64)


def half_life(sample: Sample) -> Vector:
    """Sessions in which half of a distance from the mean is made good; infinite for none.

    Of an Ornstein-Uhlenbeck process: the sum of the series, regressed on itself.
    """
    level = sample.path[1:-1]
    apart = level - level.mean(axis=0)
    pull = _product(apart, sample.series[1:]) / _product(apart, apart)
    reverts = (pull < 0) & (pull > -1)
    speed = -np.log1p(np.where(reverts, pull, -0.5))
    return np.asarray(np.where(reverts, np.log(2) / speed, np.where(pull <= -1, 0.0, np.inf)))


def dickey_fuller(sample: Sample) -> Vector:
    """Statistic of the augmented test for a unit root, with a constant and one lag.

    Of the sum of the series; the more negative, the less a unit root is likely. Said and Dickey
    (1984). Its p-value is its place among random walks of the same length.
    """
    series, path = sample.series, sample.path[1:]
    change, level, before = (
        part - part.mean(axis=0) for part in (series[2:], path[1:-1], series[1:-1])
    )
    # Two slopes by Cramer's rule; the constant is in the means.
    squares, joint, others = (
        _product(one, other) for one, other in ((level, level), (level, before), (before, before))
    )
    pull, push = _product(level, change), _product(before, change)
    determinant = squares * others - joint * joint
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (pull * others - push * joint) / determinant
        drag = (push * squares - pull * joint) / determinant
        # The squares of a fit and of what it leaves add up to all.
        left = _product(change, change) - slope * pull - drag * push
        variance = left / (len(change) - 3)
        return np.asarray(slope / np.sqrt(variance * others / determinant))


def variance_ratio(sample: Sample) -> Vector:
    """Variance of returns over `VARIANCE_SPAN` sessions over that many variances of one.

    Lo and MacKinlay (1988), overlapping and unbiased; 1 for a random walk.
    """
    path, length, span = sample.path, len(sample.series), VARIANCE_SPAN
    single = _product(sample.apart, sample.apart) / (length - 1)
    long = path[span:] - path[:-span]
    long -= span * sample.mean
    scale = span * (length - span + 1) * (1 - span / length)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(_product(long, long) / scale / single)


def _product(one: Matrix, other: Matrix) -> Vector:
    """Sum of the products of two matrices, by column."""
    return np.asarray(np.einsum("ij,ij->j", one, other))


def _path(series: Matrix) -> Matrix:
    """Sum up what is before each row, and all rows."""
    path = np.zeros((len(series) + 1, series.shape[1]))
    np.cumsum(series, axis=0, out=path[1:])
    return path


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

    kernel: Callable[[Sample], Vector]
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
    samples = {
        length: Sample(series[-length:]) for length in {s.length for s in STATISTICS.values()}
    }
    return {
        name: statistic.kernel(samples[statistic.length]) for name, statistic in STATISTICS.items()
    }
