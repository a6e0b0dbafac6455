"""Holdings and the return matrix by hand, and what they may see."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import polars as pl
import pytest

from quant_platform.errors import ContractError
from quant_platform.lakehouse.contracts.holdings import HOLDINGS
from quant_platform.lakehouse.contracts.profile_returns import PROFILE_RETURNS
from quant_platform.portfolio.holding import (
    hold,
    holdings_windows,
    profile_returns,
    profile_returns_windows,
)
from quant_platform.settings.portfolio import CostSettings, ProfilesSettings
from quant_platform_tests.portfolio.naive import Price, Prices, returns_of
from quant_platform_tests.portfolio.stages import (
    NYSE,
    Run,
    exactly,
    materialise,
    targets,
    walks,
    without,
)

SESSIONS = NYSE.between(date(2024, 1, 2), date(2024, 3, 28))
FREE = CostSettings(slippage_bps=0.0, commission_bps=0.0)
COSTS = CostSettings()
ONE = ProfilesSettings(profiles=("equal_weight",))


def holdings(
    returns: pl.DataFrame,
    weights: pl.DataFrame,
    sessions: Sequence[date],
    costs: CostSettings = COSTS,
    *,
    chunk: int = 10_000,
    run: Run | None = None,
) -> pl.DataFrame:
    return materialise(
        run or (lambda frames, wanted: hold(frames, costs, wanted)),
        holdings_windows(costs),
        {"weights": weights, "returns": returns},
        HOLDINGS,
        sessions,
        chunk=chunk,
    )


def matrix(
    held: pl.DataFrame,
    weights: pl.DataFrame,
    sessions: Sequence[date],
    profiles: ProfilesSettings = ONE,
    *,
    returns: pl.DataFrame | None = None,
    grid: Collection[date] | None = None,
    chunk: int = 10_000,
) -> pl.DataFrame:
    """Sum holdings up; by default the evening before the first session could decide."""
    eve = NYSE.offset(sessions[0], -1)
    seen = returns_of({day: {"any": Price(10, 10)} for day in (eve, *sessions)})
    decisions = [eve] if grid is None else grid
    return materialise(
        lambda frames, wanted: profile_returns(frames, profiles, wanted, decisions),
        profile_returns_windows(profiles),
        {"holdings": held, "weights": weights, "returns": seen if returns is None else returns},
        PROFILE_RETURNS,
        sessions,
        history=eve,
        chunk=chunk,
    )


def accounts(
    prices: Prices,
    decisions: Mapping[date, Mapping[str, float]],
    costs: CostSettings,
    *,
    run: Run | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    sessions = sorted(prices)
    weights = targets(decisions, sessions)
    held = holdings(returns_of(prices), weights, sessions, costs, run=run)
    return held, matrix(held, weights, sessions)


def row(frame: pl.DataFrame, session: date, name: str | None = None) -> dict[str, float]:
    found = frame.filter(pl.col("session") == session)
    if name is not None:
        found = found.filter(pl.col("security_id") == name)
    return found.row(0, named=True)


def test_costs_are_paid_from_the_value_at_the_execution() -> None:
    """Buy all of one name at 10 with 6 bps: 1 = V + 0.0006 V, marked at 11."""
    first, second = SESSIONS[:2]
    prices = {first: {"a": Price(10, 10)}, second: {"a": Price(11, 10)}}
    held, made = accounts(prices, {first: {"a": 1.0}}, COSTS)
    bought = 1 / 1.0006
    found = row(held, second, "a")
    assert found["traded"] == exactly(bought)
    assert found["cost"] == exactly(1 - bought)
    assert found["earned_before"] == 0
    assert found["earned_after"] == exactly(0.1 * bought)
    assert found["weight"] == 1
    total = row(made, second)
    assert total["net"] == exactly(1.1 * bought - 1)
    assert total["turnover"] == exactly(bought / 2)
    assert (total["names"], total["untraded"]) == (1, 0)
    assert row(made, first)["net"] == 0
    assert row(made, first)["cash"] == 1


def test_weights_drift_between_decisions_and_returns_compound() -> None:
    """Half a, half b, without costs: a doubles over the day, then b halves overnight."""
    first, second, third = SESSIONS[:3]
    prices = {
        first: {"a": Price(10, 10), "b": Price(10, 10)},
        second: {"a": Price(20, 10), "b": Price(10, 10)},
        third: {"a": Price(20, 20), "b": Price(5, 5)},
    }
    held, made = accounts(prices, {first: {"a": 0.5, "b": 0.5}}, FREE)
    assert row(made, second)["net"] == exactly(0.5)
    assert row(held, second, "a")["weight"] == exactly(2 / 3)
    assert row(made, third)["net"] == exactly(-1 / 6)
    assert row(made, third)["before"] == exactly(-1 / 6)
    assert row(made, third)["after"] == exactly(0)
    assert row(made, third)["turnover"] == 0
    # 100 → 150 → 125: 100 in a, 25 in b.
    assert row(held, third, "a")["weight"] == exactly(0.8)
    assert row(held, third, "a")["wanted"] == 0.5


def test_a_split_changes_nothing() -> None:
    """Four new units for one: 40 before is 10 after, and 11 is ten percent."""
    first, second, third = SESSIONS[:3]
    prices = {
        first: {"a": Price(40, 40)},
        second: {"a": Price(40, 40)},
        third: {"a": Price(11, 10, split=4.0)},
    }
    held, made = accounts(prices, {first: {"a": 0.6}}, FREE)
    assert row(made, third)["net"] == exactly(0.06)
    assert row(held, third, "a")["traded"] == 0
    assert row(held, third, "a")["weight"] == exactly(0.66 / 1.06)


def test_a_delisted_name_turns_into_cash_at_what_it_paid_without_a_cost() -> None:
    """Half of the book pays 8 for 10 and is cash from then on, which earns nothing."""
    first, second, third, fourth = SESSIONS[:4]
    prices = {
        first: {"a": Price(10, 10), "b": Price(10, 10)},
        second: {"a": Price(10, 10), "b": Price(10, 10)},
        third: {"a": Price(8, delisted=True), "b": Price(10, 10)},
        fourth: {"b": Price(20, 10)},
    }
    weights = targets({first: {"a": 0.5, "b": 0.5}}, list(prices))
    # What decide_weights does: the name that left has no target any more.
    weights = weights.filter((pl.col("security_id") == "b") | (pl.col("session") < third))
    held = holdings(returns_of(prices), weights, list(prices), FREE)
    made = matrix(held, weights, list(prices))
    gone = row(held, third, "a")
    assert (gone["traded"], gone["cost"], gone["weight"]) == (0, 0, 0)
    assert row(made, third)["net"] == exactly(-0.1)
    assert row(made, third)["cash"] == exactly(4 / 9)
    assert row(made, third)["untraded"] == 0
    assert row(made, fourth)["net"] == exactly(5 / 9)
    assert held.filter(pl.col("session") == fourth)["security_id"].to_list() == ["b"]


def test_a_name_without_an_execution_price_keeps_its_units_and_nothing_is_borrowed() -> None:
    """From all in a to half b, half c; a can not be sold: only what is in cash can buy."""
    first, second, third, fourth = SESSIONS[:4]
    flat = {name: Price(10, 10) for name in "abc"}
    prices = {
        first: flat,
        second: flat,
        third: flat | {"a": Price(12)},
        fourth: flat | {"a": Price(12, 12)},
    }
    decisions = {first: {"a": 0.8}, second: {"b": 0.5, "c": 0.5}}
    held, made = accounts(prices, decisions, FREE)
    value = 0.8 * 1.2 + 0.2
    stuck = row(held, third, "a")
    assert (stuck["traded"], stuck["wanted"]) == (0, 0)
    assert stuck["weight"] == exactly(0.96 / value)
    for name in "bc":
        found = row(held, third, name)
        assert found["traded"] == exactly(0.1)
        assert found["wanted"] == 0.5
    assert row(made, third)["cash"] == exactly(0)
    assert row(made, third)["untraded"] == 1
    # The next decision is not there yet: what could not be sold drifts with the rest.
    assert row(held, fourth, "a")["traded"] == 0
    assert row(made, fourth)["untraded"] == 0


def test_a_wanted_name_without_an_execution_price_stays_cash() -> None:
    first, second, third = SESSIONS[:3]
    flat = {name: Price(10, 10) for name in "ab"}
    prices = {first: flat, second: flat | {"b": Price(10)}, third: flat}
    held, made = accounts(prices, {first: {"a": 0.5, "b": 0.5}}, FREE)
    missed = row(held, second, "b")
    assert (missed["held"], missed["traded"], missed["weight"], missed["wanted"]) == (0, 0, 0, 0.5)
    assert row(held, second, "a")["weight"] == exactly(0.5)
    assert (row(made, second)["untraded"], row(made, second)["cash"]) == (1, 0.5)
    assert row(made, third)["turnover"] == 0


def test_a_decision_of_which_nothing_could_be_executed_is_tried_again() -> None:
    first, second, third = SESSIONS[:3]
    flat = {"a": Price(10, 10)}
    prices = {first: flat, second: {"a": Price(10)}, third: flat}
    held, made = accounts(prices, {first: {"a": 1.0}}, FREE)
    assert row(made, second)["untraded"] == 1
    assert row(held, third, "a")["traded"] == 1
    assert row(made, third)["untraded"] == 0


def test_a_whole_rebalance_without_prices_is_told() -> None:
    """Both names are held and wanted in other shares, and neither trades."""
    first, second, third = SESSIONS[:3]
    flat = {name: Price(10, 10) for name in "ab"}
    prices = {first: flat, second: flat, third: {name: Price(10) for name in "ab"}}
    decisions = {first: {"a": 0.5, "b": 0.5}, second: {"a": 0.2, "b": 0.8}}
    assert row(accounts(prices, decisions, FREE)[1], third)["untraded"] == 2
    same = {first: decisions[first], second: decisions[first]}
    assert row(accounts(prices, same, FREE)[1], third)["untraded"] == 0


def test_targets_that_end_are_sold() -> None:
    first, second, third, fourth, fifth = SESSIONS[:5]
    flat = {name: Price(10, 10) for name in "ab"}
    prices = dict.fromkeys((first, second, third), flat)
    prices |= {fourth: flat | {"a": Price(10)}, fifth: flat}
    weights = targets({first: {"a": 0.5, "b": 0.5}}, list(prices))
    # The decision of the third session selected nothing.
    weights = weights.filter(pl.col("session") < third)
    held = holdings(returns_of(prices), weights, list(prices), COSTS)
    made = matrix(held, weights, list(prices))
    assert row(held, fourth, "b")["weight"] == 0
    assert row(made, fourth)["untraded"] == 1
    assert row(held, fifth, "a")["weight"] == 0
    assert row(made, fifth)["cash"] == 1
    assert row(made, fifth)["cost"] > 0


def test_a_held_name_without_a_return_is_an_error() -> None:
    prices = {session: {"a": Price(10, 10)} for session in SESSIONS[:4]}
    returns = returns_of(prices).filter(pl.col("session") != SESSIONS[3])
    weights = targets({SESSIONS[0]: {"a": 1.0}}, SESSIONS[:4])
    with pytest.raises(ContractError, match=rf"a is held by equal_weight on {SESSIONS[3]}"):
        holdings(returns, weights, SESSIONS[:4])


NAMES = ("a", "b", "c", "d")


def test_nothing_trades_between_decisions() -> None:
    returns = walks(NAMES, SESSIONS, 3)
    weights = targets(
        {SESSIONS[4]: {"a": 0.5, "b": 0.5}, SESSIONS[25]: {"c": 0.6, "b": 0.4}}, SESSIONS
    )
    held = holdings(returns, weights, SESSIONS)
    traded = held.filter(pl.col("traded") != 0)["session"].unique().to_list()
    assert sorted(traded) == [SESSIONS[5], SESSIONS[26]]


def market() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two profiles, halts, a name that leaves, a decision without names."""
    returns = without(walks(NAMES, SESSIONS, 5, halts=0.4), "d", leaves=SESSIONS[30])
    grid = {
        SESSIONS[4]: {"a": 0.25, "b": 0.25, "d": 0.5},
        SESSIONS[18]: {"b": 0.5, "c": 0.3, "d": 0.2},
        SESSIONS[40]: {"a": 0.9},
    }
    first = targets(grid, SESSIONS).filter(
        (pl.col("security_id") != "d") | (pl.col("session") < SESSIONS[30])
    )
    second = targets({SESSIONS[10]: {"a": 0.5, "c": 0.5}}, SESSIONS, "hrp").filter(
        pl.col("session") < SESSIONS[35]
    )
    return returns, pl.concat([first, second])


BOTH = ProfilesSettings(profiles=("equal_weight", "hrp"))


@pytest.mark.parametrize("chunk", [1, 7, 20])
def test_a_range_has_the_bytes_of_its_parts(chunk: int) -> None:
    returns, weights = market()
    whole = holdings(returns, weights, SESSIONS)
    assert holdings(returns, weights, SESSIONS, chunk=chunk).equals(whole)
    made = matrix(whole, weights, SESSIONS, BOTH)
    assert matrix(whole, weights, SESSIONS, BOTH, chunk=chunk).equals(made)
    assert made["untraded"].sum() > 0
    assert made.height == 2 * len(SESSIONS)


def spoilt(frame: pl.DataFrame, after: date, names: Sequence[str]) -> pl.DataFrame:
    later = pl.col("session") > after
    return frame.with_columns(
        pl.when(later).then(pl.col(name) * 0.5).otherwise(name).alias(name) for name in names
    )


def test_what_is_known_later_changes_nothing() -> None:
    returns, weights = market()
    whole = holdings(returns, weights, SESSIONS)
    day = SESSIONS[26]
    upto = pl.col("session") <= day
    bad_returns = spoilt(returns, day, ["before", "after"]).with_columns(
        total=(1 + pl.col("before")) * (1 + pl.col("after")) - 1
    )
    # The weights of the day itself are known at its cutoff: they may not move its holdings.
    bad_weights = spoilt(weights, SESSIONS[25], ["weight"])
    other = holdings(bad_returns, bad_weights, SESSIONS)
    assert other.filter(upto).equals(whole.filter(upto))
    assert not other.equals(whole)


def test_stored_rows_of_the_range_are_not_read() -> None:
    returns, weights = market()
    whole = holdings(returns, weights, SESSIONS)
    poisoned = whole.with_columns(weight=pl.col("weight") * 0.5)
    good = whole.filter(pl.col("session") < SESSIONS[20])
    again = materialise(
        lambda frames, wanted: hold(frames, COSTS, wanted),
        holdings_windows(COSTS),
        {"weights": weights, "returns": returns},
        HOLDINGS,
        SESSIONS[20:],
        history=SESSIONS[0],
        stored=pl.concat([good, poisoned.filter(pl.col("session") >= SESSIONS[20])]),
    )
    assert again.equals(whole.filter(pl.col("session") >= SESSIONS[20]))
