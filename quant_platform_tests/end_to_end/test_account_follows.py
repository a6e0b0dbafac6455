"""The account holds what the books hold: every table from returns to orders by its real producer.

Three sleeves decide on the rebalance grid, the meta over them too, and a paper account follows with
an exposure of one. A fund is delisted between two decisions; a stock that was decided on has no
execution price on the session after.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache, partial

import polars as pl

from quant_platform.lakehouse.contracts import Contract, contract_of
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.portfolio.decide import decide_weights, weights_windows
from quant_platform.portfolio.holding import (
    hold,
    holdings_windows,
    profile_returns,
    profile_returns_windows,
)
from quant_platform.portfolio.meta_holding import meta_holdings, meta_holdings_windows
from quant_platform.portfolio.meta_returns import meta_returns
from quant_platform.portfolio.meta_target import target_portfolio
from quant_platform.portfolio.meta_weights import meta_weights, meta_weights_windows
from quant_platform.settings.portfolio import CostSettings, MetaSettings, ProfilesSettings
from quant_platform_tests.execution.world import (
    CALENDARS,
    NYSE,
    UTC_DAYS,
    Tables,
    World,
    run,
    settings,
)
from quant_platform_tests.portfolio.stages import materialise, selected, walks, without

SESSIONS = NYSE.between(date(2024, 1, 2), date(2024, 7, 31))
DAYS = UTC_DAYS.between(SESSIONS[0], SESSIONS[-1])
GRID = SESSIONS[60::20]
DECISION = GRID[3]
ACCOUNT = SESSIONS[106:]
"""It opens between two decisions."""
LEAVES = SESSIONS[112]
HALTED = SESSIONS[SESSIONS.index(DECISION) + 1]

PROFILE = "equal_weight"
PROFILES = ProfilesSettings()
META = MetaSettings(name="meta", members=("crypto", "etfs", "instruments"), train=30, min_joint=15)
COSTS = {
    "crypto": CostSettings(slippage_bps=10, commission_bps=4),
    "etfs": CostSettings(),
    "instruments": CostSettings(),
}
NAMES = {name: [f"{name[0]}{number}" for number in range(8)] for name in CALENDARS}
GONE, STUCK = "e1", "i7"


def table(kind: str) -> Contract:
    return contract_of(kind)


def returns_of(sleeve: str) -> pl.DataFrame:
    """Random walks; one fund leaves, and one stock does not trade after a decision."""
    sessions = DAYS if sleeve == "crypto" else SESSIONS
    made = walks(NAMES[sleeve], sessions, len(sleeve))
    halted = (pl.col("security_id") == STUCK) & (pl.col("session") == HALTED)
    made = made.with_columns(
        execution_price=pl.when(~halted).then("execution_price"),
        before=pl.when(halted).then("price").otherwise("before"),
        after=pl.when(halted).then(0.0).otherwise("after"),
    )
    return without(made, GONE, leaves=LEAVES)


def sleeve_tables(sleeve: str) -> Tables:
    """From returns to the return matrix; the first six names are held first, then the last six."""
    calendar = CALENDARS[sleeve]
    sessions = DAYS if sleeve == "crypto" else SESSIONS
    names = NAMES[sleeve]
    selection = selected({day: names[:6] if day < DECISION else names[2:] for day in GRID})
    tables = {"returns": returns_of(sleeve), "selection": selection}
    parts = (
        ("weights", partial(decide_weights, grid=GRID), weights_windows(PROFILES), PROFILES),
        ("holdings", hold, holdings_windows(COSTS[sleeve]), COSTS[sleeve]),
        (
            "profile_returns",
            partial(profile_returns, grid=GRID),
            profile_returns_windows(PROFILES),
            PROFILES,
        ),
    )
    for kind, function, windows, conf in parts:

        def call(
            frames: Mapping[str, pl.LazyFrame],
            wanted: SessionRange,
            function: object = function,
            conf: object = conf,
        ) -> pl.DataFrame:
            return function(frames, conf, wanted)

        tables[kind] = materialise(
            call, windows, tables, table(f"x/{kind}"), sessions, calendar=calendar
        )
    return tables


@cache
def books() -> Tables:
    """Every table up to the target portfolio, and the targets of an account that trades back."""
    made = {
        f"{kind}_{sleeve}": frame
        for sleeve in CALENDARS
        for kind, frame in sleeve_tables(sleeve).items()
    }
    wanted = SessionRange(NYSE, tuple(SESSIONS), SESSIONS[0])
    streams = {sleeve: made[f"profile_returns_{sleeve}"].lazy() for sleeve in CALENDARS}
    made["returns"] = meta_returns(streams, META, wanted, CALENDARS)
    made["weights"] = materialise(
        lambda frames, wanted: meta_weights(frames, META, wanted, GRID),
        meta_weights_windows(META),
        made,
        table("meta/weights"),
        SESSIONS,
        calendar=NYSE,
    )
    made["holdings"] = materialise(
        lambda frames, wanted: meta_holdings(frames, META, wanted, COSTS),
        meta_holdings_windows(META),
        made,
        table("meta/holdings"),
        SESSIONS,
        calendar=NYSE,
    )
    made |= {f"meta_{kind}": made[kind] for kind in ("returns", "weights", "holdings")}
    frames = {name: frame.lazy() for name, frame in made.items()}
    made["target_portfolio"] = target_portfolio(frames, META, wanted, CALENDARS)
    empty = {name: frame.head(0) for name, frame in frames.items() if name.startswith("holdings_")}
    empty["meta_holdings"] = frames["meta_holdings"].head(0)
    made["traded_back"] = target_portfolio({**frames, **empty}, META, wanted, CALENDARS)
    return {
        name: table("meta/target_portfolio").validate(name, frame)
        if name in {"target_portfolio", "traded_back"}
        else frame
        for name, frame in made.items()
    }


@cache
def account(targets: str) -> Tables:
    """Trade the targets of a table with an exposure of one; a million, so that lots are small."""
    world = World(throttle=dict.fromkeys(ACCOUNT, 1.0))
    inputs = world.frames() | {
        "target_portfolio": books()[targets],
        **{f"returns_{sleeve}": books()[f"returns_{sleeve}"] for sleeve in CALENDARS},
    }
    conf = settings(
        opened=ACCOUNT[0],
        cash=1_000_000.0,
        min_trade=0.001,
        risk={"floor": 1.0, "ceiling": 1.0},
    )
    assert Window(META.name).table == conf.portfolio
    return run(inputs, conf, ACCOUNT)


def planned(targets: str) -> dict[date, float]:
    """Share of equity that each evening plans to trade."""
    made = account(targets)
    equity = dict(made["positions"].select("session", "equity").unique().iter_rows())
    sums = dict(made["orders_plan"].group_by("session").agg(pl.col("notional").sum()).iter_rows())
    return {session: sums.get(session, 0.0) / equity[session] for session in ACCOUNT}


def targets_of(session: date) -> dict[str, dict[str, object]]:
    rows = books()["target_portfolio"].filter(session=session, profile=PROFILE)
    return {row["security_id"]: row for row in rows.to_dicts()}


def test_between_decisions_the_account_is_left_alone() -> None:
    """Exposure never changes; what is left are lots, costs and a weekend of coins."""
    acts = {ACCOUNT[0], *GRID}
    quiet = {day: share for day, share in planned("target_portfolio").items() if day not in acts}
    assert len(quiet) == len(ACCOUNT) - 3
    assert max(quiet.values()) < 0.005
    assert sum(share == 0 for share in quiet.values()) > len(quiet) // 2
    # Decisions trade: the names change on the first, their weights on the next.
    assert planned("target_portfolio")[DECISION] > 0.4


def test_an_account_that_trades_back_to_the_decision_never_rests() -> None:
    """The failing twin: the same decisions without what the books hold."""
    acts = {ACCOUNT[0], *GRID}
    restless = {day: share for day, share in planned("traded_back").items() if day not in acts}
    assert sum(share > 0.005 for share in restless.values()) > len(restless) // 2


def test_on_a_decision_the_targets_are_the_decided_ones() -> None:
    tables = books()
    shares = tables["weights"].filter(session=DECISION, profile=PROFILE)
    meta = dict(shares.select("sleeve", "weight").iter_rows())
    expected = {
        name: meta[sleeve] * weight
        for sleeve in CALENDARS
        for name, weight in tables[f"weights_{sleeve}"]
        .filter(session=DECISION, profile=PROFILE)
        .select("security_id", "weight")
        .iter_rows()
    }
    found = targets_of(DECISION)
    assert {name: row["weight"] for name, row in found.items()} == expected
    assert STUCK in found
    bases = {
        (part["meta_basis"], part["sleeve_basis"])
        for row in found.values()
        for part in row["contributors"]
    }
    assert bases == {("decided", "decided")}


def test_between_decisions_the_targets_are_what_the_books_hold() -> None:
    tables = books()
    day = SESSIONS[SESSIONS.index(DECISION) + 9]
    held = tables["holdings"].filter(session=day, profile=PROFILE)
    meta = dict(held.select("sleeve", "weight").iter_rows())
    expected = {
        name: meta[sleeve] * weight
        for sleeve in CALENDARS
        for name, weight in tables[f"holdings_{sleeve}"]
        .filter(pl.col("session") == day, pl.col("profile") == PROFILE, pl.col("weight") > 0)
        .select("security_id", "weight")
        .iter_rows()
    }
    found = targets_of(day)
    assert {name: row["weight"] for name, row in found.items()} == expected
    assert {row["symbol"] for row in found.values()} == {f"NYSE:{name.upper()}" for name in found}


def test_what_left_and_what_could_not_be_bought_does_not_come_back() -> None:
    position = ACCOUNT.index(LEAVES)
    assert GONE in targets_of(ACCOUNT[position - 1])
    assert all(GONE not in targets_of(day) for day in ACCOUNT[position:])
    after = [day for day in ACCOUNT if DECISION < day < GRID[4]]
    assert after[0] == HALTED
    assert all(STUCK not in targets_of(day) for day in after)
    assert STUCK in targets_of(GRID[4])
    orders = account("target_portfolio")["orders_plan"]
    assert orders.filter(pl.col("security_id") == STUCK)["session"].to_list()[0] == DECISION
    assert not orders.filter(pl.col("security_id") == STUCK, pl.col("session").is_in(after)).height


def test_the_account_holds_what_the_books_hold() -> None:
    """Weights of the positions against the targets on the last evening before a decision."""
    day = SESSIONS[SESSIONS.index(GRID[4]) - 1]
    positions = account("target_portfolio")["positions"].filter(session=day)
    weight = dict(positions.select("item", "weight").iter_rows())
    for name, row in targets_of(day).items():
        assert abs(weight[name] - 0.995 * row["weight"]) < 0.0025
