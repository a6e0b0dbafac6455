"""The features as a textbook has them: one security and one session at a time, in plain Python."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import fmean, pstdev, stdev
from typing import Any

import numpy as np
import polars as pl

from quant_platform.lakehouse.contracts.feature import told
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform_tests.lakehouse.small_lake import CALENDAR, bars_frame

Closes = Mapping[date, Mapping[str, float]]
"""What is known of one security: session → its bar."""


def walk(
    security: str, sessions: Sequence[date], seed: int, *, drift: float = 0.0005
) -> list[dict[str, Any]]:
    """Lay a random walk of daily bars over sessions, each known on time."""
    random = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(random.normal(drift, 0.02, len(sessions))))
    spread = np.abs(random.normal(0, 0.01, (2, len(sessions))))
    volume = np.exp(random.normal(12, 0.5, len(sessions)))
    return [
        {
            "knowledge_session": session,
            "security_id": security,
            "session": session,
            "known_at": CALENDAR.close(session) + timedelta(minutes=30),
            "known_at_basis": "assumed",
            "symbol": f"NYSE:{security.upper()}",
            "open": float(close[i]),
            "high": float(close[i] * (1 + spread[0, i])),
            "low": float(close[i] * (1 - spread[1, i])),
            "close": float(close[i]),
            "volume": float(volume[i]),
        }
        for i, session in enumerate(sessions)
    ]


def corrected(row: Mapping[str, Any], factor: float, late: int) -> dict[str, Any]:
    """Publish another version of a bar some sessions later."""
    arrival = CALENDAR.offset(row["session"], late)
    prices = {name: row[name] * factor for name in ("open", "high", "low", "close")}
    moment = CALENDAR.close(arrival) + timedelta(minutes=40)
    return dict(row) | prices | {"knowledge_session": arrival, "known_at": moment}


def handed(rows: pl.DataFrame, window: Window, wanted: SessionRange) -> pl.LazyFrame:
    """Bound rows to the partitions that a window loads, as the IO manager does."""
    return rows.filter(pl.col("knowledge_session").is_in(wanted.loaded(window))).lazy()


def known(rows: Sequence[Mapping[str, Any]], session: date) -> dict[str, Closes]:
    """Find what was known at a session's cutoff, by security."""
    found: dict[str, dict[date, Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["known_at"]):
        if row["known_at"] <= CALENDAR.cutoff(session):
            found.setdefault(row["security_id"], {})[row["session"]] = row
    return found


def trend_row(bars: Closes, session: date, history: date, missing: float) -> dict[str, Any] | None:
    """Compute the trend features of one security at one session, from the definitions.

    Columns that read the carried state are left out.
    """
    if session not in bars:
        return None
    seen = _Seen(bars, CALENDAR.ordinal(session), CALENDAR.ordinal(history))
    made: dict[str, Any] = {}
    for name, column in FEATURES_TREND.columns.items():
        warm_up = told(column, "warm_up")
        if warm_up is None or told(column, "state", 0) or not column.nullable:
            continue
        there = len(seen.values("close", warm_up))
        enough = there >= max(warm_up - int(missing * warm_up), 1)
        made[name] = _trend_value(name, seen) if enough and seen.reaches(warm_up) else None
    year = CALENDAR.sessions[max(seen.end - 251, seen.origin) : seen.end + 1]
    return made | {
        "close": bars[session]["close"],
        "bars_252": sum(day in bars for day in year),
    }


@dataclass(frozen=True)
class _Seen:
    """What is known of one security up to a session."""

    bars: Closes
    end: int
    origin: int

    def reaches(self, length: int, back: int = 0) -> bool:
        return self.end - back - length + 1 >= self.origin

    def at(self, name: str, back: int) -> float | None:
        """Return a value some sessions ago; None where there is no bar."""
        if self.end - back < self.origin:
            return None
        return self.bars.get(CALENDAR.sessions[self.end - back], {}).get(name)

    def values(self, name: str, length: int, back: int = 0) -> list[float]:
        """Return the values of a window that ends some sessions ago, the newest first."""
        found = (self.at(name, back + number) for number in range(length))
        return [value for value in found if value is not None]

    def pairs(self, length: int) -> list[tuple[Mapping[str, float], float]]:
        """Return the bars of a window, each with the close of the session before it."""
        found = []
        for back in range(length):
            before = self.at("close", back + 1)
            day = CALENDAR.sessions[self.end - back]
            if before is not None and day in self.bars:
                found.append((self.bars[day], before))
        return found


def _trend_value(name: str, seen: _Seen) -> float | None:  # noqa: PLR0911, PLR0912
    """Compute one column by its textbook definition; None where it is no number."""
    stem, number = re.sub(r"_\d+", "", name), re.search(r"_(\d+)", name)
    length = int(number[1]) if number else 0
    close = seen.at("close", 0)
    assert close is not None
    match stem:
        case "sma":
            return fmean(seen.values("close", length))
        case "sma_distance":
            return close / fmean(seen.values("close", length)) - 1
        case "sma_slope":
            before = fmean(seen.values("close", length, 10))
            return 100 * (fmean(seen.values("close", length)) / before - 1)
        case "weekly_trend":
            weeks = [seen.at("close", 5 * week) for week in range(40)]
            quarter, year = (fmean(w for w in weeks[:n] if w is not None) for n in (10, 40))
            return float(close > quarter > year) - float(close < quarter < year)
        case "vwma":
            closes, volumes = seen.values("close", length), seen.values("volume", length)
            return sum(map(operator.mul, closes, volumes)) / sum(volumes)
        case "hull":
            return _weighted(
                [
                    2 * _weighted([seen.at("close", back + n) for n in range(4)])
                    - _weighted([seen.at("close", back + n) for n in range(9)])
                    for back in range(3)
                ]
            )
        case "ichimoku_base":
            return (max(seen.values("high", length)) + min(seen.values("low", length))) / 2
        case "momentum" | "roc" | "performance":
            before = seen.at("close", length)
            if before is None:
                return None
            change = close / before - 1
            return {"momentum": close - before, "roc": 100 * change, "performance": change}[stem]
        case "stochastic_k":
            return _mean_place(seen, length, range(3))
        case "stochastic_d":
            places = [_mean_place(seen, length, range(back, back + 3)) for back in range(3)]
            return _mean(places)
        case "cci":
            closes = seen.values("close", length)
            average = fmean(closes)
            apart = fmean(abs(value - average) for value in closes)
            return (close - average) / (0.015 * apart) if apart > 1e-12 * average else None
        case "williams":
            place = _mean_place(seen, length, range(1))
            return None if place is None else place - 100
        case "awesome":
            middles = [
                fmean(map(fmean, zip(seen.values("high", n), seen.values("low", n), strict=True)))
                for n in (5, 34)
            ]
            return middles[0] - middles[1]
        case "ultimate":
            total = 0.0
            for weight, span in ((4, 7), (2, 14), (1, 28)):
                pairs = seen.pairs(span)
                floors = [min(bar["low"], before) for bar, before in pairs]
                ranges = [max(bar["high"], before) for bar, before in pairs]
                whole = sum(ranges) - sum(floors)
                if whole <= 0:
                    return None
                total += (
                    weight * 100 * (sum(bar["close"] for bar, _ in pairs) - sum(floors)) / whole
                )
            return total / 7
        case "bollinger_upper" | "bollinger_lower" | "bollinger_position" | "bollinger_width":
            closes = seen.values("close", length)
            middle, width = fmean(closes), 2 * pstdev(closes)
            moved = width > 1e-7 * middle
            return {
                "bollinger_upper": middle + width,
                "bollinger_lower": middle - width,
                "bollinger_position": ((close - middle) / width + 1) / 2 if moved else None,
                "bollinger_width": 2 * width / middle,
            }[stem]
        case "donchian_upper":
            return max(seen.values("high", length))
        case "donchian_lower":
            return min(seen.values("low", length))
        case "high_distance":
            return close / max(seen.values("high", length)) - 1
        case "volatility" if length > 1:
            returns = [math.log(bar["close"] / before) for bar, before in seen.pairs(length)]
            return stdev(returns)
        case "volatility":
            (high,), (low,) = seen.values("high", 1), seen.values("low", 1)
            return math.log(high / low) / math.sqrt(4 * math.log(2))
        case "volume_ratio":
            volumes = seen.values("volume", length)
            return volumes[0] / fmean(volumes)
    raise AssertionError(f"no definition of {name}")


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return fmean(there) if there else None


def _weighted(values: Sequence[float | None]) -> float:
    """Weigh the newest of n values by n, the oldest by 1; what is lacking by nothing."""
    pairs = [(len(values) - back, v) for back, v in enumerate(values) if v is not None]
    if not pairs:
        return math.nan
    return sum(weight * value for weight, value in pairs) / sum(weight for weight, _ in pairs)


def _mean_place(seen: _Seen, length: int, sessions: Iterable[int]) -> float | None:
    """Average the place of the close in the range of a window, over windows' ends."""
    places = []
    for back in sessions:
        close = seen.at("close", back)
        low, high = (
            reach(seen.values(price, length, back), default=0.0)
            for reach, price in ((min, "low"), (max, "high"))
        )
        places.append(
            100 * (close - low) / (high - low) if close is not None and high > low else None
        )
    return _mean(places)


_MEANS = (5, 10, 12, 13, 20, 26, 30, 50, 100, 200)


def state_row(bars: Closes, session: date, forget_after: int) -> dict[str, Any] | None:
    """Walk one security's recursions from its first bar to a session, from the definitions."""
    state: dict[str, float] = {}
    count = idle = 0
    start = CALENDAR.ordinal(min(bars, default=session))
    for ordinal in range(start, CALENDAR.ordinal(session) + 1):
        day = CALENDAR.sessions[ordinal]
        if count and day.year > CALENDAR.sessions[ordinal - 1].year:
            state["year"] = state["close"]
        if day in bars:
            idle, count = 0, count + 1
            state = _stepped(state, bars[day], count)
        elif count:
            idle += 1
            if idle >= forget_after:
                count, state = 0, {}
    if not count:
        return None
    read = _read(state)
    warm = {name: told(FEATURES_STATE.columns[name], "warm_up", 1) for name in read}
    return {
        "bars": count,
        "idle": idle,
        "close_state": state["close"],
        **{f"ema_{length}_state": state[f"ema_{length}"] for length in _MEANS},
        "gain_14_state": state["gain"],
        "loss_14_state": state["loss"],
        "range_14_state": state["range"],
        "plus_14_state": state["plus"],
        "minus_14_state": state["minus"],
        "adx_14_state": state["adx"],
        "macd_signal_state": state["signal"],
        "obv_state": state["obv"],
        "ewma_variance_state": state["variance"],
        "year_close_state": state.get("year", 0.0),
        **{name: value if count >= warm[name] else None for name, value in read.items()},
    }


def _stepped(before: Mapping[str, float], bar: Mapping[str, float], count: int) -> dict[str, float]:
    """Take one bar in."""
    close, high, low = bar["close"], bar["high"], bar["low"]
    old = dict.fromkeys(
        ("gain", "loss", "range", "plus", "minus", "adx", "signal", "obv", "variance"), 0.0
    ) | {f"ema_{length}": close for length in _MEANS}
    old |= {"close": close, "high": high, "low": low} | before
    change = close - old["close"]
    up, down = high - old["high"], old["low"] - low
    reach = max(high, old["close"]) - min(low, old["close"]) if count > 1 else 0.0
    new = dict(old)

    def wilder(name: str, value: float, seen: int) -> None:
        if seen > 0:
            new[name] = old[name] + (value - old[name]) / min(seen, 14)

    for length in _MEANS:
        # The plain mean of what there is until the mean is full, then the recursion.
        weight = 1 / count if count <= length else 2 / (length + 1)
        new[f"ema_{length}"] = old[f"ema_{length}"] + weight * (close - old[f"ema_{length}"])
    wilder("gain", max(change, 0.0), count - 1)
    wilder("loss", max(-change, 0.0), count - 1)
    wilder("range", reach, count - 1)
    wilder("plus", up if up > down and up > 0 else 0.0, count - 1)
    wilder("minus", down if down > up and down > 0 else 0.0, count - 1)
    moved = new["plus"] + new["minus"]
    index = 100 * abs(new["plus"] - new["minus"]) / moved if moved > 0 else 0.0
    wilder("adx", index, count - 14)
    if count >= 26:
        seen = count - 25
        weight = 1 / seen if seen <= 9 else 2 / 10
        new["signal"] += weight * (new["ema_12"] - new["ema_26"] - old["signal"])
    if count > 1:
        weight = max(1 / (count - 1), 0.06)
        new["variance"] += weight * (math.log(close / old["close"]) ** 2 - old["variance"])
    new["obv"] += bar["volume"] * ((change > 0) - (change < 0))
    return new | {"close": close, "high": high, "low": low}


def _read(state: Mapping[str, float]) -> dict[str, float | None]:
    """Read the indicators."""
    close, moved, reach = state["close"], state["gain"] + state["loss"], state["range"]
    year = state.get("year")
    return {
        **{f"ema_{length}": state[f"ema_{length}"] for length in _MEANS if length not in (12, 26)},
        **{
            f"ema_{length}_distance": close / state[f"ema_{length}"] - 1
            for length in (10, 20, 50, 100, 200)
        },
        "rsi_14": 100 * state["gain"] / moved if moved > 0 else None,
        "macd": state["ema_12"] - state["ema_26"],
        "macd_signal": state["signal"],
        "atr_14": reach,
        "atr_pct": 100 * reach / close,
        "plus_di_14": 100 * state["plus"] / reach if reach > 0 else None,
        "minus_di_14": 100 * state["minus"] / reach if reach > 0 else None,
        "adx_14": state["adx"],
        "obv": state["obv"],
        "ewma_volatility": math.sqrt(state["variance"]),
        "performance_ytd": None if year is None else close / year - 1,
    }


def frame_of(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows in the columns of the bars contract."""
    return bars_frame(rows)


def units(actions: Sequence[Mapping[str, Any]], session: date, after: date) -> float:
    """Units at a session of one unit held at an earlier one, by the splits known by then."""
    latest: dict[date, float] = {}
    for row in sorted(actions, key=lambda row: row["known_at"]):
        if row["knowledge_session"] <= session and after < row["session"] <= session:
            latest[row["session"]] = row["value"]
    return math.prod(latest.values())


def in_units_of(session: date, bars: Closes, splits: Sequence[Mapping[str, Any]]) -> Closes:
    """Put the bars of one security into the units of a session."""
    scaled = {}
    for day, row in bars.items():
        factor = units(splits, session, day)
        prices = {name: row[name] / factor for name in ("open", "high", "low", "close")}
        scaled[day] = dict(row) | prices | {"volume": row["volume"] * factor}
    return scaled


def split_raw(
    rows: Sequence[Mapping[str, Any]], ratios: Mapping[date, float]
) -> list[dict[str, Any]]:
    """Quote bars in the units that splits make of them: raw, as a source has them."""
    quoted = []
    for row in rows:
        made = math.prod(ratio for ex, ratio in ratios.items() if ex <= row["session"])
        prices = {name: row[name] / made for name in ("open", "high", "low", "close")}
        quoted.append(dict(row) | prices | {"volume": row["volume"] * made})
    return quoted
