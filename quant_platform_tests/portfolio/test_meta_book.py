"""The accounts of a meta: weekends, missing sleeves, costs, and what they may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl
import pytest

from quant_platform.errors import ConfigError, ContractError
from quant_platform.lakehouse.contracts.meta import (
    META_HOLDINGS,
    META_PORTFOLIO_RETURNS,
    META_WEIGHTS,
)
from quant_platform.portfolio.meta_holding import (
    WAIT,
    meta_holdings,
    meta_holdings_windows,
    meta_portfolio_returns,
    meta_portfolio_returns_windows,
)
from quant_platform.settings.portfolio import CostSettings, MetaSettings
from quant_platform_tests.portfolio.metas import (
    META,
    PROFILES,
    SESSIONS,
    joined,
    sleeves,
    streams,
)
from quant_platform_tests.portfolio.stages import (
    exactly,
    frame_of,
    materialise,
)
from quant_platform_tests.portfolio.test_meta_weights import GRID, RETURNS, weighed

WEIGHTS = weighed()
FREE = CostSettings(slippage_bps=0.0, commission_bps=0.0)
PAIR = MetaSettings(name="meta", members=("stocks", "crypto"), profiles=("equal_weight",))
RATE = CostSettings().rate
ALIKE = dict.fromkeys(META.members, CostSettings())


def held(
    returns: pl.DataFrame = RETURNS,
    weights: pl.DataFrame = WEIGHTS,
    sessions: Sequence[date] = SESSIONS,
    *,
    settings: MetaSettings = META,
    costs: Mapping[str, CostSettings] = ALIKE,
    chunk: int = 10_000,
) -> pl.DataFrame:
    return materialise(
        lambda frames, wanted: meta_holdings(frames, settings, wanted, costs),
        meta_holdings_windows(settings),
        {"weights": weights, "returns": returns},
        META_HOLDINGS,
        sessions,
        history=SESSIONS[0],
        chunk=chunk,
    )


def earned(
    holdings: pl.DataFrame,
    returns: pl.DataFrame = RETURNS,
    weights: pl.DataFrame = WEIGHTS,
    sessions: Sequence[date] = SESSIONS,
    *,
    settings: MetaSettings = META,
    chunk: int = 10_000,
) -> pl.DataFrame:
    return materialise(
        lambda frames, wanted: meta_portfolio_returns(frames, settings, wanted),
        meta_portfolio_returns_windows(settings),
        {"holdings": holdings, "weights": weights, "returns": returns},
        META_PORTFOLIO_RETURNS,
        sessions,
        history=SESSIONS[0],
        chunk=chunk,
    )


def meta_targets(
    shares: Mapping[str, float], decided_on: date, sessions: Sequence[date]
) -> pl.DataFrame:
    rows = [
        {
            "session": session,
            "profile": "equal_weight",
            "sleeve": sleeve,
            "decided_on": decided_on,
            "weight": weight,
            "joint_sessions": 40,
            "requested": "equal_weight",
            "actual": "equal_weight",
        }
        for session in sessions
        if session >= decided_on
        for sleeve, weight in shares.items()
    ]
    return frame_of(META_WEIGHTS, rows)


def test_a_weekend_with_coins_by_hand() -> None:
    """Half and half, decided on Friday: coins are bought on Saturday, stocks on Monday."""
    friday, monday, tuesday = date(2024, 1, 5), date(2024, 1, 8), date(2024, 1, 9)
    coins = {
        date(2024, 1, 6): (0.03, 0.1),
        date(2024, 1, 7): (0.05, 0.0),
        monday: (0.0, -0.02),
        tuesday: (0.04, 0.0),
    }
    stocks = {monday: (0.01, 0.02), tuesday: (0.0, 0.1)}
    tables = {"crypto": streams(coins), "stocks": streams(stocks)}
    sessions = [friday, monday, tuesday]
    returns = joined(tables, sessions, settings=PAIR)
    weights = meta_targets({"crypto": 0.5, "stocks": 0.5}, friday, sessions)
    free = dict.fromkeys(PAIR.members, FREE)
    books = held(returns, weights, sessions, settings=PAIR, costs=free)
    made = earned(books, returns, weights, sessions, settings=PAIR)
    assert made["session"].to_list() == [monday, tuesday]
    # What was earned before the first execution is nobody's: the book was cash.
    crypto, stock = 0.5 * 1.1 * 1.05 * 0.98, 0.5 * 1.02
    first, second = made.to_dicts()
    assert first["before"] == 0
    assert first["net"] == exactly(crypto + stock - 1)
    value = crypto + stock
    after = crypto * 1.04 + stock * 1.1
    assert second["net"] == exactly(after / value - 1)
    assert second["before"] == exactly(crypto * 0.04 / value)
    last = books.filter((pl.col("session") == tuesday) & (pl.col("sleeve") == "crypto"))
    assert last["weight"].item() == exactly(crypto * 1.04 / after)


def test_the_meta_earns_the_weighted_streams() -> None:
    """The sum of weights times returns, on every session of the span; nothing leaks."""
    books = held()
    made = earned(books)
    weight, bought = pl.col("held"), pl.col("traded")
    quiet = (weight * pl.col("net")).sum()
    early, late = pl.col("before"), pl.col("after")
    traded = weight * early + (weight * (1 + early) + bought) * late
    sums = (
        books.join(RETURNS, on=["session", "profile", "sleeve"])
        .group_by("session", "profile")
        .agg(
            quiet=pl.when((bought == 0).all()).then(quiet),
            expected=traded.sum(),
            paid=(bought.abs() * RATE).sum(),
        )
    )
    both = made.join(sums, on=["session", "profile"])
    assert both.height == len(PROFILES) * (len(SESSIONS) - SESSIONS.index(GRID[0]) - 1)
    assert both["quiet"].count() == both.height - len(PROFILES) * len(GRID)
    for found, expected in (("net", "quiet"), ("gross", "expected"), ("cost", "paid")):
        assert (both[found] - both[expected]).drop_nulls().abs().to_numpy().max() < 1e-12
    whole = both["gross"] - both["cost"] - both["net"]
    assert whole.abs().to_numpy().max() < 1e-12


def test_the_returns_begin_after_the_first_decision() -> None:
    """Joint sessions before it are no evidence of the meta."""
    assert joined(sleeves())["session"].min() == SESSIONS[1] < GRID[0]
    made = earned(held())
    first = SESSIONS[SESSIONS.index(GRID[0]) + 1]
    assert made["session"].min() == first
    assert made.filter(pl.col("session") == first)["names"].to_list() == [3] * len(PROFILES)


def test_moving_value_costs_what_the_sleeve_that_it_moves_into_pays() -> None:
    """10 000 into three sleeves: coins at 14 bps, funds at 6, stocks at 10.

    Each amount is a third of V, what is left after costs: 1 = V (1 + (14 + 6 + 10) / 3 bps).
    """
    costs = {
        "crypto": CostSettings(slippage_bps=10, commission_bps=4),
        "etfs": CostSettings(slippage_bps=5, commission_bps=1),
        "stocks": CostSettings(slippage_bps=8, commission_bps=2),
    }
    books = held(costs=costs)
    day = SESSIONS[SESSIONS.index(GRID[0]) + 1]
    today = books.filter((pl.col("session") == day) & (pl.col("profile") == "equal_weight"))
    third = 1 / (1 + 10e-4) / 3
    assert today["traded"].to_list() == [exactly(third)] * 3
    assert today["cost"].to_list() == [exactly(third * bps * 1e-4) for bps in (14, 6, 10)]
    total = earned(books).filter((pl.col("session") == day) & (pl.col("profile") == "equal_weight"))
    assert total["cost"].item() == exactly(1 - 1 / (1 + 10e-4))


def test_a_member_without_costs_is_refused() -> None:
    with pytest.raises(ConfigError, match="a member etfs without costs"):
        held(costs={"crypto": FREE, "stocks": FREE})


def test_a_missing_sleeve_leaves_the_books_as_they_are() -> None:
    """No row for the session, and no zero either; the day after goes on from the same weights."""
    tables = sleeves()
    day = SESSIONS[40]
    tables["etfs"] = tables["etfs"].filter(pl.col("session") != day)
    returns = joined(tables)
    weights = weighed(returns)
    books = held(returns, weights)
    made = earned(books, returns, weights)
    assert day not in made["session"].to_list()
    begun = SESSIONS[SESSIONS.index(GRID[0]) + 1 :]
    assert set(begun) - set(made["session"]) == {day}
    today = books.filter(pl.col("session") == day)
    assert today.height == 9
    assert (today["weight"] - today["held"]).abs().max() < 1e-15
    assert today["earned_after"].abs().sum() == 0
    after = books.filter(pl.col("session") == SESSIONS[41])
    assert after["held"].to_list() == today["weight"].to_list()


def test_a_decision_before_a_missing_session_is_executed_on_the_next() -> None:
    tables = sleeves()
    tables["stocks"] = tables["stocks"].filter(pl.col("session") != SESSIONS[4])
    returns = joined(tables)
    weights = weighed(returns)
    books = held(returns, weights)
    assert books.filter(pl.col("session") == SESSIONS[4])["traded"].abs().sum() == 0
    bought = books.filter(pl.col("session") == SESSIONS[5])["traded"].to_list()
    assert bought == pytest.approx([1 / 3 / (1 + RATE)] * 9)


@pytest.mark.parametrize("missing", [1, WAIT, WAIT + 1])
def test_a_rebalance_waits_for_a_joint_session_and_not_for_ever(missing: int) -> None:
    """Nothing is dropped in silence after one bank holiday, nor traded on after a week."""
    decided = SESSIONS.index(GRID[2])
    gap = SESSIONS[decided + 1 : decided + 1 + missing]
    after = SESSIONS[decided + 1 + missing]
    returns = RETURNS.filter(~pl.col("session").is_in(gap))
    books = held(returns)
    assert books.filter(pl.col("session").is_in(gap))["traded"].abs().sum() == 0
    late = books.filter(pl.col("session") == after)
    assert (late["traded"].abs().sum() > 0) == (missing <= WAIT)
    # Once it is executed it is not executed again.
    following = books.filter(pl.col("session") == SESSIONS[decided + 2 + missing])
    assert following["traded"].abs().sum() == 0
    assert held(returns, chunk=1, sessions=SESSIONS[: decided + 10]).equals(
        books.filter(pl.col("session") <= SESSIONS[decided + 9])
    )


def test_half_a_joint_session_is_an_error() -> None:
    lacking = (pl.col("session") == SESSIONS[40]) & (pl.col("sleeve") == "etfs")
    with pytest.raises(ContractError, match=f"etfs has no equal_weight stream on {SESSIONS[40]}"):
        held(RETURNS.filter(~lacking))


@pytest.mark.parametrize("chunk", [1, 13])
def test_ranges_have_the_bytes_of_their_parts(chunk: int) -> None:
    sessions = SESSIONS[:50]
    whole = held(sessions=sessions)
    assert held(sessions=sessions, chunk=chunk).equals(whole)
    made = earned(whole, sessions=sessions)
    assert earned(whole, sessions=sessions, chunk=chunk).equals(made)


def test_what_is_known_later_changes_nothing() -> None:
    day = SESSIONS[60]
    later = pl.col("session") > day
    returns = RETURNS.with_columns(
        before=pl.when(later).then(0.0).otherwise("before"),
        after=pl.when(later).then(0.1).otherwise("after"),
        net=pl.when(later).then(0.1).otherwise("net"),
    )
    # The weights of the day itself are known after its execution.
    weights = WEIGHTS.with_columns(
        weight=pl.when(pl.col("session") >= day).then(0.01).otherwise("weight")
    )
    upto = pl.col("session") <= day
    books, before = held(returns, weights), held()
    assert books.filter(upto).equals(before.filter(upto))
    assert not books.equals(before)
    made = earned(books, returns, weights)
    assert made.filter(upto).equals(earned(before).filter(upto))
