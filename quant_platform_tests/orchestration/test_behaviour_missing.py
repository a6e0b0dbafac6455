"""A required upstream session that is not there: who fails, who does not, and what mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import dagster as dg
import polars as pl
import pytest

from quant_platform.errors import MissingUpstreamError
from quant_platform.sources.protocol import ACTION_SCHEMA
from quant_platform_tests.end_to_end.published import (
    FIRST,
    NYSE,
    SECURITIES,
    clean_rows,
    published,
)
from quant_platform_tests.end_to_end.stories import attempt, make_directly, materialised, story
from quant_platform_tests.market.actions import action, actions_frame
from quant_platform_tests.small_project import SmallProject

Make = Callable[..., SmallProject]
BARS, ACTIONS, TREND, STATE = (
    f"instruments/{kind}" for kind in ("bars", "actions", "features_trend", "features_state")
)
TABLES = (BARS, ACTIONS, STATE, TREND)
LAST = NYSE.offset(FIRST, 266)
MISSING = NYSE.offset(FIRST, 8)
FAR = NYSE.offset(MISSING, 252)
"""The last session whose window of bars holds the missing one."""
DAYS = NYSE.between(FIRST, LAST)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return clean_rows(LAST)


@pytest.fixture(scope="module")
def with_a_hole(
    tmp_path_factory: pytest.TempPathFactory, rows: pl.DataFrame
) -> Iterator[tuple[SmallProject, MissingUpstreamError]]:
    """Make features over bars that lack one session; give the project and the error."""
    project = SmallProject.create(
        tmp_path_factory.mktemp("hole"), sources=published(rows), tables=TABLES
    )
    project.make([ACTIONS], FIRST, LAST)
    project.make([BARS], FIRST, NYSE.offset(MISSING, -1))
    project.make([BARS], NYSE.offset(MISSING, 1), LAST)
    error = attempt(project, [STATE], FIRST, LAST)
    assert isinstance(error, MissingUpstreamError)
    # In one run Dagster would not begin what stands on the step that failed.
    assert isinstance(attempt(project, [TREND], FIRST, LAST), MissingUpstreamError)
    yield project, error
    project.close()


def test_the_error_names_the_table_and_the_session(
    with_a_hole: tuple[SmallProject, MissingUpstreamError],
) -> None:
    _project, error = with_a_hole
    assert f"{BARS} has no {MISSING}" in str(error)
    assert "'quant backfill' over a range that begins with the missing session" in str(error)


def test_it_is_not_retried(with_a_hole: tuple[SmallProject, MissingUpstreamError]) -> None:
    project, _error = with_a_hole
    stage = project.stage(TREND)
    job = dg.define_asset_job(
        "retrying",
        dg.AssetSelection.assets(stage.key),
        partitions_def=stage.partitions,
        op_retry_policy=dg.RetryPolicy(max_retries=2),
    )
    definitions = dg.Definitions.merge(project.graph.definitions(), dg.Definitions(jobs=[job]))
    result = definitions.resolve_job_def("retrying").execute_in_process(
        instance=project.instance, partition_key=MISSING.isoformat(), raise_on_error=False
    )
    kinds = [event.event_type for event in result.all_events]
    assert kinds.count(dg.DagsterEventType.STEP_FAILURE) == 1
    assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in kinds


def test_sessions_that_do_not_depend_on_it_are_made(
    with_a_hole: tuple[SmallProject, MissingUpstreamError],
) -> None:
    project, _error = with_a_hole
    # A carried state stands on every session before it, whatever its look-back; trend reads it.
    for table in (STATE, TREND):
        assert project.lake.sessions(table) == [d for d in DAYS if d < MISSING]
    for table in (BARS, TREND, STATE):
        assert materialised(project, table) == project.lake.sessions(table)


def test_single_days_make_and_refuse_the_same(
    with_a_hole: tuple[SmallProject, MissingUpstreamError], rows: pl.DataFrame, small_project: Make
) -> None:
    project, _error = with_a_hole
    days = small_project(sources=published(rows), tables=TABLES)
    make_directly(days, ACTIONS, DAYS)
    for bars in ([d for d in DAYS if d < MISSING], [d for d in DAYS if d > MISSING]):
        make_directly(days, BARS, bars)
    for table in (STATE, TREND):
        for session in (day for day in DAYS if day in project.lake.entries(table)):
            make_directly(days, table, [session])
        for session in (MISSING, NYSE.offset(MISSING, 1), FAR):
            with pytest.raises(MissingUpstreamError) as refusal:
                make_directly(days, table, [session])
            if session == MISSING:
                assert refusal.value.found.endswith(f"{BARS} has no {MISSING}")
        assert story(days.lake, table) == story(project.lake, table)


def test_one_run_of_a_single_day_fails_like_the_range(
    with_a_hole: tuple[SmallProject, MissingUpstreamError],
) -> None:
    project, _error = with_a_hole
    for table in (TREND, STATE):
        error = attempt(project, [table], FAR, FAR)
        assert isinstance(error, MissingUpstreamError)
        assert FAR not in project.lake.sessions(table)
        assert FAR not in materialised(project, table)


def test_making_the_session_and_filling_equals_a_lake_without_the_hole(
    small_project: Make, rows: pl.DataFrame
) -> None:
    whole, mended = (
        small_project(name, sources=published(rows), tables=TABLES) for name in ("whole", "mended")
    )
    last = NYSE.offset(MISSING, 10)
    whole.fill(FIRST, last, jobs=["us_daily"])
    mended.make([ACTIONS], FIRST, last)
    mended.make([BARS], FIRST, NYSE.offset(MISSING, -1))
    mended.make([BARS], NYSE.offset(MISSING, 1), last)
    assert attempt(mended, [TREND, STATE], FIRST, last) is not None
    mended.fill(FIRST, last, jobs=["us_daily"])
    for table in (BARS, TREND, STATE):
        assert mended.hashes(table) == whole.hashes(table)
        assert materialised(mended, table) == mended.lake.sessions(table)
    assert mended.fill(FIRST, last, jobs=["us_daily"]).chunks == []


def test_a_deleted_file_is_a_missing_session(small_project: Make, rows: pl.DataFrame) -> None:
    project = small_project(sources=published(rows), tables=TABLES)
    last = NYSE.offset(MISSING, 5)
    project.fill(FIRST, last, jobs=["us_daily"])
    before = {table: project.hashes(table) for table in (BARS, TREND, STATE)}
    lost = project.lake.store(BARS).file_of(project.lake.provenance(BARS, MISSING))
    lost.unlink()
    error = attempt(project, [TREND], MISSING, last)
    assert isinstance(error, MissingUpstreamError)
    assert f"{BARS} has no {MISSING}" in str(error)
    assert project.fill(FIRST, last, jobs=["us_daily"]).tally.done == 1
    assert lost.exists()
    assert {table: project.hashes(table) for table in before} == before


def test_an_absent_session_before_history_is_no_missing_one(
    small_project: Make, rows: pl.DataFrame
) -> None:
    project = small_project(sources=published(rows), tables=TABLES)
    project.make([BARS, ACTIONS], FIRST, FIRST)
    assert attempt(project, [STATE, TREND], FIRST, FIRST) is None


def test_an_action_taken_without_bars_is_held_against_them_when_they_come(
    small_project: Make, rows: pl.DataFrame
) -> None:
    """A 2:1 split, told on its ex session, of which the price knows nothing."""
    told = action(SECURITIES[0], MISSING, 2.0, known=MISSING)
    split = actions_frame([told]).select(*ACTION_SCHEMA)
    project = small_project(sources=published(rows, split), tables=(BARS, ACTIONS))
    last = NYSE.offset(MISSING, 2)
    project.make([ACTIONS], FIRST, last)
    assert project.lake.scan(ACTIONS).collect()["security_id"].to_list() == [SECURITIES[0]]
    project.make([BARS], FIRST, NYSE.offset(MISSING, -1))
    project.make([BARS], NYSE.offset(MISSING, 1), last)
    project.fill(FIRST, last, jobs=["us_daily"])
    assert project.lake.scan(ACTIONS).collect().height == 0
    rejected = project.lake.scan(f"quarantine/{ACTIONS}").collect()
    assert rejected["rule"].to_list() == ["contradicts_price"]
    assert project.fill(FIRST, last, jobs=["us_daily"]).chunks == []
