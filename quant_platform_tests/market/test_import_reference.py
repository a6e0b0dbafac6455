"""The report of rows beside the bars: what the lake would set aside later is told before."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from quant_platform.errors import SourceError
from quant_platform.market.import_findings import Finding
from quant_platform.market.import_report import ImportReport
from quant_platform_tests.sources.files.deliveries import Deliveries
from quant_platform_tests.sources.files.folders import DAYS, imported, prices, write

EX = DAYS[20]
PRICES = ("open", "high", "low", "close")


def report_on(folder: Path, **files: str | pl.DataFrame) -> ImportReport:
    """Report on bars and other files."""
    tables = {"bars.csv": prices(), **{f"{kind}.csv": rows for kind, rows in files.items()}}
    _, report = imported(write(folder / "in", tables), folder / "lake")
    return report


def warnings(report: ImportReport) -> dict[str, Finding]:
    return {found.what: found for found in report.findings if found.weight == "warning"}


@pytest.mark.parametrize(
    ("kind", "rows", "rule"),
    [
        (
            "listings",
            "symbol,listed_on,tick\nS01,2020-01-02,0.01\nS02,2020-01-02,-1\n",
            "rows of securities that break tick|min_exclusive",
        ),
        (
            "membership",
            "index,symbol,valid_from,valid_to\nI,S01,2024-01-10,\nI,S02,2024-01-10,2024-01-03\n",
            "rows of membership that break a_stay_ends_after_it_began",
        ),
        (
            "earnings",
            "symbol,period,announced_on,actual\nS01,2023Q4,2024-01-10,1\nS02,,2024-01-10,1\n",
            "rows of earnings that break period|nullability",
        ),
        (
            "fund_facts",
            "symbol,session,aum\nS01,2024-01-31,1000\nS02,2024-01-06,1000\n",
            "rows of fund_facts that break session_in_calendar",
        ),
        (
            "series",
            "series,session,value,unit\nVIX,2024-01-31,12,points\nVIX,2024-02-01,,points\n",
            "rows of series that break value|nullability",
        ),
        (
            "actions",
            "symbol,session,kind,value\nS01,2024-01-31,dividend,0.1\nS01,2024-02-01,,2\n",
            "actions that break kind|nullability",
        ),
    ],
)
def test_what_breaks_its_contract_is_told(tmp_path: Path, kind: str, rows: str, rule: str) -> None:
    report = report_on(tmp_path, **{kind: rows})
    assert not report.refusals
    (found,) = warnings(report).values()
    assert (found.what, found.count) == (rule, 1)
    header, good, _ = rows.splitlines()
    assert not warnings(report_on(tmp_path / "good", **{kind: f"{header}\n{good}\n"}))


@pytest.mark.parametrize("kind", ["delisting", "merger"])
def test_bars_after_an_end_are_told(tmp_path: Path, kind: str) -> None:
    rows = f"symbol,session,kind,value\nS01,{EX},{kind},20\n"
    found = warnings(report_on(tmp_path, actions=rows))["securities with bars after their end"]
    assert found.count == 1
    assert f"US:S01 with {len(DAYS) - 21} after its {kind} of {EX}" in found.detail
    last = f"symbol,session,kind,value\nS01,{DAYS[-1]},{kind},20\n"
    assert not warnings(report_on(tmp_path / "last", actions=last))


@pytest.mark.parametrize("ratio", [7.0, 2.0, 0.1])
def test_a_split_that_nobody_tells_is_asked_for(tmp_path: Path, ratio: float) -> None:
    new = pl.col("symbol").eq("S01") & (pl.col("date") >= EX)
    bars = prices().with_columns(pl.when(new).then(pl.col(n) / ratio).otherwise(n) for n in PRICES)
    report = report_on(tmp_path, bars=bars)
    found = warnings(report)["closes that jump without an action"]
    assert found.count == 1
    assert "most US:S01, to " in found.detail
    assert f"times on {EX}" in found.detail
    told = f"symbol,session,kind,value\nS01,{EX},split,{ratio}\n"
    assert not warnings(report_on(tmp_path / "told", bars=bars, actions=told))


def test_what_has_no_bar_is_told(tmp_path: Path) -> None:
    report = report_on(
        tmp_path,
        listings="symbol,listed_on\nS01,2020-01-02\nBRK-B,2020-01-02\n",
        actions=f"symbol,session,kind,value,counterpart\nBRK-B,{EX},split,2,\n"
        f"S01,{EX},rename,,GONE\n",
    )
    told = warnings(report)
    assert "US:BRK-B" in told["listings without a bar"].detail
    assert "US:BRK-B" in told["securities with actions and without a bar"].detail
    assert "US:GONE" in told["renames to a symbol without a bar"].detail


def test_of_what_was_imported_before_only_what_is_new_is_told(tmp_path: Path) -> None:
    daily = Deliveries(tmp_path)
    spoilt = "symbol,period,announced_on,actual\nS02,,2023-10-10,1\n"
    assert warnings(daily.deliver({"bars.csv": prices(DAYS[:-1]), "earnings.csv": spoilt}))
    daily.take(DAYS[-2])
    assert not warnings(daily.deliver({"bars.csv": prices()}))


@pytest.mark.parametrize(
    ("kind", "rows", "told"),
    [
        ("listings", "symbol,listed_on\nS01,\n", "listings.csv has no listed_on in row 1"),
        ("bars", prices().write_csv() + "S01,,1,1,1,1,1\n", "bars.csv has no session in row 505"),
        (
            "listings",
            "symbol,listed_on,asset_class\nS01,2020-01-02,Common Stock\n",
            "1 rows say 'Common Stock' for asset_class; expected one of stock, etf, crypto",
        ),
    ],
)
def test_a_row_that_would_vanish_is_refused(
    tmp_path: Path, kind: str, rows: str, told: str
) -> None:
    with pytest.raises(SourceError, match=told):
        report_on(tmp_path, **{kind: rows})


def test_a_blank_line_says_nothing(tmp_path: Path) -> None:
    report = report_on(tmp_path, bars=prices().write_csv() + "\n\n")
    assert report.facts["rows of bars"] == prices().height
    assert not report.findings


def test_a_publication_before_the_end_of_its_session_says_why(tmp_path: Path) -> None:
    early = prices().with_columns(known_at=pl.format("{}T00:00:00Z", "date"))
    (refusal,) = report_on(tmp_path, bars=early).refusals
    assert "mostly session_is_known" in refusal.detail
