"""Kernels against definitions and libraries; places among noise are uniform for noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from quant_platform.features.noise import hurst, noise_of, noise_table, stored_noise
from quant_platform.features.predictability import (
    LAGS,
    STATISTICS,
    Sample,
    Statistic,
    dickey_fuller,
    efficiency,
    half_life,
    ljung_box,
    memory_depth,
    permutation_entropy,
    rescaled_slope,
    statistics_of,
    variance_ratio,
)

FRESH = 7_654_321
"""Another seed than that of the stored table."""


def column(*values: float) -> Sample:
    return Sample(np.array(values, dtype=float)[:, None])


def test_permutation_entropy_of_the_paper() -> None:
    """Bandt and Pompe (2002): 0.918 and 1.522 bits."""
    series = column(4, 7, 9, 10, 6, 11, 3)
    assert permutation_entropy(series, 2)[0] == pytest.approx(0.918, abs=5e-4)
    third = permutation_entropy(series, 3)[0]
    assert third * math.log2(6) == pytest.approx(1.522, abs=5e-4)
    assert third == pytest.approx(0.5888, abs=5e-5)


def test_columns_do_not_depend_on_one_another() -> None:
    series = np.random.default_rng(1).normal(size=(250, 7))
    together = statistics_of(series)
    for number in range(7):
        alone = statistics_of(series[:, [number]])
        for name, values in together.items():
            assert alone[name][0] == pytest.approx(values[number], rel=1e-9), name


def test_efficiency_is_distance_over_way() -> None:
    assert efficiency(column(1, 2, 3))[0] == 1.0
    assert efficiency(column(1, -1, 2, -2))[0] == 0.0
    assert efficiency(column(3, -1))[0] == 0.5


def test_autocorrelation_and_ljung_box_by_their_definitions() -> None:
    series = np.random.default_rng(2).normal(size=(250, 1))
    values = series[:, 0] - series.mean()
    expected = [np.dot(values[lag:], values[:-lag]) / np.dot(values, values) for lag in range(1, 6)]
    np.testing.assert_allclose(Sample(series).correlations[:, 0], expected, rtol=1e-12)
    statistic = 250 * 252 * np.cumsum([r * r / (250 - lag) for lag, r in enumerate(expected, 1)])
    # The upper tail of chi-square of 2 degrees is exp(-x / 2); of 4, (1 + x / 2) exp(-x / 2).
    two, four = statistic[1] / 2, statistic[3] / 2
    assert ljung_box(Sample(series))[0] <= min(math.exp(-two), (1 + four) * math.exp(-four)) + 1e-12


def test_ljung_box_is_the_smallest_upper_tail_of_chi_square() -> None:
    sample = Sample(np.random.default_rng(6).normal(size=(250, 40)))
    parts = sample.correlations**2 / (250 - np.arange(1, 6))[:, None]
    tails = chi2.sf(250 * 252 * np.cumsum(parts, axis=0), np.arange(1, 6)[:, None])
    np.testing.assert_allclose(ljung_box(sample), tails.min(axis=0), rtol=1e-10)


def test_the_bytes_of_a_column_are_the_same_in_any_company() -> None:
    random = np.random.default_rng(7)
    # Some remember long, so that the later lags are looked at as well.
    series = random.normal(size=(250, 67)) + np.cumsum(random.normal(size=(250, 67)), axis=0) / 9
    together = statistics_of(series)
    assert together["memory_depth"].max() > LAGS
    for width in (2, 3, 8, 31):
        some = statistics_of(np.ascontiguousarray(series[:, 11 : 11 + width]))
        for name, values in some.items():
            np.testing.assert_array_equal(values, together[name][11 : 11 + width], name)


def test_memory_counts_lags_in_a_row() -> None:
    wave = np.sin(np.arange(250) * 2 * np.pi / 40)[:, None]
    # The cosine of 2 pi lag / 40 is positive up to lag 9.
    assert memory_depth(Sample(wave))[0] == 9
    assert memory_depth(column(*[1.0, -1.0] * 60))[0] == 0


def test_half_life_of_a_process_that_reverts() -> None:
    random = np.random.default_rng(3)
    level, path = 0.0, [0.0]
    for shock in random.normal(size=4000):
        level = 0.9 * level + shock
        path.append(level)
    found = half_life(Sample(np.diff(path)[:, None]))[0]
    assert found == pytest.approx(math.log(2) / -math.log(0.9), rel=0.15)
    assert math.isinf(half_life(column(*[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]))[0])


def test_dickey_fuller_by_least_squares() -> None:
    series = np.random.default_rng(4).normal(size=(250, 2))
    path = np.cumsum(series, axis=0)
    for number in range(2):
        change, level = series[2:, number], path[1:-1, number]
        terms = np.column_stack([np.ones(len(level)), level, series[1:-1, number]])
        slopes, (squares,), _, _ = np.linalg.lstsq(terms, change, rcond=None)
        error = squares / (len(change) - 3) * np.linalg.inv(terms.T @ terms)[1, 1]
        expected = slopes[1] / math.sqrt(error)
        assert dickey_fuller(Sample(series))[number] == pytest.approx(expected, rel=1e-8)


def test_variance_ratio_of_trend_and_reversal() -> None:
    random = np.random.default_rng(5)
    noise = random.normal(size=(5000, 1))
    assert variance_ratio(Sample(noise))[0] == pytest.approx(1.0, abs=0.08)
    # Of a moving average of two, with weight w, the ratio tends to 1 + 2 (4/5) w / (1 + w^2).
    moving = noise[1:] + 0.5 * noise[:-1]
    assert variance_ratio(Sample(moving))[0] == pytest.approx(1 + 2 * 0.8 * 0.4, abs=0.12)


@pytest.mark.parametrize("name", STATISTICS)
def test_places_of_noise_are_uniform(name: str) -> None:
    """Kolmogorov and Smirnov's test with Holm's correction, on a fresh seed and random ranks."""
    statistic, noise = STATISTICS[name], stored_noise()[name]
    random = np.random.default_rng([FRESH, len(name)])
    values = np.round(
        statistic.kernel(Sample(random.standard_normal((statistic.length, 2000)))), 10
    )
    if statistic.discrete:
        at = np.searchsorted(noise.value, values).clip(max=len(noise.value) - 1)
        below, upto = noise.below[at], noise.upto[at]
        places = below + random.uniform(size=len(values)) * (upto - below)
        assert np.mean(noise.place(values)) == pytest.approx(0.5, abs=0.025)
    else:
        places = noise.place(values)
        masses = np.isinf(values)
        places = np.where(masses, random.uniform(noise.below[-1], 1.0, len(values)), places)
    assert kstest(places, "uniform").pvalue > 0.01 / len(STATISTICS)


def test_the_exponent_of_noise_is_one_half() -> None:
    noise = stored_noise()["rescaled_slope"]
    fresh = np.random.default_rng(FRESH).standard_normal((250, 2000))
    assert hurst(rescaled_slope(Sample(fresh)), noise).mean() == pytest.approx(0.5, abs=0.01)


def test_a_table_says_what_it_was_made_of_and_is_made_again_alike() -> None:
    few = {
        "efficiency": Statistic(efficiency, 30),
        "memory_depth": Statistic(memory_depth, 60, True),
    }
    table = noise_table(few, seed=3, series=500)
    assert table.equals(noise_table(few, seed=3, series=500))
    assert not table.equals(noise_table(few, seed=4, series=500))
    assert table["seed"].unique().to_list() == [3]
    assert table["series"].unique().to_list() == [500]
    for noise in noise_of(table).values():
        assert np.all(np.diff(noise.value) > 0)
        assert np.all(noise.below < noise.upto)
        assert noise.upto[-1] == 1.0
        assert np.isnan(noise.place(np.array([np.nan]))[0])
        assert noise.place(np.array([-1e9, 1e9])).tolist() == [0.0, 1.0]


def test_half_of_the_equals_are_below() -> None:
    table = noise_table({"memory_depth": Statistic(memory_depth, 60, True)}, seed=3, series=500)
    noise = noise_of(table)["memory_depth"]
    none = noise.value == 0
    assert noise.place(np.array([0.0]))[0] == pytest.approx(noise.upto[none][0] / 2)


def test_the_exponent_of_longer_noise_is_one_half_as_well() -> None:
    """Of 500 values the slope is as wrong as of 250, by another amount: its own noise tells it."""
    longer = {"rescaled_slope": Statistic(rescaled_slope, 500)}
    noise = noise_of(noise_table(longer, series=4_000))["rescaled_slope"]
    fresh = noise_table(longer, seed=FRESH, series=2_000)["mean"].unique().to_numpy()
    assert fresh[0] > 0.55
    assert hurst(fresh, noise)[0] == pytest.approx(0.5, abs=0.01)
