"""What a decision knows of risk: one window of returns and the covariances drawn from it.

1. A name joins with at least ``least`` returns in the window.
2. The window keeps the sessions on which every joined name has a return: pairwise sums would give
   matrices that are no covariances. Where too few are left, the name with the fewest returns leaves
   (of equals the last), until enough are.
3. The covariance is Ledoit and Wolf's shrinkage towards the mean variance (2004, "A
   well-conditioned estimator for large-dimensional covariance matrices"); a retry asks for a
   stronger shrinkage by number.

Written by hand because the library that has it takes seconds to import; tests hold it to
scikit-learn's. Sums run over exactly the rows of the window, so they have the same bytes whatever
range they are computed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LARGEST_CONDITION = 1e12
"""Condition number above which half of a double's digits, and more, are lost in a solution."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Returns of the names that have enough of them, and what follows from those.

    Parameters
    ----------
    returns
        Sessions by joined names, fractions, without NaN.
    joined
        Over all names asked about: who is a column of ``returns``.
    counts
        Over all names asked about: returns in the window.
    """

    returns: Matrix
    joined: Mask
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, window: Matrix, least: int) -> Evidence:
        """Draw the evidence from a window.

        Parameters
        ----------
        window
            Sessions by names, fractions; NaN where there is no return.
        least
            Returns that a name needs, and sessions that the names must share.
        """
        known = ~np.isnan(window)
        counts = known.sum(axis=0).astype(np.int64)
        joined = counts >= least
        shared = known[:, joined].all(axis=1)
        while joined.any() and shared.sum() < least:
            fewest = np.where(joined, counts, np.iinfo(np.int64).max)
            # Searched from the end: of equals the last leaves.
            joined[len(fewest) - 1 - int(np.argmin(fewest[::-1]))] = False
            shared = known[:, joined].all(axis=1)
        return cls(np.ascontiguousarray(window[shared][:, joined]), joined, counts)

    @property
    def rows(self) -> int:
        """Sessions that the joined names share."""
        return len(self.returns)

    @property
    def variances(self) -> Vector:
        """Variances of the sample, not shrunk."""
        return np.asarray(np.diag(self._sample[0]))

    @cached_property
    def _sample(self) -> tuple[Matrix, float]:
        """Sample covariance (over T, as the shrinkage asks) and Ledoit and Wolf's intensity."""
        rows, names = self.returns.shape
        # What overflows is infinite, and `sound` refuses it: the ladder goes on.
        with np.errstate(over="ignore", invalid="ignore"):
            centred = self.returns - self.returns.mean(axis=0)
            sample = centred.T @ centred / rows
            squares = float((sample * sample).sum())
            mean = float(np.trace(sample)) / names
            distance = squares - names * mean * mean
            # In one dimension, or with equal uncorrelated variances, the sample is its own target.
            if distance <= np.finfo(np.float64).eps * squares:
                return sample, 0.0
            fourth = centred * centred
            noise = (float((fourth.T @ fourth).sum()) / rows - squares) / rows
        return sample, min(max(noise, 0.0), distance) / distance

    def covariance(self, intensity: float | None = None) -> Matrix:
        """Shrunk covariance; the intensity is Ledoit and Wolf's own unless one is given."""
        sample, own = self._sample
        weight = own if intensity is None else intensity
        with np.errstate(over="ignore", invalid="ignore"):
            shrunk = (1 - weight) * sample
            shrunk[np.diag_indices(len(sample))] += weight * np.trace(sample) / len(sample)
        return np.asarray(shrunk)


def sound(covariance: Matrix) -> bool:
    """Whether a covariance is finite, positive and well enough conditioned to be solved."""
    if not covariance.size or not np.isfinite(covariance).all():
        return False
    eigenvalues = np.linalg.eigvalsh(covariance)
    return bool(eigenvalues[0] > 0 and eigenvalues[-1] <= LARGEST_CONDITION * eigenvalues[0])


def correlation(covariance: Matrix) -> Matrix:
    """Correlations of a covariance, exactly one on the diagonal."""
    deviation = np.sqrt(np.diag(covariance))
    found = np.clip(covariance / np.outer(deviation, deviation), -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)
