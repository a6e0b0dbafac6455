"""What a change of one table makes stale in the jobs that stand on it, on the graph that trades."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from quant_platform.orchestration.plan import stale_sessions
from quant_platform_tests.orchestration.evenings import FIRST, WEDNESDAY, Desk, Opened

SATURDAY = date(2022, 1, 15)
TUESDAY = date(2022, 1, 18)
"""The session after a holiday: its UTC days are those since Friday."""
AFTER = [TUESDAY, WEDNESDAY]
BOOK = {
    f"execution/{kind}"
    for kind in (
        "fills",
        "broker_state",
        "positions",
        "reconciliation",
        "risk_controls",
        "orders_plan",
    )
}
GATES = {"execution/execution_ready", "execution/orders"}


def stale(desk: Desk) -> dict[str, list[date]]:
    """Stale sessions of each table that has any."""
    found: dict[str, set[date]] = {}
    for stages in desk.graph.jobs.values():
        sessions = stages[0].calendar.between(FIRST, WEDNESDAY)
        found |= stale_sessions(desk.project.lake, stages, stages[0].range_of(sessions), found)
    return {table: sorted(days) for table, days in found.items() if days}


def test_what_was_filled_is_current(opened: Opened, wednesday: Path) -> None:
    assert stale(opened(wednesday)) == {}


def test_a_lost_partition_of_a_sleeve_reaches_the_sessions_that_read_it(
    opened: Opened, wednesday: Path
) -> None:
    desk = opened(wednesday)
    desk.project.lake.layout("crypto/profile_returns").part(SATURDAY).unlink()
    # The matrix carries who had begun, so that the days after a lost one are in doubt as well.
    days = desk.project.stage("crypto/profile_returns").calendar.between(SATURDAY, WEDNESDAY)
    meta = {f"meta/{kind}" for kind in ("returns", "weights", "holdings", "target_portfolio")}
    # The account is a record: what it decided from these rows stays decided.
    expected = dict.fromkeys(meta, AFTER)
    assert stale(desk) == {"crypto/profile_returns": days, **expected}
    desk.project.fill(FIRST, WEDNESDAY)
    assert stale(desk) == {}


@pytest.mark.parametrize("table", sorted(BOOK))
def test_a_lost_partition_of_the_book_is_made_with_all_of_it(
    opened: Opened, wednesday: Path, table: str
) -> None:
    desk = opened(wednesday)
    desk.project.lake.layout(table).part(WEDNESDAY).unlink()
    assert stale(desk) == {known: [WEDNESDAY] for known in BOOK | GATES}


def test_a_lost_partition_of_orders_is_no_missed_night_and_no_news_for_the_book(
    opened: Opened, wednesday: Path
) -> None:
    desk = opened(wednesday)
    desk.project.lake.layout("execution/orders").part(TUESDAY).unlink()
    assert stale(desk) == {"execution/orders": [TUESDAY]}


def test_a_holiday_declared_later_moves_the_grid_of_the_coins(
    opened: Opened, wednesday: Path
) -> None:
    closed = date(2022, 1, 13)
    desk = opened(wednesday, platform__extra_holidays={"XNYS": [closed.isoformat()]})
    before = opened(wednesday).project.stage("crypto/selection").grid
    grid = desk.project.stage("crypto/selection").grid
    assert before - grid == {closed}
    found = stale(desk)
    # UTC days have no holiday: what the coins' tables hold is current, but for what is made of
    # decisions alone, and for who reads that on the day that is none any more.
    carried = desk.project.stage("crypto/selection").calendar.between(closed, WEDNESDAY)
    coins = {table: days for table, days in found.items() if table.startswith("crypto/")}
    decided = ("features_predictability", "screener", "scan_binance_spot_trend", "candidates")
    assert coins == {"crypto/selection": carried, "crypto/weights": carried} | {
        **{f"crypto/{kind}": [closed] for kind in (*decided, "clusters")},
        "crypto/holdings": coins["crypto/holdings"],
        "crypto/profile_returns": coins["crypto/profile_returns"],
    }
    # Holdings trade on the day after a decision, and then carry on.
    assert coins["crypto/holdings"][-1] == WEDNESDAY
    assert min(coins["crypto/holdings"]) >= closed
    # On the exchange the session after the closure knows more than it did, and its data with it.
    assert found["instruments/bars"] == [date(2022, 1, 14)]
    assert min(found["instruments/selection"]) == date(2022, 1, 14)
