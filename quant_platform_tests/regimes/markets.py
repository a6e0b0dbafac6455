"""Markets for the regime: planted benchmarks, and the table made of them as the windows say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from quant_platform.features.trend import trend_features
from quant_platform.lakehouse.contracts import contract_of
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.lakehouse.contracts.regime import REGIME
from quant_platform.lakehouse.contracts.securities import SECURITIES
from quant_platform.lakehouse.contracts.series import SERIES
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.regimes.inputs import SERIES as INDICES
from quant_platform.regimes.table import regime, regime_windows
from quant_platform.settings import TrendSettings
from quant_platform.settings.regimes import RegimeSettings
from quant_platform_tests.lakehouse.small_lake import CALENDAR, bar, bars_frame
from quant_platform_tests.market.actions import action, actions_frame

SHIPPED = Path(__file__).parents[2] / "assets_config" / "regimes.yaml"
SETTINGS = RegimeSettings.model_validate(yaml.safe_load(SHIPPED.read_text("utf-8")))
Market = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]
"""Bars and actions with the benchmark, trend features of the breadth sleeve, series."""
SESSIONS = CALENDAR.between(date(2022, 6, 1), date(2024, 6, 28))
INDEX = SETTINGS.benchmark.security_id
DESCRIBED = pl.DataFrame(
    [
        {
            "knowledge_session": SESSIONS[at],
            "security_id": name,
            "known_at": datetime.combine(SESSIONS[at], time(20), UTC),
            "known_at_basis": "observed",
            "symbol": symbol,
            "name": name,
            "exchange": "AMEX",
            "asset_class": "etf",
            "listed_on": SESSIONS[0],
        }
        for at, name, symbol in (
            (0, INDEX, "AMEX:OLD"),
            (0, "a", "AMEX:A"),
            (300, INDEX, "AMEX:NEW"),
        )
    ],
    schema=SECURITIES.empty().schema,
)
"""The index is given another symbol on the way."""


def handed(table: str, rows: pl.DataFrame, window: Window, wanted: SessionRange) -> pl.LazyFrame:
    partition = contract_of(table).partition
    return rows.filter(pl.col(partition).is_in(wanted.loaded(window))).lazy()


def run(
    market: Market,
    days: Sequence[date],
    cuts: Sequence[int] = (),
    chosen: RegimeSettings = SETTINGS,
) -> pl.DataFrame:
    """Compute sessions in one run, or in several that begin at the cuts, as the windows say."""
    windows = regime_windows(chosen)
    tables = dict(zip(("benchmark", "actions", "breadth", "series"), market, strict=True))
    tables["securities"] = DESCRIBED
    made = REGIME.empty()
    for begin, end in pairwise([0, *sorted(cuts), len(days)]):
        wanted = SessionRange(CALENDAR, tuple(days[begin:end]), SESSIONS[0])
        frames = {
            name: handed(window.table, (tables | {"regime": made})[name], window, wanted)
            for name, window in windows.items()
        }
        made = pl.concat([made, REGIME.validate("market/regime", regime(frames, chosen, wanted))])
    return made


def planted(
    closes: Sequence[float], *, split: int | None = None, wrong: int | None = None, after: int = 0
) -> Market:
    """Bars of the index and of four securities like it, those through trend features.

    Parameters
    ----------
    closes
        One per session, in today's units.
    split
        Position of a 4-for-1 split of the index.
    wrong, after
        Position of a print of the index that is 30 % too low, and after how many sessions its
        correction is known.
    """
    days = SESSIONS[: len(closes)]
    wanted = SessionRange(CALENDAR, tuple(days), SESSIONS[0])
    units = [4.0 if split is not None and number >= split else 1.0 for number in range(len(days))]
    index = [
        bar(INDEX, day, close / unit) for day, close, unit in zip(days, closes, units, strict=True)
    ]
    others = [
        bar(name, day, close) for name in "abcd" for day, close in zip(days, closes, strict=True)
    ]
    if wrong is not None:
        right = index[wrong]["close"]
        index[wrong] = bar(INDEX, days[wrong], right * 0.7)
        index.append(bar(INDEX, days[wrong], right, late=after))
    actions = [] if split is None else [action(INDEX, days[split], 4.0)]
    features = trend_features({"bars": bars_frame(others).lazy()}, TrendSettings(), wanted)
    return (
        BARS.validate("etfs/bars", bars_frame(index)),
        actions_frame(actions),
        FEATURES_TREND.validate("instruments/features_trend", features),
        SERIES.validate("market/series", published(values_of(closes))),
    )


def values_of(closes: Sequence[float]) -> dict[str, list[float]]:
    """Series of a market: the curve inverts and high yield falls as the index does."""
    found: dict[str, list[float]] = {name: [] for name in INDICES}
    for at, close in enumerate(closes):
        fallen = 1 - close / max(closes[max(at - 30, 0) : at + 1])
        wiggle = 1 + 0.002 * math.sin(at)
        found["VIX"].append(13 * wiggle + 120 * fallen)
        found["VIX3M"].append(15 * wiggle + 80 * fallen)
        found["HYG"].append(100 * wiggle * close**0.3)
        found["LQD"].append(100 / wiggle * close**0.1)
        found["GLD"].append(100 * (1 + 0.05 * math.sin(at / 40)))
        found["TLT"].append(100 * (1 + 0.05 * math.cos(at / 60)))
    return found


def published(
    values: Mapping[str, Sequence[float]], late: Mapping[int, int] | None = None
) -> pl.DataFrame:
    """Rows of ``market/series`` on the first sessions, in the evening of each.

    Parameters
    ----------
    values
        By name, one for each session.
    late
        By place: how many sessions later all of them are published.
    """
    rows = []
    for name, own in values.items():
        for at, value in enumerate(own):
            known = SESSIONS[at + (late or {}).get(at, 0)]
            rows.append(
                {
                    "knowledge_session": known,
                    "series": name,
                    "session": SESSIONS[at],
                    "known_at": datetime.combine(known, time(21), UTC),
                    "known_at_basis": "observed",
                    "value": value,
                    "unit": "index points",
                }
            )
    return pl.DataFrame(rows, schema=SERIES.empty().schema)


def walk(*stretches: tuple[int, float, float]) -> list[float]:
    """Make closes of stretches of (sessions, drift, swing): a zigzag around a drift."""
    close, closes = 100.0, []
    for sessions, drift, swing in stretches:
        for number in range(sessions):
            close *= math.exp(drift + (swing if number % 2 else -swing))
            closes.append(close)
    return closes


CRASH = walk((260, 0.001, 0.002), (60, -0.001, 0.016), (25, -0.02, 0.02), (140, 0.004, 0.004))
"""A calm rise, a choppy decline, a crash and a recovery."""
PLANTED = planted(CRASH)
PLAIN = run(PLANTED, SESSIONS[: len(CRASH)])


def speaks(row: Mapping[str, Any]) -> bool:
    """Whether the benchmark itself says anything; breadth is another sleeve's."""
    return any(row[name] is not None for name in ("volatility_20", "drawdown_63", "trend"))
