"""Bounded portfolios against a modelling library, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cvxpy
import numpy as np
import pytest

from quant_platform.errors import ConfigError
from quant_platform.portfolio.covariance import Evidence, Matrix, Vector
from quant_platform.portfolio.limits import Limits, cluster_cap
from quant_platform.portfolio.programs import dear, least_variance, nearest

# Its names are gathered at run time, where no type checker finds them.
modelling: Any = cvxpy
TIGHT = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}


def returns(seed: int, names: int, rows: int) -> Matrix:
    """Draw returns with a common factor and very different volatilities."""
    random = np.random.default_rng(seed)
    own = random.normal(size=(rows, names)) * random.uniform(0.0005, 0.08, names)
    return np.asarray(own + random.normal(size=(rows, 1)) * random.uniform(0, 0.02))


def solved(objective: Any, weights: Any, bounds: Limits) -> Vector:
    held = [modelling.sum(weights) == 1, weights >= bounds.lower, weights <= bounds.upper]
    problem = modelling.Problem(modelling.Minimize(objective), held)
    problem.solve(solver="CLARABEL", **TIGHT)
    assert weights.value is not None
    return np.asarray(weights.value)


@pytest.mark.parametrize(
    ("names", "lower", "upper"),
    [
        (2, 0.0, 0.5),
        (3, 0.05, 0.5),
        (4, 0.0, 0.25),
        (5, 0.0, 0.25),
        (7, 0.02, 0.9),
        (12, 0.0, 0.25),
        (30, 0.0, 0.25),
        (30, 0.01, 0.05),
        (60, 0.0, 1.0),
    ],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_least_variance_is_that_of_a_modelling_library(
    seed: int, names: int, lower: float, upper: float
) -> None:
    covariance = Evidence.of(returns(seed, names, 70), 40).covariance()
    bounds = Limits.alike(names, lower, upper)
    weights = least_variance(covariance, bounds)
    assert weights is not None
    assert abs(weights.sum() - 1) < 1e-14
    assert (weights >= lower).all()
    assert (weights <= upper).all()
    variable = modelling.Variable(names)
    scaled = modelling.psd_wrap(covariance / np.diag(covariance).mean())
    expected = solved(modelling.quad_form(variable, scaled), variable, bounds)
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-6)


def test_least_variance_does_not_depend_on_the_scale() -> None:
    covariance = Evidence.of(returns(4, 10, 60), 40).covariance()
    bounds = Limits.alike(10, 0.0, 0.25)
    plain, tiny = (least_variance(covariance * scale, bounds) for scale in (1.0, 2.0**-40))
    assert plain is not None
    np.testing.assert_array_equal(plain, tiny)


def test_two_names_by_hand() -> None:
    """Variances 1 and 4, covariance 1/2: w = (4 - 0.5) / (1 + 4 - 1) = 0.875."""
    covariance = np.array([[1.0, 0.5], [0.5, 4.0]])
    weights = least_variance(covariance, Limits.alike(2, 0.0, 1.0))
    assert weights is not None
    assert weights.tolist() == pytest.approx([0.875, 0.125], rel=0, abs=1e-15)
    capped = least_variance(covariance, Limits.alike(2, 0.0, 0.6))
    assert capped is not None
    assert capped.tolist() == pytest.approx([0.6, 0.4], rel=0, abs=1e-15)


def test_equal_names_share_equally() -> None:
    covariance = np.full((6, 6), 0.3) + 0.7 * np.eye(6)
    weights = least_variance(covariance, Limits.alike(6, 0.0, 0.25))
    assert weights is not None
    np.testing.assert_allclose(weights, np.full(6, 1 / 6), atol=1e-14)


def test_a_covariance_that_is_none_is_not_solved_silently() -> None:
    """One negative variance: the problem is not convex and has no proof."""
    covariance = np.diag([1.0, 1.0, -1.0])
    assert least_variance(covariance, Limits.alike(3, 0.0, 1.0)) is None


@pytest.mark.parametrize("seed", range(40))
def test_nearest_is_the_projection(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = int(random.integers(1, 9))
    weights = random.dirichlet(np.full(names, 0.5)) * random.choice([0.5, 1, 2])
    weights -= random.choice([0.0, 0.2])
    bounds = Limits(
        np.minimum(random.uniform(0, 0.1, names), 0.9 / names),
        np.maximum(random.uniform(0.2, 0.6, names), 1 / names),
    )
    found = nearest(weights, bounds)
    assert found is not None
    assert abs(found.sum() - 1) < 1e-14
    assert bounds.hold(found)
    variable = modelling.Variable(names)
    expected = solved(modelling.sum_squares(variable - weights), variable, bounds)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_weights_within_bounds_stay() -> None:
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    found = nearest(weights, Limits.alike(4, 0.0, 0.5))
    assert found is weights


@pytest.mark.parametrize(
    ("names", "lower", "upper"), [(1, 0.05, 0.5), (3, 0.05, 0.3), (21, 0.05, 0.5), (3, 0.4, 0.3)]
)
def test_bounds_that_leave_no_room_are_explained(names: int, lower: float, upper: float) -> None:
    with pytest.raises(ConfigError, match=f"{names} weights between bounds .* widen the bounds"):
        Limits.alike(names, lower, upper)


@pytest.mark.parametrize("seed", range(6))
def test_a_capped_deviation_is_that_of_a_modelling_library(seed: int) -> None:
    """The nearest weights whose portfolio moves no more than it may."""
    covariance = Evidence.of(returns(seed, 8, 70), 40).covariance()
    least = least_variance(covariance, Limits.alike(8, 0.0, 1.0))
    assert least is not None
    risks = [float(np.sqrt(w @ covariance @ w)) for w in (least, np.full(8, 1 / 8))]
    limits = replace(Limits.alike(8, 0.0, 1.0), deviation=float(np.mean(risks)))
    found = nearest(np.full(8, 1 / 8), limits, covariance)
    assert found is not None
    assert float(np.sqrt(found @ covariance @ found)) == pytest.approx(np.mean(risks), rel=1e-6)
    variable = modelling.Variable(8)
    factor = np.linalg.cholesky(covariance) / risks[1]
    problem = modelling.Problem(
        modelling.Minimize(modelling.sum_squares(variable - 1 / 8)),
        [
            modelling.sum(variable) == 1,
            variable >= 0,
            modelling.norm(factor.T @ variable) <= limits.deviation / risks[1],
        ],
    )
    problem.solve(solver="CLARABEL")
    np.testing.assert_allclose(found, variable.value, rtol=0, atol=1e-5)
    calm = replace(limits, deviation=risks[0] * 0.9)
    assert nearest(np.full(8, 1 / 8), calm, covariance) is None


def test_dear_trades_stay_away() -> None:
    """Costs above the gain leave the book as it is; without them it goes to the best utility."""
    covariance = Evidence.of(returns(3, 6, 70), 40).covariance()
    limits = Limits.alike(6, 0.0, 0.5)
    before = np.full(6, 1 / 6)
    free = dear(covariance, np.zeros(6), limits, before, np.zeros(6))
    best = least_variance(covariance, limits)
    assert free is not None
    assert best is not None
    np.testing.assert_allclose(free, best, rtol=0, atol=1e-7)
    still = dear(covariance, np.zeros(6), limits, before, np.full(6, 1.0))
    assert still is not None
    np.testing.assert_allclose(still, before, rtol=0, atol=1e-7)
    halfway = dear(covariance, np.zeros(6), limits, before, np.full(6, 2e-5))
    assert halfway is not None
    assert 0 < np.abs(halfway - before).sum() < np.abs(best - before).sum()


@pytest.mark.parametrize(
    ("upper", "sizes", "expected"),
    [
        (0.25, [2, 2, 2], 1 / 3),
        (0.25, [1, 2, 2], 0.375),
        (0.25, [1, 1, 1, 1], 0.25),
        (1.0, [3], 1.0),
        (0.25, [2, 2, 2, 2, 2], 0.25),
    ],
)
def test_the_cap_on_clusters_is_as_wide_as_it_must_be(
    upper: float, sizes: list[int], expected: float
) -> None:
    """Three clusters can not add up under 25 %; a cluster of one name leaves more to the others."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    groups = labels == np.arange(len(sizes))[:, None]
    uppers = np.full(len(labels), upper)
    assert cluster_cap(uppers, groups, 0.25) == pytest.approx(expected)
