"""The plan: what is stale and why, how far it spreads, and how it is cut into runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.inputs import input_hashes
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import Stamp
from quant_platform.lakehouse.store import Judgement
from quant_platform.lakehouse.windows import Window
from quant_platform.orchestration.plan import plan_chunks, stale_sessions
from quant_platform.orchestration.stage import Stage
from quant_platform_tests.lakehouse.small_lake import (
    CALENDAR,
    EVENING,
    HISTORY,
    SESSIONS,
    bar,
    bars_frame,
    open_lake,
    trend_frame,
)
from quant_platform_tests.small_project import SmallProject

DAYS = SESSIONS[:24]
BARS, TREND, STATE = "x/bars", "x/features_trend", "x/features_state"


def stage(table: str, windows: Mapping[str, Window], **changes: Any) -> Stage:
    plain = Stage(
        table=table,
        calendar=CALENDAR,
        history_start=HISTORY,
        function=lambda frames, settings, wanted: pl.DataFrame(),
        settings=None,
        modules=("quant_platform.features.panel",),
        description="",
        group="test",
        windows=windows,
    )
    return replace(plain, **changes)


STAGES = [
    stage(BARS, {}),
    stage(TREND, {"bars": Window(BARS, 5)}),
    stage(STATE, {"a_state": Window(STATE, 2, own=True), "bars": Window(BARS, 2)}),
]
TREND_STAGE = STAGES[1]


def make(lake: Lake, stages: Sequence[Stage], stale: Mapping[str, set[date]], content: int) -> None:
    """Make what is stale, each time with other rows, as runs would: upstream first."""
    for known in stages:
        for day in sorted(stale[known.table]):
            if known.table == BARS:
                frame = bars_frame([bar("a", day, 10.0 + content)])
            elif known.table == TREND:
                frame = trend_frame([day], close=10.0 + content)
            else:
                frame = state_frame(day, 10.0 + content)
            hashed = input_hashes(lake, known.windows, known.range_of([day]))[day]
            stamp = Stamp("run", known.code_version, known.config_hash, "sha", "now")
            lake.describe(known.table, CALENDAR)
            lake.store(known.table).write(frame, {day: Judgement("passed", hashed)}, stamp)


def state_frame(day: date, close: float) -> pl.DataFrame:
    columns = {
        "session": day,
        "security_id": "a",
        "revisions_missed": 0,
        "bars": 1,
        "idle": 0,
    }
    empty = STAGES[2].contract.empty()
    carried = {name: close for name in empty.columns if name.endswith("_state")}
    return pl.DataFrame([dict.fromkeys(empty.columns) | columns | carried], schema=empty.schema)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Make every session of the three tables once; tests copy it."""
    lake = open_lake(tmp_path_factory.mktemp("plan"))
    make(lake, STAGES, {known.table: set(DAYS) for known in STAGES}, 0)
    return lake


@pytest.fixture
def lake(made: Lake, tmp_path: Path) -> Lake:
    return copied(made, tmp_path)


def copied(lake: Lake, folder: Path) -> Lake:
    shutil.copytree(lake.root, folder / "lake")
    return Lake.open(folder / "lake", clock=lambda: EVENING)


def stale(lake: Lake, stages: Sequence[Stage] = STAGES) -> dict[str, list[date]]:
    found = stale_sessions(lake, stages, STAGES[0].range_of(DAYS))
    return {table: sorted(days) for table, days in found.items()}


NOTHING: dict[str, list[date]] = {BARS: [], TREND: [], STATE: []}


def reading(position: int) -> list[date]:
    """Sessions of the trend table that read one session of bars."""
    window = TREND_STAGE.windows["bars"]
    return [day for day in DAYS if DAYS[position] in TREND_STAGE.range_of([day]).loaded(window)]


# -- what is stale ---------------------------------------------------------------------------------


def test_what_was_just_made_is_current(lake: Lake) -> None:
    assert stale(lake) == NOTHING


def test_what_was_never_made_is_stale(lake: Lake) -> None:
    later = STAGES[0].range_of(SESSIONS[20:28])
    found = stale_sessions(lake, STAGES, later)
    assert {table: sorted(days) for table, days in found.items()} == dict.fromkeys(
        NOTHING, SESSIONS[24:28]
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"modules": ("quant_platform.features.state",)}, DAYS),
        ({"settings": 5}, DAYS),
        ({"thresholds": {"row_count": 0.1}}, DAYS),
        ({"identity": {"source": "another"}}, DAYS),
        ({"description": "said otherwise"}, []),
        ({"group": "elsewhere"}, []),
    ],
    ids=["code", "settings", "thresholds", "identity", "description", "group"],
)
def test_code_and_settings_of_one_table_touch_that_table_alone(
    lake: Lake, change: dict[str, Any], expected: list[date]
) -> None:
    stages = [STAGES[0], replace(TREND_STAGE, **change), STAGES[2]]
    assert stale(lake, stages) == NOTHING | {TREND: expected}


def test_a_change_upstream_reaches_everything_below(lake: Lake) -> None:
    stages = [replace(STAGES[0], settings=5), *STAGES[1:]]
    assert stale(lake, stages) == dict.fromkeys(NOTHING, DAYS)


def _delete(path: Path) -> None:
    path.unlink()


def _shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("spoil", [_delete, _shorten])
def test_a_file_that_is_not_what_was_written_makes_its_readers_stale(
    lake: Lake, spoil: Callable[[Path], None]
) -> None:
    spoil(lake.layout(TREND).part(DAYS[9]))
    assert stale(lake) == NOTHING | {TREND: [DAYS[9]]}
    spoil(lake.layout(STATE).part(DAYS[15]))
    assert stale(lake) == NOTHING | {TREND: [DAYS[9]], STATE: DAYS[15:]}
    spoil(lake.layout(BARS).part(DAYS[5]))
    expected = {BARS: [DAYS[5]], TREND: sorted({*reading(5), DAYS[9]}), STATE: DAYS[5:]}
    assert stale(lake) == expected


def test_a_deleted_log_makes_the_whole_table_and_its_readers_stale(lake: Lake) -> None:
    lake.layout(TREND).log.unlink()
    assert stale(lake) == NOTHING | {TREND: DAYS}
    lake.layout(BARS).log.unlink()
    assert stale(lake) == dict.fromkeys(NOTHING, DAYS)


def test_content_changed_by_another_run_makes_its_readers_stale(lake: Lake) -> None:
    make(lake, STAGES[:1], {BARS: {DAYS[5]}}, 99)
    found = stale(lake)
    assert found[BARS] == []
    assert found[TREND] == reading(5)
    assert found[STATE] == DAYS[5:]


def test_the_order_of_windows_does_not_matter(lake: Lake) -> None:
    turned = replace(STAGES[2], windows=dict(reversed(STAGES[2].windows.items())))
    lake.layout(BARS).part(DAYS[5]).unlink()
    assert stale(lake, [*STAGES[:2], turned]) == stale(lake)
    assert stale(lake)[STATE] == DAYS[5:]


positions = st.sets(st.integers(0, len(DAYS) - 1), max_size=3)


@settings(deadline=None, max_examples=6)
@given(positions, positions, positions)
def test_making_what_is_planned_leaves_nothing_stale(
    made: Lake,
    tmp_path_factory: pytest.TempPathFactory,
    bars: set[int],
    trend: set[int],
    state: set[int],
) -> None:
    """Whatever the made sessions come out as, one plan is enough, and no other session is in it."""
    lake = copied(made, tmp_path_factory.mktemp("lake"))
    for table, gone in ((BARS, bars), (TREND, trend), (STATE, state)):
        for position in gone:
            lake.layout(table).part(DAYS[position]).unlink()
    planned = stale_sessions(lake, STAGES, STAGES[0].range_of(DAYS))
    assert planned[BARS] == {DAYS[position] for position in bars}
    readers = {day for position in bars for day in reading(position)}
    assert planned[TREND] == readers | {DAYS[position] for position in trend}
    make(lake, STAGES, planned, 1)
    assert stale(lake) == NOTHING


# -- chunks ----------------------------------------------------------------------------------------


def chunks(lake: Lake, size: int, **options: Any) -> list[tuple[str, list[str], list[date], int]]:
    found = plan_chunks(lake, {"daily": STAGES}, DAYS[0], DAYS[-1], chunk=size, **options).chunks
    return [(c.job, [known.table for known in c.stages], list(c.sessions), c.stale) for c in found]


def test_nothing_stale_is_nothing_planned(lake: Lake) -> None:
    assert chunks(lake, 5) == []


def test_force_plans_everything_in_chunks(lake: Lake) -> None:
    found = chunks(lake, 10, force=True)
    assert [sessions for _, _, sessions, _ in found] == [DAYS[:10], DAYS[10:20], DAYS[20:]]
    assert [tables for _, tables, _, _ in found] == [[BARS, TREND, STATE]] * 3
    assert [count for *_, count in found] == [30, 30, 12]


def test_a_chunk_holds_only_what_is_needed(lake: Lake) -> None:
    lake.layout(TREND).part(DAYS[7]).unlink()
    lake.layout(TREND).part(DAYS[3]).unlink()
    lake.layout(STATE).part(DAYS[22]).unlink()
    assert chunks(lake, 10) == [
        ("daily", [TREND], DAYS[3:8], 2),
        ("daily", [STATE], DAYS[22:], 2),
    ]
    assert chunks(lake, 100) == [("daily", [TREND, STATE], DAYS[3:], 4)]


def test_a_range_without_a_session_plans_nothing(lake: Lake) -> None:
    found = plan_chunks(
        lake, {"daily": STAGES}, date(2024, 1, 6), date(2024, 1, 7), chunk=5, force=True
    )
    assert found.chunks == []


def test_chunks_come_job_by_job_and_in_order_of_time(lake: Lake) -> None:
    jobs = {"first": STAGES[:1], "second": STAGES[1:]}
    found = plan_chunks(lake, jobs, DAYS[0], DAYS[-1], chunk=12, force=True).chunks
    assert [(c.job, c.sessions[0]) for c in found] == [
        ("first", DAYS[0]),
        ("first", DAYS[12]),
        ("second", DAYS[0]),
        ("second", DAYS[12]),
    ]
    assert [c.partitions for c in found] == [12, 12, 24, 24]


# -- the real graph --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        ({}, set()),
        (
            {"platform__features__state__replay_sessions": 9},
            {"features_state", "features_trend", "features_avwap", "features_volatility"},
        ),
        (
            {"platform__features__trend__max_missing_share": 0.1},
            {"features_trend", "features_avwap", "features_liquidity", "features_volatility"},
        ),
        (
            {"platform__embedded_market__seed": 8},
            {
                *("securities", "bars", "actions", "returns", "quality", "universe"),
                *("universe_counts", "features_state", "features_trend", "features_avwap"),
                *("features_liquidity", "features_volatility"),
            },
        ),
        ({"platform__backfill_chunk": 20}, set()),
        ({"platform__ui__port": 4000}, set()),
    ],
    ids=["nothing", "state", "trend", "source", "chunk", "port"],
)
def test_a_setting_touches_the_tables_that_depend_on_it(
    filled: Path, change: dict[str, Any], touched: set[str]
) -> None:
    changed = SmallProject.create(filled, **SMALL, **change)
    try:
        stale_kinds: dict[str, set[str]] = {}
        for job, stages in changed.graph.jobs.items():
            wanted = stages[0].range_of(stages[0].calendar.between(FIRST, LAST))
            found = stale_sessions(changed.lake, stages, wanted)
            stale_kinds[job] = {table.split("/")[1] for table, days in found.items() if days}
            for table, days in found.items():
                assert len(days) in {0, len(wanted.sessions)}, table
        # Coins have no results, indices and funds. What begins later has nothing yet that could be
        # stale.
        others = {"earnings", "membership", "fund_facts", "series"} if "bars" in touched else set()
        assert stale_kinds == {
            "us_daily": touched | others,
            "crypto_daily": touched,
            "portfolio_daily": set(),
        }
    finally:
        changed.close()


FIRST, LAST = date(2022, 1, 3), date(2022, 1, 21)
SMALL = {"platform__embedded_market__symbols_per_sleeve": 2}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill a small project once."""
    folder = tmp_path_factory.mktemp("filled")
    project = SmallProject.create(folder, **SMALL)
    project.fill(FIRST, LAST)
    project.close()
    return folder
