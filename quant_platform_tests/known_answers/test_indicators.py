"""AAPL on 2019-03-22, as a charting service printed it while the price stood at 193.40.

Averages and indicators of raw closes up to 2019-03-21 and that price. The recursive ones began at
the service's first bar; ours begin in 2005, on closes that are divided by the splits of 2005-02-28
(2:1) and 2014-06-09 (7:1), so that the path has no cliff. A mean over 200 bars forgets its start
within a few years: (199/201)^3500 is below 1e-15.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from quant_platform.calendars import build_calendar
from quant_platform.features.state import advance_state
from quant_platform.features.trend import trend_features
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.settings import StateSettings, TrendSettings
from quant_platform_tests.known_answers.data import known_answer

CALENDAR = build_calendar("XNYS", horizon=date(2020, 12, 31), grace=timedelta(minutes=90))
FIRST, BEFORE, LAST = date(2005, 1, 3), date(2019, 3, 21), date(2019, 3, 22)
PRINTED_PRICE = 193.40
SPLITS = ((date(2005, 2, 28), 2.0), (date(2014, 6, 9), 7.0))


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """Publish the bars of AAPL, the last one standing at the printed price."""
    raw = pl.read_parquet(known_answer("actions/raw_div_split_adjclose.parquet")).filter(
        pl.col("symbol") == "AAPL", pl.col("date") <= BEFORE
    )
    divisor = pl.lit(1.0)
    for day, ratio in SPLITS:
        divisor = divisor * pl.when(pl.col("date") < day).then(ratio).otherwise(1.0)
    history = raw.select(session="date", close=pl.col("close") / divisor, volume="volume")
    assert history["session"].to_list() == CALENDAR.between(FIRST, BEFORE)
    printed = pl.DataFrame({"session": [LAST], "close": [PRINTED_PRICE], "volume": [1]})
    rows = pl.concat([history, printed]).with_columns(
        *(pl.col("close").alias(name) for name in ("open", "high", "low")),
        knowledge_session="session",
        security_id=pl.lit("AAPL"),
        symbol=pl.lit("NASDAQ:AAPL"),
        known_at=pl.col("session").cast(pl.Datetime("us", "UTC")) + timedelta(hours=22),
        known_at_basis=pl.lit("assumed"),
    )
    return BARS.validate("x/bars", rows.cast({n: c.dtype for n, c in BARS.columns.items()}))


@pytest.fixture(scope="module")
def state(bars: pl.DataFrame) -> dict[date, dict[str, Any]]:
    """Carried indicators of the last two sessions."""
    wanted = SessionRange(CALENDAR, tuple(CALENDAR.between(FIRST, LAST)), FIRST)
    frames = {"bars": bars.lazy(), "state": FEATURES_STATE.empty().lazy()}
    made = advance_state(frames, StateSettings(), wanted).tail(2)
    return {row["session"]: row for row in made.to_dicts()}


@pytest.mark.parametrize(
    ("column", "printed", "digits"),
    [("sma_20", 180.2715, 4), ("sma_50", 170.1762, 4), ("sma_200", 190.671, 3)],
)
def test_simple_means(bars: pl.DataFrame, column: str, printed: float, digits: int) -> None:
    wanted = SessionRange(CALENDAR, (LAST,), FIRST)
    made = trend_features({"bars": bars.lazy()}, TrendSettings(), wanted)
    # Float32 holds 190.671 to within 8e-6, which is less than half of the last printed digit.
    assert round(made[column].item(), digits) == pytest.approx(printed, abs=10**-digits / 2)


@pytest.mark.parametrize(
    ("column", "printed"), [("ema_20_state", 181.85481), ("ema_200_state", 181.31142)]
)
def test_exponential_means(state: dict[date, dict[str, Any]], column: str, printed: float) -> None:
    assert state[LAST][column] == pytest.approx(printed, abs=1e-4)
    assert state[LAST][column.removesuffix("_state")] == pytest.approx(printed, abs=1e-4)


@pytest.mark.parametrize(("session", "printed"), [(LAST, 75.8055), (BEFORE, 80.465355)])
def test_relative_strength(
    state: dict[date, dict[str, Any]], session: date, printed: float
) -> None:
    assert state[session]["rsi_14"] == pytest.approx(printed, abs=1e-4)
