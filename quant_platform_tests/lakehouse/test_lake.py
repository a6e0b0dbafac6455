"""The lake's reads over the files that the log names, and no others."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from quant_platform.calendars import build_calendar
from quant_platform.errors import ContractError, LakeError
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.lakehouse.filled_lake import (
    DAYS,
    ROWS,
    as_dict,
    filled_for_reading,
    filled_for_spoiling,
    known,
)
from quant_platform_tests.lakehouse.small_lake import (
    BARS_TABLE,
    CALENDAR,
    EVENING,
    SESSIONS,
    TREND_TABLE,
    bar,
    bars_frame,
    open_lake,
    stamp,
    trend_frame,
    write,
)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Fill a lake that the tests only read."""
    return filled_for_reading(tmp_path_factory.mktemp("read"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Fill a lake that a test may spoil."""
    return filled_for_spoiling(tmp_path)


# -- the newest snapshot ---------------------------------------------------------------------------


def test_the_newest_snapshot_tells_its_age_in_sessions(read: Lake) -> None:
    for later, age in ((7, 0), (8, 1), (11, 4)):
        rows, found = read.latest(TREND_TABLE, SESSIONS[later])
        assert found == age
        assert rows.collect()["session"].to_list() == [DAYS[7]]
    saturday = date(2024, 1, 6)
    rows, age = read.latest(TREND_TABLE, saturday)
    assert (rows.collect()["session"].to_list(), age) == ([date(2024, 1, 5)], 0)


def test_features_carry_their_age_and_may_be_chosen(read: Lake) -> None:
    frame = read.features(TREND_TABLE, SESSIONS[9]).collect()
    assert frame["age_sessions"].to_list() == [2]
    assert read.features(TREND_TABLE, SESSIONS[9], ["nobody"]).collect().height == 0
    assert read.features(TREND_TABLE, SESSIONS[9], ["a"]).collect().height == 1


def test_nothing_before_the_first_snapshot(read: Lake) -> None:
    with pytest.raises(LakeError, match="has nothing for 2023-12-29"):
        read.latest(TREND_TABLE, date(2023, 12, 29))


# -- scans -----------------------------------------------------------------------------------------


def test_a_scan_reads_each_asked_partition_once(read: Lake) -> None:
    asked = [DAYS[3], DAYS[3], date(1999, 1, 1), DAYS[1]]
    assert read.scan(TREND_TABLE, asked).collect()["session"].to_list() == [DAYS[1], DAYS[3]]
    assert read.scan(TREND_TABLE, []).collect().height == 0
    assert read.scan(BARS_TABLE).collect().height == len(ROWS)


def test_blocked_sessions_are_invisible_to_every_reader(lake: Lake) -> None:
    write(lake, TREND_TABLE, trend_frame([DAYS[7]]), verdicts={DAYS[7]: "blocked"})
    assert lake.sessions(TREND_TABLE) == DAYS[:7]
    assert lake.scan(TREND_TABLE, [DAYS[7]]).collect().height == 0
    assert lake.as_of(TREND_TABLE, DAYS[7], lookback=0).collect().height == 0
    assert lake.latest(TREND_TABLE, DAYS[7])[1] == 1
    assert lake.entries(TREND_TABLE)[DAYS[7]].verdict == "blocked"
    assert lake.provenance(TREND_TABLE, DAYS[7]).rows == 1


def test_a_table_of_empty_and_blocked_partitions_has_no_rows(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    write(lake, TREND_TABLE, trend_frame([]), DAYS[:3], verdicts={DAYS[1]: "blocked"})
    frame = lake.scan(TREND_TABLE).collect()
    assert frame.schema == CONTRACTS["features_trend"].empty().schema
    assert lake.sessions(TREND_TABLE) == [DAYS[0], DAYS[2]]
    assert lake.as_of(TREND_TABLE, DAYS[2]).collect().height == 0


# -- sessions that were never made -----------------------------------------------------------------


@pytest.mark.parametrize("table", [BARS_TABLE, TREND_TABLE])
def test_a_session_that_was_never_made_is_no_empty_answer(tmp_path: Path, table: str) -> None:
    lake = open_lake(tmp_path)
    made = [*DAYS[2:4], *DAYS[5:7]]
    rows = bars_frame(bar("a", day) for day in made) if table == BARS_TABLE else trend_frame(made)
    write(lake, table, rows)

    def asked(day: date, **options: Any) -> list[date]:
        return lake.as_of(table, day, **options).collect()["session"].sort().to_list()

    refused: list[tuple[date, date, dict[str, Any]]] = [
        (DAYS[7], DAYS[7], {"lookback": 0}),
        (DAYS[7], DAYS[7], {"lookback": 1}),
        (DAYS[5], DAYS[4], {"lookback": 1}),
        (DAYS[6], DAYS[4], {}),
        (DAYS[6], DAYS[4], {"sessions": [DAYS[4]]}),
        (DAYS[1], DAYS[1], {}),
    ]
    for day, absent, options in refused:
        with pytest.raises(LakeError, match=f"has nothing for {absent}") as told:
            asked(day, **options)
        assert "missing='skip'" in str(told.value)
        asked(day, **options, missing="skip")
    # Before its first session a table has none, and a look-back is cut there.
    assert asked(DAYS[3], lookback=3) == asked(DAYS[3]) == made[:2]
    assert asked(DAYS[6], lookback=1) == made[2:]
    assert asked(DAYS[6], missing="skip") == made


def test_present_sessions_are_those_with_a_file(lake: Lake) -> None:
    write(lake, TREND_TABLE, trend_frame([DAYS[2]]), verdicts={DAYS[2]: "blocked"})
    lake.layout(TREND_TABLE).part(DAYS[4]).unlink()
    asked = [*DAYS, SESSIONS[10]]
    assert lake.present(TREND_TABLE, asked) == [day for day in DAYS if day != DAYS[4]]


def test_absent_lakes_tables_and_sessions_are_sentences(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="there is no lake at"):
        Lake.open(tmp_path / "nowhere")
    with pytest.raises(LakeError, match="has nothing for 2024-06-28") as told:
        lake.provenance(TREND_TABLE, SESSIONS[-1])
    assert f"{DAYS[0]} to {DAYS[-1]}" in str(told.value)
    with pytest.raises(LakeError, match="has nothing for"):
        lake.versions(TREND_TABLE, SESSIONS[-1])
    with pytest.raises(LakeError, match="is not in the lake"):
        lake.as_of(BARS_TABLE, DAYS[0])
    with pytest.raises(ContractError, match="has no contract"):
        lake.scan("instruments/barss")
    (tmp_path / "a file").touch()
    with pytest.raises(LakeError, match="cannot be made"):
        Lake.create(tmp_path / "a file" / "lake")


def test_a_broken_description_is_a_sentence(lake: Lake) -> None:
    lake.layout(TREND_TABLE).description.write_text('{"calendar": "XNYS"}')
    with pytest.raises(LakeError, match="cannot be read"):
        Lake.open(lake.root).as_of(TREND_TABLE, DAYS[0])


def test_a_lake_knows_its_calendars_by_itself(lake: Lake) -> None:
    assert Lake.open(lake.root).calendar(TREND_TABLE) == CALENDAR
    path = lake.layout(TREND_TABLE).description
    touched = path.stat().st_mtime_ns
    lake.describe(TREND_TABLE, CALENDAR)
    assert path.stat().st_mtime_ns == touched
    moved = build_calendar("XNYS", horizon=date(2025, 12, 31), grace=timedelta(minutes=120))
    lake.describe(TREND_TABLE, moved)
    assert lake.calendar(TREND_TABLE) == Lake.open(lake.root).calendar(TREND_TABLE) == moved


def test_what_another_process_wrote_shows_at_once(lake: Lake) -> None:
    reader = Lake.open(lake.root, clock=lake.clock)
    assert reader.sessions(TREND_TABLE) == DAYS
    write(lake, TREND_TABLE, trend_frame([SESSIONS[8]]))
    assert reader.sessions(TREND_TABLE) == SESSIONS[:9]


# -- what made it ----------------------------------------------------------------------------------


def test_provenance_and_checks_are_those_of_the_last_write(lake: Lake) -> None:
    outcome = {
        "rule": "row_count",
        "severity": "warning",
        "passed": False,
        "value": 0.25,
        "threshold": 0.5,
        "cause": None,
    }
    write(
        lake,
        TREND_TABLE,
        trend_frame([DAYS[0]], close=11.0),
        input_hash="input-2",
        outcomes=(outcome,),
        verdicts={DAYS[0]: "warned"},
        made_by=stamp("run-2"),
    )
    entry = lake.provenance(TREND_TABLE, DAYS[0])
    assert (entry.input_hash, entry.stamp.run_id, entry.verdict) == ("input-2", "run-2", "warned")
    assert lake.checks(TREND_TABLE).to_dicts() == [{"session": DAYS[0], **outcome}]


# -- schema versions -------------------------------------------------------------------------------


def _second_version(upgrades: Mapping[int, Any]) -> Any:
    class FeaturesTrend(CONTRACTS["features_trend"].schema):
        liquid = dy.Bool(nullable=True, description="Added in version 2.")

    return replace(CONTRACTS["features_trend"], schema=FeaturesTrend, version=2, upgrades=upgrades)


def test_reads_span_schema_versions(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    second = _second_version({1: lambda rows: rows.with_columns(liquid=pl.lit(True))})
    monkeypatch.setitem(CONTRACTS, "features_trend", second)
    later = Lake.open(lake.root, clock=lake.clock)
    frame = trend_frame([DAYS[2]]).with_columns(liquid=pl.lit(False))
    write(later, TREND_TABLE, frame)
    found = later.scan(TREND_TABLE).collect().sort("session")
    assert found.columns == list(second.columns)
    assert found["liquid"].to_list() == [day != DAYS[2] for day in DAYS]
    assert later.as_of(TREND_TABLE, DAYS[3], lookback=1).collect().height == 2


def test_a_version_without_an_upgrade_is_an_error(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONTRACTS, "features_trend", _second_version({}))
    later = Lake.open(lake.root, clock=lake.clock)
    with pytest.raises(ContractError, match="partitions of version 1 of 'features_trend'"):
        later.scan(TREND_TABLE)
    write(later, TREND_TABLE, trend_frame([DAYS[2]]).with_columns(liquid=pl.lit(False)))
    assert later.scan(TREND_TABLE, [DAYS[2]]).collect().height == 1


def test_an_upgrade_that_forgets_a_column_is_noticed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONTRACTS, "features_trend", _second_version({1: lambda rows: rows}))
    later = Lake.open(lake.root, clock=lake.clock)
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match="liquid"):
        later.scan(TREND_TABLE).collect()


# -- where a lake lies -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["with 'quotes'", "[abc]", "a*b?", "100 %"])
def test_a_lake_may_lie_in_any_folder(read: Lake, tmp_path: Path, name: str) -> None:
    shutil.copytree(read.root, tmp_path / name)
    moved = Lake.open(tmp_path / name, clock=lambda: EVENING)
    assert as_dict(moved.as_of(BARS_TABLE, DAYS[5])) == known(ROWS, DAYS[5])
