"""A derived table whose function breaks its contract: the asset fails, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from quant_platform.errors import ContractError
from quant_platform.features.trend import trend_features
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.orchestration.stage import Stage
from quant_platform_tests.end_to_end.published import (
    FIRST,
    NYSE,
    SECURITIES,
    clean_rows,
    published,
)
from quant_platform_tests.end_to_end.stories import (
    attempt,
    make_directly,
    materialised,
)
from quant_platform_tests.small_project import SmallProject

Make = Callable[..., SmallProject]
BARS, ACTIONS, TREND, STATE = (
    f"instruments/{kind}" for kind in ("bars", "actions", "features_trend", "features_state")
)
TABLES = (BARS, ACTIONS, STATE, TREND)
DAY = tuple(NYSE.offset(FIRST, n) for n in range(6))
BROKEN = DAY[3]


def negative_close(
    frames: Mapping[str, pl.LazyFrame], settings: Any, wanted: SessionRange
) -> pl.DataFrame:
    """Compute the trend features, and one close that no contract allows."""
    wrong = (pl.col("session") == BROKEN) & (pl.col("security_id") == SECURITIES[0])
    return trend_features(frames, settings, wanted).with_columns(
        close=pl.when(wrong).then(-1.0).otherwise("close")
    )


def lacking_column(
    frames: Mapping[str, pl.LazyFrame], settings: Any, wanted: SessionRange
) -> pl.DataFrame:
    return trend_features(frames, settings, wanted).drop("sma_50")


def with_trend(function: Any) -> Callable[[list[Stage]], list[Stage]]:
    """Return what puts another function in the place of the trend's."""
    return lambda stages: [
        replace(stage, function=function) if stage.table == TREND else stage for stage in stages
    ]


@pytest.fixture
def project(small_project: Make) -> SmallProject:
    made = small_project(
        sources=published(clean_rows(DAY[-1])), tables=TABLES, stages=with_trend(negative_close)
    )
    made.make([BARS, ACTIONS, STATE], FIRST, DAY[-1])
    return made


def test_the_error_names_the_rule_and_shows_the_first_rows(project: SmallProject) -> None:
    error = attempt(project, [STATE, TREND], FIRST, DAY[-1])
    assert isinstance(error, ContractError)
    assert f"table '{TREND}' breaks close|min_exclusive (1 rows)" in str(error)
    assert f"'security_id': '{SECURITIES[0]}', 'close': -1.0" in str(error)


def test_nothing_of_the_range_is_written_and_its_siblings_are(project: SmallProject) -> None:
    attempt(project, [STATE, TREND], FIRST, DAY[-1])
    assert project.lake.entries(TREND) == {}
    assert materialised(project, TREND) == []
    assert not project.lake.layout(TREND).folder.exists()
    assert project.lake.sessions(STATE) == materialised(project, STATE) == list(DAY)


def test_single_days_fail_with_the_same_sentence(project: SmallProject) -> None:
    whole = attempt(project, [TREND], FIRST, DAY[-1])
    for session in DAY:
        if session != BROKEN:
            make_directly(project, TREND, [session])
    assert str(attempt(project, [TREND], BROKEN, BROKEN)) == str(whole)
    assert project.lake.sessions(TREND) == [day for day in DAY if day != BROKEN]


def test_a_lacking_column_fails_as_well(small_project: Make) -> None:
    project = small_project(
        sources=published(clean_rows(DAY[-1])), tables=TABLES, stages=with_trend(lacking_column)
    )
    project.make([BARS, ACTIONS, STATE], FIRST, DAY[-1])
    error = attempt(project, [TREND], FIRST, DAY[-1])
    assert isinstance(error, ContractError)
    assert "lacks ['sma_50']" in str(error)
