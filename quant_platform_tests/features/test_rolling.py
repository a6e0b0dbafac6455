"""Kernels: their definitions, and that a value does not see where its matrix begins."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean, median, pvariance

import numpy as np
import pytest

from quant_platform.features import rolling
from quant_platform.features.rolling import Matrix

LENGTHS = (1, 2, 3, 7, 20, 63, 120)
HEIGHT = 200


def prices(seed: int = 1) -> Matrix:
    """Three whole series and two with gaps, one of them lacking its beginning."""
    random = np.random.default_rng(seed)
    matrix = 50 * np.exp(np.cumsum(random.normal(0, 0.02, (HEIGHT, 5)), axis=0))
    matrix[random.random(HEIGHT) < 0.1, 3] = np.nan
    matrix[:90, 4] = np.nan
    return matrix


def spread(matrix: Matrix, length: int) -> Matrix:
    return rolling.scatter(matrix, rolling.mean(matrix, length), length)


def weekly(matrix: Matrix, length: int) -> Matrix:
    return rolling.mean(matrix, length, 5)


def distance(values: list[float]) -> float:
    return fmean(abs(value - fmean(values)) for value in values)


KERNELS: dict[str, tuple[Callable[[Matrix, int], Matrix], Callable[[list[float]], float], int]] = {
    "total": (rolling.total, math.fsum, 1),
    "mean": (rolling.mean, fmean, 1),
    "weekly": (weekly, fmean, 5),
    "variance": (rolling.variance, pvariance, 1),
    "scatter": (spread, distance, 1),
    "median": (rolling.median, median, 1),
    "highest": (rolling.highest, max, 1),
    "lowest": (rolling.lowest, min, 1),
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_kernel_is_its_definition(name: str, length: int) -> None:
    kernel, definition, step = KERNELS[name]
    matrix = prices()
    found = kernel(matrix, length)
    for column in range(matrix.shape[1]):
        for row in range(0, HEIGHT, 7):
            window = matrix[row::-step, column][:length]
            values = [float(value) for value in window if not math.isnan(value)]
            if values:
                expected = pytest.approx(definition(values), rel=1e-11, abs=1e-11)
                assert found[row, column] == expected, (row, column)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_value_has_the_same_bytes_wherever_the_rows_begin(name: str, length: int) -> None:
    kernel, _, step = KERNELS[name]
    reach = (length - 1) * step
    if reach >= HEIGHT:
        pytest.skip("the window is longer than the rows")
    matrix = prices()
    whole = kernel(matrix, length)
    for row in {reach, (reach + HEIGHT) // 2, HEIGHT - 1}:
        for begin in {row - reach, (row - reach) // 2}:
            alone = kernel(matrix[begin : row + 1], length)[-1]
            assert alone.tobytes() == whole[row].tobytes(), (row, begin)


def test_a_running_sum_would_see_where_the_rows_begin() -> None:
    """The failing twin: the kernel that the others must not be."""

    def running(matrix: Matrix, length: int) -> Matrix:
        sums = np.cumsum(matrix, axis=0)
        sums[length:] -= sums[:-length].copy()
        return sums

    matrix = prices()[:, :3]
    assert running(matrix[50:], 20)[-1].tobytes() != running(matrix, 20)[-1].tobytes()


@pytest.mark.parametrize("name", KERNELS)
def test_what_a_series_lacks_changes_nothing_of_its_neighbours(name: str) -> None:
    kernel, _, _ = KERNELS[name]
    matrix = prices()
    beside, alone = kernel(matrix, 20)[:, :3], kernel(matrix[:, :3].copy(), 20)
    assert beside.tobytes() == alone.tobytes()


def test_variance_keeps_its_digits_far_from_zero() -> None:
    matrix = 1e6 + prices() / 1e3
    expected = pvariance([float(value) for value in matrix[-20:, 0]])
    assert rolling.variance(matrix, 20)[-1, 0] == pytest.approx(expected, rel=1e-6)


def test_prices_that_never_move_have_no_scatter() -> None:
    matrix = np.full((HEIGHT, 2), 0.1)
    assert (rolling.variance(matrix, 20) < 1e-30).all()
    assert rolling.mean(matrix, 64)[-1, 0] == 0.1


def test_what_is_put_into_a_matrix_is_put_into_a_copy() -> None:
    matrix = np.arange(12.0).reshape(4, 3)
    rows = matrix[1:, ::2]
    made = rolling.put(rows, rows > 6, -1.0)
    np.testing.assert_array_equal(made, np.where(rows > 6, -1.0, rows))
    np.testing.assert_array_equal(matrix, np.arange(12.0).reshape(4, 3))
    assert rolling.put(matrix, matrix > 99, -1.0) is matrix
