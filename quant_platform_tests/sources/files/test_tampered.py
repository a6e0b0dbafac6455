"""Tampered feeds through the real reader: each is said, and none reaches a derived table."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from quant_platform.errors import SourceError
from quant_platform.market.bars import published_bars
from quant_platform.market.returns import session_returns
from quant_platform.settings.returns import ReturnsSettings
from quant_platform_tests.sources.files.folders import (
    DAYS,
    LAST,
    SLEEVE,
    imported,
    prices,
    span,
    write,
)

BAD = DAYS[20]
PRICES = ["open", "high", "low", "close"]
on_bad = pl.col("date") == BAD


def spoilt(table: pl.DataFrame, factor: float) -> pl.DataFrame:
    """Multiply the prices of the bad session."""
    return table.with_columns(
        pl.when(on_bad).then(pl.col(name) * factor).otherwise(name).alias(name) for name in PRICES
    )


def returns_of(folder: Path, lake: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compute what a folder leads to; return what was rejected of its bars as well."""
    source, report = imported(folder, lake)
    assert not report.refusals
    bars = published_bars(source, SLEEVE, span())
    made = session_returns({"bars": bars.rows.lazy()}, ReturnsSettings(), span())
    return made, bars.rejected


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp("honest")
    made, rejected = returns_of(write(folder / "in", {"bars/all.csv": prices()}), folder / "lake")
    assert rejected.height == 0
    assert made["total"].abs().max() < 0.06
    return made


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (
            lambda t: spoilt(t, 100),
            "prices_out_of_scale",
        ),
        (
            lambda t: spoilt(t, -1),
            "min_exclusive",
        ),
        (
            lambda t: t.with_columns(volume=pl.when(on_bad).then(float("nan")).otherwise("volume")),
            "volume|nan",
        ),
        (
            lambda t: pl.concat(
                [
                    t.filter(pl.col("date") != BAD),
                    t.filter(pl.col("date") == DAYS[19]).with_columns(date=pl.lit(BAD)),
                ]
            ),
            "repeats_session_before",
        ),
        (
            lambda t: t.filter(~on_bad).vstack(
                t.filter(on_bad).with_columns(pl.col(*PRICES, "volume").first())
            ),
            "bar_of_another_security",
        ),
    ],
    ids=["hundredfold", "negative", "nan-volume", "duplicated-day", "another-symbols-bars"],
)
def test_a_spoilt_session_is_rejected_and_its_returns_are_those_of_no_bar(
    change: object, rule: str, honest: pl.DataFrame, tmp_path: Path
) -> None:
    assert callable(change)
    folder = write(tmp_path / "in", {"bars/all.csv": change(prices())})
    made, rejected = returns_of(folder, tmp_path / "lake")
    assert rejected.height == 12
    assert all(rule in broken for broken in rejected["rule"])
    bad = made.filter(pl.col("session") == BAD)
    assert bad["execution_price"].null_count() == 12
    assert bad["total"].abs().max() == 0
    # The sessions before know nothing of it, and the chain comes back to the honest marks.
    early = pl.col("session") < BAD
    assert made.filter(early).equals(honest.filter(early))
    last = pl.col("session") == LAST
    assert made.filter(last)["mark"].to_list() == honest.filter(last)["mark"].to_list()


def test_rows_that_come_twice_are_taken_once(honest: pl.DataFrame, tmp_path: Path) -> None:
    twice = pl.concat([prices(), prices().filter(on_bad)])
    made, rejected = returns_of(write(tmp_path / "in", {"bars/all.csv": twice}), tmp_path / "lake")
    assert rejected["rule"].to_list() == ["repeated_row"] * 12
    assert made.equals(honest)


def test_a_bar_on_a_holiday_is_set_aside(honest: pl.DataFrame, tmp_path: Path) -> None:
    holiday = prices().filter(on_bad).with_columns(date=pl.lit(date(2024, 1, 15)))
    folder = write(tmp_path / "in", {"bars/all.csv": pl.concat([prices(), holiday])})
    made, rejected = returns_of(folder, tmp_path / "lake")
    assert rejected["rule"].to_list() == ["session_in_calendar"] * 12
    assert made.equals(honest)


def test_the_order_of_the_rows_does_not_matter_and_is_told(
    honest: pl.DataFrame, tmp_path: Path
) -> None:
    folder = write(tmp_path / "in", {"bars/all.csv": prices().reverse()})
    made, rejected = returns_of(folder, tmp_path / "lake")
    assert rejected.height == 0
    assert made.equals(honest)
    _, report = imported(folder, tmp_path / "lake")
    assert "rows out of order" in [finding.what for finding in report.findings]


def test_dates_of_another_time_zone_are_refused(tmp_path: Path) -> None:
    shifted = prices().with_columns(pl.col("date") - timedelta(days=1))
    folder = write(tmp_path / "in", {"bars/all.csv": shifted})
    source, report = imported(folder, tmp_path / "lake")
    (refusal,) = report.refusals
    assert refusal.what == "dates are shifted by a day"
    assert "Friday" in refusal.detail
    with pytest.raises(SourceError, match="nothing has been imported"):
        published_bars(source, SLEEVE, span())


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    whole = prices().write_csv()
    middle = whole[: len(whole) // 2]
    cut = middle[: middle.rindex(",")]
    with pytest.raises(SourceError, match="in the middle of a line"):
        imported(write(tmp_path / "in", {"bars/all.csv": cut}), tmp_path / "lake")
    write(tmp_path / "parquet", {"bars/all.parquet": prices()})
    file = tmp_path / "parquet" / "bars" / "all.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(SourceError, match="no whole Parquet file"):
        imported(tmp_path / "parquet", tmp_path / "lake")


def test_half_a_session_is_refused(tmp_path: Path) -> None:
    half = prices().filter((pl.col("date") != LAST) | (pl.col("symbol") < "S05"))
    _, report = imported(write(tmp_path / "in", {"bars/all.csv": half}), tmp_path / "lake")
    assert [finding.what for finding in report.refusals] == ["the newest session is half there"]


def test_a_file_that_has_lost_rows_since_it_was_imported_is_refused(tmp_path: Path) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    source, report = imported(write(folder, {"bars/all.csv": prices()}), lake)
    assert not report.refusals
    before = published_bars(source, SLEEVE, span()).rows
    # Cut at the end of a line: nothing in the file itself shows it.
    lines = prices().write_csv().splitlines(keepends=True)
    _, report = imported(write(folder, {"bars/all.csv": "".join(lines[: len(lines) // 2])}), lake)
    assert "have lost bars" in report.refusals[0].what
    assert published_bars(source, SLEEVE, span()).rows.equals(before)


def test_a_file_that_answers_for_another_symbol_is_refused(tmp_path: Path) -> None:
    mapping = tmp_path / "map.yaml"
    mapping.write_text("bars:\n  - files: bars/*.csv\n    file_is_symbol: true\n", encoding="utf-8")
    each = {f"bars/{name}.csv": prices(symbols=[name]) for name in ("AAA", "BBB")}
    _, report = imported(write(tmp_path / "in", each), tmp_path / "lake", mapping)
    assert not report.refusals
    write(tmp_path / "in", {"bars/BBB.csv": prices(symbols=["AAA"])})
    with pytest.raises(SourceError, match=r"bars/BBB.csv holds \d+ rows of US:AAA"):
        imported(tmp_path / "in", tmp_path / "lake", mapping)


def test_of_a_folder_that_was_imported_only_what_is_new_is_looked_at(tmp_path: Path) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    spoilt_early = prices(DAYS[:-1]).with_columns(
        volume=pl.when(pl.col("date") == DAYS[0]).then(-1.0).otherwise("volume")
    )
    _, report = imported(write(folder, {"bars/1.csv": spoilt_early}), lake)
    assert "rows that break volume|min" in [finding.what for finding in report.findings]
    _, report = imported(write(folder, {"bars/2.csv": prices([LAST])}), lake)
    assert report.facts["looked at from"] == str(LAST - timedelta(days=45))
    assert not report.findings
    # What is new is held against the sessions before it all the same.
    _, report = imported(write(folder, {"bars/2.csv": prices([LAST], ["S01"])}), tmp_path / "other")
    assert [finding.what for finding in report.refusals] == ["the newest session is half there"]
