"""The features as a textbook has them: one security and one session at a time, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from statistics import fmean, stdev
from typing import Any

import numpy as np
import polars as pl

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
    return found  # type: ignore[return-value]


def trend_row(bars: Closes, session: date, history: date, missing: float) -> dict[str, Any] | None:
    """Compute the trend features of one security at one session, from the definitions."""
    if session not in bars:
        return None
    end = CALENDAR.ordinal(session)
    origin = CALENDAR.ordinal(history)

    def window(name: str, length: int, before: int = 0) -> list[float] | None:
        """Return the values of a window, or None where too many are lacking."""
        last = end - before
        if last - length + 1 < origin:
            return None
        days = CALENDAR.sessions[last - length + 1 : last + 1]
        values = [bars[day][name] for day in days if day in bars]
        return values if len(values) >= max(length - int(missing * length), 1) else None

    def mean(name: str, length: int, before: int = 0) -> float | None:
        values = window(name, length, before)
        return None if values is None else fmean(values)

    def close_before(count: int) -> float | None:
        if end - count < origin:
            return None
        return bars.get(CALENDAR.sessions[end - count], {}).get("close")

    close = bars[session]["close"]
    returns = []
    for back in range(21):
        now, then = close_before(back), close_before(back + 1)
        if now is not None and then is not None:
            returns.append(math.log(now / then))
    slope_now, slope_then = mean("close", 50), mean("close", 50, 10)
    highs, volume = window("high", 252), mean("volume", 20)
    past = {count: close_before(count) for count in (21, 252)}
    enough = end - 21 >= origin and len(returns) >= max(21 - int(missing * 21), 2)
    return {
        "close": close,
        "sma_20": mean("close", 20),
        "sma_50": slope_now,
        "sma_200": mean("close", 200),
        "sma_50_slope": None
        if slope_now is None or slope_then is None
        else 100 * (slope_now / slope_then - 1),
        "performance_21": None if past[21] is None else close / past[21] - 1,
        "performance_252": None if past[252] is None else close / past[252] - 1,
        "volatility_21": stdev(returns) if enough else None,
        "high_252_distance": None if highs is None else close / max(highs) - 1,
        "volume_ratio_20": None if volume is None else bars[session]["volume"] / volume,
        "bars_252": sum(day in bars for day in CALENDAR.sessions[max(end - 251, origin) : end + 1]),
    }


def state_row(bars: Closes, session: date, forget_after: int) -> dict[str, Any] | None:
    """Walk one security's recursions from its first bar to a session, from the definitions."""
    state: dict[str, float] = {}
    count = idle = 0
    for day in CALENDAR.sessions[CALENDAR.ordinal(min(bars, default=session)) :]:
        if day > session:
            break
        if day in bars:
            close, idle, count = bars[day]["close"], 0, count + 1
            if count == 1:
                state = {"ema_20": close, "ema_200": close, "gain": 0.0, "loss": 0.0}
            else:
                change = close - state["close"]
                for name, length in (("ema_20", 20), ("ema_200", 200)):
                    # The plain mean of what there is until the mean is full, then the recursion.
                    weight = 1 / count if count <= length else 2 / (length + 1)
                    state[name] += weight * (close - state[name])
                weight = 1 / min(count - 1, 14)
                state["gain"] += weight * (max(change, 0.0) - state["gain"])
                state["loss"] += weight * (max(-change, 0.0) - state["loss"])
            state["close"] = close
        elif count:
            idle += 1
            if idle >= forget_after:
                count, state = 0, {}
    if not count:
        return None
    moved = state["gain"] + state["loss"]
    return {
        "bars": count,
        "idle": idle,
        "close_state": state["close"],
        "ema_20_state": state["ema_20"],
        "ema_200_state": state["ema_200"],
        "gain_14_state": state["gain"],
        "loss_14_state": state["loss"],
        "ema_20": state["ema_20"] if count >= 20 else None,
        "ema_200": state["ema_200"] if count >= 200 else None,
        "rsi_14": 100 * state["gain"] / moved if count >= 15 and moved > 0 else None,
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
