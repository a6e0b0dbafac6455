"""The evening on the schedule and the sensors that the graph has, in a market that trades."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster import DagsterRun, DagsterRunStatus

from quant_platform.calendars import SessionCalendar
from quant_platform.orchestration.graph import Overrides, sleeve_contexts
from quant_platform.orchestration.jobs import EVENING_TAG
from quant_platform.sources.protocol import Source
from quant_platform_tests.end_to_end.stories import story
from quant_platform_tests.orchestration.evenings import (
    CLOCK,
    COINS,
    FILLS,
    FIRST,
    FRIDAY,
    ORDERS,
    PORTFOLIO,
    READY,
    THURSDAY,
    TRADING,
    WEDNESDAY,
    Desk,
    Opened,
    evening_tag,
    night_after,
)
from quant_platform_tests.small_project import small_settings

SATURDAY, SUNDAY, MONDAY = date(2022, 1, 22), date(2022, 1, 23), date(2022, 1, 24)
HOLIDAY = date(2022, 1, 17)
ACCOUNT = [f"execution/{kind}" for kind in ("fills", "positions", "orders_plan")]


def asked(told: list[dg.RunRequest] | str) -> list[tuple[str, str]]:
    """Job and session of each request."""
    assert isinstance(told, list), told
    return [(str(request.job_name), str(request.partition_key)) for request in told]


def matched(desk: Desk, session: date) -> bool:
    rows = desk.rows("execution/reconciliation", session)
    return rows.height > 0 and bool(rows["matched"].all())


# -- the whole of it -------------------------------------------------------------------------------


def test_an_evening_begins_with_the_clock_and_the_others_wait(idle: Desk) -> None:
    request = idle.schedule()
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.tags[EVENING_TAG]) == (str(THURSDAY), str(THURSDAY))
    waiting = idle.tick("evening_chain")
    assert isinstance(waiting, str)
    assert f"{COINS} of {THURSDAY} waits for {CLOCK}" in waiting
    assert f"{PORTFOLIO} of {THURSDAY} waits for" in waiting
    assert idle.trade() == f"the gates of {THURSDAY} have not been judged"


def test_an_evening_ends_with_the_orders_and_the_next_one_books_them(
    opened: Opened, sleeves: Path
) -> None:
    desk = opened(sleeves)
    request = desk.asks("evening_chain", PORTFOLIO)
    assert request.partition_key == str(THURSDAY)
    result = desk.execute(request, "")
    assert result.success
    made = {event.asset_key for event in result.get_asset_materialization_events()}
    known = {stage.key for stage in desk.graph.jobs[PORTFOLIO]}
    assert made == known - {dg.AssetKey(ORDERS.split("/"))}
    assert THURSDAY not in desk.acted()

    for stage in desk.graph.stages:
        if stage.table != ORDERS:
            assert desk.project.lake.entries(stage.table)[THURSDAY].verdict != "blocked"
    launched = desk.trade()
    assert isinstance(launched, list)
    (request,) = launched
    assert request.run_key == f"execute:{THURSDAY}"
    assert request.asset_selection == [dg.AssetKey(ORDERS.split("/"))]
    orders = desk.rows(ORDERS, THURSDAY)
    assert orders.height > 0
    assert desk.trade() == f"the orders of {THURSDAY} are out"

    assert desk.evening(FRIDAY) == [CLOCK, COINS, PORTFOLIO]
    fills = desk.rows(FILLS, FRIDAY)
    assert fills.height > 0
    assert fills["decided_on"].unique().to_list() == [THURSDAY]
    assert set(fills["order_id"]) <= set(orders["order_id"])
    assert matched(desk, FRIDAY)
    assert isinstance(desk.trade(), list)
    # What the evenings made one by one is what a range would make: nothing of it is stale.
    assert desk.project.fill(FIRST, FRIDAY).chunks == []


@pytest.mark.slow
def test_evenings_one_by_one_give_what_a_backfill_gives(opened: Opened, thursday: Path) -> None:
    lived, filled = opened(thursday), opened(thursday)
    lived.trade()
    lived.evening(FRIDAY)
    lived.trade()
    filled.clock.now = night_after(FRIDAY)
    filled.project.fill(FIRST, FRIDAY, force=True)
    for stage in lived.graph.stages:
        one, other = (story(desk.project.lake, stage.table) for desk in (lived, filled))
        assert one == other, stage.table


# -- who waits for whom ----------------------------------------------------------------------------


def ended(desk: Desk, job: str, session: date, status: DagsterRunStatus) -> None:
    """Put a run of an evening that has ended into the history."""
    run = DagsterRun(job_name=job, status=status, tags=evening_tag(session))
    desk.project.instance.add_run(run)


@pytest.fixture
def idle(opened: Opened, tmp_path: Path) -> Desk:
    """Open a desk on a project that was never run."""
    (tmp_path / "nothing").mkdir()
    return opened(tmp_path / "nothing")


def test_after_a_failure_the_coins_go_on_and_the_portfolio_waits(idle: Desk) -> None:
    ended(idle, CLOCK, THURSDAY, DagsterRunStatus.FAILURE)
    assert asked(idle.tick("evening_chain")) == [(COINS, str(THURSDAY))]
    ended(idle, COINS, THURSDAY, DagsterRunStatus.SUCCESS)
    waiting = idle.tick("evening_chain")
    assert isinstance(waiting, str)
    assert f"{PORTFOLIO} of {THURSDAY} waits for {CLOCK} of {THURSDAY}" in waiting
    # Somebody runs it again in the UI: a re-execution keeps the tags.
    ended(idle, CLOCK, THURSDAY, DagsterRunStatus.SUCCESS)
    assert asked(idle.tick("evening_chain")) == [(PORTFOLIO, str(THURSDAY))]


@pytest.mark.parametrize("status", [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED])
def test_the_portfolio_waits_for_the_coins_too(idle: Desk, status: DagsterRunStatus) -> None:
    ended(idle, CLOCK, THURSDAY, DagsterRunStatus.SUCCESS)
    ended(idle, COINS, THURSDAY, status)
    waiting = idle.tick("evening_chain")
    assert isinstance(waiting, str)
    assert f"{PORTFOLIO} of {THURSDAY} waits for {COINS} of {THURSDAY}" in waiting


def test_runs_of_noon_and_of_other_evenings_start_nothing(idle: Desk) -> None:
    idle.project.instance.add_run(DagsterRun(job_name=CLOCK, status=DagsterRunStatus.SUCCESS))
    ended(idle, CLOCK, WEDNESDAY, DagsterRunStatus.SUCCESS)
    ended(idle, COINS, WEDNESDAY, DagsterRunStatus.SUCCESS)
    ended(idle, CLOCK, THURSDAY, DagsterRunStatus.STARTED)
    assert isinstance(idle.tick("evening_chain"), str)


@pytest.mark.parametrize("day", [SATURDAY, SUNDAY, HOLIDAY])
def test_the_coins_have_an_evening_of_their_own(idle: Desk, day: date) -> None:
    idle.clock.now = night_after(day)
    assert "no session ended" in str(idle.schedule())
    assert asked(idle.tick("evening_chain")) == [(COINS, str(day))]
    ended(idle, COINS, day, DagsterRunStatus.SUCCESS)
    told = idle.tick("evening_chain")
    assert isinstance(told, str)
    assert PORTFOLIO not in told


def test_the_portfolio_of_a_monday_waits_for_mondays_coins(idle: Desk) -> None:
    idle.clock.now = night_after(MONDAY)
    ended(idle, COINS, SUNDAY, DagsterRunStatus.SUCCESS)
    ended(idle, CLOCK, MONDAY, DagsterRunStatus.SUCCESS)
    assert asked(idle.tick("evening_chain")) == [(COINS, str(MONDAY))]


# -- who may trade ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Garbled:
    """A source of which one session arrives impossible: every high below its low."""

    honest: Source
    session: date

    @property
    def name(self) -> str:
        return "garbled"

    @property
    def kinds(self) -> frozenset[str]:
        return self.honest.kinds & {"bars", "securities", "actions"}

    def bars(self, calendar: SessionCalendar, sleeve: str, asked: Sequence[date]) -> pl.DataFrame:
        rows = self.honest.bars(calendar, sleeve, asked)
        wrong = pl.col("session") == self.session
        return rows.with_columns(high=pl.when(wrong).then(pl.col("low") / 2).otherwise("high"))

    def securities(
        self, calendar: SessionCalendar, sleeve: str, asked: Sequence[date]
    ) -> pl.DataFrame:
        return self.honest.securities(calendar, sleeve, asked)

    def actions(
        self, calendar: SessionCalendar, sleeve: str, asked: Sequence[date]
    ) -> pl.DataFrame:
        return self.honest.actions(calendar, sleeve, asked)


def honest_source(sleeve: str) -> Source:
    settings = small_settings(Path(), **{n: v for n, v in TRADING.items() if n != "tables"})
    contexts = sleeve_contexts(settings, Overrides(clock=lambda: night_after(THURSDAY)))
    return next(context.source for context in contexts if context.sleeve.name == sleeve)


def test_a_failed_check_stops_the_evening_and_says_which(opened: Opened, sleeves: Path) -> None:
    garbled = Garbled(honest_source("instruments"), THURSDAY)
    desk = opened(sleeves, sources={"instruments": garbled})
    again = [desk.project.stage(f"instruments/{kind}").key for kind in ("bars", "returns")]
    assert desk.run(CLOCK, THURSDAY, evening_tag(THURSDAY), again).success
    request = desk.asks("evening_chain", PORTFOLIO)
    assert desk.execute(request, "").success
    assert desk.project.lake.entries("instruments/bars")[THURSDAY].verdict == "blocked"
    told = desk.trade()
    assert isinstance(told, str)
    assert told.startswith(f"the evening of {THURSDAY} is blocked: ")
    assert f"of {THURSDAY} is blocked" in told.partition("blocked: ")[2]
    assert THURSDAY not in desk.acted()


def test_a_closed_gate_is_named(opened: Opened, thursday: Path) -> None:
    desk = opened(thursday, execution__gates__kill_switch=THURSDAY)
    made = [stage.key for stage in desk.graph.jobs[PORTFOLIO] if stage.table != ORDERS]
    assert desk.run(PORTFOLIO, THURSDAY, evening_tag(THURSDAY), made).success
    assert desk.trade() == f"the kill switch is on since {THURSDAY}"
    (gates,) = desk.rows("execution/execution_ready", THURSDAY)["reasons"].to_list()
    assert gates == ["KILL_SWITCH"]
    # Who asks for the orders by hand gets none through a closed gate either.
    assert desk.run(PORTFOLIO, THURSDAY, None, [dg.AssetKey(ORDERS.split("/"))]).success
    assert not desk.rows(ORDERS, THURSDAY).filter(status="accepted").height


def test_a_range_between_two_ticks_hides_no_evening(opened: Opened, thursday: Path) -> None:
    desk = opened(thursday)
    desk.project.make(["execution/execution_ready"], date(2022, 1, 14), THURSDAY)
    desk.project.fill(FIRST, WEDNESDAY, jobs=[PORTFOLIO], force=True)
    assert isinstance(desk.trade(), list)
    assert THURSDAY in desk.acted()


def test_gates_that_changed_after_the_evening_are_not_the_evenings(
    opened: Opened, thursday: Path
) -> None:
    desk = opened(thursday, execution__risk__ceiling=0.2)
    desk.project.fill(FIRST, WEDNESDAY, jobs=[PORTFOLIO])
    made = [stage.key for stage in desk.graph.jobs[PORTFOLIO] if stage.table != ORDERS]
    assert desk.run(PORTFOLIO, THURSDAY, None, made).success
    assert desk.trade() == f"the gates of {THURSDAY} were not judged by the evening's own run"


def test_a_run_at_noon_sends_no_orders(opened: Opened, sleeves: Path) -> None:
    desk = opened(sleeves)
    made = [stage.key for stage in desk.graph.jobs[PORTFOLIO] if stage.table != ORDERS]
    assert desk.run(PORTFOLIO, THURSDAY, None, made).success
    assert desk.rows(READY, THURSDAY)["ready"].to_list() == [True]
    assert desk.trade() == f"the gates of {THURSDAY} were not judged by the evening's own run"
    assert THURSDAY not in desk.acted()


def test_after_the_margin_it_is_too_late(opened: Opened, thursday: Path) -> None:
    desk = opened(thursday)
    desk.clock.now = datetime(2022, 1, 21, 13, 30, tzinfo=UTC)
    told = desk.trade()
    assert told == f"the orders of {THURSDAY} had to be out by 2022-01-21 13:30 UTC"
    desk.clock.now -= timedelta(seconds=1)
    assert isinstance(desk.trade(), list)


# -- a missed night --------------------------------------------------------------------------------


def test_a_missed_night_stays_missed(opened: Opened, missed: Path) -> None:
    desk = opened(missed, FRIDAY)
    assert desk.rows("execution/orders_plan", THURSDAY).height > 0
    assert desk.rows(FILLS, FRIDAY).is_empty()
    assert matched(desk, FRIDAY)
    assert desk.rows("execution/orders_plan", FRIDAY).height > 0
    assert isinstance(desk.trade(), list)
    before = {table: desk.project.hashes(table) for table in ACCOUNT}

    assert desk.project.fill(FIRST, FRIDAY).chunks == []
    assert THURSDAY not in desk.acted()
    assert {table: desk.project.hashes(table) for table in ACCOUNT} == before


def test_a_missed_night_stays_missed_when_its_history_is_made_again(
    opened: Opened, missed: Path
) -> None:
    desk = opened(missed, FRIDAY)
    desk.trade()
    before = {table: desk.project.hashes(table) for table in ACCOUNT}
    lost = 0
    for table in ACCOUNT:
        for session in (WEDNESDAY, THURSDAY, FRIDAY):
            if desk.project.lake.provenance(table, session).filed:
                desk.project.lake.layout(table).part(session).unlink()
                lost += 1
    assert lost > len(ACCOUNT)
    assert desk.project.fill(FIRST, FRIDAY, jobs=[PORTFOLIO]).chunks != []
    assert THURSDAY not in desk.acted()
    assert {table: desk.project.hashes(table) for table in ACCOUNT} == before
    assert desk.project.fill(FIRST, FRIDAY).chunks == []


def test_force_makes_a_missed_night_up(opened: Opened, missed: Path) -> None:
    desk = opened(missed, FRIDAY)
    desk.project.fill(WEDNESDAY, FRIDAY, jobs=[PORTFOLIO], force=True)
    assert {THURSDAY, FRIDAY} <= set(desk.acted())
    assert desk.rows(FILLS, FRIDAY)["decided_on"].unique().to_list() == [THURSDAY]
    assert desk.project.fill(FIRST, FRIDAY).chunks == []


def test_a_backfill_that_stopped_before_the_orders_makes_them_on_the_next(
    opened: Opened, wednesday: Path
) -> None:
    """The twin: the orders of one run's sessions are absent, and no night was missed."""
    desk = opened(wednesday)
    honest = desk.project.hashes(ORDERS)
    layout = desk.project.lake.layout(ORDERS)
    layout.log.unlink()
    for session in honest:
        layout.part(session).unlink()
    desk.project.fill(FIRST, WEDNESDAY)
    assert desk.project.hashes(ORDERS) == honest


# -- the alarm -------------------------------------------------------------------------------------


def test_a_failed_run_is_one_line_in_the_log(
    opened: Opened, wednesday: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = opened(wednesday)
    result = desk.run(PORTFOLIO, FRIDAY, evening_tag(FRIDAY))
    assert not result.success
    run = desk.project.instance.get_run_by_id(result.run_id)
    assert run is not None
    (failure,) = (event for event in result.all_events if event.is_job_failure)
    sensor: Any = desk.definitions.resolve_sensor_def("failure_alarm")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_instance=desk.project.instance,
        dagster_run=run,
        dagster_event=failure,
    ).for_run_failure()
    with caplog.at_level(logging.INFO, "quant_platform.alarm"):
        sensor(context)
    (line,) = (entry for entry in caplog.records if entry.name == "quant_platform.alarm")
    assert line.levelno == logging.ERROR
    for told in (PORTFOLIO, result.run_id, str(FRIDAY), "cannot be made"):
        assert told in line.getMessage()
    assert "\n" not in line.getMessage()
