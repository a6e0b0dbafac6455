"""The chain of an evening: ranges against single days, what it may know, weekends and holidays."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from quant_platform.errors import ContractError, MissingUpstreamError
from quant_platform.execution.simulation import trade_sessions, trade_windows
from quant_platform.execution.tables import KINDS
from quant_platform_tests.execution.world import (
    CALENDARS,
    HISTORY,
    NYSE,
    SESSIONS,
    UTC_DAYS,
    World,
    hand,
    held,
    quiet_world,
    random_world,
    run,
    run_in_parts,
    settings,
    span,
    steady,
)

FRIDAY, MONDAY = date(2024, 6, 28), date(2024, 7, 1)
HALF_DAY, HOLIDAY, AFTER = date(2024, 7, 3), date(2024, 7, 4), date(2024, 7, 5)


def fills_on(tables: dict[str, pl.DataFrame], session: date) -> dict[str, date]:
    rows = tables["fills"].filter(session=session)
    return dict(rows.select("security_id", "filled_on").iter_rows())


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 4, 7]))
@hypothesis_settings(max_examples=4)
def test_a_range_has_the_bytes_of_its_parts(seed: int, length: int) -> None:
    world = random_world(seed).frames()
    whole, parts = run(world, settings()), run_in_parts(world, settings(), length)
    assert whole.keys() == parts.keys()
    for kind, table in whole.items():
        assert parts[kind].equals(table), kind
    assert whole["positions"].height > len(SESSIONS)


@given(st.integers(0, 10_000), st.integers(1, len(SESSIONS) - 2))
@hypothesis_settings(max_examples=8)
def test_what_is_known_later_changes_nothing(seed: int, last: int) -> None:
    """Later rows are corrupted, and a name is listed, in the frames of the range itself."""
    world = random_world(seed)
    session = SESSIONS[last]
    before = run(world, settings())
    for sleeve in CALENDARS:
        for row in world.returns[sleeve]:
            if row["session"] > session:
                row["mark"] *= 3
                row["execution_price"] = 7.0
                row["delisted"], row["settlement"] = False, None
                row["split"], row["cash"] = 2.0, 0.0
    for day in SESSIONS[last + 1 :]:
        world.targets[day] = {"instruments1": 0.5, "new": 0.5}
        world.throttle[day] = 1.0
    new = dict.fromkeys(NYSE.between(SESSIONS[last + 1], SESSIONS[-1]), (5.0, 5.0))
    world.add("instruments", "new", new)
    after = run(world, settings())
    for kind, table in before.items():
        kept = pl.col("session") <= session
        assert after[kind].filter(kept).equals(table.filter(kept)), kind
    # And the later evenings did see what was changed.
    assert "new" in after["risk_controls"]["security_id"]


def test_a_rerun_reads_no_rows_of_its_own_range() -> None:
    """Orders, account and book of the range are about to be replaced: stale ones must not count."""
    world = random_world(5).frames()
    made = run(world, settings())
    wanted = span(SESSIONS[6:10])
    frames = hand(world, settings(), wanted, made)
    for name in ("orders", "broker_state", "positions"):
        stale = made[name].with_columns(quantity=pl.col("quantity") * 7)
        inside = stale.filter(pl.col("session").is_in(wanted.sessions))
        frames[name] = pl.concat([frames[name].collect(), inside]).lazy()
    again = trade_sessions(frames, settings(), wanted, CALENDARS)
    for kind in KINDS:
        assert again[kind].equals(made[kind].filter(pl.col("session").is_in(wanted.sessions))), kind


def test_the_evening_decides_and_the_next_session_fills() -> None:
    tables = run(quiet_world(stock=0.3, fund=0.3, coin=0.3), settings())
    assert held(tables, SESSIONS[0]) == {"cash": 100_000.0}
    assert tables["fills"].filter(session=SESSIONS[0]).is_empty()
    second = held(tables, SESSIONS[1])
    assert second["stock"] == 300
    assert second["fund"] == 600
    assert second["coin"] == pytest.approx(30)
    # The costs of the first day leave each weight at 0.3 of a little more than equity: no trades.
    assert set(fills_on(tables, SESSIONS[1])) == {"stock", "fund", "coin"}
    decided = tables["fills"]["decided_on"]
    assert (decided < tables["fills"]["filled_on"]).all()
    costs = 30_000 * (6 + 6 + 14) * 1e-4
    equity = tables["positions"].filter(session=SESSIONS[1])["equity"][0]
    assert equity == pytest.approx(100_000 - costs, abs=0.05)


def test_a_coin_decided_on_friday_fills_on_saturday_and_is_marked_on_monday() -> None:
    world = quiet_world()
    prices = steady(UTC_DAYS, 1000.0)
    prices |= {date(2024, 6, 29): (1100.0, 1150.0), date(2024, 6, 30): (1200.0, 1250.0)}
    prices |= {MONDAY: (1300.0, 1350.0)}
    world.returns["crypto"] = []
    world.add("crypto", "coin", prices)
    world.targets[FRIDAY] = world.targets[MONDAY] = {"coin": 0.5, "stock": 0.2}
    tables = run(world, settings())
    assert fills_on(tables, MONDAY) == {"coin": date(2024, 6, 29), "stock": MONDAY}
    coin = tables["fills"].filter(session=MONDAY, security_id="coin").row(0, named=True)
    assert (coin["ideal_price"], coin["expected_price"]) == (1100.0, 1000.0)
    row = tables["positions"].filter(session=MONDAY, item="coin").row(0, named=True)
    assert row["mark"] == 1350.0
    assert row["earned"] == pytest.approx(row["quantity"] * 250.0)


def test_orders_of_the_half_day_fill_after_the_holiday_and_coins_on_it() -> None:
    world = quiet_world()
    world.targets[HALF_DAY] = world.targets[AFTER] = {"coin": 0.2, "stock": 0.2}
    assert NYSE.close(HALF_DAY).hour == 17  # 13:00 in New York
    assert HOLIDAY not in SESSIONS
    tables = run(world, settings())
    assert fills_on(tables, AFTER) == {"coin": HOLIDAY, "stock": AFTER}
    assert fills_on(tables, HALF_DAY) == {}


def test_a_split_while_holding_keeps_the_value() -> None:
    world = quiet_world(split=0.5)
    prices = {
        day: (100.0, 100.0) if day < MONDAY else (25.0, 25.0)
        for day in NYSE.between(HISTORY, SESSIONS[-1])
    }
    world.add("instruments", "split", prices, splits={MONDAY: 4.0})
    tables = run(world, settings())
    before, after = (
        tables["positions"].filter(session=day, item="split").row(0, named=True)
        for day in (FRIDAY, MONDAY)
    )
    assert after["quantity"] == 4 * before["quantity"]
    assert after["average_price"] == before["average_price"] / 4
    assert after["value"] == before["value"]
    assert after["earned"] == 0
    assert tables["reconciliation"]["matched"].all()


def test_a_split_between_decision_and_fill_buys_the_same_value() -> None:
    world = quiet_world()
    days = NYSE.between(HISTORY, SESSIONS[-1])
    prices = {day: (100.0, 100.0) if day < MONDAY else (25.0, 25.0) for day in days}
    world.add("instruments", "split", prices, splits={MONDAY: 4.0})
    world.targets |= {day: {"split": 0.5} for day in SESSIONS if day >= FRIDAY}
    tables = run(world, settings())
    (order,) = tables["orders"].filter(session=FRIDAY).to_dicts()
    (fill,) = tables["fills"].filter(session=MONDAY).to_dicts()
    assert (order["quantity"], order["expected_price"]) == (500, 100.0)
    assert (fill["quantity"], fill["expected_price"], fill["ideal_price"]) == (2000, 25.0, 25.0)
    assert tables["reconciliation"]["matched"].all()


def test_a_delisting_inside_the_holding_pays_its_mark() -> None:
    world = quiet_world(gone=0.5)
    days = NYSE.between(HISTORY, MONDAY)
    prices: dict[date, tuple[float | None, float]] = dict.fromkeys(days, (100.0, 100.0))
    world.add("instruments", "gone", prices | {MONDAY: (None, 40.0)}, delisted=MONDAY)
    tables = run(world, settings())
    units = held(tables, FRIDAY)["gone"]
    assert held(tables, MONDAY).keys() == {"cash"}
    assert held(tables, MONDAY)["cash"] == held(tables, FRIDAY)["cash"] + 40 * units
    row = tables["positions"].filter(session=MONDAY, item="gone").row(0, named=True)
    assert (row["quantity"], row["value"], row["earned"]) == (0.0, 0.0, -60 * units)
    # The target still asks for it, and says every evening why it cannot be had.
    codes = tables["risk_controls"].filter(pl.col("session") >= MONDAY)["blocked"].unique()
    assert set(codes) == {"DELISTED", "NO_MARK"}
    assert tables["orders_plan"].filter(pl.col("session") >= MONDAY).is_empty()
    assert tables["fills"].filter(pl.col("session") > MONDAY).is_empty()


def test_zero_targets_leave_everything() -> None:
    world = quiet_world(stock=0.3, fund=0.3, coin=0.3)
    world.targets |= {day: {"stock": 0.0} for day in SESSIONS if day >= FRIDAY}
    tables = run(world, settings(min_trade=0.9))
    assert tables["orders_plan"].filter(session=SESSIONS[0]).is_empty()
    tables = run(world, settings())
    reasons = tables["orders_plan"].filter(session=FRIDAY)["reason"].unique().to_list()
    assert reasons == ["leave"]
    assert held(tables, MONDAY).keys() == {"cash"}
    assert tables["orders_plan"].filter(pl.col("session") > FRIDAY).is_empty()


def test_a_session_without_a_sleeve_keeps_the_last_mark_and_lets_its_orders_expire() -> None:
    world = quiet_world(stock=0.3, coin=0.3)
    world.returns["instruments"] = []
    prices = {
        day: (100.0 + n, 100.0 + n) for n, day in enumerate(NYSE.between(HISTORY, SESSIONS[-1]))
    }
    lost = SESSIONS[3]
    world.add("instruments", "stock", prices, gaps={lost})
    world.targets |= {day: {"coin": 0.3} for day in SESSIONS if day >= SESSIONS[2]}
    tables = run(world, settings())
    marks = dict(tables["positions"].filter(item="stock").select("session", "mark").iter_rows())
    assert marks[lost] == marks[SESSIONS[2]] == prices[SESSIONS[2]][1]
    assert tables["orders"].filter(session=SESSIONS[2], security_id="stock").height == 1
    assert "stock" not in fills_on(tables, lost)
    # The next evening asks again, and gets out.
    assert "stock" in fills_on(tables, SESSIONS[4])
    assert tables["reconciliation"]["matched"].all()


def test_a_missed_night_fills_nothing_and_values_what_is_held() -> None:
    world = quiet_world(coin=0.3)
    world.returns["instruments"] = []
    prices = {
        day: (100.0 + n, 100.0 + n) for n, day in enumerate(NYSE.between(HISTORY, SESSIONS[-1]))
    }
    world.add("instruments", "stock", prices)
    world.targets = {day: {"stock": 0.1 + 0.02 * n} for n, day in enumerate(SESSIONS)}
    night = SESSIONS[5]
    tables = run_in_parts(world, settings(), 1, missed=[night])
    fills = tables["fills"].group_by("session").len()
    assert set(SESSIONS[1:]) - set(fills["session"]) == {SESSIONS[6]}
    assert held(tables, SESSIONS[6]) == held(tables, night)
    before, after = (
        tables["positions"].filter(session=day, item="stock").row(0, named=True)
        for day in (night, SESSIONS[6])
    )
    assert after["mark"] == before["mark"] + 1
    assert after["earned"] == pytest.approx(before["quantity"])
    assert tables["reconciliation"]["matched"].all()


def test_no_frame_of_orders_means_that_nothing_was_submitted() -> None:
    world = quiet_world(stock=0.5).frames()
    made = run(world, settings())
    second = SESSIONS[1:2]
    without = {kind: table for kind, table in made.items() if kind != "orders"}
    assert run(world, settings(), second, without)["fills"].is_empty()
    rejected = made | {
        "orders": made["orders"].with_columns(
            status=pl.lit("rejected", made["orders"].schema["status"])
        )
    }
    assert run(world, settings(), second, rejected)["fills"].is_empty()
    assert run(world, settings(), second, made)["fills"].height == 1


def test_before_the_account_opens_there_are_no_rows() -> None:
    world = quiet_world(stock=0.5)
    conf = settings(opened=date(2024, 6, 29))  # a Saturday: the account opens on Monday
    tables = run(world, conf)
    for kind in (*KINDS, "execution_ready", "orders"):
        assert tables[kind].filter(pl.col("session") < MONDAY).is_empty(), kind
    assert tables["positions"]["session"].min() == MONDAY
    assert tables["fills"]["session"].min() == SESSIONS[6]
    parts = run_in_parts(world, conf, 3)
    assert all(parts[kind].equals(tables[kind]) for kind in tables)
    never = run(world, settings(opened=date(2025, 7, 1)))
    assert all(table.is_empty() for table in never.values())
    beyond = run(world, settings(opened=date(2026, 7, 1)))
    assert all(table.is_empty() for table in beyond.values())


@pytest.mark.parametrize("lacking", ["broker_state", "positions"])
def test_an_account_without_its_record_is_an_error(lacking: str) -> None:
    world = quiet_world(stock=0.5)
    made = run(world, settings())
    broken = made | {lacking: made[lacking].head(0)}
    with pytest.raises(MissingUpstreamError, match=lacking):
        run(world, settings(), SESSIONS[4:5], broken)


@pytest.mark.parametrize("lacking", ["broker_state", "positions"])
def test_a_record_without_cash_is_an_error(lacking: str) -> None:
    world = quiet_world(stock=0.5)
    made = run(world, settings())
    broken = made | {lacking: made[lacking].filter(pl.col("item") != "cash")}
    with pytest.raises(ContractError, match="cash"):
        run(world, settings(), SESSIONS[4:5], broken)


def test_the_windows_reach_what_the_volatility_needs() -> None:
    """The oldest own day inside the window counts, and none before it does."""
    world = random_world(11)
    for day in SESSIONS:
        world.targets[day] = {"crypto1": 0.4, "instruments1": 0.4}
    for sleeve in ("crypto", "instruments"):
        calendar = CALENDARS[sleeve]
        world.returns[sleeve] = []
        for name in ("1",):
            days = calendar.between(HISTORY, SESSIONS[-1])
            prices = {day: (100.0 + n % 7, 100.0 + n % 5) for n, day in enumerate(days)}
            world.add(sleeve, sleeve + name, prices)
    inputs = world.frames()
    session = SESSIONS[8]
    wanted = span([session])
    window = trade_windows(settings(), CALENDARS)["returns_crypto"]
    # Volumes are restated over more sessions than the volatility sees.
    assert window.lookback == 20
    oldest = wanted.loaded(replace(window, lookback=settings().risk.volatility_lookback))[0]
    made = run(inputs, settings(), SESSIONS)

    def volatility(changed: date) -> float:
        spoilt = dict(inputs)
        spoilt["returns_crypto"] = inputs["returns_crypto"].with_columns(
            total=pl.when(pl.col("session") == changed).then(0.5).otherwise("total")
        )
        tables = trade_sessions(
            hand(spoilt, settings(), wanted, made), settings(), wanted, CALENDARS
        )
        return float(tables["risk_controls"]["portfolio_volatility"][0])

    usual = made["risk_controls"].filter(session=session)["portfolio_volatility"][0]
    days = UTC_DAYS.between(oldest, session)
    assert volatility(days[0]) == usual
    assert all(volatility(day) != usual for day in days[1:])


def test_no_regime_stage_means_no_throttle() -> None:
    world = quiet_world(stock=0.5)
    inputs = world.frames()
    wanted = span(SESSIONS)
    with_regime = run(inputs, settings())
    empty = {kind: with_regime[kind].head(0) for kind in ("broker_state", "positions")}
    frames = hand(inputs, settings(), wanted, empty)
    del frames["regime"]
    without = trade_sessions(frames, settings(), wanted, CALENDARS)
    assert all(without[kind].equals(with_regime[kind]) for kind in KINDS)


def test_an_empty_world_has_only_cash() -> None:
    world = World(throttle=dict.fromkeys(SESSIONS, 1.0))
    tables = run(world, settings())
    assert tables["positions"]["item"].unique().to_list() == ["cash"]
    assert tables["execution_ready"]["ready"].all()


def test_a_dividend_is_cash_on_both_sides_on_the_ex_date() -> None:
    world = quiet_world(paying=0.5)
    days = NYSE.between(HISTORY, SESSIONS[-1])
    prices = {day: (100.0, 100.0) if day < MONDAY else (98.0, 98.0) for day in days}
    world.add("instruments", "paying", prices, cash={MONDAY: 2.0})
    tables = run(world, settings())
    units = held(tables, FRIDAY)["paying"]
    assert held(tables, MONDAY)["cash"] == held(tables, FRIDAY)["cash"] + 2 * units
    broker = tables["broker_state"].filter(session=MONDAY, item="cash")["quantity"].item()
    assert broker == held(tables, MONDAY)["cash"]
    row = tables["positions"].filter(session=MONDAY, item="paying").row(0, named=True)
    assert row["earned"] == 0
    assert tables["reconciliation"]["matched"].all()
