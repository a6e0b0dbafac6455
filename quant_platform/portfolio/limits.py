"""What weights must keep: floors, ceilings, caps on groups, exposures, a largest deviation.

A portfolio keeps its `Limits` when each weight lies between its floor and its ceiling, the weights
add up to ``total``, every row of ``rows`` gives at most its number of ``most`` (a cap on a cluster
is a row of ones and zeros, a band of exposure two rows), every row of ``equal`` gives its number of
``level``, and, where one is set, the deviation of the portfolio is at most ``deviation``. What is
solved within them is in `programs`; here are the limits and how they are made wide enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from quant_platform.errors import ConfigError
from quant_platform.portfolio.covariance import Mask, Matrix, Vector

CHECKED_TO = 1e-6
"""Constraints are re-checked to this after every solution."""

_ROUNDING = 1e-9


def _no_rows() -> Matrix:
    return np.empty((0, 0))


def _no_levels() -> Vector:
    return np.empty(0)


@dataclass(frozen=True, eq=False)
class Limits:
    """What the weights of a portfolio must keep.

    Parameters
    ----------
    lower, upper
        Floor and ceiling, one number for each name.
    rows, most
        Sums of weights and their largest values; none by default.
    equal, level
        Sums of weights and the values that they must have, beside ``total``.
    total
        What the weights add up to: 1, or 0 where longs and shorts offset each other.
    deviation
        Largest standard deviation of the portfolio a session; None for none.
    """

    lower: Vector
    upper: Vector
    rows: Matrix = field(default_factory=_no_rows)
    most: Vector = field(default_factory=_no_levels)
    equal: Matrix = field(default_factory=_no_rows)
    level: Vector = field(default_factory=_no_levels)
    total: float = 1.0
    deviation: float | None = None

    def __post_init__(self) -> None:
        least, most = float(self.lower.sum()), float(self.upper.sum())
        crossed = bool((self.lower > self.upper).any())
        beyond = least > self.total + _ROUNDING or most < self.total - _ROUNDING
        if crossed or beyond or not len(self.lower):
            raise ConfigError(
                f"{len(self.lower)} weights between bounds that add up to {least:g} and {most:g}",
                expected=f"floors that add up to {self.total:g} or less, and ceilings to "
                f"{self.total:g} or more",
                mend="widen the bounds, or change how many there are to share between",
            )

    @classmethod
    def alike(cls, names: int, lower: float, upper: float) -> Limits:
        """Give the same floor and ceiling to every name."""
        return cls(np.full(names, lower), np.full(names, upper))

    @property
    def box(self) -> bool:
        """Whether there are floors, ceilings and the total, and nothing else."""
        return not len(self.most) and not len(self.level) and self.deviation is None

    def hold(self, weights: Vector, covariance: Matrix | None = None) -> bool:
        """Whether weights keep every limit to `CHECKED_TO`.

        Parameters
        ----------
        weights
            One for each name.
        covariance
            Of a session; without it the deviation is not looked at.
        """
        kept = bool(
            np.isfinite(weights).all()
            and abs(weights.sum() - self.total) <= CHECKED_TO
            and (weights >= self.lower - CHECKED_TO).all()
            and (weights <= self.upper + CHECKED_TO).all()
        )
        if kept and len(self.most):
            kept = bool((self.rows @ weights <= self.most + CHECKED_TO).all())
        if kept and len(self.level):
            kept = bool((np.abs(self.equal @ weights - self.level) <= CHECKED_TO).all())
        if kept and self.deviation is not None and covariance is not None:
            risk = float(np.sqrt(weights @ covariance @ weights))
            kept = risk <= self.deviation * (1 + CHECKED_TO)
        return kept

    def capped(self, groups: Mask, caps: Vector) -> Limits:
        """Add a largest sum for each of some groups of names.

        Parameters
        ----------
        groups
            Groups down, names across.
        caps
            Largest sum of each group.
        """
        rows = groups.astype(np.float64)
        stacked = np.vstack([self.rows, rows]) if len(self.most) else rows
        return replace(self, rows=stacked, most=np.concatenate([self.most, caps]))


def cluster_cap(upper: Vector, groups: Mask, cap: float) -> float:
    """Smallest cap on clusters, no smaller than ``cap``, under which the weights can add up to one.

    A cluster can not take more than the ceilings of its names, so that a cluster of one name may
    leave more to the others than an equal share.

    Parameters
    ----------
    upper
        Ceilings of the names, adding up to one or more.
    groups
        Clusters down, names across; each name in one.
    cap
        The cap that is wanted.
    """
    rooms = np.sort(groups.astype(np.float64) @ upper)
    if float(np.minimum(rooms, cap).sum()) >= 1 - _ROUNDING:
        return cap
    # Between two rooms the sum grows by the number of clusters that still have some.
    taken = 0.0
    for place, room in enumerate(rooms.tolist()):
        needed = (1 - taken) / (len(rooms) - place)
        if needed <= room:
            return max(needed, cap)
        taken += room
    return max(float(rooms[-1]), cap)
