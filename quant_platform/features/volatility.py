"""Volatility: realised, from ranges, downside, of the tail; and a composite of them.

Parkinson (1980) takes the variance of a session from its high and low, Garman and Klass (1980) from
open and close as well; both leave out the gap between sessions, which Yang and Zhang (2000) add.
Realised and range volatility are of log returns, what is lost of plain returns. Ulcer index: Martin
and McCann (1989).

The tail under Student's t is found by moments: of an excess kurtosis k the degrees of freedom are
4 + 6/k, normal where there is no excess. A maximum of the likelihood would need an iteration for
every security and session; moments can be rolled.

**The composite.** Its weights follow the security's own state: EWMA volatility over that of a
year. The state of the market would be another choice: ``market/regime`` stands on features of
other sleeves and on another calendar than coins have, so that a sleeve's volatility would wait for
all of them, and a name's would change with the names around it. Each component is pulled to within
a factor of the median of those that are there, so that one impossible high does not make the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import log, sqrt

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import gammaln, stdtrit

from quant_platform.features.family import Family
from quant_platform.features.finite import Block, finite_features, finite_windows
from quant_platform.features.rolling import Counts, Matrix, count, highest, window_sum
from quant_platform.lakehouse.contracts.features_volatility import FEATURES_VOLATILITY, STATES
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings import TrendSettings
from quant_platform.settings.risk_features import VolatilitySettings

TAIL = 0.05
"""Share of the returns that are the tail."""
_CHUNK = 63
"""Rows whose tails are looked for together."""
_NODES = 2049
_NORMAL = float(STATES.index("normal"))

Vector = npt.NDArray[np.float64]
Three = tuple[Matrix, Matrix, Matrix]


def volatility_windows() -> dict[str, Window]:
    """Sessions of its inputs that ``features_volatility`` depends on."""
    return finite_windows(volatility_family(VolatilitySettings(), 1))


def volatility_features(
    frames: Mapping[str, pl.LazyFrame],
    settings: TrendSettings,
    wanted: SessionRange,
    composite: VolatilitySettings,
    periods_per_year: int,
) -> pl.DataFrame:
    """Compute ``features_volatility`` for a range; see `finite_features`.

    Parameters
    ----------
    frames, settings, wanted
        As of `finite_features`.
    composite
        Weights and look-back of the composite, by state.
    periods_per_year
        Sessions a year of the sleeve.
    """
    return finite_features(volatility_family(composite, periods_per_year), frames, settings, wanted)


@lru_cache
def volatility_family(composite: VolatilitySettings, periods_per_year: int) -> Family:
    """Functions of the columns, for a sleeve.

    Parameters
    ----------
    composite, periods_per_year
        As of `volatility_features`.
    """
    family = Family(FEATURES_VOLATILITY, reads=("ewma_volatility",))
    year = sqrt(periods_per_year)

    @family.column
    def volatility(block: Block, length: int) -> Matrix:
        return _deviation(block.returns, length, block.asked) * year

    @family.column
    def ewma_volatility(block: Block) -> Matrix:
        return block.answer(block.state["ewma_volatility"]) * year

    @family.column
    def parkinson(block: Block, length: int) -> Matrix:
        return _root_of_mean(_ranges(block) / (4 * log(2)), length, block.asked) * year

    @family.column
    def garman_klass(block: Block, length: int) -> Matrix:
        return _root_of_mean(_garman_klass(block), length, block.asked) * year

    @family.column
    def range_volatility(block: Block, length: int) -> Matrix:
        gap = np.log(block.open / block.before) ** 2
        return _root_of_mean(gap + _garman_klass(block), length, block.asked) * year

    @family.column
    def downside_deviation(block: Block, length: int) -> Matrix:
        return _root_of_mean(np.minimum(_plain(block), 0.0) ** 2, length, block.asked) * year

    @family.column
    def cvar_historical(block: Block, length: int) -> Matrix:
        return tail_mean(_plain(block), length, block.asked)

    @family.column
    def cvar_student(block: Block, length: int) -> Matrix:
        return student_tail_mean(_plain(block), length, block.asked)

    @family.column
    def ulcer_index(block: Block, length: int) -> Matrix:
        falls = block.close / highest(block.close, length) - 1
        return _root_of_mean(falls**2, length, block.asked)

    @family.column
    def volatility_state(block: Block) -> Matrix:
        ratio = block.made["ewma_volatility"] / block.made["volatility_252"]
        place = 1.0 + (ratio > composite.turbulent_above) - (ratio < composite.quiet_below)
        return np.where(np.isnan(ratio), np.nan, place)

    @family.column
    def composite_volatility(block: Block) -> Matrix:
        return _composite(block, composite)

    return family


def _composite(block: Block, settings: VolatilitySettings) -> Matrix:
    """Composite of each cell, with the weights and the look-back of its state."""
    made = block.made
    state = np.where(np.isnan(made["volatility_state"]), _NORMAL, made["volatility_state"])
    place = state.astype(np.intp)
    own = [getattr(settings, name) for name in STATES]
    realised = np.choose(place, [made[f"volatility_{each.lookback}"] for each in own])
    ranges = np.choose(place, [made[f"range_volatility_{each.lookback}"] for each in own])
    weights = np.array([[each.realised, each.ranges, each.ewma] for each in own])
    return robust_mean(
        (realised, ranges, made["ewma_volatility"]),
        (weights[place, 0], weights[place, 1], weights[place, 2]),
        settings.pulled_within,
    )


def robust_mean(parts: Three, weights: Three, within: float) -> Matrix:
    """Weighted mean of what is there of three, each pulled to within a factor of their median.

    Parameters
    ----------
    parts
        Values that are not negative, NaN for none.
    weights
        Their weights; a part without a weight is not looked at.
    within
        The factor.

    Returns
    -------
    numpy.ndarray
        The mean; NaN where less than half of the weights has a value.
    """
    first, second, third = (
        np.where(weight > 0, part, np.nan) for part, weight in zip(parts, weights, strict=True)
    )
    low, high = np.fmin(first, second), np.fmax(first, second)
    least, most = np.fmin(low, third), np.fmax(high, third)
    every = ~(np.isnan(first) | np.isnan(second) | np.isnan(third))
    middle = np.where(every, np.maximum(low, np.minimum(high, third)), (least + most) / 2)
    total, used, whole = (np.zeros_like(middle) for _ in range(3))
    for part, weight in zip((first, second, third), weights, strict=True):
        there = ~np.isnan(part)
        pulled = np.minimum(np.maximum(part, middle / within), middle * within)
        total += np.where(there, weight * pulled, 0.0)
        used += np.where(there, weight, 0.0)
        whole += weight
    enough = (used > 0) & (used >= whole / 2)
    return np.where(enough, total / np.where(enough, used, 1.0), np.nan)


def tail_mean(returns: Matrix, length: int, rows: int) -> Matrix:
    """Mean of the worst `TAIL` of the returns in the last ``length`` rows.

    Of n returns the tail is n times `TAIL`, parts of a return included (Rockafellar and Uryasev,
    2002). The windows of a chunk of rows share most of their returns. The smallest of those are
    found once; those before them are taken in one by one from the newest back, those after them
    from the oldest on; each window then merges two sorted lists. The worst are added from the
    smallest on, so that the bytes do not depend on where a chunk begins.

    Parameters
    ----------
    returns
        Returns, NaN for none.
    length
        Rows of a window, more than a chunk has.
    rows
        How many of the last rows are asked for.
    """
    there = _asked_count(returns, length, rows)
    kept = 1 << int(np.ceil(np.log2(TAIL * length)))
    values = np.where(np.isnan(returns), np.inf, returns)
    found = np.full((rows, returns.shape[1]), np.nan)
    first = max(len(returns) - rows, length - 1)
    for start in range(first, len(returns), _CHUNK):
        stop = min(start + _CHUNK, len(returns))
        # Of row `row` the window is what is before the shared rows, these, and what is after.
        before = [np.full((kept, values.shape[1]), np.inf)]
        for row in range(stop - 1, start, -1):
            before.append(_taken_in(before[-1], values[row - length]))
        after = _smallest(values[stop - length : start + 1], kept)
        for row in range(start, stop):
            if row > start:
                after = _taken_in(after, values[row])
            at = row - len(returns) + rows
            found[at] = _mean_of_tail(_merged(before[stop - 1 - row], after), there[at])
    return found


def _smallest(values: Matrix, kept: int) -> Matrix:
    """Smallest values of each column, in their order; infinite where there are no more."""
    if len(values) < kept:
        values = np.concatenate([values, np.full((kept - len(values), values.shape[1]), np.inf)])
    return np.sort(np.partition(values, kept - 1, axis=0)[:kept], axis=0)


def _taken_in(smallest: Matrix, value: Vector) -> Matrix:
    """Smallest values after one more, in their order."""
    one_up = np.empty_like(smallest)
    one_up[0] = -np.inf
    one_up[1:] = smallest[:-1]
    np.maximum(one_up, value, out=one_up)
    return np.minimum(one_up, smallest, out=one_up)


def _merged(one: Matrix, other: Matrix) -> Matrix:
    """Smallest values of two sorted lists of one length, a power of two, in their order.

    Batcher's bitonic merge (1968).
    """
    values = np.minimum(one, other[::-1])
    step = len(values) // 2
    while step:
        pairs = values.reshape(-1, 2, step, values.shape[1])
        ordered = np.empty_like(pairs)
        np.minimum(pairs[:, 0], pairs[:, 1], out=ordered[:, 0])
        np.maximum(pairs[:, 0], pairs[:, 1], out=ordered[:, 1])
        values = ordered.reshape(values.shape)
        step //= 2
    return values


def _mean_of_tail(worst: Matrix, there: Counts) -> Vector:
    """Mean of the tail of as many returns as are there, of the smallest in their order."""
    size = TAIL * there
    total = np.zeros(len(there))
    finite = np.where(np.isinf(worst), 0.0, worst)
    for place, value in enumerate(finite):
        total += value * np.minimum(np.maximum(size - place, 0.0), 1.0)
    return np.asarray(np.where(there > 0, total / np.where(there > 0, size, 1.0), np.nan))


def student_tail_mean(returns: Matrix, length: int, rows: int) -> Matrix:
    """Mean of the worst `TAIL` under Student's t, by the moments of the last ``length`` rows."""
    there = _asked_count(returns, length, rows)
    known = np.maximum(there, 1)
    power, moments = np.where(np.isnan(returns), 0.0, returns), []
    values = power
    for _ in range(4):
        moments.append(_asked_sum(power, length, rows) / known)
        power = power * values
    first, second, third, fourth = moments
    variance = second - first**2
    spread = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
    moved = (variance > 1e-16) & (there > 1)
    heavy = np.maximum(spread / np.where(moved, variance, 1.0) ** 2 - 3, 0.0)
    factor = np.interp(heavy / (4 * heavy + 6), *_tail_factors())
    sample = variance * there / np.maximum(there - 1, 1)
    return np.where(moved, first - np.sqrt(np.where(moved, sample, 0.0)) * factor, np.nan)


@lru_cache(maxsize=1)
def _tail_factors() -> tuple[Matrix, Matrix]:
    """Distance of the tail's mean from the mean, in deviations, by 1 over degrees of freedom."""
    inverse = np.linspace(0.0, 0.25, _NODES)
    freedom = 1 / np.maximum(inverse, 1e-9)
    edge = stdtrit(freedom, TAIL)
    density = np.exp(
        gammaln((freedom + 1) / 2)
        - gammaln(freedom / 2)
        - 0.5 * np.log(freedom * np.pi)
        - (freedom + 1) / 2 * np.log1p(edge**2 / freedom)
    )
    of_unit_scale = density / TAIL * (freedom + edge**2) / (freedom - 1)
    factors = of_unit_scale * np.sqrt((freedom - 2) / freedom)
    # Beyond double precision of the gamma function: the normal distribution.
    factors[0] = 2 * factors[1] - factors[2]
    return inverse, factors


def _plain(block: Block) -> Matrix:
    """Return of each session."""
    return block.close / block.before - 1


def _ranges(block: Block) -> Matrix:
    """Squared log ranges."""
    return np.asarray(np.log(block.high / block.low) ** 2)


def _garman_klass(block: Block) -> Matrix:
    """Variance of a session without the gap before it."""
    body = np.log(block.close / block.open) ** 2
    return _ranges(block) / 2 - (2 * log(2) - 1) * body


def _root_of_mean(squares: Matrix, length: int, rows: int) -> Matrix:
    """Root of the mean of the last rows; of squares that may cancel out, at least 0."""
    there = _asked_count(squares, length, rows)
    total = _asked_sum(np.where(np.isnan(squares), 0.0, squares), length, rows)
    root = np.sqrt(np.maximum(total, 0.0) / np.maximum(there, 1))
    return np.where(there > 0, root, np.nan)


def _deviation(matrix: Matrix, length: int, rows: int) -> Matrix:
    """Sample standard deviation of the values in the last rows."""
    there = _asked_count(matrix, length, rows)
    values = np.where(np.isnan(matrix), 0.0, matrix)
    sums, squares = (_asked_sum(part, length, rows) for part in (values, values * values))
    least = np.maximum(there, 2)
    variance = np.maximum(squares - sums * sums / least, 0.0)
    return np.where(there > 1, np.sqrt(variance / (least - 1)), np.nan)


def _asked_count(matrix: Matrix, length: int, rows: int) -> Counts:
    """Values among the last ``length`` rows, for the last ``rows`` rows."""
    return np.broadcast_to(count(matrix, length)[-rows:], (rows, matrix.shape[1]))


def _asked_sum(matrix: Matrix, length: int, rows: int) -> Matrix:
    """Sum of the last ``length`` rows, for the last ``rows`` rows alone; NaN-free input."""
    return window_sum(matrix, length)[-rows:]
