"""The square root law of impact."""

from __future__ import annotations

import numpy as np
import pytest

from quant_platform.market.impact import impact_bps


def test_a_hundredth_of_the_day_costs_a_tenth_of_its_volatility() -> None:
    """2 % a day, a million of a hundred: 2 % x √0.01 = 20 bps."""
    found = impact_bps(np.array([0.02]), 1e6, np.array([1e8]))
    assert found == pytest.approx([20.0], rel=1e-12)


def test_four_times_the_order_costs_twice_as_much_and_volatility_counts_in_full() -> None:
    one, large, wild = impact_bps(
        np.array([0.02, 0.02, 0.06]), np.array([1e5, 4e5, 1e5]), np.full(3, 1e7)
    )
    assert large == pytest.approx(2 * one)
    assert wild == pytest.approx(3 * one)


def test_what_is_not_known_of_trade_or_volatility_has_no_impact_figure() -> None:
    found = impact_bps(np.array([np.nan, 0.02, 0.02]), 1e5, np.array([1e7, np.nan, 0.0]))
    assert np.isnan(found).all()
