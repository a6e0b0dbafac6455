"""GARCH(1,1) of the two series whose estimates the literature prints."""

from __future__ import annotations

import gzip

import numpy as np
import polars as pl
import pytest

from quant_platform.features.garch_fit import fit
from quant_platform.features.garch_likelihood import Fits, Start
from quant_platform_tests.known_answers.data import known_answer


def fitted(values: np.ndarray, start: Start) -> Fits:
    found = fit(values[:, None], np.array([len(values)]), start=start)
    assert found.converged.all()
    return found


def rates() -> np.ndarray:
    packed = known_answer("garch/dem2gbp.csv.gz").read_bytes()
    return (
        pl.read_csv(gzip.decompress(packed))["DEM2GBP"]
        .str.strip_chars()
        .cast(pl.Float64)
        .to_numpy()
    )


def test_the_benchmark_of_bollerslev_and_ghysels() -> None:
    """Fiorentini, Calzolari and Panattoni (1996), whose start is the mean squared residual."""
    found = fitted(rates(), "mean")
    assert found.mu.item() == pytest.approx(-0.00619041, abs=5e-8)
    assert found.omega.item() == pytest.approx(0.0107613, abs=2e-7)
    assert found.alpha.item() == pytest.approx(0.153134, abs=1e-6)
    assert found.beta.item() == pytest.approx(0.805974, abs=1e-6)
    assert found.log_likelihood.item() == pytest.approx(-1106.608, abs=5e-4)


def test_another_start_gives_other_values() -> None:
    """The trap: the back-cast must not be held against the benchmark."""
    found = fitted(rates(), "back_cast")
    assert abs(found.beta.item() - 0.805974) > 0.005


def test_the_index_of_twenty_years() -> None:
    packed = known_answer("garch/sp500.csv.gz").read_bytes()
    closes = pl.read_csv(gzip.decompress(packed))["Adj Close"].to_numpy()
    found = fitted(100 * (closes[1:] / closes[:-1] - 1), "back_cast")
    assert found.mu.item() == pytest.approx(0.0564, abs=5e-5)
    assert found.omega.item() == pytest.approx(0.0175, abs=5e-5)
    assert found.alpha.item() == pytest.approx(0.1022, abs=6e-5)
    assert found.beta.item() == pytest.approx(0.8852, abs=5e-5)
    assert found.log_likelihood.item() == pytest.approx(-6936.72, abs=5e-3)
