"""Volatility against the definitions, the tails against integrals, the composite state by state."""

from __future__ import annotations

import math
from datetime import date
from functools import cache
from statistics import fmean, median, stdev
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.integrate import quad

from quant_platform.features.state import advance_state
from quant_platform.features.volatility import (
    TAIL,
    robust_mean,
    student_tail_mean,
    tail_mean,
    volatility_features,
    volatility_windows,
)
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE
from quant_platform.lakehouse.contracts.features_volatility import FEATURES_VOLATILITY
from quant_platform.settings import CompositeSettings, StateSettings, VolatilitySettings
from quant_platform.settings.platform import TrendSettings
from quant_platform_tests.features.naive import frame_of, walk
from quant_platform_tests.features.test_finite import HISTORY, SESSIONS
from quant_platform_tests.lakehouse.small_lake import span

SETTINGS = TrendSettings()
COMPOSITE = VolatilitySettings()
DAY = SESSIONS[330]
YEAR = math.sqrt(252)


@cache
def bars() -> tuple[dict[str, Any], ...]:
    return tuple(walk("a", SESSIONS[:331], 3))


@cache
def state() -> pl.DataFrame:
    frames = {"bars": frame_of(list(bars())).lazy(), "state": FEATURES_STATE.empty().lazy()}
    return advance_state(frames, StateSettings(), span(SESSIONS[0], DAY, HISTORY))


def made(
    rows: list[dict[str, Any]],
    composite: VolatilitySettings = COMPOSITE,
    carried: pl.DataFrame | None = None,
    day: date = DAY,
    periods: int = 252,
) -> dict[str, Any]:
    """Compute one session of one security from what its windows hand over."""
    wanted = span(day, day, HISTORY)
    windows = volatility_windows()
    published = frame_of(rows).filter(
        pl.col("knowledge_session").is_in(wanted.loaded(windows["bars"]))
    )
    frames = {"bars": published.lazy()}
    if carried is not None:
        frames["state"] = carried.filter(
            pl.col("session").is_in(wanted.loaded(windows["state"]))
        ).lazy()
    frame = volatility_features(frames, SETTINGS, wanted, composite, periods)
    return FEATURES_VOLATILITY.validate("x/features_volatility", frame).row(0, named=True)


def test_every_value_is_that_of_its_definition() -> None:
    rows = list(bars())
    found = made(rows, carried=state())
    logs = [math.log(rows[n]["close"] / rows[n - 1]["close"]) for n in range(1, 331)]
    plain = [rows[n]["close"] / rows[n - 1]["close"] - 1 for n in range(1, 331)]

    def body(row: dict[str, Any]) -> float:
        reach, move = math.log(row["high"] / row["low"]), math.log(row["close"] / row["open"])
        return reach**2 / 2 - (2 * math.log(2) - 1) * move**2

    def with_gap(length: int) -> float:
        pairs = zip(rows[-length - 1 : -1], rows[-length:], strict=True)
        each = [math.log(row["open"] / before["close"]) ** 2 + body(row) for before, row in pairs]
        return math.sqrt(max(fmean(each), 0.0)) * YEAR

    def ulcer(length: int) -> float:
        closes = [row["close"] for row in rows]
        falls = [closes[n] / max(closes[n - length + 1 : n + 1]) - 1 for n in range(331)[-length:]]
        return math.sqrt(fmean(fall**2 for fall in falls))

    worst = sorted(plain[-252:])
    reaches = [math.log(row["high"] / row["low"]) ** 2 for row in rows[-30:]]
    expected = {
        **{f"volatility_{n}": stdev(logs[-n:]) * YEAR for n in (30, 90, 252)},
        **{f"range_volatility_{n}": with_gap(n) for n in (30, 90, 252)},
        "ewma_volatility": state().row(-1, named=True)["ewma_volatility"] * YEAR,
        "parkinson_30": math.sqrt(fmean(reaches) / (4 * math.log(2))) * YEAR,
        "garman_klass_30": math.sqrt(max(fmean(map(body, rows[-30:])), 0.0)) * YEAR,
        "downside_deviation_252": math.sqrt(fmean(min(r, 0.0) ** 2 for r in plain[-252:])) * YEAR,
        "cvar_historical_252": (sum(worst[:12]) + 0.6 * worst[12]) / 12.6,
        "ulcer_index_14": ulcer(14),
        "ulcer_index_63": ulcer(63),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-6), name
    parts = [found["volatility_90"], found["range_volatility_90"], found["ewma_volatility"]]
    assert found["volatility_state"] == "normal"
    pulled = [min(max(part, median(parts) / 2), median(parts) * 2) for part in parts]
    mixed = 0.3 * pulled[0] + 0.4 * pulled[1] + 0.3 * pulled[2]
    assert found["composite_volatility"] == pytest.approx(mixed, rel=1e-6)


def test_what_is_annual_follows_the_periods_of_the_sleeve() -> None:
    shares, coins = made(list(bars())), made(list(bars()), periods=365)
    for name, column in FEATURES_VOLATILITY.columns.items():
        if (column.metadata or {}).get("unit") == "fraction a year" and shares[name] is not None:
            assert coins[name] == pytest.approx(shares[name] * math.sqrt(365 / 252), rel=1e-6)
    assert coins["cvar_historical_252"] == shares["cvar_historical_252"]


# -- tails -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [0.0, 0.04])
def test_the_tail_is_that_of_sorted_returns_however_many_rows_are_asked(missing: float) -> None:
    random = np.random.default_rng(1)
    returns = random.standard_t(3, (400, 5))
    returns[random.random(returns.shape) < missing] = np.nan
    found = np.full_like(returns, np.nan)
    found[-149:] = tail_mean(returns, 252, 149)
    for row in (251, 300, 399):
        for column in range(5):
            window = returns[row - 251 : row + 1, column]
            worst = np.sort(window[~np.isnan(window)])
            size = TAIL * len(worst)
            weights = np.clip(size - np.arange(len(worst)), 0, 1)
            assert found[row, column] == pytest.approx((worst * weights).sum() / size, rel=1e-12)
    assert np.isnan(tail_mean(returns, 252, 400)[:251]).all()
    for rows in (1, 7, 100):
        assert np.array_equal(tail_mean(returns, 252, rows), found[-rows:])
    assert np.array_equal(tail_mean(returns[:, :1], 252, 149)[-9:], found[-9:, :1])


@pytest.mark.parametrize("freedom", [5.0, 8.0, 60.0])
def test_the_tail_under_student_is_the_integral_of_its_density(freedom: float) -> None:
    """Of values whose moments are nearly those: some at two distant points, the rest between."""
    excess = 6 / (freedom - 4)
    mean, deviation = 0.001, 0.02
    # Mass p/2 at ±a and the rest at 0 has variance p·a² and kurtosis 1/p.
    size = 10_000
    share = 1 / (excess + 3)
    count = round(size * share / 2)
    exact = 6 / (size / (2 * count) - 3) + 4
    reach = deviation * math.sqrt(size / (2 * count))
    values = np.concatenate([np.full(count, reach), np.full(count, -reach)])
    values = mean + np.concatenate([values, np.zeros(size - 2 * count)])
    found = student_tail_mean(values[:, None], size, 1)[0, 0]
    scale = deviation * math.sqrt(size / (size - 1)) * math.sqrt((exact - 2) / exact)
    model = stats.t(exact, loc=mean, scale=scale)
    edge = model.ppf(TAIL)
    integral = quad(lambda x: x * model.pdf(x), -np.inf, edge, epsabs=1e-13)[0] / TAIL
    assert found == pytest.approx(integral, rel=1e-5)


def test_without_heavy_tails_the_tail_is_normal() -> None:
    values = np.tile([0.01, -0.01], 126)[:, None]
    found = student_tail_mean(values, 252, 1)[0, 0]
    density = stats.norm.pdf(stats.norm.ppf(TAIL)) / TAIL
    assert found == pytest.approx(-np.std(values, ddof=1) * density, rel=1e-6)


# -- the composite ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "factor"), [("quiet", 0.5), ("normal", 1.0), ("turbulent", 2.0)])
def test_the_state_chooses_weights_and_look_back(name: str, factor: float) -> None:
    first = made(list(bars()), carried=state())
    scale = factor * first["volatility_252"] / first["ewma_volatility"]
    carried = state().with_columns(pl.col("ewma_volatility") * scale)
    only = {
        "quiet": CompositeSettings(lookback=252, realised=1, ranges=0, ewma=0),
        "normal": CompositeSettings(lookback=90, realised=0, ranges=1, ewma=0),
        "turbulent": CompositeSettings(lookback=30, realised=0, ranges=0, ewma=1),
    }
    found = made(list(bars()), VolatilitySettings(**only), carried)
    expected = {
        "quiet": "volatility_252",
        "normal": "range_volatility_90",
        "turbulent": "ewma_volatility",
    }[name]
    assert found["volatility_state"] == name
    assert found["composite_volatility"] == found[expected]


def test_without_the_carried_state_the_composite_is_that_of_normal() -> None:
    found = made(list(bars()))
    assert found["volatility_state"] is None
    mixed = (0.3 * found["volatility_90"] + 0.4 * found["range_volatility_90"]) / 0.7
    assert found["composite_volatility"] == pytest.approx(mixed, rel=1e-6)
    needs = CompositeSettings(lookback=90, realised=0.2, ranges=0.2, ewma=0.6)
    assert made(list(bars()), VolatilitySettings(normal=needs))["composite_volatility"] is None


def test_one_impossible_high_does_not_make_the_composite() -> None:
    rows = [dict(row) for row in bars()]
    rows[-5]["high"] *= 50
    honest, wild = made(list(bars()), carried=state()), made(rows, carried=state())
    assert wild["range_volatility_90"] > 3 * honest["range_volatility_90"]
    assert wild["composite_volatility"] < 1.5 * honest["composite_volatility"]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([0.1, 0.2, 0.9], 0.25 * 0.1 + 0.25 * 0.2 + 0.5 * 0.4),
        ([0.01, 0.2, 0.3], 0.25 * 0.1 + 0.25 * 0.2 + 0.5 * 0.3),
        ([math.nan, 0.1, 0.3], (0.25 * 0.1 + 0.5 * 0.3) / 0.75),
        ([0.1, 0.3, math.nan], 0.2),
        ([0.1, math.nan, math.nan], math.nan),
        ([math.nan] * 3, math.nan),
        ([0.0, 0.0, 0.0], 0.0),
    ],
)
def test_the_robust_mean_pulls_what_is_far_and_leaves_out_what_lacks(
    parts: list[float], expected: float
) -> None:
    first, second, third = (np.array([[part]]) for part in parts)
    weights = (np.array([[0.25]]), np.array([[0.25]]), np.array([[0.5]]))
    found = robust_mean((first, second, third), weights, 2.0)[0, 0]
    assert found == pytest.approx(expected, nan_ok=True)


def test_nothing_is_known_before_its_warm_up() -> None:
    day = SESSIONS[89]
    found = made(list(bars()), carried=state(), day=day)
    assert found["volatility_30"] is not None
    assert found["volatility_90"] is None
    assert found["composite_volatility"] is None
    assert made(list(bars()), carried=state(), day=SESSIONS[90])["composite_volatility"] is not None
