"""How numbers are written."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_platform.reports.notation import amount, long_date, price, written


@pytest.mark.parametrize(
    ("value", "unit", "signed", "expected"),
    [
        (0.1234567, "fraction", True, "+12.35 %"),
        (-0.1234567, "fraction", False, "−12.35 %"),
        (-0.00001, "fraction", True, "0.00 %"),
        (6.66, "bps", True, "+6.7 bps"),
        (1234567.891, "USD", False, "1,234,567.89 USD"),
        (-1234.5, "USD", True, "−1,234.50 USD"),
        (1200.0, "count", False, "1,200"),
        (1.0, "flag", False, "yes"),
        (0.0, "flag", False, "no"),
        (100.0, "units", False, "100"),
        (0.25, "units", False, "0.25"),
        (0.0, "units", False, "0"),
        (123456789.0, "units", False, "123,456,789"),
        (0.123456789, "units", False, "0.123457"),
        (0.00000042, "units", False, "0.00000042"),
        (-0.00000042, "units", True, "−0.00000042"),
        (2e-13, "units", True, "+2e−13"),
        (None, "USD", True, "–"),
        (float("nan"), "fraction", True, "–"),
    ],
)
def test_a_number_is_written(value: float | None, unit: str, signed: bool, expected: str) -> None:
    assert written(value, unit, signed=signed).replace("\u00a0", " ") == expected


@given(st.floats(-1e12, 1e12), st.sampled_from(["fraction", "bps", "USD", "count"]))
def test_a_written_number_reads_back(value: float, unit: str) -> None:
    text = re.sub(r"[^0-9.\-]", "", written(value, unit, signed=True).replace("−", "-"))
    scale, digits = {"fraction": (100, 2), "bps": (1, 1), "USD": (1, 2), "count": (1, 0)}[unit]
    assert float(text) == round(value * scale, digits)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (64123.456, "64,123.46"),
        (1234567890.125, "1,234,567,890.12"),
        (123.4, "123.40"),
        (12.3456, "12.346"),
        (12.3, "12.30"),
        (1.00001, "1.00"),
        (0.99999949, "1.00"),
        (0.52344, "0.52344"),
        (0.5, "0.50"),
        (0.00001234, "0.00001234"),
        (0.000012345678, "0.000012346"),
        (-0.00001234, "−0.00001234"),
        (1.5e-12, "1.5e−12"),
        (0.0, "0.00"),
        (None, "–"),
        (float("inf"), "–"),
    ],
)
def test_a_price_has_the_digits_that_its_size_needs(value: float | None, expected: str) -> None:
    assert price(value) == expected


@given(st.floats(1e-18, 1e12), st.sampled_from(["price", "units"]))
def test_a_price_and_a_number_of_units_read_back_to_five_digits(value: float, kind: str) -> None:
    text = price(value) if kind == "price" else written(value, "units")
    assert float(text.replace(",", "").replace("−", "-")) == pytest.approx(value, rel=5.01e-5)


def test_money_without_its_currency() -> None:
    assert (amount(None), amount(1000), amount(2.5, signed=True)) == ("–", "1,000.00", "+2.50")


def test_a_date_in_words() -> None:
    assert long_date(date(2024, 7, 15)) == "Monday 15 July 2024"
