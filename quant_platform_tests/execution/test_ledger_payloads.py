"""What a range writes into the ledgers: slippage of its fills, and its evenings' decisions."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from quant_platform.execution.decisions import evening_decisions
from quant_platform.execution.slippage import slippage_events
from quant_platform.lakehouse.ledgers import LedgerRecord
from quant_platform.lakehouse.ledgers.records import checked
from quant_platform.settings.execution import ExecutionSettings
from quant_platform_tests.execution.world import (
    CALENDARS,
    SESSIONS,
    Tables,
    World,
    hand,
    quiet_world,
    random_world,
    run,
    settings,
    span,
)

FRIDAY, MONDAY = date(2024, 6, 28), date(2024, 7, 1)
Payloads = list[tuple[date, dict[str, Any]]]


def trading_world() -> World:
    world = quiet_world(stock=0.3, fund=0.3, coin=0.3)
    world.targets |= {day: {"fund": 0.1} for day in SESSIONS[5:]}
    return world


def events_of(
    inputs: dict[str, pl.DataFrame],
    tables: Tables,
    sessions: list[date] = SESSIONS,
    **changes: Any,
) -> Payloads:
    """Events of a range, from frames that are bounded to its windows."""
    wanted = span(sessions)
    frames = hand(inputs, settings(), wanted, tables)
    return slippage_events(frames, tables["fills"], settings(), wanted, CALENDARS, **changes)


def traded(**changes: Any) -> tuple[Tables, list[dict[str, Any]]]:
    world = trading_world()
    tables = run(world, settings(min_trade=0.001))
    return tables, [event for _, event in events_of(world.frames(), tables, **changes)]


def decisions_of(tables: Tables, sessions: list[date] = SESSIONS) -> Payloads:
    frames = {name: tables[name].lazy() for name in ("risk_controls", "orders_plan")}
    return evening_decisions(frames, tables["execution_ready"], span(sessions))


def first_decision(world: World, conf: ExecutionSettings) -> dict[str, Any]:
    session, payload = decisions_of(run(world, conf))[0]
    assert session == SESSIONS[0]
    return payload


def test_the_signed_cost_is_positive_for_buys_and_for_sells() -> None:
    tables, events = traded()
    assert len(events) == tables["fills"].height == 6
    expected = {"stock": 5.0, "fund": 5.0, "coin": 10.0}
    for event, fill in zip(events, tables["fills"].to_dicts(), strict=True):
        cost = expected[fill["security_id"]]
        assert event["slippage_bps_signed_cost"] == pytest.approx(cost)
        plain = cost if fill["side"] == "buy" else -cost
        assert event["slippage_bps"] == pytest.approx(plain)
        assert event["fill_id"] == fill["fill_id"]
    assert {event["side"] for event in events} == {"buy", "sell"}


def test_time_and_strategy() -> None:
    _, events = traded()
    by_name = {event["symbol"]: event for event in events if event["side"] == "buy"}
    stock, coin = by_name["X:STOCK"], by_name["X:COIN"]
    assert stock["fill_ts_utc"] == datetime(2024, 6, 25, 13, 30, tzinfo=UTC)
    assert stock["date_ny"] == date(2024, 6, 25)
    assert stock["time_of_day_bucket"] == "09:30-10:00"
    assert coin["time_of_day_bucket"] == "24x7"
    assert stock["strategy_id"] == "meta/equal_weight/instruments"
    left = [event for event in events if event["symbol"] == "X:COIN" and event["side"] == "sell"]
    # The target that it left has no row any more: its sleeve is what is known of it.
    assert left[0]["strategy_id"] == "meta/equal_weight/crypto"
    assert left[0]["contributors"] == {}


def test_no_fill_is_earlier_than_the_cutoff_that_decided_it() -> None:
    """A coin's day opens before the cutoff of the evening; its fill is dated to the cutoff."""
    world = quiet_world()
    world.targets |= {day: {"coin": 0.3} for day in SESSIONS if day >= FRIDAY}
    tables = run(world, settings(min_trade=0.001))
    ((session, event),) = events_of(world.frames(), tables)
    assert session == MONDAY
    assert event["filled_on"] == date(2024, 6, 29)
    assert event["fill_ts_utc"] == datetime(2024, 6, 29, 1, 30, tzinfo=UTC)
    assert event["date_ny"] == FRIDAY


def test_a_netted_order_names_its_contributors_by_their_part() -> None:
    both = [
        {"sleeve": "etfs", "meta_weight": 0.5, "sleeve_weight": 0.2},
        {"sleeve": "instruments", "meta_weight": 0.5, "sleeve_weight": 0.6},
    ]
    inputs = quiet_world(stock=0.3).frames()
    targets = inputs["target_portfolio"]
    shared = pl.Series("contributors", [both] * targets.height, targets.schema["contributors"])
    inputs["target_portfolio"] = targets.with_columns(shared)
    ((_, event),) = events_of(inputs, run(inputs, settings()))
    assert event["strategy_id"] == "meta/equal_weight/net"
    assert event["contributors"] == pytest.approx({"etfs": 0.25, "instruments": 0.75})


def test_without_volumes_liquidity_is_unknown_and_with_them_it_is_told() -> None:
    _, events = traded()
    assert {event["liquidity_bucket"] for event in events} == {"unknown"}
    assert {event["participation"] for event in events} == {None}
    first = SESSIONS[0]
    _, events = traded(volumes={(first, "stock"): 3000.0, (first, "fund"): 2e6})
    by_name = {event["symbol"]: event for event in events if event["side"] == "buy"}
    assert by_name["X:STOCK"]["liquidity_bucket"] == "thin"
    assert by_name["X:STOCK"]["participation"] == pytest.approx(0.1)
    assert by_name["X:FUND"]["liquidity_bucket"] == "liquid"
    assert by_name["X:COIN"]["adv_shares_20d"] is None
    # Those of another evening are not its own.
    sells = [event for event in events if event["side"] == "sell"]
    assert {event["adv_shares_20d"] for event in sells} == {None}


def test_a_fill_of_an_unknown_sleeve_is_told_as_such() -> None:
    tables, _ = traded()
    events = events_of(World().frames(), tables)
    assert {event["fill_ts_utc"] for _, event in events} == {None}
    assert {event["time_of_day_bucket"] for _, event in events} == {"unknown"}


def test_an_evening_says_what_it_decided() -> None:
    world = quiet_world(stock=0.3, coin=0.3)
    told = first_decision(
        world, settings(risk={"name_cap": 0.25}, gates={"kill_switch": SESSIONS[0]})
    )
    assert told["ready"] is False
    assert told["reasons"] == ["KILL_SWITCH"]
    assert told["blocked"] == {"coin": "NAME_CAP", "stock": "NAME_CAP"}
    assert (told["buys"], told["orders"], told["exposure"]) == (0.0, 0, 1.0)
    more = first_decision(world, settings())
    assert more["ready"] is True
    assert (more["buys"], more["sells"], more["blocked"]) == (60_000.0, 0.0, {})
    assert more["risk_controls"] != told["risk_controls"]


def test_sessions_before_the_account_have_no_decision() -> None:
    tables = run(quiet_world(stock=0.3), settings(opened=SESSIONS[4]))
    assert [session for session, _ in decisions_of(tables)] == SESSIONS[4:]


def test_a_range_says_what_its_days_say() -> None:
    inputs = random_world(3).frames()
    tables = run(inputs, settings())
    events, decisions = events_of(inputs, tables), decisions_of(tables)
    assert len(events) == tables["fills"].height > 5
    assert [session for session, _ in decisions] == SESSIONS
    assert events == [pair for day in SESSIONS for pair in events_of(inputs, tables, [day])]
    assert decisions == [pair for day in SESSIONS for pair in decisions_of(tables, [day])]


def test_the_ledger_takes_the_payloads() -> None:
    tables, events = traded()
    decisions = [payload for _, payload in decisions_of(tables)]
    assert decisions
    for payload in (*decisions, *events):
        record = LedgerRecord("success", SESSIONS[0], "execution", payload, "run")
        assert checked(record).payload
