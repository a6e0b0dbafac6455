"""An unscheduled closure in the middle of history: declared before it is made, and afterwards."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from quant_platform.lakehouse.catalog import query_catalog
from quant_platform.market.doubts import MEMORY_SESSIONS
from quant_platform.orchestration.plan import stale_sessions
from quant_platform_tests.end_to_end.published import (
    FIRST,
    NYSE,
    SECURITIES,
    bar_of,
    clean_rows,
    corrected,
    known_in,
    late,
    published,
)
from quant_platform_tests.end_to_end.stories import make_directly, materialised, story
from quant_platform_tests.small_project import SmallProject

Make = Callable[..., SmallProject]
BARS, ACTIONS, TREND, STATE = (
    f"instruments/{kind}" for kind in ("bars", "actions", "features_trend", "features_state")
)
TABLES = (BARS, ACTIONS, STATE, TREND)
REJECTED = f"quarantine/{BARS}"
DAY = tuple(NYSE.offset(FIRST, n) for n in range(30))
CLOSED, AFTER, LAST = DAY[15], DAY[16], DAY[-1]
DECLARED = {"platform__extra_holidays": {"XNYS": [CLOSED.isoformat()]}}
STRAY = SECURITIES[:2]
"""Securities of which the vendor delivered a bar for the closed day all the same."""


def rows() -> pl.DataFrame:
    """Bars among which some news, of earlier sessions, became known on the day of the closure."""
    made = clean_rows(LAST)
    absent = bar_of(CLOSED) & ~pl.col("security_id").is_in(list(STRAY))
    made = late(made.filter(~absent), bar_of(DAY[14], SECURITIES[3]), CLOSED)
    return corrected(made, bar_of(DAY[12], SECURITIES[4]), 1.1, CLOSED)


@pytest.fixture(scope="module")
def declared_first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Stories of a lake that knew of the closure from the beginning."""
    project = SmallProject.create(
        tmp_path_factory.mktemp("declared"), sources=published(rows()), tables=TABLES, **DECLARED
    )
    project.fill(FIRST, LAST, jobs=["us_daily"])
    told = {table: story(project.lake, table) for table in (*TABLES, REJECTED)}
    keys = project.stage(BARS).partitions.get_partition_keys()
    assert CLOSED.isoformat() not in keys
    assert {DAY[14].isoformat(), AFTER.isoformat()} <= set(keys)
    for table in TABLES:
        open_days = [day for day in DAY if day != CLOSED]
        assert project.lake.sessions(table) == materialised(project, table) == open_days
    project.close()
    return told


def test_bars_of_the_closed_day_are_quarantined(small_project: Make) -> None:
    project = small_project(sources=published(rows()), tables=TABLES, **DECLARED)
    project.make([BARS], FIRST, AFTER)
    rejected = project.lake.scan(REJECTED, [AFTER]).collect()
    assert rejected["rule"].to_list() == ["session_in_calendar"] * len(STRAY)
    assert rejected["raw"].str.contains(f'"session":"{CLOSED}"', literal=True).all()
    kept = project.lake.scan(BARS, [AFTER]).collect()
    # What became known on the closed day and describes a session belongs to the next session.
    early = kept.filter(pl.col("known_at") == pl.select(known_in(CLOSED)).item())
    assert sorted(early["session"]) == [DAY[12], DAY[14]]
    assert kept.height == len(SECURITIES) + 2


@pytest.mark.slow
def test_single_days_equal_the_range(
    small_project: Make, declared_first: dict[str, object]
) -> None:
    days = small_project(sources=published(rows()), tables=TABLES, **DECLARED)
    for session in days.stage(BARS).calendar.between(FIRST, LAST):
        for table in TABLES:
            make_directly(days, table, [session])
    assert {table: story(days.lake, table) for table in declared_first} == declared_first


def test_a_closure_declared_later_recomputes_what_it_touches(
    small_project: Make, declared_first: dict[str, object]
) -> None:
    unaware = small_project(sources=published(rows()), tables=TABLES)
    unaware.fill(FIRST, LAST, jobs=["us_daily"])
    made = {table: story(unaware.lake, table) for table in TABLES}
    assert made[BARS].keys() == set(DAY)

    aware = small_project(sources=published(rows()), tables=TABLES, **DECLARED)
    wanted = aware.stage(BARS).range_of(aware.stage(BARS).calendar.between(FIRST, LAST))
    stages = [aware.stage(table) for table in TABLES]
    stale = stale_sessions(aware.lake, stages, wanted)
    assert stale[BARS] == {AFTER}
    # An action is held against the prints of the sessions before.
    assert stale[ACTIONS] == set(DAY[DAY.index(AFTER) :][: MEMORY_SESSIONS + 1])
    assert stale[TREND] == stale[STATE] == {day for day in DAY if day > CLOSED}

    aware.fill(FIRST, LAST, jobs=["us_daily"])
    for table in (*TABLES, REJECTED):
        open_days = [day for day in aware.lake.entries(table) if day != CLOSED]
        assert story(aware.lake, table, open_days) == declared_first[table]
    assert aware.fill(FIRST, LAST, jobs=["us_daily"]).chunks == []

    assert aware.lake.provenance(BARS, CLOSED).verdict == "blocked"
    told = aware.lake.checks(BARS).filter(session=CLOSED)
    assert told["cause"].to_list() == [f"XNYS has no session on {CLOSED}"]
    for table in TABLES:
        assert CLOSED not in aware.lake.sessions(table)
        partition = aware.lake.layout(table).contract.partition
        assert aware.lake.scan(table).filter(pl.col(partition) == CLOSED).collect().is_empty()
        counted = f"select count(*) from {table.replace('/', '.')} where {partition} = '{CLOSED}'"
        assert query_catalog(aware.lake, counted).item() == 0
    as_known = aware.lake.as_of(BARS, LAST).collect()
    assert as_known.select("security_id", "session").is_unique().all()
    assert CLOSED not in as_known["session"]
    assert CLOSED not in as_known["knowledge_session"]
    # Nothing is lost: the old partition can still be read where withdrawn ones lie.
    kept = pl.read_parquet(aware.lake.versions(BARS, CLOSED)[-1].path, hive_partitioning=False)
    assert kept.height == len(STRAY) + 2


def test_a_closure_taken_back_restores_the_old_lake(small_project: Make) -> None:
    unaware = small_project(sources=published(rows()), tables=TABLES)
    unaware.fill(FIRST, LAST, jobs=["us_daily"])
    made = {table: story(unaware.lake, table) for table in TABLES}
    small_project(sources=published(rows()), tables=TABLES, **DECLARED).fill(
        FIRST, LAST, jobs=["us_daily"]
    )
    again = small_project(sources=published(rows()), tables=TABLES)
    again.fill(FIRST, LAST, jobs=["us_daily"])
    assert {table: story(again.lake, table) for table in TABLES} == made
    for table in TABLES:
        assert materialised(again, table) == list(DAY)
