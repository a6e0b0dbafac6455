"""``features_predictability``: which sessions, which returns, and what clustering does to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_platform.features import standardised as module
from quant_platform.features.noise import hurst, stored_noise
from quant_platform.features.predictability import statistics_of
from quant_platform.features.standardised import (
    complete,
    predictability_features,
    predictability_windows,
)
from quant_platform.features.state import advance_state
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.settings import StateSettings, TrendSettings
from quant_platform_tests.features.naive import corrected, frame_of, walk
from quant_platform_tests.lakehouse.small_lake import CALENDAR, span
from quant_platform_tests.market.actions import action, actions_frame

SESSIONS = CALENDAR.between(date(2022, 1, 3), date(2023, 6, 30))
HISTORY = SESSIONS[0]
GRID = frozenset(SESSIONS[10::20])
SETTINGS = TrendSettings()
ASKED = SESSIONS[285:335]
"""Three grid sessions: 290, 310 and 330."""
PREDICTABILITY = CONTRACTS["features_predictability"]


def published() -> list[dict[str, Any]]:
    """Publish a whole walk, one with a few gaps and late news, one with many, a young one."""
    gappy = [row for number, row in enumerate(walk("gappy", SESSIONS, 2)) if number % 80 != 5]
    gappy += [corrected(gappy[280], 1.2, 12)]
    holes = [row for number, row in enumerate(walk("holes", SESSIONS, 3)) if number % 9]
    young = walk("young", SESSIONS[100:], 4)
    return [*walk("whole", SESSIONS, 1), *gappy, *holes, *young]


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    bars, wanted = frame_of(published()), span(SESSIONS[0], ASKED[-1], HISTORY)
    actions = actions_frame([action("whole", SESSIONS[300], 4.0)])
    frames = {"bars": bars.lazy(), "actions": actions.lazy()}
    frames["state"] = CONTRACTS["features_state"].empty().lazy()
    state = advance_state(frames, StateSettings(), wanted)
    return {"bars": bars, "actions": actions, "features_state": state}


def made(tables: dict[str, pl.DataFrame], sessions: Sequence[date]) -> pl.DataFrame:
    wanted, frames = span(sessions[0], sessions[-1], HISTORY), {}
    for name, window in predictability_windows(SETTINGS).items():
        rows = tables[window.table]
        partition = CONTRACTS[window.table].partition
        frames[name] = rows.filter(pl.col(partition).is_in(wanted.loaded(window))).lazy()
    frame = predictability_features(frames, SETTINGS, wanted, GRID)
    return PREDICTABILITY.validate("x/features_predictability", frame)


def test_rows_are_those_of_the_grid_sessions(tables: dict[str, pl.DataFrame]) -> None:
    whole = made(tables, ASKED)
    assert whole["session"].unique().to_list() == [SESSIONS[n] for n in (290, 310, 330)]
    assert made(tables, ASKED[:5]).equals(PREDICTABILITY.empty())
    filled = whole.group_by("security_id").agg(pl.col("hurst").count()).sort("security_id").rows()
    # Of the last 262 returns of "gappy" eight or less are lacking, of "holes" far more.
    assert filled == [("gappy", 3), ("holes", 0), ("whole", 3), ("young", 0)]


def test_a_range_has_the_bytes_of_its_parts(tables: dict[str, pl.DataFrame]) -> None:
    whole = made(tables, ASKED)
    for chunk in (1, 7):
        parts = [made(tables, ASKED[n : n + chunk]) for n in range(0, len(ASKED), chunk)]
        assert pl.concat(parts).equals(whole)


def test_what_is_known_later_changes_nothing(tables: dict[str, pl.DataFrame]) -> None:
    day = SESSIONS[310]
    later = tables["bars"].with_columns(
        pl.when(pl.col("knowledge_session") > day).then(pl.col("close") * 3).otherwise("close")
    )
    upto = pl.col("session") <= day
    spoilt = made(tables | {"bars": later}, ASKED)
    honest = made(tables, ASKED)
    assert spoilt.filter(upto).equals(honest.filter(upto))
    assert not spoilt.equals(honest)


def test_a_planted_look_ahead_makes_ranges_differ(
    tables: dict[str, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Returns over the volatility of the session after: a join shifted the wrong way."""
    honest = module.beside

    def shifted(*laid: Any) -> dict[str, Any]:
        # The function takes the volatility before each return: two sessions later is one too many.
        later = honest(*laid).items()
        return {name: np.concatenate([m[2:], m[-1:], m[-1:]]) for name, m in later}

    monkeypatch.setattr(module, "beside", shifted)
    whole = made(tables, ASKED)
    parts = pl.concat([made(tables, [day]) for day in ASKED if day in GRID])
    assert parts.select("session", "security_id").equals(whole.select("session", "security_id"))
    assert not parts.equals(whole)


def test_values_are_those_of_returns_over_the_volatility_before(
    tables: dict[str, pl.DataFrame],
) -> None:
    walked = [row["close"] for row in walk("whole", SESSIONS, 1)]
    state = tables["features_state"].filter(pl.col("security_id") == "whole")
    spread = dict(state.select("session", "ewma_volatility").iter_rows())
    # The fourfold split of session 300 is in the actions and not in these bars: it is a jump.
    day = 290
    series = np.array(
        [
            np.log(walked[n] / walked[n - 1]) / spread[SESSIONS[n - 1]]
            for n in range(day - 249, day + 1)
        ]
    )[:, None]
    expected = statistics_of(series)
    row = made(tables, [SESSIONS[day]]).filter(pl.col("security_id") == "whole").to_dicts()[0]
    for name, (value,) in expected.items():
        noise = stored_noise()[name]
        place = noise.place(np.array([value]))[0]
        if name == "rescaled_slope":
            name, value = "hurst", hurst(np.array([value]), noise)[0]  # noqa: PLW2901
        if np.isfinite(value):
            assert row[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
        assert row[f"{name}_place"] == pytest.approx(place, abs=1e-4), name


def test_older_returns_take_the_place_of_lacking_ones() -> None:
    nan = np.nan
    returns = np.array([[1.0, nan, 1.0], [2.0, 2.0, nan], [nan, 3.0, nan], [4.0, 4.0, 4.0]])
    values, columns = complete(returns, 3)
    assert columns.tolist() == [0, 1]
    assert values.T.tolist() == [[1.0, 2.0, 4.0], [2.0, 3.0, 4.0]]


def test_clustering_is_not_read_as_predictability() -> None:
    """Of GARCH martingales with Student's t noise Ljung and Box reject too often, if raw."""
    random = np.random.default_rng(11)
    length, width = 700, 2000
    noise = random.standard_t(5, (length, width)) / np.sqrt(5 / 3)
    returns, variance = np.zeros((length, width)), np.ones(width)
    ewma, spread = np.ones(width), np.ones((length, width))
    for row in range(length):
        spread[row] = np.sqrt(ewma)
        returns[row] = np.sqrt(variance) * noise[row]
        variance = 0.02 + 0.1 * returns[row] ** 2 + 0.88 * variance
        ewma = 0.94 * ewma + 0.06 * returns[row] ** 2

    def rejected(series: np.ndarray) -> float:
        values = statistics_of(series[-250:])["ljung_box"]
        return float(np.mean(stored_noise()["ljung_box"].place(values) < 0.05))

    assert rejected(returns) > 0.12
    assert rejected(returns / spread) == pytest.approx(0.05, abs=0.03)


def test_persistence_is_ranked_right() -> None:
    """Fractional noise of exponent 0.3 and 0.7, by its covariance's root."""
    random = np.random.default_rng(12)
    lags = np.abs(np.subtract.outer(np.arange(250), np.arange(250))).astype(float)
    found = []
    for exponent in (0.3, 0.7):
        power = 2 * exponent
        covariance = ((lags + 1) ** power - 2 * lags**power + np.abs(lags - 1) ** power) / 2
        series = np.linalg.cholesky(covariance) @ random.normal(size=(250, 500))
        slopes = statistics_of(series)["rescaled_slope"]
        found.append(hurst(slopes, stored_noise()["rescaled_slope"]))
    assert np.mean(found[0] < found[1]) > 0.95
