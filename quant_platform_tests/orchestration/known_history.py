"""The indicators of one session from everything known at its cutoff, the slow and obvious way.

Nothing here knows of ranges, blocks, vintages or replays: the bars known at the cutoff are laid
out, and each indicator is computed from its definition over the whole history.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
        returns = np.log(close[1:] / close[:-1])
        slope = None
        if len(sessions) > 10:
            now, earlier = _mean(close, 50), _mean(close[:-10], 50)
            slope = 100 * (now / earlier - 1) if now is not None and earlier is not None else None
        highest = _last(high, 252)
        volume_mean = _mean(volume, 20)
        deviations = _last(returns, 21)
        found[str(security)] = {
            "close": close[-1],
            "sma_20": _mean(close, 20),
            "sma_50": _mean(close, 50),
            "sma_200": _mean(close, 200),
            "sma_50_slope": slope,
            "performance_21": _performance(close, 21),
            "performance_252": _performance(close, 252),
            "volatility_21": None if deviations is None else float(np.std(deviations, ddof=1)),
            "high_252_distance": None if highest is None else close[-1] / max(highest) - 1,
            "volume_ratio_20": None if volume_mean is None else volume[-1] / volume_mean,
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


def _last(values: np.ndarray, length: int) -> np.ndarray | None:
    """Values there are among the last ``length``, if enough of them are."""
    window = values[-length:]
    there = window[~np.isnan(window)]
    enough = len(window) == length and len(there) >= length - int(MISSING_SHARE * length)
    return there if enough else None


def _mean(values: np.ndarray, length: int) -> float | None:
    window = _last(values, length)
    return None if window is None else float(np.mean(window))


def _performance(close: np.ndarray, length: int) -> float | None:
    if len(close) <= length or math.isnan(close[-1 - length]):
        return None
    return float(close[-1] / close[-1 - length] - 1)
