"""The ladder of each profile, rung by rung, and the evidence it stands on."""

from __future__ import annotations

import numpy as np
import pytest
from skfolio.moments import LedoitWolf
from skfolio.optimization import MeanRisk, ObjectiveFunction
from skfolio.prior import EmpiricalPrior
from sklearn.covariance import ledoit_wolf

from quant_platform.portfolio.bounded import Bounds, nearest
from quant_platform.portfolio.covariance import Evidence, Matrix, correlation, sound
from quant_platform.portfolio.hrp import hrp_weights
from quant_platform.portfolio.profiles import decide, method
from quant_platform.settings.portfolio import HrpSettings
from quant_platform_tests.portfolio.test_bounded import returns

HRP = HrpSettings()
PROFILES = ("equal_weight", "hrp", "min_variance")


def evidence(window: Matrix, least: int = 20) -> Evidence:
    return Evidence.of(window, least)


def free(names: int) -> Bounds:
    return Bounds.alike(names, 0.0, 1.0)


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
    made = decide("min_variance", evidence(window), Bounds.alike(12, 0.0, 0.25), HRP)
    assert (made.requested, made.actual) == ("min_variance", "min_variance")
    np.testing.assert_allclose(made.weights, model.fit(window).weights_, rtol=0, atol=1e-6)


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_keeps_the_bounds(profile: str) -> None:
    for seed in range(12):
        names = seed + 1
        bounds = Bounds.alike(names, 0.0, max(0.25, 1 / names))
        made = decide(profile, evidence(returns(seed, names, 60)), bounds, HRP)
        assert method(made.actual) == profile
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
    bounds = Bounds.alike(6, 0.0, 0.25)
    made = decide("hrp", found, bounds, HRP)
    assert made.actual == "hrp+projected"
    np.testing.assert_array_equal(made.weights, nearest(raw, bounds))
    assert decide("hrp", found, free(6), HRP).actual == "hrp"


def lockstep() -> Matrix:
    """Lay out returns of one size and changing sign: the fourth moment leaves nothing to shrink."""
    signs = np.where(np.arange(60) % 2 == 0, 1.0, -1.0)
    return np.asarray(np.outer(signs, [0.01, 0.02, 0.03, 0.015]))


@pytest.mark.parametrize("profile", ["hrp", "min_variance"])
def test_a_singular_covariance_is_tried_again_with_more_shrinkage(profile: str) -> None:
    found = evidence(lockstep())
    assert not sound(found.covariance())
    made = decide(profile, found, free(4), HRP)
    assert (made.requested, made.actual) == (profile, f"{profile}+shrinkage:0.15")
    alone = decide(profile, found, Bounds.alike(4, 0.0, 0.3), HRP)
    assert alone.actual.startswith(f"{profile}+shrinkage:0.15")
    assert alone.weights.max() <= 0.3


@pytest.mark.parametrize("profile", ["hrp", "min_variance"])
def test_without_any_sound_covariance_inverse_variance_decides(profile: str) -> None:
    """Returns whose variances are numbers and whose mean variance is none any more."""
    window = np.random.default_rng(13).normal(size=(60, 120))
    window *= 1.4e153 / window.std(axis=0) * np.linspace(0.9, 1.0, 120)
    made = decide(profile, evidence(window), free(120), HRP)
    assert (made.requested, made.actual) == (profile, "inverse_variance")
    expected = 1 / np.linspace(0.9, 1.0, 120) ** 2
    np.testing.assert_allclose(made.weights, expected / expected.sum(), rtol=1e-9)
    capped = decide(profile, evidence(window), Bounds.alike(120, 0.0, 1 / 115), HRP)
    assert capped.actual == "inverse_variance+projected"


def test_prices_that_never_move_leave_equal_weight() -> None:
    for profile in ("hrp", "min_variance"):
        made = decide(profile, evidence(np.zeros((60, 5))), free(5), HRP)
        assert (made.requested, made.actual) == (profile, "equal_weight")
        np.testing.assert_array_equal(made.weights, np.full(5, 0.2))


def test_the_answer_does_not_depend_on_the_questions_before() -> None:
    found = evidence(returns(14, 15, 60))
    bounds = Bounds.alike(15, 0.0, 0.25)
    first = decide("min_variance", found, bounds, HRP).weights
    decide("min_variance", evidence(returns(15, 15, 60)), bounds, HRP)
    again = decide("min_variance", evidence(returns(14, 15, 60)), bounds, HRP).weights
    np.testing.assert_array_equal(first, again)
