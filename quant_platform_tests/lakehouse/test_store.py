"""The partition store: what it leaves alone, what it keeps, what it refuses, and crashes."""

from __future__ import annotations

import multiprocessing
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_platform.errors import LakeError
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.store import read_footer
from quant_platform_tests.lakehouse.small_lake import (
    SESSIONS,
    TREND_TABLE,
    open_lake,
    stamp,
    trend_frame,
    write,
)

DAY, NEXT = SESSIONS[0], SESSIONS[1]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Write two sessions of one table."""
    lake = open_lake(tmp_path)
    write(lake, TREND_TABLE, trend_frame([DAY, NEXT]))
    return lake


def closes(lake: Lake, session: date = DAY) -> list[float]:
    """Read a session as anybody does."""
    return lake.scan(TREND_TABLE, [session]).collect()["close"].to_list()


def part(lake: Lake, session: date = DAY) -> Path:
    return lake.layout(TREND_TABLE).part(session)


def lines(lake: Lake) -> int:
    return len(lake.layout(TREND_TABLE).log.read_bytes().splitlines())


def files(lake: Lake) -> dict[str, bytes]:
    """Every file of the lake but the locks."""
    return {
        path.relative_to(lake.root).as_posix(): path.read_bytes()
        for path in sorted(lake.root.rglob("*"))
        if path.is_file() and "_locks" not in path.parts
    }


def test_the_same_again_touches_nothing(lake: Lake) -> None:
    before, touched = files(lake), part(lake).stat().st_mtime_ns
    report = write(lake, TREND_TABLE, trend_frame([DAY, NEXT]))
    assert (report.written, report.confirmed, report.unchanged) == ([], [], [DAY, NEXT])
    assert files(lake) == before
    assert part(lake).stat().st_mtime_ns == touched


@pytest.mark.parametrize(
    "change",
    [
        {"input_hash": "input-2"},
        {"made_by": stamp(code="code-2")},
        {"made_by": stamp(config="config-2")},
        {"outcomes": ({"rule": "r", "severity": "warning", "passed": True},)},
    ],
    ids=["inputs", "code", "settings", "outcomes"],
)
def test_the_same_content_under_another_story_is_confirmed(
    lake: Lake, change: dict[str, Any]
) -> None:
    before, count = part(lake).read_bytes(), lines(lake)
    report = write(lake, TREND_TABLE, trend_frame([DAY, NEXT]), **change)
    assert (report.written, report.confirmed, report.unchanged) == ([], [DAY, NEXT], [])
    assert lines(lake) == count + 2
    assert part(lake).read_bytes() == before
    assert lake.store(TREND_TABLE).sound(lake.provenance(TREND_TABLE, DAY))


def test_another_run_alone_is_no_news(lake: Lake) -> None:
    report = write(lake, TREND_TABLE, trend_frame([DAY, NEXT]), made_by=stamp(run_id="run-2"))
    assert report.unchanged == [DAY, NEXT]
    assert lake.provenance(TREND_TABLE, DAY).stamp.run_id == "run-1"


def test_replaced_content_is_kept_and_can_be_read(lake: Lake) -> None:
    for close in (11.0, 12.0):
        assert write(lake, TREND_TABLE, trend_frame([DAY], close=close)).written == [DAY]
    versions = lake.versions(TREND_TABLE, DAY)
    assert [version.current for version in versions] == [False, False, True]
    found = [pl.read_parquet(version.path)["close"].to_list() for version in versions]
    assert found == [[10.0], [11.0], [12.0]]
    assert [version.entry.content_hash for version in versions] == [
        read_footer(version.path).content_hash for version in versions
    ]


def test_content_that_returns_is_current_again_and_nothing_is_lost(lake: Lake) -> None:
    for close in (11.0, 10.0, 11.0, 10.0):
        write(lake, TREND_TABLE, trend_frame([DAY], close=close))
    versions = lake.versions(TREND_TABLE, DAY)
    assert [pl.read_parquet(v.path)["close"].to_list() for v in versions] == [[11.0], [10.0]]
    assert closes(lake) == [10.0]


def test_rows_of_sessions_that_were_not_asked_for_are_refused(lake: Lake) -> None:
    before = files(lake)
    with pytest.raises(LakeError, match="rows of"):
        write(lake, TREND_TABLE, trend_frame([DAY, SESSIONS[2]], close=11.0), [DAY])
    assert files(lake) == before
    assert write(lake, TREND_TABLE, trend_frame([DAY], close=11.0), [DAY]).written == [DAY]


def test_a_session_without_rows_becomes_an_empty_partition(lake: Lake) -> None:
    report = write(lake, TREND_TABLE, trend_frame([]), [DAY])
    assert report.entries[DAY].rows == 0
    assert closes(lake) == []
    assert part(lake).exists()
    assert lake.sessions(TREND_TABLE) == [DAY, NEXT]


def test_blocking_and_passing_in_turn_never_loses_a_file(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    seen = {10.0}
    for close, verdict in (
        (10.0, "blocked"),
        (11.0, "blocked"),
        (11.0, "passed"),
        (12.0, "warned"),
    ):
        write(lake, TREND_TABLE, trend_frame([DAY], close=close), verdicts={DAY: verdict})
        seen.add(close)
        blocked = verdict == "blocked"
        assert (layout.blocked(DAY).exists(), layout.part(DAY).exists()) == (blocked, not blocked)
        assert closes(lake) == ([] if blocked else [close])
        kept = [pl.read_parquet(v.path)["close"].item() for v in lake.versions(TREND_TABLE, DAY)]
        assert sorted(kept) == sorted(seen)
        assert kept[-1] == close
    assert lake.provenance(TREND_TABLE, DAY).verdict == "warned"


def test_a_verdict_between_passed_and_warned_leaves_the_file(lake: Lake) -> None:
    before = part(lake).read_bytes()
    report = write(lake, TREND_TABLE, trend_frame([DAY]), verdicts={DAY: "warned"}, input_hash="i2")
    assert report.confirmed == [DAY]
    assert part(lake).read_bytes() == before
    assert lake.provenance(TREND_TABLE, DAY).verdict == "warned"


def test_a_damaged_file_is_written_again_and_set_aside_under_a_name_of_its_own(lake: Lake) -> None:
    content = bytearray(part(lake).read_bytes())
    content[8] ^= 1
    part(lake).write_bytes(content)
    assert write(lake, TREND_TABLE, trend_frame([DAY])).written == [DAY]
    assert closes(lake) == [10.0]
    shelf = lake.layout(TREND_TABLE).superseded_folder(DAY)
    assert [path.read_bytes() for path in shelf.iterdir()] == [bytes(content)]
    # The intact content must not find its place on the shelf taken by the damaged one.
    write(lake, TREND_TABLE, trend_frame([DAY], close=11.0))
    kept = lake.versions(TREND_TABLE, DAY)
    assert [pl.read_parquet(v.path)["close"].to_list() for v in kept] == [[10.0], [11.0]]


@pytest.mark.parametrize("damage", ["cut", "garbage", "gone", "empty"])
def test_whatever_lies_in_the_place_of_a_file_is_replaced_and_kept(lake: Lake, damage: str) -> None:
    intact = part(lake).read_bytes()
    match damage:
        case "cut":
            part(lake).write_bytes(intact[: len(intact) // 2])
        case "garbage":
            part(lake).write_bytes(b"not parquet")
        case "empty":
            part(lake).write_bytes(b"")
        case _:
            part(lake).unlink()
    found = part(lake).read_bytes() if part(lake).exists() else None
    assert write(lake, TREND_TABLE, trend_frame([DAY])).written == [DAY]
    assert part(lake).read_bytes() == intact
    shelf = lake.layout(TREND_TABLE).superseded_folder(DAY)
    kept = [path.read_bytes() for path in shelf.iterdir()] if shelf.exists() else []
    assert kept == ([] if found is None else [found])


def test_a_newer_schema_version_supersedes_the_older_file(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = part(lake)
    upgraded = type(CONTRACTS["features_trend"])(
        kind="features_trend",
        schema=CONTRACTS["features_trend"].schema,
        version=2,
        grain="the same",
        upgrades={1: lambda rows: rows},
    )
    monkeypatch.setitem(CONTRACTS, "features_trend", upgraded)
    later = Lake.open(lake.root, clock=lake.clock)
    assert later.scan(TREND_TABLE).collect()["session"].to_list() == [DAY, NEXT]
    assert write(later, TREND_TABLE, trend_frame([DAY], close=11.0)).written == [DAY]
    assert not old.exists()
    assert part(later) != old
    versions = later.versions(TREND_TABLE, DAY)
    assert [version.entry.schema_version for version in versions] == [1, 2]
    assert [pl.read_parquet(v.path)["close"].to_list() for v in versions] == [[10.0], [11.0]]
    # The session beside it still has its old file, and both are read.
    assert later.scan(TREND_TABLE).collect().sort("session")["close"].to_list() == [11.0, 10.0]


def test_a_lake_that_cannot_be_written_is_a_sentence(lake: Lake) -> None:
    folder = lake.layout(TREND_TABLE).folder
    before = files(lake)
    stand_in = folder / f"session={SESSIONS[2]}"
    stand_in.write_text("a file where a folder is needed")
    with pytest.raises(LakeError, match="cannot write partitions below"):
        write(lake, TREND_TABLE, trend_frame([SESSIONS[2]]))
    stand_in.unlink()
    assert lake.sessions(TREND_TABLE) == [DAY, NEXT]
    assert lake.store(TREND_TABLE).repair() == []
    assert files(lake) == before
    assert write(lake, TREND_TABLE, trend_frame([SESSIONS[2]])).written == [SESSIONS[2]]


def test_a_crash_before_the_log_is_repaired_from_the_footer(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    log = layout.log.read_bytes()
    write(lake, TREND_TABLE, trend_frame([DAY, SESSIONS[2]], close=11.0))
    wanted = {day: lake.provenance(TREND_TABLE, day) for day in (DAY, SESSIONS[2])}
    # As a process leaves it that was killed after the renames: files, no lines, the pending list.
    layout.log.write_bytes(log)
    layout.pending.write_text(f"{DAY}\n{SESSIONS[2]}\n{SESSIONS[3]}")
    draft = layout.part(SESSIONS[3]).with_name(".part.parquet.4711")
    draft.parent.mkdir()
    draft.write_bytes(b"half a file")
    survivor = Lake.open(lake.root, clock=lake.clock)
    assert survivor.store(TREND_TABLE).repair() == [DAY, SESSIONS[2]]
    assert closes(survivor) == [11.0]
    assert not layout.pending.exists()
    assert not draft.exists()
    for day, entry in wanted.items():
        found = survivor.provenance(TREND_TABLE, day)
        assert (found.content_hash, found.checksum, found.size, found.rows) == (
            entry.content_hash,
            entry.checksum,
            entry.size,
            entry.rows,
        )
        assert "recovered" in found.note
    assert survivor.store(TREND_TABLE).repair() == []
    kept = survivor.versions(TREND_TABLE, DAY)
    assert [pl.read_parquet(v.path)["close"].to_list() for v in kept] == [[10.0], [11.0]]


def test_the_next_write_repairs_as_well(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    log = layout.log.read_bytes()
    write(lake, TREND_TABLE, trend_frame([DAY], close=11.0))
    layout.log.write_bytes(log)
    layout.pending.write_text(f"{DAY}")
    survivor = Lake.open(lake.root, clock=lake.clock)
    assert write(survivor, TREND_TABLE, trend_frame([DAY], close=11.0)).written == []
    assert closes(survivor) == [11.0]
    assert not layout.pending.exists()


def test_a_crash_before_any_rename_changes_nothing(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    before = files(lake)
    layout.pending.write_text(f"{DAY}\n{NEXT}")
    assert lake.store(TREND_TABLE).repair() == []
    assert files(lake) == before


@pytest.mark.parametrize("blocked_first", [True, False])
def test_a_crash_between_the_two_places_leaves_the_newer_file(
    lake: Lake, blocked_first: bool
) -> None:
    layout = lake.layout(TREND_TABLE)
    before, after = ("blocked", "passed") if blocked_first else ("passed", "blocked")
    write(lake, TREND_TABLE, trend_frame([DAY]), verdicts={DAY: before})
    old = lake.store(TREND_TABLE).file_of(lake.provenance(TREND_TABLE, DAY))
    log, former = layout.log.read_bytes(), old.read_bytes()
    write(lake, TREND_TABLE, trend_frame([DAY], close=11.0), verdicts={DAY: after})
    # Killed after the rename, before the old file went and the line came.
    old.parent.mkdir(exist_ok=True, parents=True)
    old.write_bytes(former)
    layout.log.write_bytes(log)
    layout.pending.write_text(f"{DAY}")
    survivor = Lake.open(lake.root, clock=lake.clock)
    assert survivor.store(TREND_TABLE).repair() == [DAY]
    assert survivor.provenance(TREND_TABLE, DAY).verdict == after
    assert not old.exists()
    assert closes(survivor) == ([11.0] if after == "passed" else [])


def test_footers_of_foreign_files_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.parquet"
    trend_frame([DAY]).write_parquet(foreign)
    for path in (foreign, tmp_path / "absent.parquet", tmp_path):
        with pytest.raises(LakeError, match="not an intact partition file"):
            read_footer(path)


def _write_sessions(root: str, worker: int, rounds: int) -> None:
    lake = open_lake(Path(root))
    for number in range(rounds):
        own, shared = SESSIONS[10 * worker + number], SESSIONS[-1]
        frame = pl.concat(
            [trend_frame([own]), trend_frame([shared], close=100.0 * worker + number)]
        )
        write(lake, TREND_TABLE, frame)


def test_two_processes_write_one_table_and_nothing_is_lost(tmp_path: Path) -> None:
    rounds = 8
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_write_sessions, args=(str(tmp_path), worker, rounds))
        for worker in (1, 2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    lake = open_lake(tmp_path)
    own = [SESSIONS[10 * worker + number] for worker in (1, 2) for number in range(rounds)]
    assert lake.sessions(TREND_TABLE) == [*own, SESSIONS[-1]]
    lake.verify(TREND_TABLE, lake.sessions(TREND_TABLE))
    versions = lake.versions(TREND_TABLE, SESSIONS[-1])
    found = {pl.read_parquet(version.path)["close"].item() for version in versions}
    assert found == {100.0 * worker + number for worker in (1, 2) for number in range(rounds)}
    assert not lake.layout(TREND_TABLE).pending.exists()


def test_a_writer_that_waits_too_long_says_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from quant_platform.lakehouse import store
    from quant_platform.lakehouse.files import file_lock

    monkeypatch.setattr(store, "LOCK_TIMEOUT", 0.0)
    with (
        file_lock(lake.layout(TREND_TABLE).lock, timeout=0),
        pytest.raises(LakeError, match="locked by process"),
    ):
        write(lake, TREND_TABLE, trend_frame([DAY], close=11.0))
    assert closes(lake) == [10.0]


def test_a_table_moved_to_another_folder_is_still_the_same_table(
    lake: Lake, tmp_path: Path
) -> None:
    shutil.copytree(lake.root, tmp_path / "[elsewhere]*")
    moved = Lake.open(tmp_path / "[elsewhere]*", clock=lake.clock)
    assert closes(moved) == [10.0]
    assert write(moved, TREND_TABLE, trend_frame([DAY, NEXT])).unchanged == [DAY, NEXT]
