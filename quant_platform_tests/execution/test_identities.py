"""The account's identities over random worlds, from the stored tables alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache

import polars as pl
import pytest

from quant_platform_tests.execution.world import (
    CALENDARS,
    NYSE,
    SESSIONS,
    Tables,
    World,
    random_world,
    run,
    settings,
)

SEEDS = range(10)
# A seed says nothing that hypothesis could shrink, and a world is slow enough to be made once.
each_seed = pytest.mark.parametrize("seed", SEEDS)
EXACT = 1e-9


@cache
def simulated(seed: int) -> tuple[World, Tables]:
    world = random_world(seed)
    return world, run(world, settings())


def by_session(table: pl.DataFrame) -> Mapping[date, pl.DataFrame]:
    return {session: rows for (session,), rows in table.group_by("session")}


@each_seed
def test_equity_is_cash_and_positions_and_its_change_is_earned_less_costs(seed: int) -> None:
    _, tables = simulated(seed)
    before = 100_000.0
    for session in SESSIONS:
        rows = tables["positions"].filter(session=session)
        equity = rows["equity"][0]
        assert rows["equity"].n_unique() == 1
        assert equity == pytest.approx(
            math.fsum((rows["quantity"] * rows["mark"]).to_list()), abs=EXACT
        )
        flows = [*rows["earned"].to_list(), *(-rows["costs"]).to_list()]
        assert equity - before == pytest.approx(math.fsum(flows), abs=EXACT)
        assert math.fsum(rows["weight"].to_list()) == pytest.approx(1, abs=EXACT)
        before = equity


@each_seed
def test_cash_moves_by_fills_and_delistings_alone(seed: int) -> None:
    world, tables = simulated(seed)
    gone = {
        (row["session"], row["security_id"]): row["mark"]
        for rows in world.returns.values()
        for row in rows
        if row["delisted"]
    }
    fills = by_session(tables["fills"])
    positions = by_session(tables["positions"])
    before: dict[str, float] = {"cash": 100_000.0}
    for session in SESSIONS:
        book = dict(positions[session].select("item", "quantity").iter_rows())
        flow = 0.0
        for fill in fills[session].to_dicts() if session in fills else []:
            sign = 1 if fill["side"] == "sell" else -1
            flow += sign * fill["quantity"] * fill["price"] - fill["commission"]
        since = NYSE.offset(session, -1)
        for (day, security), mark in gone.items():
            if since < day <= session and security in book:
                assert book[security] == 0
                held = before.get(security, 0.0)
                flow += mark * units_at_the_end(
                    world, tables["fills"], security, held, (since, day)
                )
        assert book["cash"] - before["cash"] == pytest.approx(flow, abs=1e-8)
        assert book["cash"] > -EXACT
        before = book


def units_at_the_end(
    world: World, fills: pl.DataFrame, security: str, units: float, days: tuple[date, date]
) -> float:
    """Units that a delisting pays, from what was held, splits and fills."""
    moment = days[0] + timedelta(days=1)
    while moment <= days[1]:
        for rows in world.returns.values():
            for row in rows:
                if row["security_id"] == security and row["session"] == moment:
                    units *= row["split"]
        for fill in fills.filter(filled_on=moment, security_id=security).to_dicts():
            units += fill["quantity"] if fill["side"] == "buy" else -fill["quantity"]
        moment += timedelta(days=1)
    return units


@each_seed
def test_book_and_broker_agree_and_nothing_is_short(seed: int) -> None:
    _, tables = simulated(seed)
    assert tables["reconciliation"]["matched"].all()
    units = tables["reconciliation"].filter(~pl.col("item").is_in(["cash", "equity"]))
    assert (units["difference"] == 0).all()
    assert tables["positions"].filter(pl.col("item") != "cash")["quantity"].ge(0).all()
    # Items of both sides are compared, and the average prices agree within a basis point.
    both = tables["positions"].join(tables["broker_state"], on=["session", "item"])
    held = tables["positions"].filter((pl.col("item") != "cash") & (pl.col("quantity") > 0))
    assert both.filter(pl.col("item") != "cash").height == held.height
    ratio = both["average_price"] / both["average_price_right"]
    assert (ratio.drop_nulls() - 1).abs().fill_null(0).le(1e-4).all()


@each_seed
def test_every_fill_is_one_that_the_market_could_give(seed: int) -> None:
    world, tables = simulated(seed)
    rows = pl.concat([frame for name, frame in world.frames().items() if "returns_" in name])
    fills = tables["fills"].join(
        rows.select("security_id", "execution_price", filled_on="session"),
        on=["security_id", "filled_on"],
        how="left",
    )
    assert fills["ideal_price"].equals(fills["execution_price"], check_names=False)
    assert (fills["slippage_bps"] > 0).all()
    for fill in fills.to_dicts():
        sleeve = fill["security_id"][:-1]
        assert fill["session"] == NYSE.offset(fill["decided_on"], 1)
        tomorrow = fill["decided_on"] + timedelta(days=1)
        assert fill["filled_on"] == CALENDARS[sleeve].between(tomorrow, fill["session"])[0]
    orders = tables["orders"].select("order_id", "security_id", "side", order_session="session")
    placed = fills.join(orders, on=["order_id", "security_id", "side"])
    assert placed.height == fills.height
    assert (placed["order_session"] == placed["decided_on"]).all()


def test_the_random_worlds_do_what_they_are_for() -> None:
    """Together they have splits while holding, delistings, cuts, weekends and closed evenings."""
    made = [simulated(seed)[1] for seed in SEEDS]
    fills = pl.concat([tables["fills"] for tables in made])
    assert fills.height > 150
    assert (fills["filled_on"].dt.weekday() > 5).any()
    assert (fills["filled_on"] == date(2024, 7, 4)).any()
    reasons = pl.concat([tables["orders_plan"] for tables in made])["reason"]
    assert set(reasons) == {"enter", "increase", "decrease", "leave"}
    ready = pl.concat([tables["execution_ready"] for tables in made])
    assert 0 < ready["ready"].mean() < 1
    expired = sum(tables["orders"].height - tables["fills"].height for tables in made)
    assert expired > 20
