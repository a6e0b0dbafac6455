"""Regressions of many series against statsmodels, one at a time; sums that begin anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from quant_platform.features.regression import exposures, trailing_beta, trailing_sum

RANDOM = np.random.default_rng(3)
FACTORS = np.column_stack([np.ones(252), RANDOM.normal(0, 0.01, (252, 6))])
SERIES = FACTORS @ RANDOM.normal(0, 1, (7, 5)) + RANDOM.normal(0, 0.02, (252, 5))


@pytest.mark.parametrize("first", [0, 5, 20])
@pytest.mark.parametrize("length", [63, 252])
def test_a_trailing_sum_is_that_of_its_window(first: int, length: int) -> None:
    values = RANDOM.normal(size=(400, 3))
    found = trailing_sum(values, first, length)
    for row in (0, 1, length - 1, length, 399):
        expected = values[max(row - length + 1, 0) : row + 1].sum(axis=0)
        assert found[row] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("cut", [1, 20, 21, 137])
def test_a_trailing_sum_has_the_same_bytes_wherever_the_rows_begin(cut: int) -> None:
    values = RANDOM.normal(size=(400, 3))
    whole, part = trailing_sum(values, 4, 252), trailing_sum(values[cut:], 4 + cut, 252)
    assert np.array_equal(part[251:], whole[cut + 251 :])
    assert np.array_equal(trailing_sum(values[:, 1:2], 4, 252), whole[:, 1:2])


def test_coefficients_and_errors_are_those_of_statsmodels() -> None:
    models = pytest.importorskip("statsmodels.api", reason="statsmodels is in the extra dev")
    found = exposures(SERIES, FACTORS, 240, 4)
    how = {"maxlags": 4, "use_correction": True}
    for lane in range(5):
        theirs = models.OLS(SERIES[:, lane], FACTORS).fit(cov_type="HAC", cov_kwds=how)
        assert found.coefficient[:, lane] == pytest.approx(theirs.params, abs=1e-8)
        assert found.error[:, lane] == pytest.approx(theirs.bse, abs=1e-8)


def test_the_errors_of_macroeconomic_data() -> None:
    """Known answer: statsmodels' macrodata, four lags, corrected."""
    models = pytest.importorskip("statsmodels.api", reason="statsmodels is in the extra dev")
    data = models.datasets.macrodata.load_pandas().data
    invested = 400 * np.diff(np.log(data["realinv"].to_numpy()))
    grown = 400 * np.diff(np.log(data["realgdp"].to_numpy()))
    terms = np.column_stack([np.ones(len(grown)), grown, data["realint"].to_numpy()[:-1]])
    found = exposures(invested[:, None], terms, 100, 4)
    known = [1.406438999, 0.109730835, 0.087511529]
    assert found.error[:, 0] ** 2 == pytest.approx(known, rel=1e-8)


def test_what_lacks_is_left_out_and_too_little_is_nothing() -> None:
    torn = SERIES.copy()
    torn[40:46, 1] = np.nan
    torn[:20, 2] = np.nan
    found, whole = exposures(torn, FACTORS, 240, 4), exposures(SERIES, FACTORS, 240, 4)
    rows = ~np.isnan(torn[:, 1])
    expected = np.linalg.lstsq(FACTORS[rows], torn[rows, 1])[0]
    assert found.coefficient[:, 1] == pytest.approx(expected, abs=1e-10)
    assert np.isnan(found.coefficient[:, 2]).all()
    assert np.isnan(found.error[:, 2]).all()
    for lane in (0, 3, 4):
        assert np.array_equal(found.coefficient[:, lane], whole.coefficient[:, lane])
        alone = exposures(SERIES[:, lane : lane + 1], FACTORS, 240, 4)
        assert np.array_equal(alone.coefficient[:, 0], whole.coefficient[:, lane])
        assert np.array_equal(alone.error[:, 0], whole.error[:, lane])


def test_a_trailing_beta_is_the_slope_of_its_rows() -> None:
    benchmark = RANDOM.normal(0, 0.01, 300)
    returns = 1.3 * benchmark[:, None] + RANDOM.normal(0, 0.01, (300, 2))
    returns[100:110, 0] = np.nan
    chosen = RANDOM.random(300) < 0.4
    for kind in (None, chosen):
        beta, count = trailing_beta(returns, benchmark, 7, 252, kind)
        for lane in range(2):
            rows = np.arange(300) >= 48
            rows &= ~np.isnan(returns[:, lane]) & (True if kind is None else kind)
            slope = np.polyfit(benchmark[rows], returns[rows, lane], 1)[0]
            assert beta[-1, lane] == pytest.approx(slope, abs=1e-8)
            assert count[-1, lane] == rows.sum()


def test_a_benchmark_that_stands_still_has_no_beta() -> None:
    beta, _ = trailing_beta(RANDOM.normal(size=(80, 1)), np.full(80, 0.001), 0, 63)
    assert np.isnan(beta).all()
