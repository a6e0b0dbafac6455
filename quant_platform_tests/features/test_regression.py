"""Regressions of many series against statsmodels, one at a time; rows may begin anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from quant_platform.features.regression import exposures, trailing_beta

RANDOM = np.random.default_rng(3)
FACTORS = np.column_stack([np.ones(252), RANDOM.normal(0, 0.01, (252, 6))])
SERIES = FACTORS @ RANDOM.normal(0, 1, (7, 5)) + RANDOM.normal(0, 0.02, (252, 5))


@pytest.mark.parametrize("cut", [1, 20, 21, 137])
def test_a_trailing_beta_has_the_same_bytes_wherever_the_rows_begin(cut: int) -> None:
    benchmark = RANDOM.normal(0, 0.01, 400)
    returns = benchmark[:, None] + RANDOM.normal(0, 0.01, (400, 3))
    whole, counted = trailing_beta(returns, benchmark, 252)
    part, some = trailing_beta(returns[cut:], benchmark[cut:], 252)
    assert np.array_equal(part[251:], whole[cut + 251 :])
    assert np.array_equal(some[251:], counted[cut + 251 :])
    alone, _ = trailing_beta(returns[:, 1:2], benchmark, 252)
    assert np.array_equal(alone, whole[:, 1:2], equal_nan=True)


def test_coefficients_and_errors_are_those_of_their_definitions() -> None:
    """Newey and West (1987), lag by lag: what holds without statsmodels as well."""
    found = exposures(SERIES, FACTORS, 240, 4)
    height, terms = FACTORS.shape
    inverse = np.linalg.inv(FACTORS.T @ FACTORS)
    for lane in range(5):
        slopes = np.linalg.lstsq(FACTORS, SERIES[:, lane])[0]
        score = FACTORS * (SERIES[:, lane] - FACTORS @ slopes)[:, None]
        spread = score.T @ score
        for lag in range(1, 5):
            together = score[lag:].T @ score[:-lag]
            spread += (1 - lag / 5) * (together + together.T)
        error = np.sqrt(np.diag(inverse @ spread @ inverse) * height / (height - terms))
        assert found.coefficient[:, lane] == pytest.approx(slopes, abs=1e-8)
        assert found.error[:, lane] == pytest.approx(error, abs=1e-8)


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
        beta, count = trailing_beta(returns, benchmark, 252, kind)
        for lane in range(2):
            rows = np.arange(300) >= 48
            rows &= ~np.isnan(returns[:, lane]) & (True if kind is None else kind)
            slope = np.polyfit(benchmark[rows], returns[rows, lane], 1)[0]
            assert beta[-1, lane] == pytest.approx(slope, abs=1e-8)
            assert count[-1, lane] == rows.sum()


def test_a_benchmark_that_stands_still_has_no_beta() -> None:
    beta, _ = trailing_beta(RANDOM.normal(size=(80, 1)), np.full(80, 0.001), 63)
    assert np.isnan(beta).all()
