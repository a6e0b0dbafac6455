"""A session that fails a blocking rule: it blocks what depends on it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import dagster as dg
import polars as pl
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from quant_platform.lakehouse.catalog import query_catalog
from quant_platform.orchestration.stage import VERDICT
from quant_platform_tests.end_to_end.published import (
    FIRST,
    NYSE,
    SECURITIES,
    bar_of,
    clean_rows,
    garbled,
    published,
)
from quant_platform_tests.end_to_end.stories import make_directly, materialised, story
from quant_platform_tests.small_project import SmallProject

Make = Callable[..., SmallProject]
BARS, ACTIONS, TREND, STATE = (
    f"instruments/{kind}" for kind in ("bars", "actions", "features_trend", "features_state")
)
TABLES = (BARS, ACTIONS, STATE, TREND)
DAY = tuple(NYSE.offset(FIRST, n) for n in range(266))
LAST = DAY[-1]
GARBLED, FAR = DAY[8], DAY[8 + 252]
RUINED = SECURITIES[:3]
"""Three of eight bars: more than a quarter, which is what the rule allows."""
CRYPTO_LAST = FIRST + timedelta(days=25)


@pytest.fixture(scope="module")
def clean() -> pl.DataFrame:
    return clean_rows(LAST)


@pytest.fixture(scope="module")
def spoilt(clean: pl.DataFrame) -> pl.DataFrame:
    return garbled(clean, bar_of(GARBLED, *RUINED))


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, spoilt: pl.DataFrame
) -> Iterator[SmallProject]:
    """Make both sleeves: stocks with a garbled session, crypto from the embedded market."""
    made = SmallProject.create(
        tmp_path_factory.mktemp("blocked"),
        sources={"instruments": published(spoilt)["instruments"]},
        tables=[*TABLES, "crypto/features_trend", "crypto/features_state"],
    )
    made.fill(FIRST, LAST, jobs=["us_daily"], chunk=400)
    made.fill(FIRST, CRYPTO_LAST, jobs=["crypto_daily"])
    yield made
    made.close()


def causes(project: SmallProject, table: str) -> dict[object, str]:
    told = project.lake.checks(table).filter(rule="upstream").sort("session")
    return dict(zip(told["session"], told["cause"], strict=True))


def test_the_garbled_session_is_blocked_by_its_rule(project: SmallProject) -> None:
    verdicts = {day: entry.verdict for day, entry in project.lake.entries(BARS).items()}
    assert verdicts == {day: "blocked" if day == GARBLED else "passed" for day in DAY}
    failed = project.lake.checks(BARS).filter(~pl.col("passed"))
    assert failed.select("session", "rule", "severity", "value", "threshold").rows() == [
        (GARBLED, "rejected_share", "blocking", 3 / 8, 0.25)
    ]
    assert project.lake.provenance(f"quarantine/{BARS}", GARBLED).rows == 3


def test_exactly_the_sessions_whose_window_needs_it_are_blocked(project: SmallProject) -> None:
    assert project.lake.sessions(TREND) == [day for day in DAY if not GARBLED <= day <= FAR]
    assert set(causes(project, TREND).values()) == {f"{BARS} of {GARBLED} is blocked"}
    assert project.lake.sessions(STATE) == [day for day in DAY if day < GARBLED]
    told = causes(project, STATE)
    assert told.keys() == {day for day in DAY if day >= GARBLED}
    # The replay window holds it for 21 sessions; after that the chain of states is broken.
    assert told[DAY[8 + 21]] == f"{BARS} of {GARBLED} is blocked"
    assert told[DAY[8 + 22]] == f"{STATE} of {DAY[8 + 21]} is blocked"


def test_the_other_sleeve_is_untouched(project: SmallProject) -> None:
    for stage in project.graph.stages:
        if stage.table.startswith("crypto/"):
            sessions = stage.calendar.between(FIRST, CRYPTO_LAST)
            assert project.lake.sessions(stage.table) == sessions
            assert not causes(project, stage.table)


def test_readers_get_nothing_of_it(project: SmallProject) -> None:
    lake = project.lake
    assert lake.scan(BARS, [GARBLED]).collect().is_empty()
    assert GARBLED not in lake.as_of(BARS, DAY[9]).collect()["session"]
    assert lake.as_of(BARS, DAY[9], lookback=1).collect().height == len(SECURITIES)
    rows, age = lake.latest(TREND, DAY[10])
    assert (rows.collect()["session"].unique().to_list(), age) == ([DAY[7]], 3)
    for table, column in ((BARS, "knowledge_session"), (TREND, "session"), (STATE, "session")):
        view = table.replace("/", ".")
        counted = f"select count(*) from {view} where {column} = '{GARBLED}'"
        assert query_catalog(lake, counted).item() == 0
        counted = f"select count(distinct {column}) from {view}"
        assert query_catalog(lake, counted).item() == len(lake.sessions(table))
    latest = query_catalog(lake, "select distinct session from instruments.features_state_latest")
    assert latest["session"].to_list() == [DAY[7]]
    # Withdrawn, not lost.
    kept = pl.read_parquet(lake.versions(BARS, GARBLED)[-1].path, hive_partitioning=False)
    assert kept.height == len(SECURITIES) - len(RUINED)


def test_dagster_shows_the_verdict(project: SmallProject) -> None:
    stage = project.stage(TREND)
    assert materialised(project, TREND) == list(DAY)
    for session, verdict in ((GARBLED, "blocked"), (LAST, "passed")):
        record = project.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=stage.key, asset_partitions=[session.isoformat()]),
            limit=1,
        ).records[0]
        assert record.asset_materialization is not None
        assert record.asset_materialization.metadata["verdict"].value == verdict
    check = dg.AssetCheckKey(stage.key, VERDICT)
    history = project.instance.event_log_storage.get_asset_check_execution_history(
        check, limit=1000
    )
    evaluations = [
        record.evaluation
        for record in history
        if record.status != AssetCheckExecutionRecordStatus.PLANNED
    ]
    of_the_run = next(told for told in evaluations if told.partition is None)
    assert not of_the_run.passed
    assert of_the_run.severity == dg.AssetCheckSeverity.ERROR
    assert of_the_run.metadata["blocked"].value == 253
    assert of_the_run.metadata["sessions"].value == len(DAY)
    assert of_the_run.description == f"253 blocked and 253 failing of {len(DAY)} sessions"
    by_session = {told.partition: told.passed for told in evaluations if told.partition}
    assert by_session[LAST.isoformat()] is True
    assert by_session[FAR.isoformat()] is False


@pytest.mark.slow
def test_single_days_equal_the_range(
    project: SmallProject, spoilt: pl.DataFrame, small_project: Make
) -> None:
    days = small_project(sources=published(spoilt), tables=TABLES)
    single = {*DAY[7:11], *DAY[29:32], *DAY[259:]}
    pieces: list[list[int]] = []
    for number, day in enumerate(DAY):
        if day in single or not pieces or DAY[pieces[-1][-1]] in single:
            pieces.append([])
        pieces[-1].append(number)
    for piece in pieces:
        for table in TABLES:
            make_directly(days, table, DAY[piece[0] : piece[-1] + 1])
    for table in (*TABLES, f"quarantine/{BARS}"):
        assert story(days.lake, table) == story(project.lake, table)


def test_mending_the_source_passes_everything(
    clean: pl.DataFrame, spoilt: pl.DataFrame, small_project: Make
) -> None:
    last = DAY[35]
    undisturbed = small_project("undisturbed", sources=published(clean), tables=TABLES)
    undisturbed.fill(FIRST, last, jobs=["us_daily"])
    small_project("mended", sources=published(spoilt), tables=TABLES).fill(
        FIRST, last, jobs=["us_daily"]
    )
    mended = small_project("mended", sources=published(clean), tables=TABLES)
    assert mended.lake.sessions(STATE) == list(DAY[:8])
    # What was delivered is not asked for again unless somebody says that it came out better.
    assert mended.fill(FIRST, last, jobs=["us_daily"]).chunks == []
    mended.fill(GARBLED, GARBLED, jobs=["us_daily"], force=True)
    mended.fill(FIRST, last, jobs=["us_daily"])
    for table in TABLES:
        assert mended.hashes(table) == undisturbed.hashes(table)
        assert mended.lake.sessions(table) == list(DAY[:36])
        assert not mended.lake.checks(table).filter(~pl.col("passed")).height
        if table == ACTIONS:  # This source knows of none.
            continue
        partition = mended.lake.layout(table).contract.partition
        counted = f"select count(distinct {partition}) from {table.replace('/', '.')}"
        assert query_catalog(mended.lake, counted).item() == 36
    assert mended.lake.provenance(f"quarantine/{BARS}", GARBLED).rows == 0
    assert mended.fill(FIRST, last, jobs=["us_daily"]).chunks == []


def test_a_share_within_the_threshold_blocks_nothing(
    clean: pl.DataFrame, small_project: Make
) -> None:
    """The twin: two of eight are a quarter, and no more than that is allowed."""
    project = small_project(
        sources=published(garbled(clean, bar_of(GARBLED, *RUINED[:2]))), tables=TABLES
    )
    project.fill(FIRST, DAY[10], jobs=["us_daily"])
    for table in TABLES:
        assert project.lake.sessions(table) == list(DAY[:11])
    assert project.lake.provenance(f"quarantine/{BARS}", GARBLED).rows == 2
