"""AAPL on 2019-03-22, as a charting service printed it while the price stood at 193.40.

Averages, oscillators and ratings of raw bars up to 2019-03-21 and of that price. The recursive ones
began at the service's first bar; ours begin in 2005, on prices that are divided by the splits of
2005-02-28 (2:1) and 2014-06-09 (7:1), so that the path has no cliff. A mean over 200 bars forgets
its start within a few years: (199/201)^3500 is below 1e-15.

Of the running bar only the price was printed. Its high until then is the day's (197.69: with it
Williams' %R has every printed digit), its low follows from the printed awesome oscillator (192.02),
and the other columns that see highs and lows are held to these two. The volume until then is taken
from the printed VWMA, so that this one is no test of ours.

The service's highs and lows have fractions of a cent, the file's have none: AO of the session
before differs by 4e-5 already. Sums of ranges and directional moves show it, from the fourth digit
on (`FRACTIONS_OF_A_CENT`).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_platform.calendars import build_calendar
from quant_platform.features.finite import Block
from quant_platform.features.ratings import oscillators_vote
from quant_platform.features.rolling import Matrix
from quant_platform.features.state import advance_state
from quant_platform.features.trend import trend_features
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.settings import StateSettings, TrendSettings
from quant_platform_tests.known_answers.data import known_answer, recorded_scan

CALENDAR = build_calendar("XNYS", horizon=date(2020, 12, 31), grace=timedelta(minutes=90))
FIRST, BEFORE, LAST = date(2005, 1, 3), date(2019, 3, 21), date(2019, 3, 22)
PRINTED_PRICE = 193.40
COLUMNS = {
    f"{name}[1]" for name in ("RSI", "Stoch.K", "Stoch.D", "CCI20", "ADX+DI", "ADX-DI", "AO")
}
"""Columns that were printed of the session before as well."""
SPLITS = ((date(2005, 2, 28), 2.0), (date(2014, 6, 9), 7.0))


@pytest.fixture(scope="module")
def printed() -> dict[str, float]:
    """Columns of AAPL in the recorded scan."""
    return recorded_scan("recorded_scan_AAPL_CMP_2019-03-22.json")["NASDAQ:AAPL"]


@pytest.fixture(scope="module")
def bars(printed: dict[str, float]) -> pl.DataFrame:
    """Publish the bars of AAPL, the last one standing at the printed price."""
    raw = pl.read_parquet(known_answer("actions/raw_div_split_adjclose.parquet")).filter(
        pl.col("symbol") == "AAPL", pl.col("date") <= LAST
    )
    divisor = pl.lit(1.0)
    for day, ratio in SPLITS:
        divisor = divisor * pl.when(pl.col("date") < day).then(ratio).otherwise(1.0)
    history = raw.select(
        *(pl.col(name) / divisor for name in ("open", "high", "low", "close")),
        session="date",
        volume=pl.col("volume") * divisor,
    )
    assert history["session"].to_list() == CALENDAR.between(FIRST, LAST)
    low, volume = _running(history, printed)
    last = pl.col("session") == LAST
    told = {"close": PRINTED_PRICE, "low": low, "volume": volume}
    rows = history.with_columns(
        *(pl.when(last).then(value).otherwise(name).alias(name) for name, value in told.items()),
        knowledge_session="session",
        security_id=pl.lit("AAPL"),
        symbol=pl.lit("NASDAQ:AAPL"),
        known_at=pl.col("session").cast(pl.Datetime("us", "UTC")) + timedelta(hours=22),
        known_at_basis=pl.lit("assumed"),
    )
    # A vendor's adjusted high may lie a rounding below its close.
    rows = rows.with_columns(
        high=pl.max_horizontal("open", "high", "low", "close"),
        low=pl.min_horizontal("open", "high", "low", "close"),
    )
    columns = {name: column.dtype for name, column in BARS.columns.items()}
    return BARS.validate("x/bars", rows.select(pl.col(name).cast(t) for name, t in columns.items()))


def _running(history: pl.DataFrame, printed: dict[str, float]) -> tuple[float, float]:
    """Low and volume of the running bar, from the printed AO and VWMA."""
    middle = ((history["high"] + history["low"]) / 2)[-34:-1]
    weight = 1 / 5 - 1 / 34
    newest = (printed["AO"] - middle[-4:].sum() / 5 + middle.sum() / 34) / weight
    high = history["high"][-1]
    closes, volumes = history["close"][-20:-1], history["volume"][-20:-1]
    excess = (closes * volumes).sum() - printed["VWMA"] * volumes.sum()
    return round(2 * newest - high, 2), excess / (printed["VWMA"] - PRINTED_PRICE)


@pytest.fixture(scope="module")
def carried(bars: pl.DataFrame) -> pl.DataFrame:
    """Carried indicators of all sessions."""
    wanted = SessionRange(CALENDAR, tuple(CALENDAR.between(FIRST, LAST)), FIRST)
    frames = {"bars": bars.lazy(), "state": FEATURES_STATE.empty().lazy()}
    return FEATURES_STATE.validate(
        "x/features_state", advance_state(frames, StateSettings(), wanted)
    )


@pytest.fixture(scope="module")
def rows(bars: pl.DataFrame, carried: pl.DataFrame) -> dict[date, dict[str, Any]]:
    """Both feature tables of the last two sessions."""
    wanted = SessionRange(CALENDAR, (BEFORE, LAST), FIRST)
    frames = {"bars": bars.lazy(), "state": carried.lazy()}
    trend = trend_features(frames, TrendSettings(), wanted)
    both = FEATURES_TREND.validate("x/features_trend", trend).join(
        carried, on=["session", "security_id"]
    )
    return {row["session"]: row for row in both.to_dicts()}


PRINTED = {
    **{f"sma_{length}": f"SMA{length}" for length in (5, 10, 20, 30, 50, 100, 200)},
    **{f"ema_{length}": f"EMA{length}" for length in (5, 10, 20, 30, 50, 100, 200)},
    "rsi_14": "RSI",
    "macd": "MACD.macd",
    "macd_signal": "MACD.signal",
    "adx_14": "ADX",
    "plus_di_14": "ADX+DI",
    "minus_di_14": "ADX-DI",
    "stochastic_k_14": "Stoch.K",
    "stochastic_d_14": "Stoch.D",
    "stochastic_rsi_k_14": "Stoch.RSI.K",
    "cci_20": "CCI20",
    "williams_14": "W.R",
    "awesome": "AO",
    "ultimate": "UO",
    "bulls_bears": "BBPower",
    "momentum_10": "Mom",
    "hull_9": "HullMA9",
    "vwma_20": "VWMA",
    "ichimoku_base_26": "Ichimoku.BLine",
    "recommend_ma": "Recommend.MA",
    "recommend_other": "Recommend.Other",
    "recommend_all": "Recommend.All",
}


FRACTIONS_OF_A_CENT = {"adx_14": 0.01, "plus_di_14": 2e-3, "minus_di_14": 2e-3, "ultimate": 1e-3}


@pytest.mark.parametrize("column", PRINTED)
def test_what_was_printed(
    column: str, rows: dict[date, dict[str, Any]], printed: dict[str, float]
) -> None:
    """Printed are eight digits, of which Float32 keeps seven."""
    apart = FRACTIONS_OF_A_CENT.get(column, 1e-4)
    assert rows[LAST][column] == pytest.approx(printed[PRINTED[column]], abs=apart)


@pytest.mark.parametrize("column", [c for c, name in PRINTED.items() if f"{name}[1]" in COLUMNS])
def test_what_was_printed_of_the_session_before(
    column: str, rows: dict[date, dict[str, Any]], printed: dict[str, float]
) -> None:
    apart = FRACTIONS_OF_A_CENT.get(column, 1e-4)
    assert rows[BEFORE][column] == pytest.approx(printed[f"{PRINTED[column]}[1]"], abs=apart)


@pytest.mark.parametrize(("symbol", "votes"), [("NASDAQ:AAPL", 1), ("NYSE:CMP", 3)])
def test_the_oscillators_votes_of_printed_values(symbol: str, votes: int) -> None:
    """CMP has no bars here: its vote is taken of the printed columns themselves."""
    scan = recorded_scan("recorded_scan_AAPL_CMP_2019-03-22.json")[symbol]

    def told(name: str, before: float | None = None) -> Matrix:
        earlier = scan.get(f"{name}[1]", before)
        return np.array([[np.nan if earlier is None else earlier], [scan[name]]])

    close, nothing = told("close"), np.full((2, 1), np.nan)
    # Votes that the scan has as columns of their own are neutral in both but Williams' %R.
    assert {scan["Rec.Stoch.RSI"], scan["Rec.BBPower"], scan["Rec.UO"]} == {0.0}
    state = {
        "ema_50_state": told("EMA50"),
        "ema_13_state": nothing,
        "rsi_14": told("RSI"),
        "adx_14": told("ADX"),
        "plus_di_14": told("ADX+DI"),
        "minus_di_14": told("ADX-DI"),
        "macd": told("MACD.macd"),
        "macd_signal": told("MACD.signal"),
    }
    made = oscillators_vote(
        Block(close, close, close, close, close, state),
        stochastic=(told("Stoch.K"), told("Stoch.D")),
        stochastic_rsi=(nothing, nothing),
        channel=told("CCI20"),
        awesome=told("AO"),
        momentum=told("Mom"),
        williams=told("W.R", before=0.0 if scan["Rec.WR"] < 0 else None),
        ultimate=told("UO"),
    )
    assert made[-1, 0] == pytest.approx(votes / 11)
    assert scan["Recommend.Other"] == pytest.approx(votes / 11)
