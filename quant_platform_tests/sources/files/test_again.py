"""Importing again: what was told stays told, what is new of the past is known now."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from quant_platform.sources.files import Again, FilesSource, FolderReader, ImportStore, read_mapping
from quant_platform_tests.sources.files.folders import DAYS, SLEEVE, imported, prices, write
from quant_platform_tests.sources.markets import NYSE

TOLD = DAYS[30]
"""Last session that the lake took in."""
NOW = datetime(2024, 3, 4, 20, tzinfo=UTC)
"""A Monday after the folder's last session."""
AFTERWARDS = NYSE.offset(DAYS[-1], 1)


def again(folder: Path, lake: Path, symbols: Collection[str] | None = None) -> FilesSource:
    reader = FolderReader(folder, read_mapping(None), NYSE, {"bars": 30})
    store = ImportStore.of(lake, SLEEVE)
    how = Again(NYSE.cutoff(TOLD), NOW, symbols)
    store.commit(store.prepare(reader, store.manifest(), how), NOW)
    return FilesSource(lake, (SLEEVE,))


def told(source: FilesSource) -> pl.DataFrame:
    return source.bars(NYSE, SLEEVE, NYSE.between(DAYS[0], AFTERWARDS))


def lacking() -> pl.DataFrame:
    """Three sessions of two symbols did not come."""
    absent = pl.col("symbol").is_in(["S01", "S02"]) & pl.col("date").is_in(DAYS[10:13])
    return prices().filter(~absent)


def test_bars_that_were_lacking_are_late_data(tmp_path: Path) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    source, _ = imported(write(folder, {"bars/a.csv": lacking()}), lake)
    before = told(source)
    after = told(again(write(folder, {"bars/a.csv": prices()}), lake))
    past = NYSE.cutoff(DAYS[-1])
    assert after.filter(pl.col("known_at") <= past).equals(before)
    late = after.filter(pl.col("known_at") > past)
    assert late.height == 6
    assert set(late["known_at_basis"]) == {"observed"}
    assert set(late["known_at"]) == {NOW}
    # Once more: nothing is new, and nothing changes.
    assert told(again(folder, lake)).equals(after)


def test_a_corrected_bar_is_another_version_and_the_first_stays(tmp_path: Path) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    before = told(imported(write(folder, {"bars/a.csv": prices()}), lake)[0])
    at = (pl.col("symbol") == "S03") & (pl.col("date") == DAYS[7])
    fixed = prices().with_columns(volume=pl.when(at).then(5.0).otherwise("volume"))
    after = told(again(write(folder, {"bars/a.csv": fixed}), lake))
    assert after.height == before.height + 1
    versions = after.filter(security_id="US:S03", session=DAYS[7]).sort("known_at")
    assert versions["volume"].to_list()[1] == 5.0
    assert versions["known_at"].to_list()[1] == NOW


def test_what_the_lake_has_not_taken_in_yet_may_still_change(tmp_path: Path) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    early = prices(DAYS[:40])
    imported(write(folder, {"bars/a.csv": early}), lake)
    at = pl.col("date") == DAYS[35]
    fixed = prices().with_columns(volume=pl.when(at).then(5.0).otherwise("volume"))
    after = told(again(write(folder, {"bars/a.csv": fixed}), lake))
    whole = told(imported(folder, tmp_path / "fresh")[0])
    assert after.equals(whole)


def test_rows_that_the_file_has_lost_stay_told(tmp_path: Path) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    before = told(imported(write(folder, {"bars/a.csv": prices()}), lake)[0])
    after = told(again(write(folder, {"bars/a.csv": lacking()}), lake))
    assert after.equals(before)


def test_only_the_symbols_asked_for_are_fetched(tmp_path: Path) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    imported(write(folder, {"bars/a.csv": lacking()}), lake)
    write(folder, {"bars/a.csv": prices()})
    some = told(again(folder, lake, {"US:S01"}))
    assert set(some.filter(pl.col("known_at") == NOW)["symbol"]) == {"US:S01"}
    # The rest is still to come.
    rest = told(again(folder, lake))
    assert set(rest.filter(pl.col("known_at") == NOW)["symbol"]) == {"US:S01", "US:S02"}
    assert rest.height == prices().height


def test_an_action_that_is_told_afterwards_is_known_now(tmp_path: Path) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    imported(write(folder, {"bars/a.csv": prices()}), lake)
    paid = pl.DataFrame(
        {"symbol": ["S01"], "date": [DAYS[9]], "kind": ["dividend"], "value": [0.25]}
    )
    source = again(write(folder, {"actions.csv": paid}), lake)
    (row,) = source.actions(NYSE, SLEEVE, NYSE.between(DAYS[0], AFTERWARDS)).to_dicts()
    assert (row["session"], row["known_at"]) == (DAYS[9], NOW)


def test_a_restated_total_return_close_is_no_news(tmp_path: Path) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    raw = prices()
    paid = pl.when(pl.col("date") < DAYS[20]).then(0.99).otherwise(1.0)
    first = raw.with_columns(adjusted=pl.col("close") * paid)
    source, _ = imported(write(folder, {"bars/a.csv": first}), lake)
    before, actions = told(source), source.actions(NYSE, SLEEVE, DAYS)
    assert actions.height == 12
    later = pl.when(pl.col("date") < DAYS[40]).then(0.98).otherwise(1.0)
    second = first.with_columns(adjusted=pl.col("adjusted") * later)
    source = again(write(folder, {"bars/a.csv": second}), lake)
    assert told(source).equals(before)
    now = source.actions(NYSE, SLEEVE, NYSE.between(DAYS[0], AFTERWARDS))
    assert now.filter(pl.col("session") == DAYS[20]).equals(actions)
    assert now.filter(pl.col("session") == DAYS[40]).height == 12
