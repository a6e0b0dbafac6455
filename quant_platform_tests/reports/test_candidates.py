"""The report of candidates: counts of each layer, picks and warnings, from real scans."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from quant_platform.reports.candidates import candidates_markdown
from quant_platform.scanners.candidates import unite
from quant_platform.scanners.engine import scan
from quant_platform.scanners.overlap import overlap_of_scanners
from quant_platform_tests.lakehouse.small_lake import SESSIONS, span
from quant_platform_tests.scanners.chain import empty
from quant_platform_tests.scanners.manifests import manifest, row, screener

BEFORE, DAY = SESSIONS[:2]
CHEAP = """
name: cheap
sort_by: close
sort_order: asc
final_sort_by: close
final_sort_order: asc
prefilter_limit: 4
limit: 2
filters: [{left: close, operation: egreater, right: 2}]
ensure_symbols: ["NYSE:E"]
"""
RISEN = """
name: risen
sort_by: close
final_sort_by: close
prefilter_limit: 9
limit: 9
filters: [{left: close, operation: greater, right: 0}]
"""


def fund(name: str, close: float, month: float, **told: Any) -> dict[str, Any]:
    numbers = {"aum": 1e9, "Value.Traded": 5e7, "Perf.1M": month, **told}
    return row(name, DAY, close=close, type="fund", asset_class="etf", **numbers)


FUNDS = [
    fund("a", 1.0, 0.5),
    fund("b", 2.0, 0.01, aum=4e7, dividend_yield_recent=0.02),
    fund("c", 3.0, 0.03, **{"Value.Traded": 9e6}, dividend_yield_recent=0.07),
    fund("d", 4.0, 0.02),
    fund("e", 5.0, -0.04, volume=0.0, aum=None),
]


def report(funds: list[dict[str, Any]], day: date = DAY) -> str:
    wanted = span(BEFORE, DAY)
    listed = screener(funds).lazy()
    tables = {"screener": listed, "cross_section": empty("cross_section").lazy()}
    names = {"cheap": CHEAP, "risen": RISEN}
    for name, text in names.items():
        made = scan({"screener": listed}, manifest(text, name, "etf"), wanted)
        tables[f"scan_{name}"] = made.lazy()
    united = unite(tables, list(names), wanted)
    overlap = overlap_of_scanners({"candidates": united.lazy()}, None, wanted)
    scans = {name: tables[f"scan_{name}"] for name in names}
    return candidates_markdown(day, united, listed, scans, overlap=overlap, low_traded=1e7)


def cells(text: str, title: str) -> list[list[str]]:
    """Rows of one table of the report, below its head."""
    (own,) = (
        part for part in text.split("**") if part.startswith("\n") and _titled(text, part, title)
    )
    lines = [line for line in own.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _titled(text: str, part: str, title: str) -> bool:
    return f"**{title}**{part}" in text


def test_the_funnel_counts_what_each_layer_let_through() -> None:
    """Cheap looks at all five: a fails its filter, d the limit, e is cut there and asked for."""
    assert cells(report(FUNDS), "Funnel") == [
        ["cheap", "5", "5", "3", "2", "1", "3"],
        ["risen", "5", "5", "5", "5", "0", "5"],
    ]


def test_scanners_are_compared() -> None:
    assert cells(report(FUNDS), "Overlap") == [["cheap, risen", "3", "60.00\u00a0%"]]


def test_picks_are_by_the_month_and_by_the_yield() -> None:
    text = report(FUNDS)
    risen = cells(text, "Top picks by performance")
    assert [line[0] for line in risen] == [f"NYSE:{name}" for name in "ACDBE"]
    assert risen[1][1:3] == ["+3.00\u00a0%", "–"]
    assert [line[0] for line in cells(text, "Top picks by dividend yield")] == ["NYSE:C", "NYSE:B"]


def test_no_yield_no_table_of_yields() -> None:
    assert "dividend" not in report([fund("a", 3.0, 0.5)])


def test_warnings_name_what_is_to_be_minded() -> None:
    said = {line[0]: line[1] for line in cells(report(FUNDS), "Warnings")}
    assert said == {
        "NYSE:B": "low AUM",
        "NYSE:C": "low liquidity",
        "NYSE:E": "AUM unknown, stale",
    }


def test_nothing_to_mind_is_said() -> None:
    text = report([fund("a", 3.0, 0.5)])
    assert "nothing is to be minded" in text


@pytest.mark.parametrize("funds", [[], FUNDS])
def test_a_session_without_a_screener_has_no_report(funds: list[dict[str, Any]]) -> None:
    assert report(funds, BEFORE) == ""


def test_nobody_found_is_said() -> None:
    coins = [row("x", DAY, asset_class="crypto", type="spot")]
    text = report(coins)
    assert "nobody was found" in text
    assert cells(text, "Funnel")[0][1:] == ["1", "0", "0", "0", "0", "0"]
