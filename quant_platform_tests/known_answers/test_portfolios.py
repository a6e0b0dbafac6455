"""Hierarchical risk parity and minimum variance, as papers and libraries printed them.

Libraries differ in linkage and leaf order under the same name; each test names its variant.
"""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest
from skfolio.distance import CovarianceDistance, PearsonDistance
from skfolio.moments import LedoitWolf
from skfolio.optimization import HierarchicalRiskParity
from skfolio.prior import EmpiricalPrior

from quant_platform.portfolio.covariance import Evidence, Matrix, correlation
from quant_platform.portfolio.hrp import hrp_order, hrp_weights
from quant_platform.portfolio.limits import Limits
from quant_platform.portfolio.programs import least_variance
from quant_platform.settings.portfolio import HrpSettings
from quant_platform_tests.known_answers.data import known_answer

PYPORTFOLIOOPT = HrpSettings(distance="correlation", linkage="single", leaf_order=False)
RISKFOLIO = HrpSettings(distance="correlation", linkage="single", leaf_order=True)
PAPER = HrpSettings(distance="columns", linkage="single", leaf_order=False)


def expected(file: str, column: str) -> dict[str, float]:
    """Read printed weights by name; the first column has no header."""
    table = pl.read_csv(known_answer(f"hrp/{file}"))
    return dict(zip(table[table.columns[0]], table[column], strict=True))


def last_returns(file: str, names: list[str], rows: int) -> Matrix:
    prices = pl.read_csv(known_answer(f"hrp/{file}")).select(names).to_numpy()
    return np.asarray((prices[1:] / prices[:-1] - 1)[-rows:])


def correlations_of(returns: Matrix) -> Matrix:
    return np.asarray(np.corrcoef(returns.T))


def test_hrp_as_pyportfolioopt_has_it() -> None:
    """Covariances and correlations of each pair's own sessions, as pandas takes them."""
    weights = expected("pyportfolioopt_weights_hrp.csv", "0")
    prices = pl.read_csv(known_answer("hrp/stock_prices_20.csv"), infer_schema_length=None)
    names = prices.columns[1:]
    table = prices.select(pl.col(names).cast(pl.Float64)).to_numpy()
    with np.errstate(invalid="ignore"):
        returns = table[1:] / table[:-1] - 1
    covariance, correlations = np.empty((2, len(names), len(names)))
    for i, j in np.ndindex(covariance.shape):
        pair = returns[:, [i, j]]
        pair = pair[~np.isnan(pair).any(axis=1)]
        covariance[i, j] = np.cov(pair.T)[0, 1]
        correlations[i, j] = 1.0 if i == j else np.corrcoef(pair.T)[0, 1]
    found = hrp_weights(covariance, correlations, PYPORTFOLIOOPT)
    np.testing.assert_allclose(
        found, np.array([weights[name] for name in names]), rtol=0, atol=1e-12
    )


def test_hrp_as_riskfolio_has_it() -> None:
    weights = expected("riskfolio_HC_HRP.csv", "MV")
    prices = pl.read_csv(known_answer("hrp/riskfolio_stock_prices_3.csv"))
    names = [name for name in prices.columns if name in weights]
    returns = last_returns("riskfolio_stock_prices_3.csv", names, 200)
    found = hrp_weights(np.cov(returns.T), correlations_of(returns), RISKFOLIO)
    np.testing.assert_allclose(
        found, np.array([weights[name] for name in names]), rtol=0, atol=1e-12
    )


def test_hrp_as_the_paper_has_it() -> None:
    """Lopez de Prado 2016, section 4: five variables and five noisy copies of them."""
    seed = 12345
    legacy, chooser = np.random.RandomState(seed), random.Random(seed)
    first = legacy.normal(0, 1, size=(10000, 5))
    # randint of Python 2, with which the paper's example was drawn.
    copied = [int(chooser.random() * 5) for _ in range(5)]
    second = first[:, copied] + legacy.normal(0, 0.25, size=(10000, 5))
    returns = np.concatenate([first, second], axis=1)
    covariance, correlations = np.cov(returns.T), correlations_of(returns)
    assert (hrp_order(correlations, PAPER) + 1).tolist() == [9, 2, 10, 1, 7, 3, 6, 4, 5, 8]
    found = hrp_weights(covariance, correlations, PAPER)
    printed = [7.00, 7.59, 10.84, 19.03, 9.72, 10.19, 6.62, 9.10, 7.12, 12.79]
    np.testing.assert_allclose(100 * found, printed, rtol=0, atol=0.005 + 1e-9)


@pytest.mark.parametrize("names", [2, 3, 7, 20])
def test_hrp_is_skfolios(names: int) -> None:
    """Ward linkage and optimal leaf order, on the sample's and on the shrunk covariance."""
    generator = np.random.default_rng(names)
    returns = generator.normal(size=(90, names)) * generator.uniform(0.005, 0.05, names)
    returns += generator.normal(size=(90, 1)) * 0.01
    model = HierarchicalRiskParity(distance_estimator=PearsonDistance()).fit(returns)
    found = hrp_weights(np.cov(returns.T), correlations_of(returns), HrpSettings())
    np.testing.assert_allclose(found, model.weights_, rtol=0, atol=1e-10)
    shrunk = HierarchicalRiskParity(
        prior_estimator=EmpiricalPrior(covariance_estimator=LedoitWolf()),
        distance_estimator=CovarianceDistance(covariance_estimator=LedoitWolf()),
    ).fit(returns)
    covariance = Evidence.of(returns, 60).covariance()
    found = hrp_weights(covariance, correlation(covariance), HrpSettings())
    np.testing.assert_allclose(found, shrunk.weights_, rtol=0, atol=1e-10)


def test_the_variants_differ() -> None:
    returns = last_returns("riskfolio_stock_prices.csv", ["AMZN", "APA", "CPB", "JCI", "JPM"], 200)
    covariance, correlations = np.cov(returns.T), correlations_of(returns)
    ways = (PYPORTFOLIOOPT, PAPER, HrpSettings())
    made = {tuple(np.round(hrp_weights(covariance, correlations, way), 6)) for way in ways}
    assert len(made) > 1


def test_minimum_variance_as_riskfolio_has_it() -> None:
    """Long only, no cap; the printed weights are those of an interior-point solver."""
    weights = expected("riskfolio_Classic_MinRisk.csv", "MV")
    names = sorted(weights)
    returns = last_returns("riskfolio_stock_prices.csv", names, 200)
    found = least_variance(np.cov(returns.T), Limits.alike(len(names), 0.0, 1.0))
    assert found is not None
    np.testing.assert_allclose(
        found, np.array([weights[name] for name in names]), rtol=0, atol=1e-6
    )
