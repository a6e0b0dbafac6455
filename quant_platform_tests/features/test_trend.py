"""Trend features against the definitions, session by session, and ranges against single days."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest

from quant_platform.features.state import advance_state
from quant_platform.features.trend import TREND, trend_features, trend_windows
from quant_platform.lakehouse.contracts.feature import null_before
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.settings import StateSettings, TrendSettings
from quant_platform_tests.features.naive import (
    corrected,
    frame_of,
    handed,
    known,
    trend_row,
    walk,
)
from quant_platform_tests.lakehouse.small_lake import CALENDAR, span

SESSIONS = CALENDAR.between(date(2022, 1, 3), date(2023, 6, 30))
HISTORY = SESSIONS[0]
SETTINGS = TrendSettings()


def market() -> list[dict[str, Any]]:
    """Lay out securities with full histories, gaps, a late listing, a delisting, late news."""
    whole = walk("whole", SESSIONS, 1)
    gappy = [row for number, row in enumerate(walk("gappy", SESSIONS, 2)) if number % 23 != 5]
    holes = [row for number, row in enumerate(walk("holes", SESSIONS, 3)) if number % 60 > 4]
    young = walk("young", SESSIONS[200:], 4)
    gone = walk("gone", SESSIONS[:280], 5)
    news = walk("news", SESSIONS, 6)
    late = [corrected(news.pop(300), 1.0, 2), corrected(news.pop(250), 1.0, 9)]
    changes = [
        corrected(news[290], 1.5, 3),
        corrected(news[290], 0.5, 7),
        corrected(news[100], 1.2, 205),
        corrected(news[302], 0.9, 1),
    ]
    prices = dict.fromkeys(("open", "high", "low", "close"), 7.0)
    steady = [row | prices for row in walk("s", SESSIONS, 7)]
    return [*whole, *gappy, *holes, *young, *gone, *news, *late, *changes, *steady]


ROWS = market()
FRAME = frame_of(ROWS)


def features(
    first: date, last: date, settings: TrendSettings = SETTINGS, rows: pl.DataFrame = FRAME
) -> pl.DataFrame:
    wanted = span(first, last, HISTORY)
    window = trend_windows()["bars"]
    made = trend_features({"bars": handed(rows, window, wanted)}, settings, wanted)
    return FEATURES_TREND.validate("x/features_trend", made)


def assert_like_the_definitions(
    made: pl.DataFrame, sessions: Sequence[date], settings: TrendSettings
) -> int:
    """Compare every value; return how many were not null."""
    found = {(row["session"], row["security_id"]): row for row in made.to_dicts()}
    values = 0
    for session in sessions:
        for security, bars in known(ROWS, session).items():
            expected = trend_row(bars, session, HISTORY, settings.max_missing_share)
            row = found.pop((session, security), None)
            assert (row is None) == (expected is None), (session, security)
            if row is None or expected is None:
                continue
            for name, value in expected.items():
                told = f"{name} of {security} on {session}"
                if value is None:
                    assert row[name] is None, told
                    continue
                values += 1
                # Float32 keeps 24 bits; differences are small against what they are made of.
                unit = str(FEATURES_TREND.columns[name].metadata["unit"])
                scale = {"price": row["close"], "percent": 100.0, "0..100": 100.0}.get(unit, 1.0)
                assert row[name] == pytest.approx(value, rel=4e-7, abs=1e-6 * scale), told
    assert not found
    return values


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 30), (45, 65), (195, 225), (248, 262), (285, 310), (340, 350)],
    ids=["start", "after 50", "after 200", "after 252", "news", "end"],
)
def test_every_value_is_that_of_its_definition(first: int, last: int) -> None:
    sessions = SESSIONS[first : last + 1]
    made = features(sessions[0], sessions[-1])
    assert assert_like_the_definitions(made, sessions, SETTINGS) > 5 * len(sessions)


@pytest.mark.parametrize("missing", [0.0, 0.3, 1.0])
def test_the_tolerance_is_a_setting(missing: float) -> None:
    settings = TrendSettings(max_missing_share=missing)
    sessions = SESSIONS[296:304]
    made = features(sessions[0], sessions[-1], settings)
    assert_like_the_definitions(made, sessions, settings)


def test_warm_ups_of_the_contract_are_those_of_the_function() -> None:
    """In a history without a gap a column has its first value at its declared warm-up."""
    wanted = span(SESSIONS[0], SESSIONS[280], HISTORY)
    rows = FRAME.filter(pl.col("security_id") == "whole", pl.col("session") <= wanted.last).lazy()
    frames = {"bars": rows, "state": FEATURES_STATE.empty().lazy()}
    frames["state"] = advance_state(frames, StateSettings(), wanted).lazy()
    made = FEATURES_TREND.validate("x/features_trend", trend_features(frames, SETTINGS, wanted))
    for name, column in FEATURES_TREND.columns.items():
        warm_up = null_before(column)
        if warm_up is not None:
            assert made[name].is_null().sum() == warm_up - 1, name
            assert made[name].slice(warm_up - 1).null_count() == 0, name


@pytest.mark.parametrize("chunk", [1, 7, 20])
def test_a_range_has_the_bytes_of_its_parts(chunk: int) -> None:
    sessions = SESSIONS[286:316]
    whole = features(sessions[0], sessions[-1])
    parts = [
        features(part[0], part[-1])
        for part in (sessions[start : start + chunk] for start in range(0, len(sessions), chunk))
    ]
    assert pl.concat(parts).equals(whole)


def test_securities_do_not_depend_on_one_another() -> None:
    sessions = SESSIONS[286:316]
    whole = features(sessions[0], sessions[-1])
    chosen = pl.col("security_id").is_in(["news", "young", "holes"])
    some = features(sessions[0], sessions[-1], rows=FRAME.filter(chosen))
    assert some.equals(whole.filter(chosen))


def test_what_is_known_later_changes_nothing() -> None:
    session = SESSIONS[298]
    alone = features(session, session)
    known_then = FRAME.filter(pl.col("knowledge_session") <= session)
    assert features(session, session, rows=known_then).equals(alone)
    later = pl.col("knowledge_session") > session
    spoilt = FRAME.with_columns(
        pl.when(later).then(pl.col(name) * 3).otherwise(name).alias(name)
        for name in ("high", "close", "volume")
    )
    ranged = features(SESSIONS[290], SESSIONS[305], rows=spoilt)
    assert ranged.filter(pl.col("session") == session).equals(alone)


def test_a_security_without_a_bar_has_no_row() -> None:
    made = features(SESSIONS[275], SESSIONS[285])
    gone = made.filter(pl.col("security_id") == "gone")["session"].to_list()
    assert gone == SESSIONS[275:280]


def test_prices_that_never_move_have_no_volatility_and_no_distance() -> None:
    made = features(SESSIONS[300], SESSIONS[320]).filter(pl.col("security_id") == "s")
    for name in ("volatility_21", "high_252_distance", "performance_252", "sma_50_slope"):
        assert made[name].unique().to_list() == [0.0], name
    assert made["sma_200"].unique().to_list() == [7.0]


def test_a_market_without_any_bar_has_no_rows() -> None:
    made = features(SESSIONS[10], SESSIONS[20], rows=FRAME.head(0))
    assert made.equals(FEATURES_TREND.empty())


def test_the_window_reaches_what_the_longest_column_needs() -> None:
    """One session less and performance_252 would change: its first close lies at the very edge."""
    session = SESSIONS[330]
    wanted = span(session, session, HISTORY)
    window = trend_windows()["bars"]
    assert window.lookback == TREND.longest - 1 == 252
    loaded = wanted.loaded(window)
    value = features(session, session).filter(pl.col("security_id") == "whole")["performance_252"]
    assert value.item() is not None
    shorter = FRAME.filter(pl.col("knowledge_session") != loaded[0])
    cut = features(session, session, rows=shorter).filter(pl.col("security_id") == "whole")
    assert cut["performance_252"].item() is None


def test_huge_and_tiny_prices_keep_their_digits() -> None:
    for factor in (1e-8, 1e8):
        scaled = FRAME.filter(pl.col("security_id") == "whole").with_columns(
            pl.col("open", "high", "low", "close") * factor
        )
        made = features(SESSIONS[300], SESSIONS[302], rows=scaled)
        plain = features(SESSIONS[300], SESSIONS[302]).filter(pl.col("security_id") == "whole")
        for name in ("volatility_21", "performance_252", "high_252_distance"):
            for scaled_value, value in zip(made[name], plain[name], strict=True):
                assert math.isclose(scaled_value, value, rel_tol=1e-6, abs_tol=1e-7), name
