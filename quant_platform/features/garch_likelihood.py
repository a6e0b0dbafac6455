"""Likelihood of GARCH(1,1): many series side by side, and the slopes of each.

What the model is, and how it is climbed, is told in `quant_platform.features.garch_fit`. Sums run
down the rows, lane by lane: who else is in the batch changes nothing. The derivatives of the
variance follow the recursion of the variance itself, so that slopes are exact.

**The start value.** The variance before the first return decides small samples. ``arch`` takes an
exponential mean of the first 75 squared residuals (the back-cast), which is what the platform does;
Fiorentini, Calzolari and Panattoni (1996), whose results are the benchmark of the literature, the
mean of all. Results of the two must not be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from math import log, pi
from typing import Literal

import numpy as np
import numpy.typing as npt

from quant_platform.features.regression import down

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Start = Literal["back_cast", "mean"]

PARAMETERS = ("mu", "omega", "alpha", "beta")
_BACK_CAST_LENGTH = 75
_BACK_CAST_DECAY = 0.94
_PIECE = 28
"""Rows of the pieces that a recursion runs through side by side."""
_TOGETHER = 256
"""Lanes that are computed together."""


@dataclass(frozen=True)
class Fits:
    """What was found, one value for each series.

    Parameters
    ----------
    mu, omega, alpha, beta
        Estimates, in the units of the returns.
    log_likelihood
        At the estimates.
    next_variance
        Variance of the return after the last one.
    iterations
        Steps taken.
    converged
        Whether no further step promises anything.
    """

    mu: Vector
    omega: Vector
    alpha: Vector
    beta: Vector
    log_likelihood: Vector
    next_variance: Vector
    iterations: npt.NDArray[np.int64]
    converged: Mask

    def mean_variance(self, horizon: int) -> Vector:
        """Mean of the variances forecast for the next returns.

        Parameters
        ----------
        horizon
            How many returns.
        """
        ahead = total = self.next_variance
        for _ in range(horizon - 1):
            ahead = self.omega + (self.alpha + self.beta) * ahead
            total = total + ahead
        return np.asarray(total / horizon)


@dataclass(frozen=True)
class Standard:
    """Standardised series with what is known of them: rows down, lanes across."""

    values: Matrix
    there: Matrix
    lengths: npt.NDArray[np.int64]
    back_cast: Vector | None
    mean: Vector
    scale: Vector

    @classmethod
    def of(cls, returns: Matrix, lengths: npt.NDArray[np.int64], start: Start) -> Standard:
        """Standardise series; see `quant_platform.features.garch_fit.fit`."""
        lacking = -len(returns) % _PIECE
        rows = np.arange(-lacking, len(returns))[:, None]
        there = (rows >= len(returns) - lengths).astype(np.float64)
        returns = np.concatenate([np.zeros((lacking, returns.shape[1])), returns])
        values = np.where(there > 0, returns, 0.0)
        mean = down(values) / lengths
        apart = (values - mean) * there
        scale = np.sqrt(down(apart**2) / lengths)
        standard = apart / scale
        back_cast = None
        if start == "back_cast":
            age = rows - (len(returns) - lacking - lengths)
            early = (age >= 0) & (age < _BACK_CAST_LENGTH)
            weights = np.where(early, _BACK_CAST_DECAY ** np.where(early, age, 0), 0.0)
            back_cast = down(weights * standard**2) / down(weights)
        return cls(standard, there, lengths, back_cast, mean, scale)

    def at(self, lanes: npt.NDArray[np.intp]) -> Standard:
        """Return some lanes; all of them as they are."""
        if len(lanes) == self.values.shape[1]:
            return self
        return Standard(
            self.values[:, lanes],
            self.there[:, lanes],
            self.lengths[lanes],
            None if self.back_cast is None else self.back_cast[lanes],
            self.mean[lanes],
            self.scale[lanes],
        )

    def repeated(self, times: int) -> Standard:
        """Return every lane so many times, one after another."""
        return self.at(np.repeat(np.arange(self.values.shape[1]), times))

    def likelihood(self, point: Matrix, pool: Executor) -> Vector:
        """Log-likelihood of the standardised series, but for its constant."""
        return self._in_parts(Standard.part_likelihood, point, pool)

    def slopes(self, point: Matrix, pool: Executor) -> Matrix:
        """Gradient of the log-likelihood, lanes first."""
        return self._in_parts(Standard.part_slopes, point, pool)

    def part_likelihood(self, point: Matrix) -> Vector:
        """Log-likelihood of few lanes."""
        apart, variance, _ = self._variance(_natural(point))
        losses = (np.log(variance) + apart**2 / variance) * self.there
        total = -0.5 * down(losses)
        return np.where(np.isfinite(total), total, -np.inf)

    def part_slopes(self, point: Matrix) -> Matrix:
        """Gradient of few lanes."""
        natural = _natural(point)
        mu, omega, alpha, beta = natural
        apart, variance, start = self._variance(natural)
        square = apart**2
        persistence, share = alpha + beta, alpha / (alpha + beta)
        unconditional = omega / (1 - persistence)
        earlier, earlier_square = self._later(variance, start), self._later(square, start)
        # Derivatives of h obey its recursion: these are what drives them, row by row.
        driven = np.empty((len(square), 4, len(mu)))
        driven[:, 0] = -2 * alpha * self._later(apart, np.zeros_like(mu))
        driven[:, 1] = omega * self.there
        driven[:, 2] = (1 - persistence) * (
            alpha * earlier_square + beta * earlier - persistence * unconditional * self.there
        )
        driven[:, 3] = persistence * share * (1 - share) * (earlier_square - earlier)
        if self.back_cast is None:
            # Of the start values only the mean of all squares depends on a parameter.
            drift = -2 * down(apart * self.there) / self.lengths
            driven[self._first, 0, self._lanes] += (alpha + beta) * drift
        _run_through(driven.reshape(len(square), -1), np.tile(beta, 4))
        pull = 0.5 * (square / variance - 1) / variance * self.there
        found = np.stack([down(pull * driven[:, k]) for k in range(4)], axis=1)
        found[:, 0] += down(apart / variance * self.there)
        return found

    def _in_parts(
        self, function: Callable[[Standard, Matrix], Matrix], point: Matrix, pool: Executor
    ) -> Matrix:
        """Apply a function to few lanes at a time; where there are few, on the spot."""
        width = self.values.shape[1]
        if width <= _TOGETHER:
            return function(self, point)
        parts = np.array_split(np.arange(width), -(-width // _TOGETHER))
        done = pool.map(lambda lanes: function(self.at(lanes), point[:, lanes]), parts)
        return np.concatenate(list(done))

    def found(
        self, point: Matrix, here: Vector, steps: npt.NDArray[np.int64], converged: Mask
    ) -> Fits:
        """Put estimates into the units of the returns."""
        natural = _natural(point)
        mu, omega, alpha, beta = natural
        apart, variance, _ = self._variance(natural)
        ahead = omega + alpha * apart[-1] ** 2 + beta * variance[-1]
        constant = self.lengths * (0.5 * log(2 * pi) + np.log(self.scale))
        square = self.scale**2
        return Fits(
            self.mean + self.scale * mu,
            square * omega,
            alpha,
            beta,
            here - constant,
            square * ahead,
            steps,
            converged,
        )

    def _variance(self, natural: Matrix) -> tuple[Matrix, Matrix, Vector]:
        """Residuals, their variances (1 before the first), and the variance that these begin at."""
        mu, omega, alpha, beta = natural
        apart = (self.values - mu) * self.there
        start = self.back_cast
        if start is None:
            start = down(apart**2) / self.lengths
        variance = omega * self.there + alpha * self._later(apart**2, start)
        variance[self._first, self._lanes] += beta * start
        _run_through(variance, beta)
        variance += 1 - self.there
        return apart, variance, start

    def _later(self, matrix: Matrix, first: Vector) -> Matrix:
        """Each row one further down, with what stands before the first of each series."""
        moved = np.zeros_like(matrix)
        moved[1:] = matrix[:-1]
        moved *= self.there
        moved[self._first, self._lanes] = first
        return moved

    @property
    def _first(self) -> npt.NDArray[np.int64]:
        """Row of each series' first return."""
        return len(self.values) - self.lengths

    @property
    def _lanes(self) -> npt.NDArray[np.intp]:
        return np.arange(self.values.shape[1])


def _run_through(driven: Matrix, beta: Vector) -> None:
    """Make x[t] = driven[t] + beta·x[t-1] of what drives it, in place.

    In pieces that run side by side, counted from the end; then what each carries into the next is
    added. What is zero above a series stays zero, so that it does not matter how much there is.
    """
    pieces = driven.reshape(-1, _PIECE, driven.shape[1])
    carried = np.empty_like(pieces[:, 0])
    for row in range(1, _PIECE):
        np.multiply(pieces[:, row - 1], beta, out=carried)
        pieces[:, row] += carried
    powers = np.empty((_PIECE, len(beta)))
    powers[0] = beta
    for row in range(1, _PIECE):
        np.multiply(powers[row - 1], beta, out=powers[row])
    ends = pieces[:, -1].copy()
    for number in range(1, len(ends)):
        ends[number] += powers[-1] * ends[number - 1]
    pieces[1:] += powers * ends[:-1, None]


def _natural(point: Matrix) -> Matrix:
    """Mean, omega, alpha and beta of a point."""
    mu, level, place, mix = point
    persistence, share = 1 / (1 + np.exp(-place)), 1 / (1 + np.exp(-mix))
    return np.stack(
        [mu, np.exp(level) * (1 - persistence), persistence * share, persistence * (1 - share)]
    )
