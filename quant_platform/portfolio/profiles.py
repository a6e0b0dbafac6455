"""Risk profiles: from evidence to weights, down a ladder that says which rung it stands on.

1. ``equal_weight`` needs no evidence: 1/n, nearest within the bounds.
2. ``min_variance`` and ``hrp`` use the one covariance of the decision. A covariance that is not
   sound, a solution that can not be proved, or one that is worse than inverse variance, is a
   failure.
3. After a failure the method is asked again with shrinkage 0.15, 0.5 and 0.95; then inverse
   variance decides; then equal weight.

``requested`` is the profile's method. ``actual`` is the method that decided, followed by what was
done to it, each after a plus: ``+shrinkage:0.5`` (a retry), ``+projected`` (moved to the nearest
weights within the bounds), ``+rows:45`` (fewer sessions than the look-back). A method that differs
from the requested one is a fallback.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quant_platform.portfolio.bounded import Bounds, least_variance, nearest
from quant_platform.portfolio.covariance import Evidence, Matrix, Vector, correlation, sound
from quant_platform.portfolio.hrp import hrp_weights
from quant_platform.settings.portfolio import HrpSettings

SHRINKAGES = (None, 0.15, 0.5, 0.95)
"""Intensities that a method is tried with; None is Ledoit and Wolf's own."""

PROJECTED = "+projected"

# A solution may be as far above inverse variance as rounding, not more.
_SANE = 1 + 1e-9

Solve = Callable[[Matrix, Bounds, HrpSettings], tuple[Vector, str] | None]


@dataclass(frozen=True, eq=False)
class Decision:
    """Weights of one profile, with the method that was asked for and the one that decided."""

    weights: Vector
    requested: str
    actual: str


def method(actual: str) -> str:
    """Return the method of an ``actual``, without what was done to it."""
    return actual.split("+", 1)[0]


def decide(profile: str, evidence: Evidence, bounds: Bounds, variant: HrpSettings) -> Decision:
    """Decide the weights of one profile.

    Parameters
    ----------
    profile
        ``equal_weight`` or a name of ``METHODS``.
    evidence
        Returns of the names to weigh, all of them joined.
    bounds
        Floor and ceiling of each name's weight.
    variant
        Which hierarchical risk parity is meant.
    """
    if profile != "equal_weight":
        for intensity in SHRINKAGES:
            covariance = evidence.covariance(intensity)
            found = _solved(profile, covariance, bounds, variant)
            if found is not None:
                retry = "" if intensity is None else f"+shrinkage:{intensity:g}"
                return Decision(found[0], profile, f"{profile}{retry}{found[1]}")
        inverse = _inverse_variance(evidence.variances, bounds)
        if inverse is not None:
            return Decision(inverse[0], profile, f"inverse_variance{inverse[1]}")
    return equal(bounds, profile)


def equal(bounds: Bounds, requested: str) -> Decision:
    """Share equally, as far as the bounds allow."""
    names = len(bounds.lower)
    weights, note = _within(np.full(names, 1 / names), bounds)
    return Decision(weights, requested, f"equal_weight{note}")


def _solved(
    profile: str, covariance: Matrix, bounds: Bounds, variant: HrpSettings
) -> tuple[Vector, str] | None:
    """Weights of a method on one covariance and what was done to them; None after a failure."""
    if not sound(covariance):
        return None
    found = METHODS[profile](covariance, bounds, variant)
    return found if found is not None and bounds.hold(found[0]) else None


def _min_variance(covariance: Matrix, bounds: Bounds, _: HrpSettings) -> tuple[Vector, str] | None:
    weights = least_variance(covariance, bounds)
    plain = _inverse_variance(np.diag(covariance), bounds)
    if weights is None or plain is None:
        return None
    variance, most = (float(w @ covariance @ w) for w in (weights, plain[0]))
    return (weights, "") if variance <= most * _SANE else None


def _hrp(covariance: Matrix, bounds: Bounds, variant: HrpSettings) -> tuple[Vector, str] | None:
    weights = hrp_weights(covariance, correlation(covariance), variant)
    return _within(weights, bounds) if np.isfinite(weights).all() else None


METHODS: dict[str, Solve] = {"min_variance": _min_variance, "hrp": _hrp}
"""Methods that need a covariance, by profile."""


def _inverse_variance(variances: Vector, bounds: Bounds) -> tuple[Vector, str] | None:
    """Weights in inverse proportion to variances; None where one of them is nothing."""
    if not np.isfinite(variances).all() or (variances <= 0).any():
        return None
    inverse = variances.min() / variances
    return _within(inverse / inverse.sum(), bounds)


def _within(weights: Vector, bounds: Bounds) -> tuple[Vector, str]:
    """Nearest weights within the bounds, and the mark of having been moved."""
    moved = nearest(weights, bounds)
    return moved, "" if moved is weights else PROJECTED
