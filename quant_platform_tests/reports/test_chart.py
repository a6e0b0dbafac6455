"""Charts: round ticks, labels apart, gaps, and text that any reader of XML takes."""

from __future__ import annotations

import itertools
from base64 import b64decode
from datetime import date, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_platform.reports.chart import (
    LINE_HEIGHT,
    MOST_TICKS,
    Line,
    apart,
    data_uri,
    line_chart,
    round_ticks,
    time_ticks,
)

DAYS = [date(2024, 1, 2) + timedelta(days=number) for number in range(5)]
NAME = "{http://www.w3.org/2000/svg}"
finite = st.floats(-1e9, 1e9)


def paths(svg: str) -> list[str]:
    """Lines of a chart, without its legend."""
    found = ElementTree.fromstring(svg).iter(f"{NAME}path")
    return [path.attrib["d"] for path in found if path.find(f"{NAME}title") is not None]


@given(finite, finite)
def test_ticks_enclose_and_are_few_and_ascend(one: float, other: float) -> None:
    low, high = sorted((one, other))
    ticks = round_ticks(low, high)
    margin = 1e-6 * max(abs(low), abs(high), 1.0)
    assert ticks[0] <= low + margin
    assert ticks[-1] >= high - margin
    assert 2 <= len(ticks) <= MOST_TICKS + 2
    assert all(a < b for a, b in itertools.pairwise(ticks))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.07, 0.12, [-0.1, -0.05, 0.0, 0.05, 0.1, 0.15]),
        (97_250.0, 100_110.0, [97_000.0, 98_000.0, 99_000.0, 100_000.0, 101_000.0]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert round_ticks(low, high) == expected


@given(st.lists(st.floats(0, 200), min_size=1, max_size=8))
def test_labels_never_overlap_and_keep_their_order(heights: list[float]) -> None:
    moved = apart(heights, 0, 200)
    order = sorted(range(len(heights)), key=lambda number: (heights[number], number))
    gaps = [moved[b] - moved[a] for a, b in itertools.pairwise(order)]
    assert all(gap >= LINE_HEIGHT - 1e-9 for gap in gaps)
    assert max(moved) <= 200 + 1e-9


def test_labels_that_are_far_apart_stay() -> None:
    assert apart([10.0, 100.0, 50.0], 0, 200) == [10.0, 100.0, 50.0]


def test_a_session_without_a_value_breaks_the_line() -> None:
    svg = line_chart("x", DAYS, [Line("a", [0.0, 0.1, None, 0.2, 0.3])], "fraction")
    assert [path.count("M") for path in paths(svg)] == [2]
    assert [path.count("L") for path in paths(svg)] == [2]
    svg = line_chart("x", DAYS, [Line("a", [0.0, 0.1, 0.15, 0.2, 0.3])], "fraction")
    assert [path.count("M") for path in paths(svg)] == [1]


def test_the_last_value_stands_at_the_end_and_the_title_and_names_are_there() -> None:
    lines = [Line("up", [0.0, 0.1, 0.2, 0.25, None]), Line("down", [0, -0.1, -0.1, -0.1, -0.125])]
    svg = line_chart("Net return", DAYS, lines, "fraction")
    words = ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter(f"{NAME}text")]
    assert {"Net return", "up", "down", "+25.00\u00a0%", "−12.50\u00a0%"} <= set(words)
    assert line_chart("Net return", DAYS, lines, "fraction") == svg


def test_nothing_to_draw_is_no_chart() -> None:
    assert line_chart("x", DAYS, [], "fraction") == ""
    assert line_chart("x", DAYS, [Line("a", [None] * 5)], "fraction") == ""


def test_one_value_and_a_flat_line_are_drawn() -> None:
    for values in ([None, None, 3.0, None, None], [100.0] * 5):
        svg = line_chart("x", DAYS, [Line("a", values)], "USD")
        assert ElementTree.fromstring(svg).find(f"{NAME}circle") is not None


def test_names_are_escaped() -> None:
    svg = line_chart("<b>&\"'", DAYS, [Line("</svg><script>", [0.0, 1, 2, 3, 4])], "USD")
    assert "<script>" not in svg
    assert ElementTree.fromstring(svg).attrib["aria-label"] == "<b>&\"'"


def test_a_picture_holds_its_style_and_its_address_holds_it() -> None:
    svg = line_chart("x", DAYS, [Line("a", [0.0, 1, 2, 3, 4])], "USD", standalone=True)
    assert ElementTree.fromstring(svg).find(f"{NAME}style") is not None
    head, _, body = data_uri(svg).partition(",")
    assert head == "data:image/svg+xml;base64"
    assert b64decode(body).decode() == svg


def test_the_time_axis_names_months_then_years() -> None:
    year = [date(2023, 6, 1) + timedelta(days=number) for number in range(366)]
    names = [name for _, name in time_ticks(year)]
    assert names[0] == "Jul 2023"
    assert len(names) <= MOST_TICKS
    decade = [date(2013, 6, 1) + timedelta(days=number) for number in range(3660)]
    assert {name[:3] for _, name in time_ticks(decade)} == {"Jan"}
    assert time_ticks(DAYS) == [(0, "2 Jan"), (4, "6 Jan")]
