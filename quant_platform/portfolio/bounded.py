"""Portfolios within bounds: weights that add up to one, each between its floor and its ceiling.

``nearest`` is the closest such portfolio to any weights. ``least_variance`` is the one of least
variance, by a primal active-set method:

1. The covariance is scaled to a mean variance of one, so that tolerances mean the same for daily
   returns of bonds and of coins.
2. From a feasible portfolio, the free names move to the least variance under a constant sum, as far
   as the first bound that they meet; the name that met it is then held there.
3. Where no move is left, the name whose bound hurts most is freed. If none does, the conditions of
   Karush, Kuhn and Tucker hold, which for a convex problem proves the optimum; they are checked
   again on the result.

By hand rather than through a modelling library: the proof is exact, the answer depends on the
problem alone (a reused solver starts from the problem before, and a range would not have the bytes
of its days), and it takes a millisecond for twenty names, where importing the library takes two
seconds. Tests hold it to cvxpy and skfolio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant_platform.errors import ConfigError
from quant_platform.portfolio.covariance import Mask, Matrix, Vector

CHECKED_TO = 1e-6
"""Constraints and optimality are re-checked to this, on a covariance of mean variance one."""

_SETTLED = 1e-12
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Bounds:
    """Floor and ceiling of each weight; together they leave room for a sum of one.

    Parameters
    ----------
    lower, upper
        One number for each name.
    """

    lower: Vector
    upper: Vector

    def __post_init__(self) -> None:
        least, most = float(self.lower.sum()), float(self.upper.sum())
        crossed = bool((self.lower > self.upper).any())
        if crossed or least > 1 + _ROUNDING or most < 1 - _ROUNDING or not len(self.lower):
            raise ConfigError(
                f"{len(self.lower)} weights between bounds that add up to {least:g} and {most:g}",
                expected="floors that add up to one or less, and ceilings to one or more",
                mend="widen the bounds, or change how many there are to share between",
            )

    @classmethod
    def alike(cls, names: int, lower: float, upper: float) -> Bounds:
        """Give the same floor and ceiling to every name."""
        return cls(np.full(names, lower), np.full(names, upper))

    def hold(self, weights: Vector) -> bool:
        """Whether weights keep the bounds and add up to one, to ``CHECKED_TO``."""
        return bool(
            np.isfinite(weights).all()
            and abs(weights.sum() - 1) <= CHECKED_TO
            and (weights >= self.lower - CHECKED_TO).all()
            and (weights <= self.upper + CHECKED_TO).all()
        )


def nearest(weights: Vector, bounds: Bounds) -> Vector:
    """Return the portfolio within bounds with the least squared distance from some weights.

    It is clip(weights - shift): the sum falls with the shift along straight pieces, so the shift
    that makes it one is found exactly between two corners. Weights that already are such a
    portfolio are handed back themselves.
    """
    inside = (weights >= bounds.lower) & (weights <= bounds.upper)
    if inside.all() and abs(weights.sum() - 1) <= _SETTLED:
        return weights
    corners = np.sort(np.concatenate([weights - bounds.upper, weights - bounds.lower]))
    sums = np.clip(weights - corners[:, None], bounds.lower, bounds.upper).sum(axis=1)
    # Sums descend; the last corner whose sum is still one or more begins the piece.
    piece = int(np.searchsorted(-sums, -1.0, side="right")) - 1
    if piece < 0:
        shift = corners[0]
    elif piece + 1 == len(corners) or sums[piece] == sums[piece + 1]:
        shift = corners[piece]
    else:
        span = (sums[piece] - 1) / (sums[piece] - sums[piece + 1])
        shift = corners[piece] + span * (corners[piece + 1] - corners[piece])
    return _whole(np.clip(weights - shift, bounds.lower, bounds.upper), bounds)


def least_variance(covariance: Matrix, bounds: Bounds) -> Vector | None:
    """Return the portfolio of least variance within bounds, or None where none could be proved.

    Parameters
    ----------
    covariance
        Positive definite, names by names.
    bounds
        Floor and ceiling of each weight.
    """
    scaled = covariance / np.diag(covariance).mean()
    names = len(scaled)
    weights = nearest(np.full(names, 1 / names), bounds)
    free = (weights > bounds.lower) & (weights < bounds.upper)
    for _ in range(20 * names + 20):
        move = _move(scaled, weights, free)
        if np.abs(move).max() > _SETTLED:
            weights, met = _advance(weights, move, bounds)
            free &= ~met
            if met.any():
                continue
        released = _hurting(scaled @ weights, weights, free, bounds)
        if not released.any():
            weights = _whole(weights, bounds)
            return weights if _optimal(scaled @ weights, weights, bounds) else None
        free |= released
    return None


def _move(scaled: Matrix, weights: Vector, free: Mask) -> Vector:
    """Step of the free names to their least variance under a constant sum."""
    move = np.zeros_like(weights)
    if free.sum() < 2:
        return move
    own = scaled[np.ix_(free, free)]
    slope = (scaled @ weights)[free]
    toward, level = np.linalg.solve(own, np.stack([slope, np.ones_like(slope)], axis=1)).T
    move[free] = level * (toward.sum() / level.sum()) - toward
    return move


def _advance(weights: Vector, move: Vector, bounds: Bounds) -> tuple[Vector, Mask]:
    """Go along a step to its end or to the first bound; say who met it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(move > 0, bounds.upper - weights, bounds.lower - weights) / move
    room = np.where(move == 0, np.inf, np.maximum(room, 0.0))
    share = min(1.0, float(room.min()))
    moved = weights + share * move
    met = room <= share if share < 1 else np.zeros(len(move), dtype=np.bool_)
    limit = np.where(move > 0, bounds.upper, bounds.lower)
    return np.where(met, limit, np.clip(moved, bounds.lower, bounds.upper)), met


def _hurting(slope: Vector, weights: Vector, free: Mask, bounds: Bounds) -> Mask:
    """Names to free: the one whose bound hurts most; a pair where no name is free."""
    found = np.zeros(len(weights), dtype=np.bool_)
    loose = bounds.lower < bounds.upper
    # A name held above its floor may fall, one held below its ceiling may rise.
    falls = np.where(loose & ~free & (weights > bounds.lower), slope, -np.inf)
    rises = np.where(loose & ~free & (weights < bounds.upper), slope, np.inf)
    high, low = int(np.argmax(falls)), int(np.argmin(rises))
    if not free.any():
        if falls[high] > rises[low] + _SETTLED:
            found[[high, low]] = True
        return found
    level = float(slope[free].mean())
    above, below = falls[high] - level, level - rises[low]
    if max(above, below) > _SETTLED * 100:
        found[high if above >= below else low] = True
    return found


def _optimal(slope: Vector, weights: Vector, bounds: Bounds) -> bool:
    """Whether no weight could move from one name to another and lower the variance."""
    may_fall = weights > bounds.lower
    may_rise = weights < bounds.upper
    if not may_fall.any() or not may_rise.any():
        return bounds.hold(weights)
    gain = float(slope[may_fall].max() - slope[may_rise].min())
    return bounds.hold(weights) and gain <= CHECKED_TO


def _whole(weights: Vector, bounds: Bounds) -> Vector:
    """Give the rounding error of the sum to a name that has room for it."""
    rest = 1.0 - float(weights.sum())
    room: npt.NDArray[np.float64] = np.minimum(weights - bounds.lower, bounds.upper - weights)
    widest = int(np.argmax(room))
    if abs(rest) <= room[widest]:
        weights = weights.copy()
        weights[widest] += rest
    return weights
