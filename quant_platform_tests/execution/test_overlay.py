"""The overlay: exposure from volatility and regime, and blocks that block increases only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from statistics import stdev
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_platform.execution.overlay import control, gross_exposure, target_volatility
from quant_platform.lakehouse.contracts.actions import ACTIONS
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.lakehouse.contracts.regime import REGIME
from quant_platform.lakehouse.contracts.securities import SECURITIES
from quant_platform.lakehouse.contracts.series import SERIES
from quant_platform.regimes.table import regime
from quant_platform.settings import load_settings
from quant_platform.settings.execution import RiskSettings
from quant_platform_tests.execution.world import (
    CALENDARS,
    HISTORY,
    NYSE,
    SESSIONS,
    World,
    held,
    quiet_world,
    run,
    settings,
    span,
    steady,
)
from quant_platform_tests.small_project import REPOSITORY

SETTINGS = RiskSettings(least_joint_sessions=3, volatility_lookback=5)


@pytest.mark.parametrize(
    ("volatility", "multiplier", "exposure"),
    [
        (0.15, 1.0, 1.0),
        (0.30, 1.0, 0.5),
        (0.05, 1.0, 1.0),  # ceiling
        (3.0, 1.0, 0.2),  # floor
        (0.30, 0.5, 0.25),
        (3.0, 0.5, 0.1),
        (0.30, 0.0, 0.0),  # zero is allowed when the regime says so
        (0.0, 0.7, 0.7),  # nothing moves: ceiling
        (None, 0.7, 0.7 * 0.2),  # nobody knows: floor
    ],
)
def test_exposure(volatility: float | None, multiplier: float, exposure: float) -> None:
    assert gross_exposure(volatility, multiplier, SETTINGS) == pytest.approx(exposure)


def test_volatility_is_that_of_the_unscaled_targets_over_joint_sessions() -> None:
    joint = np.array([[0.01, 0.02], [np.nan, 0.5], [-0.02, 0.01], [0.03, -0.01]])
    weights = np.array([0.25, 0.5])
    streams = [0.25 * a + 0.5 * b for a, b in joint[[0, 2, 3]]]
    expected = stdev(streams) * 252**0.5
    assert target_volatility(joint, weights, SETTINGS) == pytest.approx(expected, rel=1e-12)
    assert target_volatility(joint[:3], weights, SETTINGS) is None
    # A name of weight zero need not have a return.
    alone = target_volatility(joint[:, ::-1], np.array([0.5, 0.0]), SETTINGS)
    assert alone == pytest.approx(stdev((0.5 * joint[:, 1]).tolist()) * 252**0.5, rel=1e-12)


def controlled(
    requested: float,
    current: float,
    *,
    age: float = 0.0,
    gone: bool = False,
    multiplier: float | None = 1.0,
    session_return: float = 0.0,
) -> tuple[float, str | None]:
    made = control(
        np.array([requested]),
        np.array([current]),
        np.array([age]),
        np.array([gone]),
        SETTINGS,
        volatility=0.0,
        multiplier=multiplier,
        session_return=session_return,
    )
    return float(made.weight[0]), made.blocked[0]


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ({"multiplier": None}, "NO_REGIME"),
        ({"session_return": -0.051}, "DAILY_LOSS"),
        ({"gone": True}, "DELISTED"),
        ({"age": float("nan")}, "NO_MARK"),
        ({"age": 6.0}, "STALE_MARK"),
    ],
)
def test_a_block_stops_an_increase_and_never_a_decrease(
    conditions: dict[str, Any], code: str
) -> None:
    assert controlled(0.08, 0.05, **conditions) == (0.05, code)
    assert controlled(0.08, 0.0, **conditions) == (0.0, code)
    assert controlled(0.05, 0.08, **conditions) == (0.05, None)
    assert controlled(0.0, 0.08, **conditions) == (0.0, None)
    assert controlled(0.08, 0.05) == (0.08, None)


@pytest.mark.parametrize(
    ("requested", "current", "weight", "code"),
    [
        (0.15, 0.0, 0.15, None),  # at the cap
        (0.16, 0.0, 0.0, "NAME_CAP"),  # an entry above it is not trimmed to it
        (0.16, 0.04, 0.04, "NAME_CAP"),
        (0.25, 0.17, 0.17, "NAME_CAP"),  # drifted above the cap: stays, is not forced out
        (0.16, 0.17, 0.16, None),  # getting out, though still above the cap
    ],
)
def test_the_name_cap(requested: float, current: float, weight: float, code: str | None) -> None:
    assert controlled(requested, current) == (weight, code)


def test_the_limits_themselves_are_allowed() -> None:
    assert controlled(0.08, 0.0, age=5.0, session_return=-0.05) == (0.08, None)


def moving_world(volatility: float, names: int, seed: int, sessions: list[date]) -> World:
    """Independent names with the same volatility per year, equally weighted."""
    random = np.random.default_rng(seed)
    world = World()
    days = NYSE.between(HISTORY, sessions[-1])
    for number in range(names):
        moves = random.normal(0, volatility * names**0.5 / 252**0.5, len(days))
        marks = 100 * np.cumprod(1 + moves)
        opens = np.concatenate([[100.0], marks[:-1]])
        prices = {day: (float(o), float(m)) for day, o, m in zip(days, opens, marks, strict=True)}
        world.add("instruments", f"name{number:02}", prices)
    world.targets = {day: {f"name{n:02}": 1 / names for n in range(names)} for day in sessions}
    world.throttle = dict.fromkeys(sessions, 1.0)
    return world


def test_the_closed_loop_converges_to_the_target() -> None:
    """The book that is really held has the volatility asked for, not the one of the targets."""
    sessions = NYSE.between(date(2024, 6, 24), date(2025, 12, 30))
    world = moving_world(0.40, 16, 4, sessions)
    conf = settings(
        risk={"volatility_lookback": 20, "least_joint_sessions": 15}, cash=1e7, min_trade=0.0
    )
    tables = run(world, conf, sessions)
    equity = tables["positions"].filter(item="cash").sort("session")["equity"].to_numpy()
    # The first evenings decide with fewer than 20 sessions of history.
    returns = (equity[1:] / equity[:-1] - 1)[5:]
    achieved = float(np.std(returns, ddof=1) * 252**0.5)
    assert achieved == pytest.approx(0.15, rel=0.10)
    # A loop on the held book would settle at the geometric mean of the two.
    assert abs(achieved - 0.15) < abs(achieved - (0.15 * 0.40) ** 0.5)
    wanted = tables["risk_controls"].group_by("session").agg(pl.col("exposure").first())
    gross = (
        tables["positions"]
        .filter(pl.col("item") != "cash")
        .group_by("session")
        .agg(pl.col("weight").sum())
    )
    both = wanted.join(gross, on="session").sort("session")[5:]
    assert both.height > 300
    assert both["weight"].mean() == pytest.approx(both["exposure"].mean(), rel=0.10)


def codes_of(world: World, session: date, **risk: float) -> dict[str, str | None]:
    controls = run(world, settings(risk=risk))["risk_controls"].filter(session=session)
    return dict(controls.select("security_id", "blocked").iter_rows())


def growing_world(**prices: Mapping[date, tuple[float | None, float]]) -> World:
    """Targets that grow every evening, so that each of them is an increase."""
    world = quiet_world()
    for name, path in prices.items():
        world.add("instruments", name, path)
    world.targets = {
        day: dict.fromkeys(prices, 0.02 * number) for number, day in enumerate(SESSIONS)
    }
    return world


def test_a_mark_that_grows_old_blocks_through_the_returns() -> None:
    world = growing_world(late=steady(NYSE), fresh=steady(NYSE))
    for row in world.returns["instruments"]:
        if row["security_id"] == "late" and row["session"] >= SESSIONS[2]:
            row["mark_session"] = SESSIONS[1]
    # The mark is of 25 June: three days old on Friday the 28th, six on Monday.
    assert codes_of(world, SESSIONS[4]) == {"fresh": None, "late": None}
    assert codes_of(world, SESSIONS[5]) == {"fresh": None, "late": "STALE_MARK"}


def test_a_session_without_a_row_blocks_the_name() -> None:
    world = growing_world(fresh=steady(NYSE))
    world.add("instruments", "silent", steady(NYSE), gaps={SESSIONS[5]})
    for number, day in enumerate(SESSIONS):
        world.targets[day]["silent"] = 0.02 * number
    assert codes_of(world, SESSIONS[5]) == {"fresh": None, "silent": "NO_MARK"}
    assert set(codes_of(world, SESSIONS[6]).values()) == {None}


def test_a_bad_session_blocks_every_increase_of_its_evening() -> None:
    crash = {day: (100.0, 100.0 if day < SESSIONS[8] else 50.0) for day in steady(NYSE)}
    world = growing_world(fresh=steady(NYSE), fell=crash)
    # A target that high leaves the exposure at its ceiling, whatever the fall does to sigma.
    calm = {"target_volatility": 2.0}
    lost = codes_of(world, SESSIONS[8], daily_loss_cap=0.05, **calm)
    assert lost == {"fell": "DAILY_LOSS", "fresh": "DAILY_LOSS"}
    assert set(codes_of(world, SESSIONS[9], daily_loss_cap=0.05, **calm).values()) == {None}
    assert set(codes_of(world, SESSIONS[8], daily_loss_cap=0.10, **calm).values()) == {None}


def test_a_session_without_a_regime_closes_its_evening() -> None:
    world = growing_world(fresh=steady(NYSE))
    del world.throttle[SESSIONS[8]]
    assert codes_of(world, SESSIONS[8]) == {"fresh": "NO_REGIME"}
    ready = run(world, settings())["execution_ready"].filter(~pl.col("ready"))
    assert ready["session"].to_list() == [SESSIONS[8]]
    assert ready["reasons"].to_list() == [["NO_REGIME"]]


def test_a_benchmark_that_says_nothing_closes_the_evening() -> None:
    """The rows are those that the regime itself makes of a benchmark without a bar."""
    shipped = load_settings(REPOSITORY, environ={}).regimes
    assert shipped is not None
    silent = {
        "securities": SECURITIES.empty().lazy(),
        "benchmark": BARS.empty().lazy(),
        "actions": ACTIONS.empty().lazy(),
        "breadth": FEATURES_TREND.empty().lazy(),
        "series": SERIES.empty().lazy(),
        "regime": REGIME.empty().lazy(),
    }
    rows = REGIME.validate("market/regime", regime(silent, shipped, span(SESSIONS)))
    assert rows["risk_multiplier"].null_count() == len(SESSIONS)
    assert rows["lacking"].str.contains("etfs-0000 is not in etfs/securities").all()
    world = growing_world(fresh=steady(NYSE))
    ready = run(world.frames() | {"regime": rows}, settings())["execution_ready"]
    trading = ready.filter(pl.col("orders") > 0)
    assert not trading.height
    assert {reason for reasons in ready["reasons"] for reason in reasons} == {"NO_REGIME"}


def test_the_name_cap_blocks_through_the_target() -> None:
    world = growing_world(fresh=steady(NYSE))
    blocked = run(world, settings(risk={"name_cap": 0.1}))["risk_controls"]
    codes = dict(blocked.select("session", "blocked").iter_rows())
    assert codes == {day: "NAME_CAP" if n > 5 else None for n, day in enumerate(SESSIONS)}


def test_a_target_that_left_is_not_bought_and_does_not_shrink_the_book() -> None:
    """Until the next decision a target may name what is gone; the others are held as before."""
    left = SESSIONS[3]
    world = quiet_world(stock=0.4, gone=0.4)
    prices = {day: price for day, price in steady(NYSE).items() if day <= left}
    world.add("instruments", "gone", prices, delisted=left)
    tables = run(world, settings(gates={"max_stale": 0.0}))
    rows = tables["risk_controls"].filter(pl.col("session") >= left)
    assert rows["exposure"].unique().to_list() == [1.0]
    assert rows["portfolio_volatility"].null_count() == 0
    codes = rows.filter(security_id="gone").sort("session")["blocked"].to_list()
    # Its last row is in the look-back of five evenings; then nothing is known of it any more.
    assert codes == ["DELISTED"] * 5 + ["NO_MARK"] * 7
    # That a target left is known: only what nobody knows counts as stale.
    assert tables["execution_ready"]["ready"].to_list() == [True] * 8 + [False] * 7
    planned = tables["orders_plan"].filter(pl.col("session") >= left)
    assert "gone" not in planned["security_id"]
    assert held(tables, SESSIONS[-1])["stock"] == pytest.approx(400, abs=1)
    # The same gap in a name that is still there means that nobody knows: the floor.
    silent = quiet_world(stock=0.4, gone=0.4)
    silent.add("instruments", "gone", steady(NYSE), gaps=SESSIONS[4:7])
    exposure = run(silent, settings())["risk_controls"].filter(session=SESSIONS[6])["exposure"]
    assert exposure.unique().to_list() == [0.2]


def test_the_regime_throttles_once_and_zero_leaves_everything() -> None:
    world = quiet_world(stock=0.4, coin=0.4)
    world.throttle[SESSIONS[5]] = 0.5
    world.throttle[SESSIONS[6]] = 0.0
    tables = run(world, settings())
    rows = tables["risk_controls"].filter(session=SESSIONS[5])
    assert rows["weight"].to_list() == [0.2, 0.2]
    assert rows["regime_multiplier"].unique().to_list() == [0.5]
    assert held(tables, SESSIONS[6])["stock"] == pytest.approx(200, abs=1)
    assert held(tables, SESSIONS[7]).keys() == {"cash"}


def test_too_few_joint_sessions_mean_the_floor() -> None:
    """A sleeve that has only begun: the volatility is null, and the exposure the floor."""
    world = quiet_world(stock=0.5, young=0.5)
    prices = {day: value for day, value in steady(NYSE).items() if day >= SESSIONS[1]}
    world.add("etfs", "young", prices)
    tables = run(world, settings())
    rows = tables["risk_controls"].unique("session").sort("session")
    # Before its first row nobody can hold it, and it does not count.
    known = [True] + [False] * 2 + [True] * 12
    assert rows["portfolio_volatility"].is_not_null().to_list() == known
    assert rows["exposure"].to_list() == [1.0 if is_known else 0.2 for is_known in known]
    assert list(CALENDARS) == ["crypto", "etfs", "instruments"]
