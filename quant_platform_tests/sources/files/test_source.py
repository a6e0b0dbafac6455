"""The files source: by knowledge session, in any chunks, who is who, and what comes later."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quant_platform.market.bars import published_bars
from quant_platform.market.reference import published_actions, published_securities
from quant_platform.settings.hygiene import ConfirmedAction, HygieneSettings
from quant_platform.sources.protocol import BAR_SCHEMA
from quant_platform_tests.sources.files.folders import (
    DAYS,
    SLEEVE,
    imported,
    prices,
    span,
    write,
)
from quant_platform_tests.sources.markets import NYSE


def test_a_folder_in_the_documented_layout_needs_no_mapping(tmp_path: Path) -> None:
    source, report = imported(write(tmp_path / "in", {"bars.parquet": prices()}), tmp_path / "lake")
    assert not report.findings
    assert report.facts["rows of bars"] == prices().height
    rows = source.bars(NYSE, SLEEVE, DAYS)
    assert rows.schema == BAR_SCHEMA
    assert rows.height == prices().height
    assert rows["known_at_basis"].unique().to_list() == ["assumed"]


def test_sessions_do_not_depend_on_which_others_are_asked_for(tmp_path: Path) -> None:
    told = prices().with_columns(
        first_asof=pl.when((pl.col("symbol") == "S03") & (pl.col("date") == DAYS[7]))
        .then(pl.lit(DAYS[9]))
        .otherwise("date")
    )
    source, _ = imported(write(tmp_path / "in", {"bars/a.csv": told}), tmp_path / "lake")
    whole = source.bars(NYSE, SLEEVE, DAYS)
    apart = pl.concat([source.bars(NYSE, SLEEVE, [day]) for day in DAYS])
    assert apart.equals(whole)
    every_other = source.bars(NYSE, SLEEVE, DAYS[::2])
    known = NYSE.knowledge_sessions(whole["known_at"])
    assert every_other.equals(whole.filter(known.is_in(DAYS[::2])))
    late = source.bars(NYSE, SLEEVE, [DAYS[9]]).filter(pl.col("session") == DAYS[7])
    assert late["symbol"].to_list() == ["US:S03"]


def test_only_new_files_are_read_and_old_answers_stay(tmp_path: Path) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    source, _ = imported(write(folder, {"bars/1.csv": prices(DAYS[:20])}), lake)
    before = source.bars(NYSE, SLEEVE, DAYS[:20])
    segment = next((lake / "_imports" / SLEEVE / "bars").iterdir())
    made = segment.stat().st_mtime_ns
    source, report = imported(write(folder, {"bars/2.csv": prices(DAYS[20:21])}), lake)
    assert not report.refusals
    assert segment.stat().st_mtime_ns == made
    assert source.bars(NYSE, SLEEVE, DAYS[:20]).equals(before)
    assert source.bars(NYSE, SLEEVE, [DAYS[20]]).height == 12


def listings(*rows: tuple[str, str, date, date | None]) -> pl.DataFrame:
    schema = {"symbol": pl.String, "name": pl.String, "listed_on": pl.Date, "delisted_on": pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_a_reused_ticker_is_another_security(tmp_path: Path) -> None:
    table = prices().filter(
        (pl.col("symbol") != "S01") | ~pl.col("date").is_between(DAYS[10], DAYS[14])
    )
    told = listings(("S01", "Old", DAYS[0], DAYS[10]), ("S01", "New", DAYS[15], None))
    folder = write(tmp_path / "in", {"bars.csv": table, "listings.csv": told})
    source, _ = imported(folder, tmp_path / "lake")
    rows = source.bars(NYSE, SLEEVE, DAYS).filter(pl.col("symbol") == "US:S01")
    old, new = rows.filter(pl.col("session") < DAYS[10]), rows.filter(pl.col("session") > DAYS[10])
    assert old["security_id"].unique().to_list() == ["US:S01"]
    assert new["security_id"].unique().to_list() == [f"US:S01@{DAYS[15]}"]


def renamed_folder(folder: Path) -> Path:
    """S01 becomes S99 on the twentieth session; S02 leaves for good on the tenth."""
    table = prices().with_columns(
        symbol=pl.when((pl.col("symbol") == "S01") & (pl.col("date") >= DAYS[20]))
        .then(pl.lit("S99"))
        .otherwise("symbol")
    )
    table = table.filter((pl.col("symbol") != "S02") | (pl.col("date") < DAYS[10]))
    told = listings(
        ("S01", "Firm", DAYS[0], DAYS[20]),
        ("S99", "Firm", DAYS[20], None),
        ("S02", "Gone", DAYS[0], DAYS[10]),
    )
    return write(folder, {"bars.csv": table, "listings.csv": told})


@pytest.mark.parametrize("by", ["actions", "names"])
def test_a_rename_keeps_its_id_and_a_real_end_pays_the_last_price(tmp_path: Path, by: str) -> None:
    folder, mapping = renamed_folder(tmp_path / "in"), None
    if by == "actions":
        rename = {"symbol": "S01", "session": DAYS[20], "kind": "rename", "counterpart": "US:S99"}
        write(folder, {"actions.csv": pl.DataFrame([rename])})
    else:
        mapping = tmp_path / "map.yaml"
        mapping.write_text(
            "departures: {same_name_is_rename: true}\n"
            "bars:\n  - files: bars.csv\nlistings:\n  - files: listings.csv\n",
            encoding="utf-8",
        )
    source, report = imported(folder, tmp_path / "lake", mapping)
    rows = source.bars(NYSE, SLEEVE, DAYS).filter(pl.col("security_id") == "US:S01")
    assert rows["symbol"].unique(maintain_order=True).to_list() == ["US:S01", "US:S99"]
    assert rows.height == len(DAYS)
    securities = published_securities(source, SLEEVE, span()).rows
    firm = securities.filter(pl.col("security_id") == "US:S01")
    assert firm["symbol"].to_list() == ["US:S01", "US:S99"]
    assert firm["delisted_on"].null_count() == 2
    actions = published_actions(source, SLEEVE, span()).rows
    kinds = {row["kind"]: row for row in actions.to_dicts()}
    assert set(kinds) == {"rename", "delisting"}
    assert (kinds["rename"]["security_id"], kinds["rename"]["counterpart"]) == ("US:S01", "US:S99")
    gone = kinds["delisting"]
    assert (gone["security_id"], gone["session"], gone["value"]) == ("US:S02", DAYS[10], None)
    # Told ten days later: until then it could have come back under another name.
    assert (gone["known_at"].date() - DAYS[10]).days >= 10
    assert {"departures: renamed", "departures: delisted"} <= {f.what for f in report.findings}


def test_a_split_that_the_price_contradicts_waits_for_somebody_to_confirm_it(
    tmp_path: Path,
) -> None:
    table = prices().with_columns(
        pl.when((pl.col("symbol") == "S04") & (pl.col("date") >= DAYS[12]))
        .then(pl.col(name) / 2)
        .otherwise(name)
        for name in ("open", "high", "low", "close")
    )
    told = pl.DataFrame(
        [
            {"symbol": name, "session": DAYS[12], "kind": "split", "value": 2.0}
            for name in ("S04", "S05")
        ]
    )
    folder = write(tmp_path / "in", {"bars.csv": table, "actions.csv": told})
    source, report = imported(folder, tmp_path / "lake")
    bars = published_bars(source, SLEEVE, span()).rows
    found = published_actions(source, SLEEVE, span(), bars.lazy())
    assert found.rows["security_id"].to_list() == ["US:S04"]
    assert found.rejected["rule"].to_list() == ["contradicts_price"]
    assert "actions that contradict the price" in [finding.what for finding in report.findings]
    confirmed = HygieneSettings(
        confirmed_actions=(ConfirmedAction(security_id="US:S05", session=DAYS[12]),)
    )
    believed = published_actions(source, SLEEVE, span(), bars.lazy(), confirmed)
    assert believed.rows["security_id"].sort().to_list() == ["US:S04", "US:S05"]


def test_a_total_return_close_tells_dividends_in_cash(tmp_path: Path) -> None:
    # 40 before, 0.5 paid: the factor steps by 1 - 0.5 / 40.
    factor = pl.when(pl.col("date") < DAYS[12]).then(1 - 0.5 / 40).otherwise(1.0)
    flat = pl.when(pl.col("date") < DAYS[12]).then(40.0).otherwise(39.5)
    table = prices(symbols=["S00"]).with_columns(
        *(flat.alias(name) for name in ("open", "high", "low", "close")), adj_close=flat * factor
    )
    source, _ = imported(write(tmp_path / "in", {"bars.csv": table}), tmp_path / "lake")
    (paid,) = source.actions(NYSE, SLEEVE, DAYS).to_dicts()
    assert (paid["kind"], paid["session"]) == ("dividend", DAYS[12])
    assert paid["value"] == pytest.approx(0.5)


def test_who_joins_an_index_is_not_known_to_leave(tmp_path: Path) -> None:
    stay = {"index": "I", "symbol": "S00", "valid_from": DAYS[5], "valid_to": DAYS[15]}
    folder = write(tmp_path / "in", {"bars.csv": prices(), "membership.csv": pl.DataFrame([stay])})
    source, _ = imported(folder, tmp_path / "lake")
    assert "membership" in source.kinds
    joined = source.membership(NYSE, SLEEVE, DAYS[:15])
    assert joined["valid_to"].to_list() == [None]
    left = source.membership(NYSE, SLEEVE, DAYS[15:])
    assert left["valid_to"].to_list() == [DAYS[15]]
