"""The fits of many series at once: as good as arch's, alone as together, warm as cold."""

from __future__ import annotations

import warnings
from dataclasses import fields
from functools import cache

import numpy as np
import pytest

from quant_platform.features.garch_fit import fit
from quant_platform.features.garch_likelihood import Fits

ROWS = 756


@cache
def market(seed: int = 1, width: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Simulate series of heavy tails, a third of them shorter, by their own GARCH."""
    random = np.random.default_rng(seed)
    alpha = random.uniform(0.05, 0.2, width)
    beta = random.uniform(0.7, 0.95, width) * (1 - alpha)
    variance, last = np.full(width, 4e-4), np.zeros(width)
    rows = np.zeros((ROWS + 300, width))
    for row in rows:
        variance = 4e-4 * (1 - alpha - beta) + alpha * last**2 + beta * variance
        last = np.sqrt(variance) * random.standard_t(6, width) / np.sqrt(1.5)
        row[:] = 3e-4 + last
    lengths = np.full(width, ROWS)
    lengths[: width // 3] = random.integers(250, ROWS, width // 3)
    return rows[300:], lengths


def same(one: Fits, other: Fits) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(Fits)
    )


def taken(found: Fits, lanes: list[int]) -> Fits:
    return Fits(*(getattr(found, field.name)[lanes] for field in fields(Fits)))


def before(found: Fits) -> np.ndarray:
    return np.stack([found.mu, found.omega, found.alpha, found.beta])


def test_likelihood_and_forecast_are_those_of_arch() -> None:
    """Tolerances: log-likelihood not 0.02 below, for arch may stand on a bound that ours is near.

    Where both are on the same top to 1e-4 the forecast is the same to 2e-3; arch stops at a
    gradient of 1e-6 of its mean.
    """
    arch = pytest.importorskip("arch", reason="arch is in the extra dev")
    returns, lengths = market()
    found = fit(returns, lengths)
    assert found.converged.all()
    together = 0
    for lane, length in enumerate(lengths):
        own = 100 * returns[-length:, lane]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = arch.arch_model(own, p=1, q=1, rescale=False).fit(disp="off")
        likelihood = theirs.loglikelihood + length * np.log(100)
        assert found.log_likelihood[lane] > likelihood - 0.02
        if abs(found.log_likelihood[lane] - likelihood) < 1e-4:
            together += 1
            ahead = theirs.forecast(horizon=21, reindex=False).variance.to_numpy()[0] / 1e4
            assert found.next_variance[lane] == pytest.approx(ahead[0], rel=2e-3)
            assert found.mean_variance(21)[lane] == pytest.approx(ahead.mean(), rel=2e-3)
    assert together > 18


@pytest.mark.parametrize("lanes", [[0], [23], [3, 9], list(range(1, 24, 2))])
def test_who_else_is_in_the_batch_changes_no_bit(lanes: list[int]) -> None:
    returns, lengths = market()
    everyone = fit(returns, lengths)
    alone = fit(np.ascontiguousarray(returns[:, lanes]), lengths[lanes])
    assert same(alone, taken(everyone, lanes))
    known = before(everyone)
    warm = fit(returns, lengths, known)
    assert same(fit(returns[:, lanes], lengths[lanes], known[:, lanes]), taken(warm, lanes))


def test_many_lanes_that_threads_share_are_the_same() -> None:
    returns, lengths = market()
    many = fit(np.tile(returns, 12), np.tile(lengths, 12))
    assert same(taken(many, list(range(24 * 11, 24 * 12))), fit(returns, lengths))


def test_what_lies_above_a_series_is_not_looked_at() -> None:
    returns, lengths = market()
    wild = returns.copy()
    for lane, length in enumerate(lengths):
        wild[: ROWS - length, lane] = np.nan
    assert same(fit(wild, lengths), fit(returns, lengths))
    short = fit(returns[-500:, :1], np.array([250]))
    assert same(short, fit(returns[-250:, :1], np.array([250])))


def test_a_warm_start_is_quicker_and_ends_no_lower() -> None:
    returns, lengths = market()
    earlier = fit(returns[:-20], np.minimum(lengths, ROWS - 20))
    cold, warm = fit(returns, lengths), fit(returns, lengths, before(earlier))
    assert warm.converged.all()
    assert warm.iterations.mean() < cold.iterations.mean()
    assert np.all(warm.log_likelihood > cold.log_likelihood - 0.1)
    assert np.median(np.abs(warm.next_variance / cold.next_variance - 1)) < 1e-6


def test_estimates_that_are_not_there_are_a_cold_start() -> None:
    returns, lengths = market()
    assert same(fit(returns, lengths, np.full((4, 24), np.nan)), fit(returns, lengths))


def test_estimates_scale_with_the_returns() -> None:
    returns, lengths = market()
    plain, percent = fit(returns, lengths), fit(100 * returns, lengths)
    assert percent.omega == pytest.approx(1e4 * plain.omega, rel=1e-4)
    assert percent.beta == pytest.approx(plain.beta, rel=1e-4)


def test_who_runs_out_of_steps_has_not_converged() -> None:
    returns, lengths = market()
    found = fit(returns, lengths, iterations=1)
    assert not found.converged.any()
    assert (found.iterations <= 1).all()


def test_the_mean_of_the_variances_ahead_is_that_of_the_recursion() -> None:
    one = np.array([1.0])
    found = Fits(one, 0.1 * one, 0.1 * one, 0.8 * one, one, 4 * one, one.astype(int), one > 0)
    ahead = [4.0, 0.1 + 0.9 * 4.0, 0.1 + 0.9 * (0.1 + 0.9 * 4.0)]
    assert found.mean_variance(3).item() == pytest.approx(sum(ahead) / 3)
