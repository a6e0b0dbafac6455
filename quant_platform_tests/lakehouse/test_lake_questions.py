"""Questions to a lake that are none: one sentence each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quant_platform.errors import CalendarError, LakeError, LookAheadError
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.lakehouse.filled_lake import (
    DAYS,
    filled_for_reading,
    filled_for_spoiling,
)
from quant_platform_tests.lakehouse.small_lake import (
    BARS_TABLE,
    CALENDAR,
    SESSIONS,
    TREND_TABLE,
    open_lake,
)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Fill a lake that the tests only read."""
    return filled_for_reading(tmp_path_factory.mktemp("read"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Fill a lake that a test may spoil."""
    return filled_for_spoiling(tmp_path)


@pytest.mark.parametrize(
    "ask",
    [
        lambda lake, table: lake.scan(table),
        lambda lake, table: lake.scan(table, [DAYS[0]]),
        lambda lake, table: lake.sessions(table),
        lambda lake, table: lake.checks(table),
        lambda lake, table: lake.as_of(table, DAYS[0]),
        lambda lake, table: lake.latest(table, DAYS[0]),
        lambda lake, table: lake.features(table, DAYS[0]),
        lambda lake, table: lake.provenance(table, DAYS[0]),
        lambda lake, table: lake.versions(table, DAYS[0]),
    ],
)
def test_a_misspelt_table_is_a_sentence(lake: Lake, ask: Callable[[Lake, Any], Any]) -> None:
    with pytest.raises(LakeError, match="is not in the lake") as told:
        ask(lake, "instrument/features_trend")
    assert f"perhaps {TREND_TABLE}" in str(told.value)
    with pytest.raises(LakeError, match="is no table") as told:
        ask(lake, f"checks/{TREND_TABLE}")
    assert f"lake.checks('{TREND_TABLE}')" in str(told.value)
    with pytest.raises(LakeError, match="the table is"):
        ask(lake, [TREND_TABLE])


def test_a_table_that_was_not_made_yet_has_no_sessions(lake: Lake, tmp_path: Path) -> None:
    assert lake.sessions(BARS_TABLE) == []
    assert lake.scan(BARS_TABLE, []).collect().height == 0
    assert lake.scan(f"quarantine/{TREND_TABLE}").collect().height == 0
    assert open_lake(tmp_path / "new").sessions(BARS_TABLE) == []


@pytest.mark.parametrize(
    "day", [datetime(2024, 1, 5, tzinfo=UTC), "2024-01-05", 20240105, 1.5, None, [date(2024, 1, 5)]]
)
def test_what_is_no_day_is_a_sentence(read: Lake, day: Any) -> None:
    asked: list[Callable[[], Any]] = [
        lambda: read.as_of(BARS_TABLE, day),
        lambda: read.as_of(BARS_TABLE, DAYS[5], sessions=[day]),
        lambda: read.latest(TREND_TABLE, day),
        lambda: read.features(TREND_TABLE, day),
        lambda: read.scan(TREND_TABLE, [day]),
        lambda: read.provenance(TREND_TABLE, day),
        lambda: read.versions(TREND_TABLE, day),
    ]
    for ask in asked:
        with pytest.raises(CalendarError, match=r"expected a datetime\.date"):
            ask()


@pytest.mark.parametrize("days", ["2024-01-05", date(2024, 1, 5)])
def test_what_is_no_list_of_days_is_a_sentence(read: Lake, days: Any) -> None:
    with pytest.raises(CalendarError, match=r"a list of datetime\.date"):
        read.scan(TREND_TABLE, days)
    with pytest.raises(CalendarError, match=r"a list of datetime\.date"):
        read.as_of(TREND_TABLE, DAYS[5], sessions=days)


@pytest.mark.parametrize("lookback", [1.0, "1", True])
def test_a_look_back_that_is_no_whole_number_is_a_sentence(read: Lake, lookback: Any) -> None:
    with pytest.raises(LakeError, match="a whole number of sessions"):
        read.as_of(TREND_TABLE, DAYS[5], lookback=lookback)


def test_features_of_a_session_to_come_are_look_ahead(read: Lake) -> None:
    before = Lake.open(
        read.root, clock=lambda: CALENDAR.cutoff(DAYS[4]) - timedelta(microseconds=1)
    )
    for ask in (before.features, before.latest):
        with pytest.raises(LookAheadError, match="whose cutoff is"):
            ask(TREND_TABLE, DAYS[4])
    assert before.features(TREND_TABLE, DAYS[3]).collect()["session"].to_list() == [DAYS[3]]


def test_one_security_may_be_asked_for_by_its_name(read: Lake) -> None:
    assert read.features(TREND_TABLE, SESSIONS[9], "a").collect().height == 1
    assert read.features(TREND_TABLE, SESSIONS[9], "ab").collect().height == 0
    with pytest.raises(LakeError, match="one security id or a list"):
        read.features(TREND_TABLE, SESSIONS[9], 3)
    for wrong in (("a", SESSIONS[9]), (["a"], SESSIONS[9]), (SESSIONS[9], ["a"])):
        with pytest.raises(LakeError):
            read.features(*wrong)
