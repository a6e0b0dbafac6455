"""The account against a bookkeeper of units and money, and its identities."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.contracts.holdings import HOLDINGS
from quant_platform.portfolio.holding import hold, holdings_windows
from quant_platform.settings.portfolio import CostSettings
from quant_platform_tests.portfolio.naive import Price, Prices, keep, returns_of
from quant_platform_tests.portfolio.stages import NYSE, Run, exactly, materialise, targets
from quant_platform_tests.portfolio.test_holding import COSTS, FREE, NAMES, holdings, matrix, row

YEAR = NYSE.between(date(2024, 1, 2), date(2024, 12, 31))
SESSIONS = YEAR[:8]
moves = st.floats(0.7, 1.4)


@st.composite
def stories(draw: st.DrawFn) -> tuple[Prices, dict[date, dict[str, float]], float]:
    """Prices with halts, splits and delistings, decisions, and a rate of cost."""
    prices: dict[date, dict[str, Price]] = {}
    marks = dict.fromkeys(NAMES, 10.0)
    for number, session in enumerate(SESSIONS):
        day: dict[str, Price] = {}
        for name in list(marks):
            split = draw(st.sampled_from([1.0] * 8 + [4.0, 0.1])) if number else 1.0
            opened = marks[name] / split * draw(moves)
            marks[name] = opened * draw(moves)
            leaves = number > 0 and draw(st.integers(0, 19)) == 0
            halted = draw(st.integers(0, 5)) == 0
            price = None if halted or leaves else opened
            day[name] = Price(marks[name], price, split, leaves)
        for name in [name for name in day if day[name].delisted]:
            del marks[name]
        prices[session] = day
    decisions = {}
    for session in SESSIONS[:-1]:
        alive = [name for name, price in prices[session].items() if not price.delisted]
        if alive and draw(st.sampled_from([True, False])):
            parts = [draw(st.integers(0, 5)) for _ in alive]
            whole = max(sum(parts) + draw(st.integers(0, 2)), 1)
            decisions[session] = {n: p / whole for n, p in zip(alive, parts, strict=True)}
    return prices, decisions, draw(st.sampled_from([0.0, 6.0, 14.0, 500.0]))


def told(prices: Prices, decisions: Mapping[date, Mapping[str, float]]) -> pl.DataFrame:
    """Lay out targets as decide_weights leaves them: a name that left has none."""
    weights = targets(decisions, sorted(prices))
    for session, day in prices.items():
        gone = [name for name, price in day.items() if price.delisted]
        left = pl.col("security_id").is_in(gone) & (pl.col("session") >= session)
        weights = weights.filter(~left)
    return weights


QUICK = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@QUICK
@given(stories())
def test_every_path_earns_what_units_and_money_earn(
    story: tuple[Prices, dict[date, dict[str, float]], float],
) -> None:
    """The account against the bookkeeper, wherever both mean the same decision."""
    prices, decisions, bps = story
    weights = told(prices, decisions)
    costs = CostSettings(slippage_bps=bps, commission_bps=0.0)
    held = holdings(returns_of(prices), weights, SESSIONS, costs)
    made = matrix(held, weights, SESSIONS)
    # The bookkeeper executes a decision once. A session on which the account tries again is one
    # of its own, and told to him as a decision of the evening before.
    tried = dict(decisions)
    for number, session in enumerate(SESSIONS[1:], start=1):
        today = held.filter(pl.col("session") == session)
        if today["traded"].abs().sum() > 0 and SESSIONS[number - 1] not in decisions:
            evening = weights.filter(pl.col("session") == SESSIONS[number - 1])
            tried[SESSIONS[number - 1]] = dict(
                zip(evening["security_id"], evening["weight"], strict=True)
            )
    book = keep(prices, tried, SESSIONS, costs.rate)
    values = [100.0, *book.values]
    for number, net in enumerate(made["net"]):
        assert net == pytest.approx(values[number + 1] / values[number] - 1, rel=0, abs=1e-11)
        cost = book.costs[number] / values[number]
        assert made["cost"][number] == pytest.approx(cost, rel=0, abs=1e-11)


@QUICK
@given(stories())
def test_identities(story: tuple[Prices, dict[date, dict[str, float]], float]) -> None:
    prices, decisions, bps = story
    weights = told(prices, decisions)
    costs = CostSettings(slippage_bps=bps, commission_bps=0.0)
    held = holdings(returns_of(prices), weights, SESSIONS, costs)
    made = matrix(held, weights, SESSIONS)
    value = 1.0
    last: dict[str, float] = {}
    for session in SESSIONS:
        rows = held.filter(pl.col("session") == session).to_dicts()
        total = row(made, session)
        earned = sum(r["earned_before"] + r["earned_after"] for r in rows)
        assert total["gross"] == exactly(earned)
        assert total["net"] == exactly(total["gross"] - total["cost"])
        whole = (1 + total["before"]) * (1 + total["after"]) - 1
        assert total["net"] == exactly(whole)
        assert total["cash"] == exactly(1 - sum(r["weight"] for r in rows))
        assert total["cash"] >= -1e-12
        for r in rows:
            assert r["held"] == last.get(r["security_id"], 0.0)
            assert r["cost"] == exactly(abs(r["traded"]) * costs.rate)
            if r["weight"] > 0:
                end = r["held"] + r["earned_before"] + r["traded"] + r["earned_after"]
                assert r["weight"] == exactly(end / (1 + total["net"]))
        last = {r["security_id"]: r["weight"] for r in rows if r["weight"] > 0}
        value *= 1 + total["net"]
    assert value > 0


def year(seed: int) -> tuple[Prices, dict[date, dict[str, float]]]:
    """Draw a year of six names with halts, splits, dividends and a delisting."""
    random = np.random.default_rng(seed)
    names = "abcdef"
    marks = dict.fromkeys(names, 50.0)
    prices: dict[date, dict[str, Price]] = {}
    decisions: dict[date, dict[str, float]] = {}
    for number, session in enumerate(YEAR):
        day: dict[str, Price] = {}
        for name in list(marks):
            split = {(90, "a"): 4.0, (91, "b"): 0.1, (105, "c"): 1.5}.get((number, name), 1.0)
            opened = marks[name] / split * float(np.exp(random.normal(0, 0.01)))
            marks[name] = opened * float(np.exp(random.normal(0, 0.02)))
            halted = random.uniform() < 0.02
            leaves = (number, name) == (150, "d")
            paid = {(60, "a"): 0.4, (90, "a"): 0.8, (91, "e"): 30.0}.get((number, name), 0.0)
            price = None if halted or leaves else opened
            day[name] = Price(marks[name], price, split, leaves, paid)
            if leaves:
                del marks[name]
        prices[session] = day
        if number % 21 == 5:
            shares = random.dirichlet(np.ones(len(marks))) * 0.97
            decisions[session] = dict(zip(marks, shares.tolist(), strict=True))
    return prices, decisions


@pytest.mark.parametrize("seed", [1, 2])
def test_a_year_of_equity_is_cash_and_units_times_prices(seed: int) -> None:
    """Equity = cash + sum of units x price, on each of 252 sessions, to 1e-9."""
    prices, decisions = year(seed)
    held = holdings(returns_of(prices), told(prices, decisions), YEAR, COSTS)
    made = matrix(held, told(prices, decisions), YEAR)
    book = keep(prices, decisions, YEAR, COSTS.rate)
    equity = 100 * (1 + made["net"]).cum_prod()
    assert (equity - pl.Series(book.values)).abs().to_numpy().max() < 1e-9 * 100
    changes = np.diff(np.array([100.0, *book.values]))
    start = np.array([100.0, *book.values[:-1]])
    earned, paid = (made[name].to_numpy() * start for name in ("gross", "cost"))
    np.testing.assert_allclose(earned - paid, changes, rtol=0, atol=1e-9)
    np.testing.assert_allclose(paid, np.array(book.costs), rtol=0, atol=1e-9)
    last = held.filter(pl.col("session") == YEAR[-1])
    for name, weight in zip(last["security_id"], last["weight"], strict=True):
        worth = book.units.get(name, 0.0) * prices[YEAR[-1]][name].mark
        assert weight * book.values[-1] == exactly(worth, 1e-9)
    assert made["cash"][-1] * book.values[-1] == exactly(book.cash, 1e-9)
    # The year had everything in it: sales, a halt on a decision, a name that was paid out.
    assert made["untraded"].sum() > 0
    assert "d" in held.filter(pl.col("session") == YEAR[150])["security_id"].to_list()
    assert "d" not in held.filter(pl.col("session") == YEAR[151])["security_id"].to_list()


def mutants() -> dict[str, Run]:
    """Accounts that are wrong in the ways a backtest usually is."""

    def tomorrow(returns: pl.LazyFrame) -> pl.LazyFrame:
        moves = (
            pl.col(name).shift(-1).over("security_id", order_by="session").fill_null(pl.col(name))
            for name in ("before", "after")
        )
        return returns.with_columns(*moves)

    def same_close(frames: Mapping[str, pl.LazyFrame], wanted: object) -> pl.DataFrame:
        # Executed at the close of the session before the open: yesterday's close is bought.
        closed = frames["returns"].with_columns(
            before=pl.lit(0.0), after=(1 + pl.col("before")) * (1 + pl.col("after")) - 1
        )
        return hold({**frames, "returns": closed}, FREE, wanted)

    def look_ahead(frames: Mapping[str, pl.LazyFrame], wanted: object) -> pl.DataFrame:
        returns = tomorrow(frames["returns"])
        return hold({**frames, "returns": returns}, FREE, wanted)

    def no_costs(frames: Mapping[str, pl.LazyFrame], wanted: object) -> pl.DataFrame:
        return hold(frames, FREE, wanted)

    def doubled(frames: Mapping[str, pl.LazyFrame], wanted: object) -> pl.DataFrame:
        return hold(frames, CostSettings(slippage_bps=10, commission_bps=2), wanted)

    return {
        "same close": same_close,
        "look-ahead": look_ahead,
        "no costs": no_costs,
        "doubled costs": doubled,
    }


def disagreement(run: Run | None, costs: CostSettings) -> float:
    """Largest distance of a session's net return from the bookkeeper's."""
    days = SESSIONS[:6]
    prices = {
        day: {"a": Price(10 + number**2, 9.5 + number**2), "b": Price(20 - number, 20.5 - number)}
        for number, day in enumerate(days)
    }
    decisions = {days[0]: {"a": 0.5, "b": 0.5}, days[2]: {"a": 0.9, "b": 0.1}}
    weights = targets(decisions, days)
    returns = returns_of(prices)
    held = materialise(
        run or (lambda frames, wanted: hold(frames, costs, wanted)),
        holdings_windows(costs),
        {"weights": weights, "returns": returns},
        HOLDINGS,
        days,
    )
    made = matrix(held, weights, days)
    values = [100.0, *keep(prices, decisions, days, costs.rate).values]
    true = [after / before - 1 for before, after in pairwise(values)]
    return float(np.abs(made["net"].to_numpy() - np.array(true)).max())


def test_the_check_against_the_bookkeeper_passes_the_account() -> None:
    assert disagreement(None, COSTS) < 1e-12
    assert disagreement(None, FREE) < 1e-12


@pytest.mark.parametrize(
    ("name", "costs"),
    [("same close", FREE), ("look-ahead", FREE), ("no costs", COSTS), ("doubled costs", COSTS)],
)
def test_the_check_against_the_bookkeeper_catches(name: str, costs: CostSettings) -> None:
    assert disagreement(mutants()[name], costs) > 1e-5
