"""GARCH(1,1) with a constant mean and normal errors, fitted to many series at once.

    r[t] = mu + e[t],   e[t] ~ N(0, h[t]),   h[t] = omega + alpha·e[t-1]² + beta·h[t-1]

Bollerslev (1986). By hand and not by ``arch``, for speed: a fit of 756 returns takes ``arch`` some
tens of milliseconds, nearly all of it Python; here a step of the recursion is one numpy call for
all series, a lane each. Tests hold estimates and likelihood to those of ``arch`` and of the
literature.

1. A series is standardised, so that one set of starts and bounds fits all.
2. The likelihood of a series without much clustering has several tops, so each series climbs from
   two starts, a lane each: from the best of little and the best of much persistence or, where the
   caller has estimates from before, from these and the better of the two. When both are nearly up
   the lower is given up.
3. Newton's steps with Levenberg's damping on the logarithm of the unconditional variance, the logit
   of the persistence alpha + beta, and that of alpha's share in it: omega > 0, alpha and beta >= 0
   and persistence < 1 hold by construction. Slopes are exact, for the derivatives of h follow the
   same recursion as h; the curvature is their difference over `_NEAR`, and where it is not that of
   a top it is turned over.
4. A lane has *converged* when the quadratic model promises less than `PROMISE` of log-likelihood.
   It is left as it is from then on; who else is in the batch changes nothing, not even the last
   bit: sums run down the rows, lane by lane. Threads share the lanes where there are many.

The likelihood is in `quant_platform.features.garch_likelihood`.
"""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from math import log

import numpy as np
import numpy.typing as npt

from quant_platform.features.garch_likelihood import Fits, Matrix, Standard, Start, Vector

PROMISE = 1e-10
"""Log-likelihood that a further step may still promise."""
_LOWEST = np.array([-1.0, -7.0, -6.0, -9.2])
_HIGHEST = np.array([1.0, 7.0, 9.2, 9.2])
"""Bounds of mean, log variance, logit of persistence (0.9999), logit of alpha's share."""
_GRID = tuple(
    tuple((p, a / p) for p in some for a in (0.01, 0.04, 0.1, 0.2))
    for some in ((0.5, 0.8, 0.9), (0.95, 0.98, 0.995))
)
"""Starts of little and of much persistence: persistence and alpha's share."""
_NEAR = 1e-5
_FIRST_DAMPING, _DAMPED, _RELIEF, _GIVEN_UP = 1e-3, 10.0, 0.1, 1e10
_NEARLY_UP = 0.01
"""Log-likelihood that lanes may still promise when the lower of two is given up."""
_THREADS = 2
_UNFINISHED = 1e6
"""What a lane that has not converged is held back by, in log-likelihood."""


def fit(
    returns: Matrix,
    lengths: npt.NDArray[np.int64],
    before: Matrix | None = None,
    *,
    iterations: int = 100,
    start: Start = "back_cast",
) -> Fits:
    """Fit every series.

    Parameters
    ----------
    returns
        One series a column, in the order of time, the last returns in the last row; what is above
        a shorter series is not looked at. None may be constant.
    lengths
        Returns of each series.
    before
        Estimates to start from, `PARAMETERS` down, NaN for none.
    iterations
        Most steps.
    start
        Variance before the first return; see the module.
    """
    single = Standard.of(returns, lengths, start)
    with ThreadPoolExecutor(_THREADS) as pool:
        starts = _starts(single, before, pool)
        points = np.ascontiguousarray(starts.reshape(4, -1))
        climb = _Climb(single.repeated(2), points, pool)
        climb.run(iterations)
    reached = np.where(climb.converged, climb.here, climb.here - _UNFINISHED)
    lanes = 2 * np.arange(returns.shape[1]) + np.argmax(reached.reshape(-1, 2), axis=1)
    return single.found(
        climb.point[:, lanes], climb.here[lanes], climb.steps[lanes], climb.converged[lanes]
    )


class _Climb:
    """All lanes on their way up, two neighbours for each series.

    Parameters
    ----------
    data
        The series, a lane each.
    point
        Where each lane starts.
    pool
        Threads that share the work.
    """

    def __init__(self, data: Standard, point: Matrix, pool: Executor) -> None:
        width = point.shape[1]
        self.data, self.point, self.pool = data, point, pool
        self.here = data.likelihood(point, pool)
        self.steps = np.zeros(width, dtype=np.int64)
        self.converged = np.zeros(width, dtype=bool)
        self._running = np.ones(width, dtype=bool)
        self._moved = np.ones(width, dtype=bool)
        self._damping = np.full(width, _FIRST_DAMPING)
        self._slopes, self._curvature = np.zeros((width, 4)), np.zeros((width, 4, 4))
        self._promise = np.full(width, np.inf)

    def run(self, iterations: int) -> None:
        """Step until every lane has converged, is stuck, or has taken so many steps."""
        while self._running.any():
            lanes = np.flatnonzero(self._running & self._moved)
            if len(lanes):
                self._look_around(lanes)
            lanes = np.flatnonzero(self._running)
            step, promise = _step(
                self.point[:, lanes],
                self._slopes[lanes],
                self._curvature[lanes],
                self._damping[lanes],
            )
            self._promise[lanes] = promise
            done = promise < PROMISE
            self.converged[lanes[done]] = True
            spent = (self._damping[lanes] > _GIVEN_UP) | (self.steps[lanes] >= iterations)
            self._running[lanes[done | spent]] = False
            self._give_up_the_lower()
            moving = self._running[lanes]
            if moving.any():
                self._try(lanes[moving], step[:, moving])

    def _give_up_the_lower(self) -> None:
        """Of two lanes of a series that are nearly up go on with the higher one."""
        near = (self._promise < _NEARLY_UP).reshape(-1, 2).all(axis=1)
        pairs = self.here.reshape(-1, 2)
        lower = 2 * np.arange(len(pairs)) + (pairs[:, 0] >= pairs[:, 1])
        self._running[lower[near & ~self.converged.reshape(-1, 2).any(axis=1)]] = False

    def _try(self, lanes: npt.NDArray[np.intp], step: Matrix) -> None:
        """Take the steps that lead up; shorten the others."""
        tried = np.clip(self.point[:, lanes] + step, _LOWEST[:, None], _HIGHEST[:, None])
        there = self.data.at(lanes).likelihood(tried, self.pool)
        better = there > self.here[lanes]
        self.steps[lanes] += 1
        won = lanes[better]
        self.point[:, won], self.here[won], self._moved[won] = tried[:, better], there[better], True
        self._damping[lanes] *= np.where(better, _RELIEF, _DAMPED)

    def _look_around(self, lanes: npt.NDArray[np.intp]) -> None:
        """Slopes where the lanes are, and what becomes of them nearby."""
        beside = np.repeat(self.point[:, lanes], 5, axis=1)
        for k in range(4):
            beside[k, k + 1 :: 5] += _NEAR
        slopes = self.data.at(lanes).repeated(5).slopes(beside, self.pool)
        slopes = slopes.reshape(len(lanes), 5, 4)
        bent = -(slopes[:, 1:] - slopes[:, :1]) / _NEAR
        self._slopes[lanes] = slopes[:, 0]
        self._curvature[lanes] = (bent + bent.transpose(0, 2, 1)) / 2
        self._moved[lanes] = False


def _starts(data: Standard, before: Matrix | None, pool: Executor) -> Matrix:
    """Points to start from: parameters, lanes, and two of each."""
    width = data.values.shape[1]
    chosen, reached = [], []
    for some in _GRID:
        grid = np.array([[0.0, 0.0, log(p / (1 - p)), log(s / (1 - s))] for p, s in some]).T
        points = np.tile(grid, width)
        found = data.repeated(len(some)).likelihood(points, pool).reshape(width, len(some))
        chosen.append(points.reshape(4, width, -1)[:, np.arange(width), np.argmax(found, axis=1)])
        reached.append(found.max(axis=1))
    little, much = chosen
    if before is None:
        return np.stack([little, much], axis=2)
    persistence = before[2] + before[3]
    known = np.stack(
        [
            (before[0] - data.mean) / data.scale,
            np.log(before[1] / (1 - persistence) / data.scale**2),
            np.log(persistence / (1 - persistence)),
            np.log(before[2] / before[3]),
        ]
    )
    warm = np.isfinite(known).all(axis=0)
    known = np.clip(known, _LOWEST[:, None], _HIGHEST[:, None])
    better = np.where(reached[0] > reached[1], little, much)
    return np.stack([np.where(warm, known, little), np.where(warm, better, much)], axis=2)


def _step(
    point: Matrix, slopes: Matrix, curvature: Matrix, damping: Vector
) -> tuple[Matrix, Vector]:
    """Step of each lane, parameters down, and the log-likelihood that it promises.

    A parameter at its bound that would leave it stays.
    """
    stuck = ((point <= _LOWEST[:, None]).T & (slopes < 0)) | (
        (point >= _HIGHEST[:, None]).T & (slopes > 0)
    )
    free = np.where(stuck, 0.0, slopes)
    held = np.where(stuck[:, :, None] | stuck[:, None, :], np.eye(4), curvature)
    bends, axes = np.linalg.eigh(np.where(np.isfinite(held), held, np.eye(4)))
    bends = np.maximum(np.abs(bends), 1e-9)
    along = np.einsum("njk,nj->nk", axes, free)
    damped = bends + damping[:, None] * np.maximum(bends, 1.0)
    step = np.einsum("njk,nk->nj", axes, along / damped)
    promise = 0.5 * np.sum(along**2 / bends, axis=1)
    # A longer one leaves the region that the curvature tells of.
    longest = np.max(np.abs(step), axis=1)
    step *= np.minimum(1.0, 2.0 / np.maximum(longest, 2.0))[:, None]
    return np.ascontiguousarray(step.T), promise
