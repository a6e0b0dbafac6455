"""Jobs and the evening's clock: which session a tick asks for, and when it asks for none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from quant_platform.calendars import build_calendar
from quant_platform.orchestration.graph import Graph, build_graph
from quant_platform.orchestration.jobs import EVENING_TAG, SCHEDULE_DELAY, evening_schedule
from quant_platform.settings import load_settings
from quant_platform_tests.small_project import REPOSITORY

CALENDAR = build_calendar(
    "XNYS",
    horizon=date(2024, 12, 31),
    grace=timedelta(minutes=90),
    extra_holidays=(date(2024, 3, 6),),
)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_graph(load_settings(REPOSITORY, environ={}))


@pytest.fixture(scope="module")
def definitions(graph: Graph) -> dg.Definitions:
    return graph.definitions()


@pytest.fixture
def evening() -> dg.ScheduleDefinition:
    job = dg.define_asset_job("us_daily", "*")
    return evening_schedule(job, CALENDAR)


def tick(evening: dg.ScheduleDefinition, moment: datetime) -> dg.RunRequest | None:
    """Evaluate the schedule as if its clock struck at a moment."""
    context = dg.build_schedule_context(scheduled_execution_time=moment)
    answered = evening(context)
    if isinstance(answered, dg.SkipReason):
        assert "no session ended" in (answered.skip_message or "")
        return None
    assert isinstance(answered, dg.RunRequest)
    return answered


def strikes(first: date, last: date) -> Iterator[datetime]:
    """Moments at which the schedule's clock strikes: 01:35 UTC every day."""
    day = first
    while day <= last:
        yield datetime(day.year, day.month, day.day, 1, 35, tzinfo=UTC)
        day += timedelta(days=1)


def test_each_session_is_asked_for_once_on_the_night_after_it(
    evening: dg.ScheduleDefinition,
) -> None:
    """A year with weekends, holidays, half days, a leap day and an unscheduled closure."""
    asked = {}
    for moment in strikes(date(2024, 1, 1), date(2024, 12, 30)):
        request = tick(evening, moment)
        if request is not None:
            assert request.partition_key not in asked
            asked[request.partition_key] = moment
            assert request.run_key == request.partition_key
            assert request.tags[EVENING_TAG] == request.partition_key
    assert list(asked) == [
        day.isoformat() for day in CALENDAR.between(date(2024, 1, 2), date(2024, 12, 29))
    ]
    for key, moment in asked.items():
        waited = moment - CALENDAR.cutoff(date.fromisoformat(str(key)))
        assert waited == SCHEDULE_DELAY


@pytest.mark.parametrize(
    "night",
    [date(2024, 3, 10), date(2024, 3, 11), date(2024, 3, 7), date(2024, 1, 2)],
    ids=["Sunday", "Monday", "after an unscheduled closure", "after New Year"],
)
def test_a_night_after_no_session_is_skipped(evening: dg.ScheduleDefinition, night: date) -> None:
    (moment,) = strikes(night, night)
    assert tick(evening, moment) is None
    assert tick(evening, moment + timedelta(days=1)) is not None or night.weekday() == 6


def test_the_clock_strikes_after_the_grace(evening: dg.ScheduleDefinition) -> None:
    assert evening.cron_schedule == "35 1 * * *"
    assert evening.execution_timezone == "UTC"
    slow = build_calendar("XNYS", horizon=date(2024, 12, 31), grace=timedelta(hours=9))
    job = dg.define_asset_job("us_daily", "*")
    assert evening_schedule(job, slow).cron_schedule == "5 9 * * *"


def test_each_calendar_has_a_job_with_all_of_its_tables(
    graph: Graph, definitions: dg.Definitions
) -> None:
    assert set(graph.jobs) == {"us_daily", "crypto_daily", "portfolio_daily"}
    for name, stages in graph.jobs.items():
        job = definitions.resolve_job_def(name)
        assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {
            stage.table for stage in stages
        }
        assert job.partitions_def == stages[0].partitions
        assert {stage.calendar.code for stage in stages} == {stages[0].calendar.code}
        assert job.executor_def is dg.in_process_executor


def test_only_the_clock_calendar_has_a_clock(definitions: dg.Definitions) -> None:
    (schedule,) = definitions.schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.job_name == "us_daily"


def test_what_a_tick_asks_for_is_a_partition_of_its_job(
    graph: Graph, definitions: dg.Definitions
) -> None:
    schedule = definitions.resolve_schedule_def("us_daily_evening")
    moment = datetime(2024, 3, 9, 1, 35, tzinfo=UTC)
    request = tick(schedule, moment)
    assert request is not None
    assert request.partition_key == "2024-03-08"
    partitions = graph.jobs["us_daily"][0].partitions
    assert request.partition_key in partitions.get_partition_keys(current_time=moment)
