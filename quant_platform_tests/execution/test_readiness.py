"""Every gate of an evening closes through what really feeds it, and orders then stay at home."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from quant_platform.execution.orders import submit_orders, submit_windows
from quant_platform.execution.readiness import readiness, readiness_windows
from quant_platform_tests.execution.world import (
    HISTORY,
    NYSE,
    SESSIONS,
    World,
    quiet_world,
    random_world,
    run,
    run_in_parts,
    settings,
    span,
)


def world() -> World:
    """Three names, one of which is without a row from the start of the account on."""
    made = quiet_world(stock=0.3, coin=0.3, silent=0.3)
    days = NYSE.between(HISTORY, SESSIONS[-1])
    made.add("etfs", "silent", dict.fromkeys(days, (10.0, 10.0)), gaps=SESSIONS)
    return made


@pytest.mark.parametrize(
    ("gates", "code"),
    [
        ({"kill_switch": SESSIONS[0]}, "KILL_SWITCH"),
        ({"max_gross": 0.1}, "GROSS"),
        ({"max_orders": 1}, "MAX_ORDERS"),
        ({"max_order": 0.05}, "MAX_ORDER"),
        ({"max_stale": 0.3}, "STALE"),
    ],
)
def test_a_gate_closes_the_evening(gates: dict[str, Any], code: str) -> None:
    open_evening = run(world(), settings())["execution_ready"].row(0, named=True)
    assert open_evening["ready"]
    assert open_evening["orders"] == 2
    assert open_evening["gross_weight"] == pytest.approx(0.6)
    tables = run(world(), settings(gates=gates))
    first = tables["execution_ready"].row(0, named=True)
    assert (first["ready"], first["reasons"]) == (False, [code])
    assert tables["orders"].filter(session=SESSIONS[0]).is_empty()
    assert tables["fills"].filter(session=SESSIONS[1]).is_empty()


def test_a_large_sell_is_no_reason_to_stay_in() -> None:
    entered = quiet_world(stock=0.2)
    entered.targets |= {day: {} for day in SESSIONS[5:]}
    tables = run(entered, settings(gates={"max_order": 0.2}))
    assert tables["execution_ready"]["ready"].all()
    assert tables["orders"].filter(session=SESSIONS[5])["side"].to_list() == ["sell"]
    assert (
        "MAX_ORDER"
        in run(entered, settings(gates={"max_order": 0.19}))["execution_ready"]["reasons"]
        .explode()
        .to_list()
    )


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("broker_state", pl.when(pl.col("item") == "stock").then(pl.col("quantity") + 1)),
        ("broker_state", pl.when(pl.col("item") == "cash").then(pl.col("quantity") + 0.02)),
        ("positions", pl.when(pl.col("item") == "coin").then(pl.col("quantity") * (1 + 1e-15))),
    ],
    ids=["a unit too many", "two cents", "one bit"],
)
def test_a_difference_between_book_and_broker_closes_every_evening_after_it(
    table: str, change: Any
) -> None:
    quiet = quiet_world(stock=0.3, coin=0.3).frames()
    for day in (4, 5, 6):
        wish = pl.col("session") == SESSIONS[day]
        quiet["target_portfolio"] = quiet["target_portfolio"].with_columns(
            weight=pl.when(wish).then(0.05 * day).otherwise("weight")
        )
    made = run(quiet, settings())
    assert made["execution_ready"]["ready"].all()
    broken = made | {table: made[table].with_columns(change.otherwise(pl.col("quantity")))}
    after = run(quiet, settings(), SESSIONS[4:8], broken)
    assert after["execution_ready"]["reasons"].to_list() == [["RECONCILIATION"]] * 4
    assert after["orders_plan"].height > 0
    assert after["orders"].is_empty()
    assert after["fills"].filter(pl.col("session") > SESSIONS[4]).is_empty()
    wrong = after["reconciliation"].filter(~pl.col("matched"))
    assert wrong.height >= 4
    assert (wrong["difference"].abs() > wrong["tolerance"]).all()


def test_a_cent_is_within_the_tolerance_of_cash() -> None:
    quiet = quiet_world(stock=0.3).frames()
    made = run(quiet, settings())
    cash = pl.when(pl.col("item") == "cash").then(pl.col("quantity") + 0.009)
    shifted = made | {
        "broker_state": made["broker_state"].with_columns(cash.otherwise(pl.col("quantity")))
    }
    after = run(quiet, settings(), SESSIONS[4:5], shifted)
    assert after["execution_ready"]["ready"].to_list() == [True]
    assert after["reconciliation"].filter(item="cash")["difference"].item() == pytest.approx(-0.009)


def test_an_evening_without_a_reconciliation_is_closed() -> None:
    tables = run(quiet_world(stock=0.3), settings())
    frames = {kind: table.lazy() for kind, table in tables.items()}
    frames["reconciliation"] = (
        tables["reconciliation"].filter(pl.col("session") != SESSIONS[0]).lazy()
    )
    ready = readiness(frames, settings(), span(SESSIONS))
    assert "RECONCILIATION" in ready["reasons"][0].to_list()
    assert ready["ready"].to_list() == [False] + [True] * 14
    orders = submit_orders(frames | {"execution_ready": ready.lazy()}, settings(), span(SESSIONS))
    assert orders.is_empty()
    assert tables["orders"].height == 1


def test_the_stages_of_an_evening_give_a_range_the_bytes_of_its_days() -> None:
    conf = settings(gates={"max_order": 0.3, "max_stale": 0.3})
    tables = run(random_world(2), conf)
    ready, orders = tables["execution_ready"], tables["orders"]
    assert 0 < ready["ready"].sum() < ready.height
    frames = {kind: table.lazy() for kind, table in tables.items()}
    days = [span([session]) for session in SESSIONS]
    assert pl.concat([readiness(frames, conf, day) for day in days]).equals(ready)
    assert pl.concat([submit_orders(frames, conf, day) for day in days]).equals(orders)
    # Inside the range the simulation decided the same: it only filled what the stage submits.
    unknown = tables["fills"].join(orders, on="order_id", how="anti")
    assert unknown.is_empty()
    assert not tables["fills"].is_empty()
    parts = run_in_parts(random_world(2), conf, 1)
    assert all(parts[kind].equals(tables[kind]) for kind in tables)


def test_orders_say_what_was_sent() -> None:
    tables = run(quiet_world(stock=0.3, coin=0.2), settings())
    plan, orders = tables["orders_plan"], tables["orders"]
    assert orders["order_id"].to_list() == plan["order_id"].to_list()
    for column in ("security_id", "symbol", "side", "quantity", "order_type", "expected_price"):
        assert orders[column].equals(plan[column]), column
    assert orders["status"].unique().to_list() == ["accepted"]
    assert orders["payload_hash"].n_unique() == orders.height
    again = run(quiet_world(stock=0.3, coin=0.25), settings())["orders"]
    same = orders.join(again, on="order_id", suffix="_again")
    changed = same.filter(
        (pl.col("session") == SESSIONS[0])
        & (pl.col("payload_hash") != pl.col("payload_hash_again"))
    )
    assert changed["security_id"].to_list() == ["coin"]


def test_the_windows_are_of_the_session_alone() -> None:
    for windows in (readiness_windows(settings()), submit_windows(settings())):
        assert all(window.lookback == 0 and not window.own for window in windows.values())
    assert set(submit_windows(settings())) == {"orders_plan", "execution_ready"}


def test_the_kill_switch_changes_no_evening_before_it() -> None:
    open_tables, since = run(world(), settings()), SESSIONS[3]
    tables = run(world(), settings(gates={"kill_switch": since}))
    for kind in ("execution_ready", "orders"):
        before = pl.col("session") < since
        assert tables[kind].filter(before).equals(open_tables[kind].filter(before)), kind
    assert open_tables["orders"].filter(pl.col("session") < since).height
    killed = tables["execution_ready"].filter(pl.col("session") >= since)
    assert killed["reasons"].to_list() == [["KILL_SWITCH"]] * killed.height
    assert not tables["orders"].filter(pl.col("session") >= since).height


def test_a_switch_thrown_after_the_gates_were_judged_holds_the_orders_back() -> None:
    tables = run(world(), settings())
    frames = {kind: tables[kind].lazy() for kind in ("orders_plan", "execution_ready")}
    last = tables["orders"]["session"].max()
    thrown = settings(gates={"kill_switch": last})
    assert submit_orders(frames, settings(), span(SESSIONS)).filter(session=last).height
    assert not submit_orders(frames, thrown, span(SESSIONS)).filter(session=last).height
