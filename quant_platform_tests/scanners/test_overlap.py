"""Overlap of scanners through the real union: known shares, pairs without anything, the warning."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from quant_platform.lakehouse.contracts.candidates import CANDIDATES
from quant_platform.lakehouse.contracts.scan_overlap import SCAN_OVERLAP
from quant_platform.lakehouse.rules import judge
from quant_platform.scanners.candidates import candidates_windows, unite
from quant_platform.scanners.engine import scan, scan_windows
from quant_platform.scanners.overlap import overlap_of_scanners
from quant_platform_tests.lakehouse.small_lake import SESSIONS, span
from quant_platform_tests.scanners.chain import empty
from quant_platform_tests.scanners.manifests import manifest, row, screener

DAYS = SESSIONS[:3]
PRICES = {"a": 10.0, "b": 20.0, "c": 30.0, "d": 40.0}
LISTED = screener(row(name, day, close=price) for day in DAYS for name, price in PRICES.items())


def scanner(name: str, least: float, limit: int = 100) -> str:
    return (
        f"name: {name}\nsort_by: close\nfinal_sort_by: close\nprefilter_limit: 100\n"
        f"limit: {limit}\nfilters: [{{left: close, operation: egreater, right: {least}}}]\n"
    )


def overlap(floors: dict[str, float], first: date = DAYS[0], last: date = DAYS[2]) -> pl.DataFrame:
    """Scan prices above each floor, unite what was found, and compare."""
    wanted = span(first, last)
    tables = {"screener": LISTED.lazy(), "cross_section": empty("cross_section").lazy()}
    for name, least in floors.items():
        settings = manifest(scanner(name, least), name)
        assert set(scan_windows(settings)) == {"screener"}
        tables[f"scan_{name}"] = scan(tables, settings, wanted).lazy()
    assert set(candidates_windows(list(floors))) == set(tables)
    united = CANDIDATES.validate("x/candidates", unite(tables, list(floors), wanted))
    made = overlap_of_scanners({"candidates": united.lazy()}, None, wanted)
    return SCAN_OVERLAP.validate("x/scan_overlap", made)


def verdicts(rows: pl.DataFrame) -> list[tuple[bool, float | None]]:
    outcomes = judge(SCAN_OVERLAP.rules, rows, DAYS, partition="session")
    return outcomes.select("passed", "value").rows()


def test_the_share_is_of_what_either_found() -> None:
    made = overlap({"most": 20.0, "all": 0.0, "few": 40.0})
    assert made.filter(session=DAYS[1]).drop("session").rows() == [
        ("all", "few", 4, 1, 1, 0.25),
        ("all", "most", 4, 3, 3, 0.75),
        ("few", "most", 1, 3, 1, 1 / 3),
    ]
    assert made["session"].unique().to_list() == DAYS


def test_scanners_that_share_nothing_have_a_row_that_says_so() -> None:
    rows = pl.DataFrame(
        {"session": [DAYS[0]] * 2, "security_id": ["a", "b"], "scanners": [["x"], ["y"]]}
    )
    made = overlap_of_scanners({"candidates": rows.lazy()}, None, span(DAYS[0], DAYS[0]))
    assert made.drop("session").rows() == [("x", "y", 1, 1, 0, 0.0)]


def test_a_scanner_that_found_nothing_has_no_pair() -> None:
    made = overlap({"all": 0.0, "none": 1000.0})
    assert made.equals(SCAN_OVERLAP.empty())
    assert verdicts(made) == [(True, None)] * 3


@pytest.mark.parametrize(("least", "passed", "share"), [(30.0, True, 0.5), (20.0, False, 0.75)])
def test_more_than_half_warns(least: float, passed: bool, share: float) -> None:
    assert verdicts(overlap({"all": 0.0, "some": least})) == [(passed, share)] * 3


def test_a_range_is_its_days() -> None:
    floors = {"most": 20.0, "all": 0.0}
    days = [overlap(floors, day, day) for day in DAYS]
    assert pl.concat(days).equals(overlap(floors))
