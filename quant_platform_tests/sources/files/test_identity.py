"""Who is who as it was known: overlapping renames, versions of a listing, names of later days."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quant_platform.market.bars import published_bars
from quant_platform.market.reference import published_actions, published_securities
from quant_platform_tests.sources.files.deliveries import Deliveries
from quant_platform_tests.sources.files.folders import DAYS, SLEEVE, imported, prices, span, write
from quant_platform_tests.sources.markets import NYSE

COMES, GOES = DAYS[17], DAYS[20]
BY_NAME = (
    "departures: {same_name_is_rename: true}\n"
    "bars:\n  - files: bars.csv\nlistings:\n  - files: listings.csv\n"
)


def overlapping(folder: Path, until: date, comes: date = COMES) -> Path:
    """S01 goes, S99 comes while it is still there and has its very bars; as of a day."""
    bars = prices().filter(pl.col("date") <= until)
    own = pl.col("symbol") == "S01"
    new = bars.filter(own, pl.col("date") >= comes).with_columns(symbol=pl.lit("S99"))
    rows = [("S01", "Firm", DAYS[0], GOES if until >= GOES else None)]
    rows += [("S99", "Firm", comes, None)] if until >= comes else []
    names = {"symbol": pl.String, "name": pl.String, "listed_on": pl.Date, "delisted_on": pl.Date}
    return write(
        folder,
        {
            "bars.csv": pl.concat([bars.filter(~own | (pl.col("date") < GOES)), new]),
            "listings.csv": pl.DataFrame(rows, schema=names, orient="row"),
        },
    )


def ids_of(folder: Path, lake: Path, mapping: Path | None, until: date) -> dict[str, str]:
    """Whose the bars of the two symbols are in the newest session of a folder."""
    source, _ = imported(folder, lake, mapping)
    rows = source.bars(NYSE, SLEEVE, [until]).filter(pl.col("symbol").is_in(["US:S01", "US:S99"]))
    return dict(rows.select("symbol", "security_id").sort("symbol").iter_rows())


@pytest.mark.parametrize("comes", [COMES, GOES])
def test_an_id_is_the_one_that_an_import_of_that_day_would_have_given(
    tmp_path: Path, comes: date
) -> None:
    mapping = tmp_path / "map.yaml"
    mapping.write_text(BY_NAME, encoding="utf-8")
    source, _ = imported(
        overlapping(tmp_path / "all", DAYS[-1], comes), tmp_path / "whole", mapping
    )
    for until in (*DAYS[15:22], DAYS[-1]):
        then = overlapping(tmp_path / f"in {until}", until, comes)
        rows = source.bars(NYSE, SLEEVE, [until])
        whole = rows.filter(pl.col("symbol").is_in(["US:S01", "US:S99"]))
        told = dict(whole.select("symbol", "security_id").sort("symbol").iter_rows())
        assert told == ids_of(then, tmp_path / f"lake {until}", mapping, until)
    assert published_bars(source, SLEEVE, span()).rejected.height == 0
    renamed = source.actions(NYSE, SLEEVE, DAYS).filter(pl.col("kind") == "rename")
    # Side by side they are two; one after the other they are one.
    assert renamed.height == (comes == GOES)


def test_until_a_told_rename_the_new_symbol_is_itself(tmp_path: Path) -> None:
    folder = overlapping(tmp_path / "in", DAYS[-1])
    rename = {"symbol": "S01", "session": GOES, "kind": "rename", "counterpart": "US:S99"}
    write(folder, {"actions.csv": pl.DataFrame([rename])})
    source, _ = imported(folder, tmp_path / "lake")
    found = published_bars(source, SLEEVE, span())
    assert found.rejected.height == 0
    new = found.rows.filter(pl.col("symbol") == "US:S99").sort("session")
    before, after = new.filter(pl.col("session") < GOES), new.filter(pl.col("session") >= GOES)
    assert before["security_id"].unique().to_list() == ["US:S99"]
    assert after["security_id"].unique().to_list() == ["US:S01"]
    assert published_actions(source, SLEEVE, span()).rows["kind"].to_list() == ["rename"]
    firm = published_securities(source, SLEEVE, span()).rows.filter(pl.col("name") == "Firm")
    assert firm["security_id"].unique().to_list() == ["US:S01"]
    assert firm.select("symbol", "knowledge_session").rows() == [
        ("US:S01", DAYS[0]),
        ("US:S99", GOES),
    ]


def test_rows_of_one_listing_are_its_versions(tmp_path: Path) -> None:
    left = DAYS[10]
    table = prices().filter((pl.col("symbol") != "S02") | (pl.col("date") < left))
    rows = [
        ("S01", DAYS[0], None, "Tech", DAYS[0]),
        ("S01", DAYS[0], None, "Energy", DAYS[12]),
        ("S02", DAYS[0], None, "Tech", DAYS[0]),
        # Told long after it was believed that it had left.
        ("S02", DAYS[0], left, "Tech", DAYS[30]),
        ("S03", DAYS[0], DAYS[5], "Tech", DAYS[6]),
        # Taken back before anybody believed it.
        ("S03", DAYS[0], None, "Tech", DAYS[8]),
    ]
    names = ["symbol", "listed_on", "delisted_on", "sector", "known_at"]
    told = pl.DataFrame(rows, schema=names, orient="row")
    folder = write(tmp_path / "in", {"bars.csv": table, "listings.csv": told})
    source, _ = imported(folder, tmp_path / "lake")
    bars = source.bars(NYSE, SLEEVE, DAYS)
    assert (bars["symbol"] == bars["security_id"]).all()
    securities = published_securities(source, SLEEVE, span()).rows
    first = securities.filter(pl.col("security_id") == "US:S01")
    assert first.select("knowledge_session", "sector").rows() == [
        (DAYS[0], "Tech"),
        (DAYS[12], "Energy"),
    ]
    second = securities.filter(pl.col("security_id") == "US:S02")
    assert second.select("knowledge_session", "delisted_on").rows() == [
        (DAYS[0], None),
        (DAYS[30], left),
    ]
    third = securities.filter(pl.col("security_id") == "US:S03")
    assert third["delisted_on"].null_count() == third.height
    (gone,) = source.actions(NYSE, SLEEVE, DAYS).to_dicts()
    assert (gone["security_id"], gone["session"]) == ("US:S02", left)
    assert gone["known_at"] == second["known_at"][-1]


def test_the_last_name_is_told_with_the_end(tmp_path: Path) -> None:
    left = DAYS[10]
    table = prices().filter((pl.col("symbol") != "S02") | (pl.col("date") < left))
    told = pl.DataFrame(
        {
            "symbol": ["S01", "S02"],
            "listed_on": [DAYS[0], DAYS[0]],
            "delisted_on": [None, left],
            "name": ["First", "Alcoa"],
            "name_at_end": ["Last", "Arconic"],
        }
    )
    folder = write(tmp_path / "in", {"bars.csv": table, "listings.csv": told})
    source, _ = imported(folder, tmp_path / "lake")
    rows = published_securities(source, SLEEVE, span()).rows
    assert rows.filter(pl.col("symbol") == "US:S01")["name"].to_list() == ["First"]
    assert rows.filter(pl.col("symbol") == "US:S02")["name"].to_list() == ["Alcoa", "Arconic"]


def test_each_owner_of_a_ticker_has_an_end_of_its_own(tmp_path: Path) -> None:
    first, second, last = DAYS[10], DAYS[15], DAYS[25]
    table = prices().filter(
        (pl.col("symbol") != "S01")
        | (pl.col("date") < first)
        | pl.col("date").is_between(second, last, closed="left")
    )
    rows = [("S01", DAYS[0], first), ("S01", second, last), ("S02", DAYS[0], None)]
    names = ["symbol", "listed_on", "delisted_on"]
    told = {"symbol": "S01", "session": first, "kind": "merger", "value": 12.5}
    folder = write(
        tmp_path / "in",
        {
            "bars.csv": table,
            "listings.csv": pl.DataFrame(rows, schema=names, orient="row"),
            "actions.csv": pl.DataFrame([told]),
        },
    )
    source, report = imported(folder, tmp_path / "lake")
    ends = source.actions(NYSE, SLEEVE, DAYS).sort("session")
    assert ends.select("security_id", "session", "kind", "value").rows() == [
        ("US:S01", first, "merger", 12.5),
        (f"US:S01@{second}", last, "delisting", None),
    ]
    found = {finding.what for finding in report.findings}
    assert {"departures: merged", "departures: delisted"} <= found


@pytest.mark.parametrize("misprint", [date(2024, 6, 1), date(2024, 12, 3)])
def test_a_misprinted_date_ends_nobody(tmp_path: Path, misprint: date) -> None:
    bars = prices(symbols=["S01", "S02"])
    stray = bars.head(1).with_columns(date=pl.lit(misprint))
    folder = write(tmp_path / "in", {"bars.csv": pl.concat([bars, stray])})
    source, report = imported(folder, tmp_path / "lake")
    assert not report.refusals
    later = span(last=date(2024, 12, 3))
    assert published_actions(source, SLEEVE, later).rows.height == 0
    assert published_securities(source, SLEEVE, later).rows["delisted_on"].null_count() == 2
    # Its failing twin: bars of the sessions between tell that S02 is gone.
    more = prices(NYSE.between(DAYS[0], date(2024, 12, 3)), ["S01"])
    both = pl.concat([more, bars.filter(pl.col("symbol") == "S02")])
    source, _ = imported(write(tmp_path / "went on", {"bars.csv": both}), tmp_path / "other")
    (gone,) = published_actions(source, SLEEVE, later).rows["security_id"].to_list()
    assert gone == "US:S02"


def renamed_in_files(until: date) -> dict[str, pl.DataFrame]:
    """Write what files say up to a day: S01 is NEW from `GOES` on, which only an action tells."""
    own = pl.col("symbol") == "S01"
    symbol = pl.when(own & (pl.col("date") >= GOES)).then(pl.lit("NEW")).otherwise("symbol")
    told = [("s01", GOES, "rename", "new")] if until >= GOES else []
    names = {"symbol": pl.String, "session": pl.Date, "kind": pl.String, "counterpart": pl.String}
    return {
        "bars.csv": prices().filter(pl.col("date") <= until).with_columns(symbol=symbol),
        "actions.csv": pl.DataFrame(told, schema=names, orient="row"),
    }


def test_a_rename_that_only_an_action_tells_holds_from_its_day(tmp_path: Path) -> None:
    daily = Deliveries(tmp_path / "daily")
    for day in DAYS[18:34]:
        report = daily.deliver(renamed_in_files(day))
        assert not report.refusals
        told = daily.known("bars", day).filter(pl.col("session") == day)
        assert told["security_id"].sort().to_list() == [f"US:S{n:02d}" for n in range(12)]
        daily.take(day)
    actions = daily.known("actions", DAYS[33])
    assert actions.select("security_id", "session", "counterpart").rows() == [
        ("US:S01", GOES, "US:NEW")
    ]
    # A whole import says the same of every session.
    source, _ = imported(write(tmp_path / "in", renamed_in_files(DAYS[33])), tmp_path / "lake")
    columns = ["symbol", "security_id", "session", "close"]
    days = DAYS[:34]
    assert (
        source.bars(NYSE, SLEEVE, days)
        .select(columns)
        .equals(daily.known("bars", DAYS[33]).select(columns))
    )
    described = source.securities(NYSE, SLEEVE, days)
    assert described["security_id"].n_unique() == 12
    assert described["delisted_on"].null_count() == described.height


def test_a_symbol_that_was_given_up_is_somebody_else_afterwards(tmp_path: Path) -> None:
    tables = renamed_in_files(DAYS[-1])
    again = prices(DAYS[30:], ["S01"]).with_columns(pl.col("close") + 0.01)
    tables["bars.csv"] = pl.concat([tables["bars.csv"], again])
    source, _ = imported(write(tmp_path / "in", tables), tmp_path / "lake")
    found = published_bars(source, SLEEVE, span())
    assert found.rejected.height == 0
    owners = found.rows.filter(pl.col("session") >= DAYS[30], pl.col("symbol").is_in(["US:NEW"]))
    assert owners["security_id"].unique().to_list() == ["US:S01"]
    others = found.rows.filter(pl.col("session") >= DAYS[30], pl.col("symbol") == "US:S01")
    assert others["security_id"].unique().to_list() == [f"US:S01@{GOES}"]


@pytest.mark.parametrize("old_is_listed", [False, True])
def test_listings_of_today_do_not_hide_a_told_rename(tmp_path: Path, old_is_listed: bool) -> None:
    """They say of the new symbol since when the firm is listed, and of the old one nothing."""
    tables = renamed_in_files(DAYS[-1])
    listed = [("NEW", date(1999, 1, 4)), *([("S01", date(1999, 1, 4))] if old_is_listed else [])]
    tables["listings.csv"] = pl.DataFrame(listed, schema=["symbol", "listed_on"], orient="row")
    source, _ = imported(write(tmp_path / "in", tables), tmp_path / "lake")
    bars = source.bars(NYSE, SLEEVE, DAYS).filter(pl.col("symbol").is_in(["US:S01", "US:NEW"]))
    assert bars["security_id"].unique().to_list() == ["US:S01"]
    assert source.actions(NYSE, SLEEVE, DAYS)["kind"].to_list() == ["rename"]
