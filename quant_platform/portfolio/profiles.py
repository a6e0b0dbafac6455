"""Risk profiles: from evidence to weights, down a ladder that says which rung it stands on.

1. ``equal_weight`` needs no evidence: 1/n, nearest within the limits.
2. The others use the one covariance of the decision. ``min_variance``, ``max_sharpe`` and
   ``max_diversification`` are solved within the limits (`programs`); ``hrp``, ``herc``, ``nco`` and
   ``risk_parity`` have a form of their own and are moved to the nearest weights within them. A
   covariance that is not sound, a solution that can not be proved, or one that is worse than
   inverse variance, is a failure.
3. Where no portfolio within the limits has a positive expected excess return, ``max_sharpe`` has
   nothing to maximise, however the covariance is shrunk: ``min_variance`` decides, and the rows say
   so.
4. After a failure the method is asked again with shrinkage 0.15, 0.5 and 0.95; then equal risk
   contribution decides; then inverse variance; then equal weight.

``requested`` is the profile's method. ``actual`` is the method that decided, followed by what was
done to it, each after a plus: ``+shrinkage:0.5`` (a retry), ``+projected:0.0312`` (moved to the
nearest weights within the limits, and how much of the portfolio that was), ``+rows:45`` (fewer
sessions than the look-back). A method that differs from the requested one is a fallback.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from quant_platform.errors import ConfigError
from quant_platform.portfolio.covariance import Evidence, Matrix, Vector, correlation, sound
from quant_platform.portfolio.expected import shrunk_mean
from quant_platform.portfolio.hrp import hrp_weights
from quant_platform.portfolio.limits import Limits
from quant_platform.portfolio.nested import herc_weights, nco_weights
from quant_platform.portfolio.programs import best_ratio, best_reward, least_variance, nearest
from quant_platform.portfolio.risk_parity import equal_contributions
from quant_platform.settings.portfolio import HrpSettings

SHRINKAGES = (None, 0.15, 0.5, 0.95)
"""Intensities that a method is tried with; None is Ledoit and Wolf's own."""

PROJECTED = "+projected"

# A solution may be as far above inverse variance as rounding, not more.
_SANE = 1 + 1e-9


@dataclass(frozen=True, eq=False)
class Decision:
    """Weights of one profile, with the method that was asked for and the one that decided."""

    weights: Vector
    requested: str
    actual: str


def method(actual: str) -> str:
    """Return the method of an ``actual``, without what was done to it."""
    return actual.split("+", 1)[0]


def decide(profile: str, evidence: Evidence, limits: Limits, variant: HrpSettings) -> Decision:
    """Decide the weights of one profile.

    Parameters
    ----------
    profile
        ``equal_weight`` or a name of ``METHODS``.
    evidence
        Returns of the names to weigh, all of them joined.
    limits
        What the weights must keep.
    variant
        Which hierarchical risk parity is meant; its linkage is that of ``herc`` and ``nco``, too.
    """
    if profile == "equal_weight":
        return equal(limits, profile)
    asked = profile
    if profile == "max_sharpe" and not _rewarding(evidence, limits):
        asked = "min_variance"
    for method_asked, intensities in ((asked, SHRINKAGES), ("risk_parity", SHRINKAGES)):
        for intensity in intensities:
            problem = Problem(evidence, evidence.covariance(intensity), limits, variant)
            found = _solved(method_asked, problem)
            if found is not None:
                retry = "" if intensity is None else f"+shrinkage:{intensity:g}"
                return Decision(found[0], profile, f"{method_asked}{retry}{found[1]}")
    inverse = _inverse_variance(evidence.variances, limits)
    if inverse is not None:
        return Decision(inverse[0], profile, f"inverse_variance{inverse[1]}")
    return equal(limits, profile)


def equal(limits: Limits, requested: str) -> Decision:
    """Share equally, as far as the limits allow.

    Raises
    ------
    ConfigError
        Where no weights keep the limits.
    """
    names = len(limits.lower)
    found = _within(np.full(names, 1 / names), limits)
    if found is None:
        raise ConfigError(
            f"no weights of {names} names keep every limit of {requested}",
            expected="bands and caps that leave room for a sum of one",
            mend="widen position_band or cluster_cap of the sleeve's portfolio",
        )
    return Decision(found[0], requested, f"equal_weight{found[1]}")


@dataclass(frozen=True, eq=False)
class Problem:
    """What a method is asked: one covariance, the returns it came from, what must be kept."""

    evidence: Evidence
    covariance: Matrix
    limits: Limits
    variant: HrpSettings


Found = tuple[Vector, str]
"""Weights and what was done to them."""


def _solved(profile: str, problem: Problem) -> Found | None:
    """Weights of a method on one covariance and what was done to them; None after a failure."""
    if not sound(problem.covariance):
        return None
    found = METHODS[profile](problem)
    if found is None or not problem.limits.hold(found[0], problem.covariance):
        return None
    return found


def _min_variance(problem: Problem) -> Found | None:
    weights = least_variance(problem.covariance, problem.limits)
    plain = _inverse_variance(np.diag(problem.covariance), problem.limits)
    if weights is None or plain is None:
        return None
    variance, most = (float(w @ problem.covariance @ w) for w in (weights, plain[0]))
    return (weights, "") if variance <= most * _SANE else None


def _rewarding(evidence: Evidence, limits: Limits) -> bool:
    """Whether some portfolio within the limits has a positive expected excess return."""
    covariance = evidence.covariance()
    if not sound(covariance):
        # Nothing can be said of rewards yet; the ladder shrinks the covariance first.
        return True
    return best_reward(shrunk_mean(evidence.returns, covariance), limits) > 0


def _max_sharpe(problem: Problem) -> Found | None:
    reward = shrunk_mean(problem.evidence.returns, problem.covariance)
    return _ratio(reward, problem)


def _max_diversification(problem: Problem) -> Found | None:
    return _ratio(np.sqrt(np.diag(problem.covariance)), problem)


def _ratio(reward: Vector, problem: Problem) -> Found | None:
    """Weights of the best ratio, if it is no worse than that of inverse variance."""
    weights = best_ratio(reward, problem.covariance, problem.limits)
    plain = _inverse_variance(np.diag(problem.covariance), problem.limits)
    if weights is None or plain is None:
        return None
    ratio, least = (
        float(reward @ w) / float(np.sqrt(w @ problem.covariance @ w)) for w in (weights, plain[0])
    )
    return (weights, "") if ratio >= least - abs(least) * (_SANE - 1) else None


def _hrp(problem: Problem) -> Found | None:
    covariance = problem.covariance
    return _projected(hrp_weights(covariance, correlation(covariance), problem.variant), problem)


def _herc(problem: Problem) -> Found | None:
    covariance = problem.covariance
    linkage = problem.variant.linkage
    return _projected(herc_weights(covariance, correlation(covariance), linkage), problem)


def _nco(problem: Problem) -> Found | None:
    covariance = problem.covariance
    linkage = problem.variant.linkage
    return _projected(nco_weights(covariance, correlation(covariance), linkage), problem)


def _risk_parity(problem: Problem) -> Found | None:
    return _projected(equal_contributions(problem.covariance), problem)


METHODS: dict[str, Callable[[Problem], Found | None]] = {
    "min_variance": _min_variance,
    "max_sharpe": _max_sharpe,
    "max_diversification": _max_diversification,
    "risk_parity": _risk_parity,
    "hrp": _hrp,
    "herc": _herc,
    "nco": _nco,
}
"""Methods that need a covariance, by profile."""


def _inverse_variance(variances: Vector, limits: Limits) -> Found | None:
    """Weights in inverse proportion to variances; None where one of them is nothing."""
    if not np.isfinite(variances).all() or (variances <= 0).any():
        return None
    inverse = variances.min() / variances
    return _within(inverse / inverse.sum(), limits)


def _projected(weights: Vector | None, problem: Problem) -> Found | None:
    if weights is None or not np.isfinite(weights).all():
        return None
    return _within(weights, problem.limits, problem.covariance)


def _within(weights: Vector, limits: Limits, covariance: Matrix | None = None) -> Found | None:
    """Nearest weights within the limits, and the mark of having been moved with the distance."""
    if covariance is None and limits.deviation is not None:
        # A fallback that needs no covariance keeps the linear limits, and no bound on a deviation.
        limits = replace(limits, deviation=None)
    moved = nearest(weights, limits, covariance)
    if moved is None:
        return None
    if moved is weights:
        return moved, ""
    return moved, f"{PROJECTED}:{np.abs(moved - weights).sum() / 2:.4f}"
