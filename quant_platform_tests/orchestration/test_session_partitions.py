"""``SessionPartitions`` answers as the stock class does, whatever it is asked."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.partitions.partition_key_range import PartitionKeyRange
from dagster._serdes import serialize_value
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.calendars import SessionCalendar, build_calendar
from quant_platform.orchestration.partitions import daily_partitions, lookback_mapping
from quant_platform.orchestration.session_partitions import SessionPartitions

START, HORIZON = date(2022, 1, 3), date(2024, 6, 28)
NOW = datetime(2024, 3, 5, 12, tzinfo=UTC)
CALENDARS = [
    build_calendar(code, horizon=HORIZON, grace=timedelta(minutes=90)) for code in ("XNYS", "24/7")
]


def stock(fast: dg.DailyPartitionsDefinition) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(
        start_date=fast.start,
        end_date=fast.end,
        timezone="UTC",
        end_offset=0,
        exclusions=fast.exclusions,
    )


def written(subset: Any) -> str:
    """Write a subset down as Dagster does for its database."""
    return serialize_value(subset.to_serializable_subset())


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda calendar: calendar.code)
def test_keys_and_identity_are_those_of_the_stock_class(calendar: SessionCalendar) -> None:
    fast = daily_partitions(calendar, START)
    slow = stock(fast)
    assert type(fast) is SessionPartitions
    assert fast == slow
    with partition_loading_context(NOW, None):
        assert fast.get_partition_keys() == slow.get_partition_keys()
        assert fast.get_last_partition_key() == slow.get_last_partition_key()
        assert fast.get_serializable_unique_identifier() == (
            slow.get_serializable_unique_identifier()
        )


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda calendar: calendar.code)
@settings(max_examples=40)
@given(hours=st.integers(-24 * 900, 24 * 1000), count=st.integers(1, 8), closures=st.booleans())
def test_windows_from_any_moment(
    calendar: SessionCalendar, hours: int, count: int, closures: bool
) -> None:
    fast = daily_partitions(calendar, START)
    slow = stock(fast)
    moment = fast.start_timestamp + hours * 3600.0
    for name in ("_iterate_time_windows", "_reverse_iterate_time_windows"):
        found = list(islice(getattr(fast, name)(moment, closures), count))
        assert found == list(islice(getattr(slow, name)(moment, closures), count))


@pytest.mark.parametrize("lookback", [1, 21, 252, 314])
@pytest.mark.parametrize("first", [START, date(2022, 2, 1), date(2023, 7, 3)])
def test_a_mapping_gives_the_same_upstream(lookback: int, first: date) -> None:
    fast = daily_partitions(CALENDARS[0], START)
    slow = stock(fast)
    wanted = PartitionKeyRange(str(first), "2023-08-01")
    mapping = lookback_mapping(lookback)
    with partition_loading_context(NOW, None):
        found, expected = (
            mapping.get_upstream_mapped_partitions_result_for_partitions(
                own.empty_subset().with_partition_key_range(own, wanted), own, own, NOW
            )
            for own in (fast, slow)
        )
        assert list(found.partitions_subset.get_partition_keys()) == list(
            expected.partitions_subset.get_partition_keys()
        )


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda calendar: calendar.code)
@settings(max_examples=40)
@given(first=st.integers(0, 500), length=st.integers(1, 300))
def test_the_subset_of_a_range_is_that_of_its_keys(
    calendar: SessionCalendar, first: int, length: int
) -> None:
    fast = daily_partitions(calendar, START)
    with partition_loading_context(NOW, None):
        keys = fast.get_partition_keys()[first : first + length]
        wanted = PartitionKeyRange(keys[0], keys[-1])
        found, expected = (
            own.empty_subset().with_partition_key_range(own, wanted) for own in (fast, stock(fast))
        )
        assert written(found) == written(expected)
        assert list(found.get_partition_keys()) == list(keys)
        assert written(fast.empty_subset()) == written(stock(fast).empty_subset())


def test_what_has_not_ended_is_left_out_as_ever() -> None:
    fast = daily_partitions(CALENDARS[0], START)
    with partition_loading_context(NOW, None):
        for wanted in (
            PartitionKeyRange("2024-03-01", "2024-03-08"),
            PartitionKeyRange("2022-01-03", "2024-05-01"),
        ):
            found, expected = (
                list(own.empty_subset().with_partition_key_range(own, wanted).get_partition_keys())
                for own in (fast, stock(fast))
            )
            assert found == expected
