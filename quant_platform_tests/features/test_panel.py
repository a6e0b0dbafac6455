"""The panel: published rows in their cells, one column per security and vintage."""

from __future__ import annotations

import numpy as np
import polars as pl

from quant_platform.features.panel import Panel
from quant_platform_tests.lakehouse.small_lake import SESSIONS, bar, bars_frame, span

DAYS = SESSIONS[:6]
ROWS = bars_frame(
    [
        *(bar("a", day, 10.0 + number) for number, day in enumerate(DAYS)),
        bar("a", DAYS[1], 99.0, late=2),
        bar("b", DAYS[4], 5.0),
    ]
)
WANTED = span(DAYS[2], DAYS[5])
NAN = np.nan


def test_each_series_is_a_column_and_what_is_lacking_is_not_a_number() -> None:
    panel = Panel.of(ROWS, WANTED, DAYS, ["close", "volume"])
    assert panel.sessions == tuple(DAYS)
    assert panel.series.rows() == [
        ("a", DAYS[2], DAYS[2]),
        ("a", DAYS[3], DAYS[5]),
        ("b", DAYS[2], DAYS[5]),
    ]
    expected = [
        [10.0, 11.0, 12.0, NAN, NAN, NAN],
        [10.0, 99.0, 12.0, 13.0, 14.0, 15.0],
        [NAN, NAN, NAN, NAN, 5.0, NAN],
    ]
    close = panel.columns["close"].T
    visible = panel.visible(0, 6).T
    # Rows after a vintage's end are nobody's business: its own cells are what counts.
    np.testing.assert_array_equal(close[1:], expected[1:])
    np.testing.assert_array_equal(close[0][:3], expected[0][:3])
    assert visible.tolist() == [
        [False, False, True, False, False, False],
        [False, False, False, True, True, True],
        [False, False, True, True, True, True],
    ]


def test_rows_of_sessions_that_were_not_loaded_are_left_out() -> None:
    panel = Panel.of(ROWS, WANTED, DAYS[2:], ["close"])
    assert panel.sessions == tuple(DAYS[2:])
    assert panel.columns["close"].shape == (4, 3)
    assert 99.0 not in panel.columns["close"]


def test_the_order_of_rows_does_not_matter() -> None:
    panel = Panel.of(ROWS, WANTED, DAYS, ["close"])
    again = Panel.of(ROWS.reverse(), WANTED, DAYS, ["close"])
    np.testing.assert_array_equal(panel.columns["close"], again.columns["close"])
    assert panel.series.equals(again.series)


def test_an_empty_market_has_no_columns() -> None:
    panel = Panel.of(ROWS.head(0), WANTED, DAYS, ["close"])
    assert panel.columns["close"].shape == (6, 0)
    assert panel.visible(0, 6).shape == (6, 0)
    assert panel.series.schema["security_id"] == pl.String
