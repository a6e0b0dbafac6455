"""What a range writes into the ledgers: slippage of its fills, and its evenings' decisions."""

from __future__ import annotations

from datetime import UTC, date, datetime
from statistics import fmean
from typing import Any

import polars as pl
import pytest

from quant_platform.calendars import SessionCalendar
from quant_platform.execution.decisions import evening_decisions
from quant_platform.execution.slippage import slippage_events
from quant_platform.lakehouse.ledgers import LedgerRecord
from quant_platform.lakehouse.ledgers.records import checked
from quant_platform.settings.execution import ExecutionSettings
from quant_platform_tests.execution.world import (
    CALENDARS,
    HISTORY,
    NYSE,
    SESSIONS,
    UTC_DAYS,
    Tables,
    World,
    hand,
    quiet_world,
    random_world,
    run,
    settings,
    span,
    steady,
    volume_on,
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
) -> Payloads:
    """Events of a range, from frames that are bounded to its windows."""
    wanted = span(sessions)
    frames = hand(inputs, settings(), wanted, tables)
    return slippage_events(frames, tables["fills"], settings(), wanted, CALENDARS)


def traded() -> tuple[Tables, list[dict[str, Any]]]:
    world = trading_world()
    tables = run(world, settings(min_trade=0.001))
    return tables, [event for _, event in events_of(world.frames(), tables)]


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


def shared_volume(calendar: SessionCalendar, decided: date, sessions: int = 20) -> float:
    """Mean volume of the sessions up to a decision, from the definition."""
    days = calendar.between(HISTORY, decided)[-sessions:]
    return fmean(volume_on(day) for day in days)


def test_liquidity_is_that_of_the_sessions_up_to_the_decision() -> None:
    _, events = traded()
    by_side = {(event["symbol"], event["side"]): event for event in events}
    stock = by_side["X:STOCK", "buy"]
    assert stock["adv_shares_20d"] == pytest.approx(shared_volume(NYSE, SESSIONS[0]))
    assert stock["participation"] == pytest.approx(stock["quantity"] / stock["adv_shares_20d"])
    assert stock["liquidity_bucket"] == "small"
    coin = by_side["X:COIN", "buy"]
    # A coin's sessions are days; 3000 of them at 1000 each are the money of 75 000 shares.
    assert coin["adv_shares_20d"] == pytest.approx(shared_volume(UTC_DAYS, SESSIONS[0]))
    assert coin["liquidity_bucket"] == "small"
    sold = by_side["X:STOCK", "sell"]
    assert sold["adv_shares_20d"] == pytest.approx(shared_volume(NYSE, SESSIONS[5]))


def test_volumes_that_were_not_known_in_time_do_not_count() -> None:
    inputs, tables = trading_world().frames(), traded()[0]
    late = pl.when(pl.col("session") == SESSIONS[0]).then(SESSIONS[1])
    inputs["bars_instruments"] = inputs["bars_instruments"].with_columns(
        knowledge_session=late.otherwise("knowledge_session")
    )
    fixed = inputs["bars_instruments"].filter(session=SESSIONS[0])
    corrected = fixed.with_columns(volume=pl.lit(1e9), knowledge_session=SESSIONS[4])
    inputs["bars_instruments"] = pl.concat([inputs["bars_instruments"], corrected])
    events = [event for _, event in events_of(inputs, tables)]
    bought, sold = (
        next(e for e in events if (e["symbol"], e["side"]) == ("X:STOCK", side))
        for side in ("buy", "sell")
    )
    days = NYSE.between(HISTORY, SESSIONS[0])[:-1]
    assert bought["adv_shares_20d"] == pytest.approx(fmean(map(volume_on, days)))
    assert sold["adv_shares_20d"] > 1e7
    assert sold["liquidity_bucket"] == "mega"


def test_too_few_volumes_leave_liquidity_unknown() -> None:
    inputs, tables = trading_world().frames(), traded()[0]
    few = pl.col("session") > NYSE.offset(SESSIONS[0], -14)
    inputs["bars_instruments"] = inputs["bars_instruments"].filter(few)
    events = [event for _, event in events_of(inputs, tables)]
    (bought,) = [e for e in events if (e["symbol"], e["side"]) == ("X:STOCK", "buy")]
    assert (bought["adv_shares_20d"], bought["participation"]) == (None, None)
    assert bought["liquidity_bucket"] == "unknown"
    (sold,) = [e for e in events if (e["symbol"], e["side"]) == ("X:STOCK", "sell")]
    assert sold["adv_shares_20d"] is not None


@pytest.mark.parametrize("at", [-6, 0, 1])
def test_a_split_restates_the_volumes_before_it(at: int) -> None:
    """Of the day of the fill, too: then the order is restated with them."""
    plain, split_on = quiet_world(stock=0.3), NYSE.offset(SESSIONS[0], at)
    world = quiet_world()
    world.returns["instruments"] = []
    prices = {day: (100.0, 100.0) if day < split_on else (25.0, 25.0) for day in steady(NYSE)}
    world.add("instruments", "stock", prices, splits={split_on: 4.0})
    world.targets = plain.targets
    told = []
    for each in (plain, world):
        inputs = each.frames()
        if each is world:
            restated = pl.when(pl.col("session") >= split_on).then(pl.col("volume") * 4)
            inputs["bars_instruments"] = inputs["bars_instruments"].with_columns(
                volume=restated.otherwise("volume")
            )
        told.append(events_of(inputs, run(inputs, settings()))[0][1])
    assert told[1]["adv_shares_20d"] == pytest.approx(4 * told[0]["adv_shares_20d"])
    assert told[1]["participation"] == pytest.approx(told[0]["participation"])


def test_events_of_a_range_are_those_of_its_days() -> None:
    world = random_world(2)
    inputs, tables = world.frames(), run(world, settings())
    assert tables["fills"].height
    days = [event for day in SESSIONS for event in events_of(inputs, tables, [day])]
    assert days == events_of(inputs, tables)
    assert any(event["adv_shares_20d"] for _, event in days)


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
