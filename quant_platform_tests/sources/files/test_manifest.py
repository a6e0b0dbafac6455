"""What imports were made of: from a bar to the bytes of its file, and files that have lost some."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import polars as pl

from quant_platform.sources.files import ImportStore
from quant_platform_tests.sources.files.deliveries import Deliveries
from quant_platform_tests.sources.files.folders import DAYS, SLEEVE, SYMBOLS, prices

TOLD = DAYS[30]


def until(rows: pl.DataFrame, last: int) -> pl.DataFrame:
    return rows.filter(pl.col("date") <= DAYS[last])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_from_a_bar_to_the_bytes_of_its_file(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    first = {f"bars/{name}.csv": until(prices().filter(symbol=name), 30) for name in SYMBOLS}
    own.deliver({**first, "actions.csv": "symbol,session,kind,value\n"})
    own.take(TOLD)
    path = tmp_path / "in/bars/S03.csv"
    before = digest(path)
    wrong = pl.col("date") == DAYS[28]
    corrected = until(prices().filter(symbol="S03"), 30).with_columns(
        volume=pl.when(wrong).then(5.0).otherwise("volume")
    )
    at = own.now()
    assert not own.deliver({"bars/S03.csv": corrected}).refusals
    store = ImportStore.of(tmp_path / "lake", SLEEVE)
    versions = store.origin("US:S03", DAYS[28])
    assert versions["sha256"].to_list() == [before, digest(path)]
    assert versions["import"].to_list() == [1, 2]
    assert versions["at"].to_list()[1] == at.isoformat()
    assert versions["file"].to_list() == ["bars/S03.csv"] * 2
    # A bar that nothing was said about since is of the first import, though its file is new.
    assert store.origin("US:S03", DAYS[27])["sha256"].to_list() == [before]
    # Neither import is forgotten; the second one names what had changed.
    first_line, second_line = store.journal.lines()
    assert len(first_line["files"]) == len(SYMBOLS) + 1
    assert [one["file"] for one in second_line["files"]] == ["bars/S03.csv"]


def test_one_file_of_many_that_changes_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    own.deliver({f"bars/{name}.csv": until(prices().filter(symbol=name), 30) for name in SYMBOLS})
    own.take(TOLD)
    before = own.known("bars", TOLD)
    wrong = pl.col("date") == DAYS[28]
    corrected = until(prices().filter(symbol="S03"), 30).with_columns(
        volume=pl.when(wrong).then(5.0).otherwise("volume")
    )
    assert not own.deliver({"bars/S03.csv": corrected}).refusals
    assert own.known("bars", TOLD).equals(before)
    assert own.known("bars", DAYS[31]).height == before.height + 1
    # Copied anew, with other times and the same bytes, they are not read again.
    for path in (tmp_path / "in/bars").iterdir():
        os.utime(path, ns=(1, 1))
    store = ImportStore.of(tmp_path / "lake", SLEEVE)
    segments = {entry.segment for entry in store.required().bars}
    own.deliver({})
    assert {entry.segment for entry in store.required().bars} == segments


def test_a_file_that_begins_later_stays_told(tmp_path: Path) -> None:
    own = Deliveries(tmp_path, "bars:\n  - files: bars/*.csv\n")
    own.deliver({"bars/a.csv": until(prices(), 30)})
    own.take(TOLD)
    before = own.known("bars", TOLD)
    own.mapping = f"bars:\n  - files: bars/*.csv\n    since: {DAYS[10]}\n"
    for day in (31, 32):
        report = own.deliver({"bars/a.csv": until(prices(), day)})
        assert not report.refusals
        own.take(DAYS[day])
        assert own.known("bars", DAYS[day]).filter(pl.col("session") <= TOLD).equals(before)
    # So does a window of the vendor that moves on by itself.
    own.mapping = "bars:\n  - files: bars/*.csv\n"
    window = until(prices(), 33).filter(pl.col("date") >= DAYS[12])
    report = own.deliver({"bars/a.csv": window})
    assert not report.refusals
    (line,) = [line for line in report.findings if "begins now" in line.what]
    assert (line.weight, line.count) == ("note", 12 * len(SYMBOLS))
    own.take(DAYS[33])
    assert own.known("bars", DAYS[33]).filter(pl.col("session") <= TOLD).equals(before)


def test_a_file_without_its_copies_has_lost_nothing(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    rows = until(prices(), 30)
    own.deliver({"bars/a.csv": pl.concat([rows, rows.filter(symbol="S03")])})
    own.take(TOLD)
    report = own.deliver({"bars/a.csv": rows})
    assert not report.refusals
    assert not any("no longer" in line.what for line in report.findings)


def test_bars_that_are_lost_are_counted_and_too_many_refused(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    own.deliver({"bars/a.csv": until(prices(), 30)})
    own.take(TOLD)
    before = own.known("bars", TOLD)
    gone = (pl.col("symbol") == "S03") & pl.col("date").is_between(DAYS[4], DAYS[8])
    more = until(prices(), 31).filter(~gone)
    (line,) = [
        line for line in own.deliver({"bars/a.csv": more}).findings if "no longer" in line.what
    ]
    assert (line.weight, line.count) == ("warning", 5)
    assert own.known("bars", DAYS[30]).equals(before)
    own.take(DAYS[31])
    many = (pl.col("symbol") <= "S03") & pl.col("date").is_between(DAYS[4], DAYS[8])
    (refusal,) = own.deliver({"bars/a.csv": until(prices(), 32).filter(~many)}).refusals
    assert "bars/a.csv has no longer 20 that it had" in refusal.detail


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    own.deliver({f"bars/{name}.csv": until(prices().filter(symbol=name), 30) for name in SYMBOLS})
    own.take(TOLD)
    (tmp_path / "in/bars/S03.csv").unlink()
    (refusal,) = own.deliver({}).refusals
    assert "bars/S03.csv" in refusal.detail
