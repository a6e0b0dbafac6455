"""The ladder of each profile, rung by rung, and the evidence it stands on."""

from __future__ import annotations

import numpy as np
import pytest
from skfolio.moments import LedoitWolf
from skfolio.optimization import MeanRisk, ObjectiveFunction
from skfolio.prior import EmpiricalPrior
from sklearn.covariance import ledoit_wolf

from quant_platform.errors import ConfigError
from quant_platform.portfolio.covariance import Evidence, Matrix, correlation, sound
from quant_platform.portfolio.hrp import hrp_weights
from quant_platform.portfolio.limits import Limits
from quant_platform.portfolio.profiles import METHODS, decide, method
from quant_platform.portfolio.programs import nearest
from quant_platform.settings.portfolio import HrpSettings
from quant_platform_tests.portfolio.test_programs import returns

HRP = HrpSettings()
PROFILES = ("equal_weight", *METHODS)


def evidence(window: Matrix, least: int = 20) -> Evidence:
    return Evidence.of(window, least)


def free(names: int) -> Limits:
    return Limits.alike(names, 0.0, 1.0)


@pytest.mark.parametrize(("names", "rows"), [(1, 30), (2, 25), (8, 60), (40, 60)])
def test_the_covariance_is_ledoit_and_wolfs(names: int, rows: int) -> None:
    window = returns(7, names, rows)
    expected, _ = ledoit_wolf(window)
    np.testing.assert_allclose(evidence(window).covariance(), expected, rtol=1e-10, atol=1e-18)


def test_a_given_intensity_moves_towards_the_mean_variance() -> None:
    window = returns(8, 5, 60)
    sample = np.cov(window.T, ddof=0)
    target = np.trace(sample) / 5 * np.eye(5)
    for intensity in (0.0, 0.15, 1.0):
        expected = (1 - intensity) * sample + intensity * target
        found = evidence(window).covariance(intensity)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-20)


def test_a_name_with_too_few_returns_does_not_join() -> None:
    window = returns(9, 4, 60)
    window[:21, 1] = np.nan
    window[:20, 2] = np.nan
    found = evidence(window, 40)
    assert found.joined.tolist() == [True, False, True, True]
    assert found.counts.tolist() == [60, 39, 40, 60]
    assert found.rows == 40


def test_names_whose_returns_do_not_overlap_leave_until_enough_are_shared() -> None:
    window = returns(10, 4, 60)
    window[:15, 0] = np.nan
    window[45:, 1] = np.nan
    window[45:, 3] = np.nan
    found = evidence(window, 40)
    # 0, 1 and 3 have 45 each and share 30 with one another: of equals the last leaves first.
    assert found.joined.tolist() == [True, False, True, False]
    assert found.rows == 45


def test_minimum_variance_is_skfolios() -> None:
    window = returns(11, 12, 60)
    model = MeanRisk(
        objective_function=ObjectiveFunction.MINIMIZE_RISK,
        prior_estimator=EmpiricalPrior(covariance_estimator=LedoitWolf()),
        max_weights=0.25,
        # Unscaled daily variances are below the solver's tolerances.
        solver_params={"tol_gap_abs": 1e-15, "tol_gap_rel": 1e-12, "tol_feas": 1e-12},
    )
    made = decide("min_variance", evidence(window), Limits.alike(12, 0.0, 0.25), HRP)
    assert (made.requested, made.actual) == ("min_variance", "min_variance")
    np.testing.assert_allclose(made.weights, model.fit(window).weights_, rtol=0, atol=1e-6)


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_keeps_the_bounds(profile: str) -> None:
    for seed in range(12):
        names = seed + 1
        bounds = Limits.alike(names, 0.0, max(0.25, 1 / names))
        made = decide(profile, evidence(returns(seed, names, 60)), bounds, HRP)
        assert method(made.actual) in {profile, "min_variance"}
        assert abs(made.weights.sum() - 1) < 1e-12
        assert made.weights.min() >= 0
        assert made.weights.max() <= bounds.upper[0] + 1e-15


def test_hrp_above_the_cap_is_moved_to_the_nearest_weights_and_says_so() -> None:
    window = returns(12, 6, 60)
    window[:, 2] *= 0.01
    found = evidence(window)
    covariance = found.covariance()
    raw = hrp_weights(covariance, correlation(covariance), HRP)
    assert raw.max() > 0.25
    bounds = Limits.alike(6, 0.0, 0.25)
    made = decide("hrp", found, bounds, HRP)
    assert made.actual == f"hrp+projected:{np.abs(made.weights - raw).sum() / 2:.4f}"
    np.testing.assert_array_equal(made.weights, nearest(raw, bounds))
    assert decide("hrp", found, free(6), HRP).actual == "hrp"


def lockstep() -> Matrix:
    """Lay out returns of one size and changing sign: the fourth moment leaves nothing to shrink."""
    signs = np.where(np.arange(60) % 2 == 0, 1.0, -1.0)
    return np.asarray(np.outer(signs, [0.01, 0.02, 0.03, 0.015]))


@pytest.mark.parametrize("profile", [name for name in METHODS if name != "max_sharpe"])
def test_a_singular_covariance_is_tried_again_with_more_shrinkage(profile: str) -> None:
    found = evidence(lockstep())
    assert not sound(found.covariance())
    made = decide(profile, found, free(4), HRP)
    assert (made.requested, made.actual) == (profile, f"{profile}+shrinkage:0.15")
    alone = decide(profile, found, Limits.alike(4, 0.0, 0.3), HRP)
    assert alone.actual.startswith(f"{profile}+shrinkage:0.15")
    assert alone.weights.max() <= 0.3


@pytest.mark.parametrize("profile", [name for name in METHODS if name != "max_sharpe"])
def test_without_any_sound_covariance_inverse_variance_decides(profile: str) -> None:
    """Returns whose variances are numbers and whose mean variance is none any more."""
    window = np.random.default_rng(13).normal(size=(60, 120))
    window *= 1.4e153 / window.std(axis=0) * np.linspace(0.9, 1.0, 120)
    made = decide(profile, evidence(window), free(120), HRP)
    assert (made.requested, made.actual) == (profile, "inverse_variance")
    expected = 1 / np.linspace(0.9, 1.0, 120) ** 2
    np.testing.assert_allclose(made.weights, expected / expected.sum(), rtol=1e-9)
    capped = decide(profile, evidence(window), Limits.alike(120, 0.0, 1 / 115), HRP)
    assert capped.actual.startswith("inverse_variance+projected:")


def test_prices_that_never_move_leave_equal_weight() -> None:
    for profile in METHODS:
        made = decide(profile, evidence(np.zeros((60, 5))), free(5), HRP)
        assert (made.requested, made.actual) == (profile, "equal_weight")
        np.testing.assert_array_equal(made.weights, np.full(5, 0.2))


def test_the_answer_does_not_depend_on_the_questions_before() -> None:
    found = evidence(returns(14, 15, 60))
    bounds = Limits.alike(15, 0.0, 0.25)
    first = decide("min_variance", found, bounds, HRP).weights
    decide("min_variance", evidence(returns(15, 15, 60)), bounds, HRP)
    again = decide("min_variance", evidence(returns(14, 15, 60)), bounds, HRP).weights
    np.testing.assert_array_equal(first, again)


def test_without_a_positive_expected_return_least_variance_decides() -> None:
    """All names fell: there is no ratio to maximise, however the covariance is shrunk."""
    window = returns(16, 6, 60) * 0.1 - 0.01
    made = decide("max_sharpe", evidence(window), Limits.alike(6, 0.0, 0.25), HRP)
    assert (made.requested, made.actual) == ("max_sharpe", "min_variance")
    expected = decide("min_variance", evidence(window), Limits.alike(6, 0.0, 0.25), HRP)
    np.testing.assert_array_equal(made.weights, expected.weights)
    rising = decide("max_sharpe", evidence(window + 0.02), Limits.alike(6, 0.0, 0.25), HRP)
    assert rising.actual == "max_sharpe"


def test_clusters_are_capped_in_every_profile() -> None:
    """Three clusters of two names: none takes more than its cap, and the rows say who was moved."""
    window = returns(17, 6, 60) * np.array([0.1, 0.1, 1, 1, 1, 1])
    groups = np.kron(np.eye(3), np.ones(2)).astype(np.bool_)
    limits = Limits.alike(6, 0.0, 0.25).capped(groups, np.full(3, 0.35))
    for profile in METHODS:
        made = decide(profile, evidence(window), limits, HRP)
        assert limits.hold(made.weights)
        assert (groups @ made.weights <= 0.35 + 1e-9).all()
    assert "+projected" in decide("hrp", evidence(window), limits, HRP).actual


def test_limits_that_nothing_keeps_are_explained() -> None:
    groups = np.ones((1, 4), dtype=np.bool_)
    limits = Limits.alike(4, 0.0, 0.5).capped(groups, np.array([0.9]))
    for profile in PROFILES:
        with pytest.raises(ConfigError, match="no weights of 4 names keep every limit"):
            decide(profile, evidence(returns(18, 4, 60)), limits, HRP)
