"""What a lake may forget, and what it may not: contents, logs, ledgers, reads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_platform.errors import LakeError
from quant_platform.lakehouse.files import file_lock
from quant_platform.lakehouse.health import examine
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.ledgers import Ledger, LedgerRecord
from quant_platform.lakehouse.trimming import Freed, kept_runs, trim_drafts, trim_table
from quant_platform_tests.lakehouse.filled_lake import filled_for_reading
from quant_platform_tests.lakehouse.small_lake import (
    BARS_TABLE,
    EVENING,
    SESSIONS,
    TREND_TABLE,
    stamp,
    trend_frame,
    write,
)

DAYS = SESSIONS[:8]


def made(lake: Lake, day: Any, *closes: float) -> None:
    """Write a partition again and again, each time by another run."""
    for close in closes:
        frame = trend_frame([day], close=close)
        write(lake, TREND_TABLE, frame, made_by=stamp(f"run-{close:g}"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Fill a lake with partitions of one content, of two, of five, and of one that came back."""
    lake = filled_for_reading(tmp_path)
    made(lake, DAYS[1], 11)
    made(lake, DAYS[2], 21, 22, 23, 24)
    made(lake, DAYS[3], 31, 32, 31, 33)
    made(lake, DAYS[4], 41, 42, 41)
    return lake


def closes(lake: Lake, day: Any) -> list[float]:
    return [
        pl.read_parquet(version.path)["close"].item() for version in lake.versions(TREND_TABLE, day)
    ]


def bytes_of(folder: Path) -> dict[Path, str]:
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def answers(lake: Lake) -> Any:
    """Ask everything that stays readable whatever is superseded."""
    reader = Lake.open(lake.root, clock=lake.clock)
    return {
        "bars": [reader.as_of(BARS_TABLE, day).collect().rows() for day in DAYS],
        "trend": [reader.as_of(TREND_TABLE, day).collect().rows() for day in DAYS],
        "provenance": [reader.provenance(TREND_TABLE, day) for day in DAYS],
        "history": [reader.log(TREND_TABLE).history(day) for day in DAYS],
        "checks": reader.checks(TREND_TABLE).rows(),
        "health": [list(examine(reader, name, deep=True)) for name in (BARS_TABLE, TREND_TABLE)],
    }


def test_the_newest_contents_of_each_partition_stay(lake: Lake) -> None:
    before = answers(lake)
    freed, drafts = trim_table(lake, TREND_TABLE, 2)
    assert closes(lake, DAYS[0]) == [10]
    assert closes(lake, DAYS[1]) == [10, 11]
    assert closes(lake, DAYS[2]) == [22, 23, 24]
    # 31 was made a second time after 32.
    assert sorted(closes(lake, DAYS[3])) == [31, 32, 33]
    # 41 is the content again: what was superseded are 10 and 42.
    assert closes(lake, DAYS[4]) == [10, 42, 41]
    assert freed.count == 2 + 1 + 1
    assert freed.size > 0
    assert drafts == Freed()
    assert answers(lake) == before
    assert trim_table(lake, TREND_TABLE, 2) == (Freed(), Freed())


def test_nothing_superseded_may_be_kept(lake: Lake) -> None:
    before = answers(lake)
    trim_table(lake, TREND_TABLE, 0)
    assert [len(lake.versions(TREND_TABLE, day)) for day in DAYS] == [1] * len(DAYS)
    assert not [path for path in (lake.root / "_superseded").rglob("*") if path.is_file()]
    assert answers(lake) == before


def test_runs_of_what_is_there_are_named(lake: Lake) -> None:
    assert kept_runs(lake, TREND_TABLE) >= {"run-1", "run-21", "run-22"}
    trim_table(lake, TREND_TABLE, 1)
    assert kept_runs(lake, TREND_TABLE) == {
        *("run-1", "run-11", "run-23", "run-24", "run-31", "run-33", "run-41", "run-42")
    }


def test_a_dry_run_counts_and_changes_nothing(lake: Lake) -> None:
    before = bytes_of(lake.root)
    counted = trim_table(lake, TREND_TABLE, 1, dry_run=True)
    assert bytes_of(lake.root) == before
    assert counted == trim_table(lake, TREND_TABLE, 1)
    assert counted[0].count == 3 + 2 + 2


def test_a_damaged_file_that_was_replaced_is_among_the_newest_by_its_time(lake: Lake) -> None:
    part = lake.layout(TREND_TABLE).part(DAYS[5])
    for close in (51.0, 52.0, 53.0):
        part.write_bytes(b"damaged")
        made(lake, DAYS[5], close)
    shelf = lake.layout(TREND_TABLE).superseded_folder(DAYS[5])
    damaged = sorted(shelf.glob("damaged-*"))
    assert len(damaged) == 3
    trim_table(lake, TREND_TABLE, 2)
    assert sorted(shelf.glob("damaged-*")) == damaged[1:]


def test_drafts_go_and_nothing_else_that_is_hidden(lake: Lake) -> None:
    trim_table(lake, TREND_TABLE, 9)
    Ledger(lake.root, "orders", lambda: EVENING).append_many(
        [LedgerRecord("success", DAYS[0], "step", {"a": 1}, "run-1", "c1")]
    )
    folder = lake.layout(TREND_TABLE).part(DAYS[0]).parent
    crashed = folder.with_name(f"session={SESSIONS[20]}")
    crashed.mkdir()
    drafts = [
        folder / ".part.parquet.4711",
        crashed / ".part.parquet.4711",
        lake.root / TREND_TABLE / ".table.json.0123456789ab.tmp",
        lake.root / "_provenance" / "instruments" / ".bars.pending.0123456789ab.tmp",
        lake.root / ".catalog.duckdb.4711",
    ]
    others = [
        lake.root / "ledger" / "orders" / ".x.jsonl.torn-1.0123456789ab.tmp",
        folder / ".somebody",
        lake.root / "_provenance" / ".note.tmp",
    ]
    before = bytes_of(lake.root)
    for path in (*drafts, *others):
        path.write_bytes(b"1234")
    _, of_table = trim_table(lake, TREND_TABLE, 9)
    assert of_table == Freed(3, 12)
    assert trim_drafts(lake) == Freed(2, 8)
    assert bytes_of(lake.root).keys() == before.keys() | set(others)
    assert not crashed.exists()


def test_what_a_dead_writer_renamed_is_logged_before_anything_goes(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    log = layout.log.read_bytes()
    made(lake, DAYS[6], 61)
    layout.log.write_bytes(log)
    layout.pending.write_text(str(DAYS[6]))
    (layout.part(DAYS[6]).parent / ".part.parquet.1").touch()
    later = Lake.open(lake.root, clock=lake.clock)
    trim_table(later, TREND_TABLE, 2)
    assert closes(later, DAYS[6]) == [10, 61]
    assert list(examine(later, TREND_TABLE, deep=True)) == []


def test_a_crash_in_between_leaves_the_newer_ones(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, unlink, gone = answers(lake), Path.unlink, []

    def dies(path: Path, missing_ok: bool = False) -> None:
        if len(gone) == 2:
            raise KeyboardInterrupt
        gone.append(path)
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", dies)
        with pytest.raises(KeyboardInterrupt):
            trim_table(lake, TREND_TABLE, 1)
    assert closes(lake, DAYS[2]) == [22, 23, 24]
    assert answers(lake) == before
    trim_table(lake, TREND_TABLE, 1)
    assert closes(lake, DAYS[2]) == [23, 24]


def test_a_writer_at_work_is_waited_for(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quant_platform.lakehouse.trimming.LOCK_TIMEOUT", 0)
    with (
        file_lock(lake.layout(TREND_TABLE).lock, timeout=1),
        pytest.raises(LakeError, match="is locked by"),
    ):
        trim_table(lake, TREND_TABLE, 1)
