"""What the report says of a folder's shape: unread files, cut files, members that nobody lists."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from quant_platform.errors import SourceError
from quant_platform.market.import_findings import Finding
from quant_platform.market.import_report import ImportReport
from quant_platform_tests.sources.files.folders import DAYS, SYMBOLS, imported, prices, write


def finding(report: ImportReport, what: str) -> Finding:
    (found,) = [line for line in report.findings if what in line.what]
    return found


def each(days: int = len(DAYS)) -> dict[str, str]:
    """Write a file for each symbol, none with a line break at its end."""
    rows = prices(DAYS[:days])
    return {
        f"bars/{name}.csv": rows.filter(symbol=name).write_csv().rstrip("\n") for name in SYMBOLS
    }


def test_a_program_that_writes_no_last_line_break_is_believed(tmp_path: Path) -> None:
    for name, tables in (
        ("each", each()),
        ("one", {"bars/all.csv": prices().write_csv().rstrip("\n")}),
    ):
        _, report = imported(write(tmp_path / name, tables), tmp_path / f"lake {name}")
        assert not report.refusals
        assert report.facts["kept"] == prices().height
        assert finding(report, "without a last line break").weight == "note"


def test_one_file_of_many_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    whole = {name: f"{text}\n" for name, text in each().items()}
    # Whole to the last digit, as far as the file itself shows.
    cut = each(20)["bars/S04.csv"]
    folder = write(tmp_path / "in", {**whole, "bars/S04.csv": cut})
    _, report = imported(folder, tmp_path / "lake")
    (refusal,) = report.refusals
    assert (refusal.what, refusal.count) == ("files that were cut off", 1)
    assert "bars/S04.csv" in refusal.detail


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_a_last_number_that_is_shorter_than_others_is_refused(tmp_path: Path, digits: int) -> None:
    columns = ["symbol", "date", "volume", "open", "high", "low", "close"]
    text = prices().with_columns(pl.col("close") + 0.01).select(columns).write_csv()
    cut = text.rstrip("\n")[:-digits]
    with pytest.raises(SourceError, match="and no line break"):
        imported(write(tmp_path / "in", {"bars/all.csv": cut}), tmp_path / "lake")


def test_files_that_nobody_reads_are_named(tmp_path: Path) -> None:
    others = {"bars/b.csv.gz": "x", "bars/old/c.csv": "x", "d.xlsx": "x", "README.md": "x"}
    folder = write(tmp_path / "in", {"bars/a.csv": prices(), **others})
    _, report = imported(folder, tmp_path / "lake")
    unread = finding(report, "not read")
    assert unread.count == 3
    assert "bars/b.csv.gz, bars/old/c.csv, d.xlsx" in unread.detail


def test_members_without_a_bar_are_counted_and_named(tmp_path: Path) -> None:
    members = "index,symbol,valid_from\n" + "".join(
        f"I,{name},2020-01-02\n" for name in (*SYMBOLS[:3], "NONE", "LISTED")
    )
    listed = "symbol,listed_on\nLISTED,2020-01-02\n"
    tables = {"bars.csv": prices(), "membership.csv": members, "listings.csv": listed}
    _, report = imported(write(tmp_path / "in", tables), tmp_path / "lake")
    lacking = finding(report, "members without a bar")
    assert lacking.count == 2
    assert "of 5: US:LISTED, US:NONE" in lacking.detail


def test_a_folder_of_which_nothing_can_be_kept_says_so(tmp_path: Path) -> None:
    spoilt = prices().with_columns(pl.lit(-1.0).alias("close"))
    _, report = imported(write(tmp_path / "in", {"bars/a.csv": spoilt}), tmp_path / "lake")
    assert report.facts["first"] == report.facts["last"] == "no row was kept"
    assert "most of it is impossible" in [refusal.what for refusal in report.refusals]
