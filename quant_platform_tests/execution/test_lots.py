"""Whole lots: none that is whole to rounding is lost, and nothing is gained beyond rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_platform.execution.lots import lots_within, whole_lot, whole_lots

LOTS = st.sampled_from([1e-6, 0.001, 0.1, 1.0, 7.0, 100.0])
NUMBERS = st.integers(0, 2**48)
"""From some 2**49 lots on, three units in the last place are more than half a lot."""
UNITS = st.floats(0.0, 1e15, allow_subnormal=False)


@given(UNITS, LOTS)
def test_never_above_the_units_by_more_than_rounding(units: float, lot: float) -> None:
    whole = whole_lot(units, lot)
    assert whole <= units * (1 + 1e-14)
    assert units - whole < lot * (1 + 1e-14) + units * 1e-14


@given(NUMBERS, LOTS, st.integers(-3, 3))
def test_a_lot_that_is_whole_to_rounding_is_not_lost(number: int, lot: float, steps: int) -> None:
    units = number * lot
    for _ in range(abs(steps)):
        units = math.nextafter(units, math.copysign(math.inf, steps))
    assert whole_lot(max(units, 0.0), lot) == number * lot


@given(st.floats(0.0, 1e9, allow_subnormal=False), LOTS)
def test_what_cash_does_not_pay_is_never_bought(units: float, lot: float) -> None:
    bought = lots_within(units, lot)
    assert 0 <= bought <= units
    assert units - bought <= lot * (1 + 1e-14) + units * 1e-14


@pytest.mark.parametrize(
    ("units", "lot", "whole"),
    [
        (2.9999999999999996, 1.0, 3.0),
        # A ten-billionth is a fraction, not rounding: of millions of lots it would be units.
        (2.9999999999, 1.0, 2.0),
        (5_000_000.9999999995, 1.0, 5_000_001.0),  # the nearest double is that
        (5_000_000.999999, 1.0, 5_000_000.0),
        # Less than a lot, however near to one: a sale of more than is held.
        (0.9999999999e-6, 1e-6, 0.0),
        (0.3, 0.1, 0.1 * 3),
        (0.0, 1.0, 0.0),
    ],
)
def test_edges(units: float, lot: float, whole: float) -> None:
    assert whole_lot(units, lot) == whole
    assert whole_lots(np.array([units]), np.array([lot])).tolist() == [whole]
