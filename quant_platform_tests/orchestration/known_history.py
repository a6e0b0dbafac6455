"""The indicators of one session from everything known at its cutoff, the slow and obvious way.

Nothing here knows of ranges, blocks, vintages or replays: the bars known at the cutoff are laid
out, and each indicator is computed from its definition over the whole history.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl

MISSING_SHARE = 0.05
Row = dict[str, float | None]


def naive_trend(known: pl.DataFrame, sessions: Sequence[date]) -> dict[str, Row]:
    """Trend features of the last session.

    Parameters
    ----------
    known
        Last known version of each bar: ``security_id``, ``session``, ``close``, ``high``,
        ``volume``.
    sessions
        All sessions of history up to the one asked for.
    """
    found: dict[str, Row] = {}
    place = {session: row for row, session in enumerate(sessions)}
    for (security,), bars in known.group_by("security_id", maintain_order=True):
        close, high, volume = np.full((3, len(sessions)), np.nan)
        rows = [place[session] for session in bars["session"]]
        close[rows], high[rows], volume[rows] = bars["close"], bars["high"], bars["volume"]
        if math.isnan(close[-1]):
            continue
        found[str(security)] = {
            "close": close[-1],
            **{
                name: value(close, high, volume) if _enough(close, warm_up) else None
                for name, (warm_up, value) in _WINDOWS.items()
            },
            "bars_252": float(np.count_nonzero(~np.isnan(close[-252:]))),
        }
    return found


def naive_state(known: pl.DataFrame, sessions: Sequence[date]) -> dict[str, Row]:
    """Recursive indicators of every security after the last session, from its first bar on."""
    found: dict[str, Row] = {}
    for (security,), bars in known.group_by("security_id", maintain_order=True):
        closes = bars.sort("session")["close"].to_list()
        fast = slow = closes[0]
        rise = fall = 0.0
        for number, (before, close) in enumerate(pairwise(closes), start=2):
            fast += (close - fast) * (1 / number if number <= 20 else 2 / 21)
            slow += (close - slow) * (1 / number if number <= 200 else 2 / 201)
            weight = 1 / min(number - 1, 14)
            rise += (max(close - before, 0.0) - rise) * weight
            fall += (max(before - close, 0.0) - fall) * weight
        bars_seen = len(closes)
        last = bars["session"].max()
        found[str(security)] = {
            "ema_20": fast if bars_seen >= 20 else None,
            "ema_200": slow if bars_seen >= 200 else None,
            "rsi_14": 100 * rise / (rise + fall) if bars_seen >= 15 and rise + fall else None,
            "bars": float(bars_seen),
            "idle": float(sum(session > last for session in sessions)),
            "close_state": closes[-1],
            "ema_20_state": fast,
            "ema_200_state": slow,
            "gain_14_state": rise,
            "loss_14_state": fall,
        }
    return found


def differences(rows: pl.DataFrame, naive: dict[str, Row], *, relative: float) -> list[str]:
    """Cells in which stored rows and naive ones differ by more than rounding."""
    stored = {row["security_id"]: row for row in rows.to_dicts()}
    if stored.keys() != naive.keys():
        return [f"rows of {sorted(stored.keys() ^ naive.keys())}"]
    found = []
    for security, expected in naive.items():
        for name, value in expected.items():
            cell = stored[security][name]
            if (cell is None) != (value is None) or (
                cell is not None
                and value is not None
                and not math.isclose(cell, value, rel_tol=relative, abs_tol=1e-6)
            ):
                found.append(f"{security} {name}: {cell}, not {value}")
    return found


Column = Callable[[np.ndarray, np.ndarray, np.ndarray], float | None]


def _enough(close: np.ndarray, length: int) -> bool:
    """Whether history is long enough, and lacks no more bars than it may."""
    there = np.count_nonzero(~np.isnan(close[-length:]))
    return len(close) >= length and bool(there >= length - int(MISSING_SHARE * length))


def _mean(length: int) -> Column:
    return lambda close, _high, _volume: float(np.nanmean(close[-length:]))


def _performance(length: int) -> Column:
    def value(close: np.ndarray, _high: np.ndarray, _volume: np.ndarray) -> float | None:
        past = close[-1 - length]
        return None if math.isnan(past) else float(close[-1] / past - 1)

    return value


def _slope(close: np.ndarray, _high: np.ndarray, _volume: np.ndarray) -> float:
    return float(100 * (np.nanmean(close[-50:]) / np.nanmean(close[-60:-10]) - 1))


def _volatility(close: np.ndarray, _high: np.ndarray, _volume: np.ndarray) -> float:
    return float(np.nanstd(np.log(close[-21:] / close[-22:-1]), ddof=1))


_WINDOWS: Mapping[str, tuple[int, Column]] = {
    "sma_20": (20, _mean(20)),
    "sma_50": (50, _mean(50)),
    "sma_200": (200, _mean(200)),
    "sma_50_slope": (60, _slope),
    "performance_21": (22, _performance(21)),
    "performance_252": (253, _performance(252)),
    "volatility_21": (22, _volatility),
    "high_252_distance": (
        252,
        lambda close, high, _: float(close[-1] / np.nanmax(high[-252:]) - 1),
    ),
    "volume_ratio_20": (20, lambda _, __, volume: float(volume[-1] / np.nanmean(volume[-20:]))),
}
"""Sessions that a column is made of, and its value."""
