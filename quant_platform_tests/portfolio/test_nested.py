"""Risk parity, HERC and NCO against skfolio, published weights and their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from skfolio.optimization import (
    HierarchicalEqualRiskContribution,
    MaximumDiversification,
    MeanRisk,
    NestedClustersOptimization,
    ObjectiveFunction,
)

from quant_platform.portfolio.covariance import Matrix, correlation
from quant_platform.portfolio.limits import Limits
from quant_platform.portfolio.nested import herc_weights, nco_weights
from quant_platform.portfolio.programs import best_ratio
from quant_platform.portfolio.risk_parity import equal_contributions
from quant_platform_tests.portfolio.test_programs import TIGHT, returns

SIZES = [2, 3, 5, 9, 20, 40]
# Of a solver that was asked for more digits than it can prove.
pytestmark = pytest.mark.filterwarnings("ignore:Solution may be inaccurate")


def sample(window: Matrix) -> Matrix:
    """Covariance over n - 1, as skfolio's empirical one."""
    return np.atleast_2d(np.cov(window.T))


def free(names: int) -> Limits:
    return Limits.alike(names, 0.0, 1.0)


@pytest.mark.parametrize("names", SIZES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_contributions_are_equal(names: int, seed: int) -> None:
    covariance = sample(returns(seed, names, 120))
    weights = equal_contributions(covariance)
    assert weights is not None
    assert weights.sum() == pytest.approx(1, abs=1e-14)
    shares = weights * (covariance @ weights) / (weights @ covariance @ weights)
    np.testing.assert_allclose(shares, 1 / names, rtol=0, atol=1e-10)


def test_risk_parity_of_uncorrelated_names_is_inverse_volatility() -> None:
    """Known in closed form: one over the deviation."""
    weights = equal_contributions(np.diag([1.0, 4.0, 16.0]))
    assert weights is not None
    np.testing.assert_allclose(weights, np.array([4, 2, 1]) / 7, rtol=0, atol=1e-14)


@pytest.mark.parametrize("names", SIZES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_herc_is_skfolios(names: int, seed: int) -> None:
    window = returns(seed, names, 120)
    covariance = sample(window)
    expected = HierarchicalEqualRiskContribution().fit(window).weights_
    found = herc_weights(covariance, correlation(covariance), "ward")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("names", [2, 5, 9, 20])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nco_is_skfolios(names: int, seed: int) -> None:
    """Both solve to the limit of their solver; ours is exact, so it is never the worse."""
    window = returns(seed, names, 120) * 10
    covariance = sample(window)
    model = NestedClustersOptimization(
        inner_estimator=MeanRisk(solver_params=TIGHT),
        outer_estimator=MeanRisk(solver_params=TIGHT),
        cv="ignore",
    )
    expected = model.fit(window).weights_
    found = nco_weights(covariance, correlation(covariance), "ward")
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("names", [2, 5, 20])
def test_the_best_ratio_is_skfolios(names: int) -> None:
    window = returns(4, names, 120) * 10 + 0.01
    covariance, mean = sample(window), window.mean(axis=0)
    model = MeanRisk(
        objective_function=ObjectiveFunction.MAXIMIZE_RATIO,
        max_weights=max(0.25, 1 / names),
        solver_params=TIGHT,
    )
    found = best_ratio(mean, covariance, Limits.alike(names, 0.0, max(0.25, 1 / names)))
    assert found is not None
    np.testing.assert_allclose(found, model.fit(window).weights_, rtol=0, atol=1e-6)


@pytest.mark.parametrize("names", [2, 5, 20])
def test_most_diversification_is_skfolios(names: int) -> None:
    window = returns(5, names, 120) * 10
    covariance = sample(window)
    found = best_ratio(np.sqrt(np.diag(covariance)), covariance, free(names))
    expected = MaximumDiversification(solver_params=TIGHT).fit(window).weights_
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
