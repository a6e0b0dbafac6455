"""``features_predictability``: the statistics of standardised returns, on rebalance sessions.

1. On a rebalance session each security that has a bar is taken with its closes as they were known
   then, in the units of that session; on other sessions there are no rows.
2. A log return is divided by the EWMA volatility that ``features_state`` held the session before.
3. Of the last 250 sessions a share of ``max_missing_share`` may lack their return: as many older
   ones take their place. A security that has fewer is null.
4. The statistics, and their places among noise (`quant_platform.features.noise`).

Every session is computed from its own window alone, so that a range equals its single days.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.finite import PUBLISHED, Stored, beside
from quant_platform.features.noise import hurst, stored_noise
from quant_platform.features.panel import Matrix, Panel
from quant_platform.features.predictability import LONGEST, Vector, statistics_of
from quant_platform.lakehouse.contracts.features_predictability import FEATURES_PREDICTABILITY
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.settings import TrendSettings

_FEATURES = tuple(n for n in FEATURES_PREDICTABILITY.columns if n not in ("session", "security_id"))
_SLOPE = "rescaled_slope"
"""Statistic that is stored as the Hurst exponent."""
ABREAST = 256
"""Series that are computed together: their matrices stay in the cache of a core."""


def _sessions(settings: TrendSettings) -> int:
    """Sessions whose returns are looked at."""
    return LONGEST + int(settings.max_missing_share * LONGEST)


def predictability_windows(settings: TrendSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``features_predictability`` depends on."""
    reach = _sessions(settings)
    return {
        "bars": Window("bars", reach),
        "actions": Window("actions", ALL_HISTORY),
        "state": Window("features_state", reach, withdraws=False),
    }


def predictability_features(
    frames: Mapping[str, pl.LazyFrame],
    settings: TrendSettings,
    wanted: SessionRange,
    grid: Collection[date],
) -> pl.DataFrame:
    """Compute ``features_predictability`` for a range.

    Parameters
    ----------
    frames
        ``bars``: published bars of the loaded sessions. ``actions``: published actions. ``state``:
        carried indicators of the loaded sessions.
    settings
        The tolerance for missing bars.
    wanted
        Sessions to compute.
    grid
        Rebalance sessions, of any calendar; those outside the range do not matter.

    Returns
    -------
    polars.DataFrame
        One row per security with a bar known at a rebalance session's cutoff, by session and
        security.
    """
    deciding = [session for session in wanted.sessions if session in grid]
    if not deciding:
        return FEATURES_PREDICTABILITY.empty()
    loaded = wanted.loaded(predictability_windows(settings)["bars"])
    splits = splits_in_effect(frames["actions"].collect())
    bars = frames["bars"].select(*PUBLISHED, "close").collect()
    panel = Panel.of(bars, wanted, loaded, ["close"], splits)
    volatility = beside(("ewma_volatility",), frames["state"], panel)["ewma_volatility"]
    row_of = {session: row for row, session in enumerate(loaded)}
    parts = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for session in deciding:
            row = row_of[session]
            window = slice(max(row - _sessions(settings), 0), row + 1)
            seen = panel.visible(row, row + 1)[0] & ~np.isnan(panel.columns["close"][row])
            series = np.flatnonzero(seen)
            closes = np.take(panel.columns["close"][window], series, axis=1)
            spread = np.take(volatility[window], panel.owner[series], axis=1)
            found = pool.map(
                _statistics,
                (closes[:, at : at + ABREAST] for at in range(0, len(series), ABREAST)),
                (spread[:, at : at + ABREAST] for at in range(0, len(series), ABREAST)),
            )
            parts.append((session, panel.series["security_id"].gather(series), list(found)))
    return _rows(parts)


def complete(returns: Matrix, length: int) -> tuple[Matrix, npt.NDArray[np.intp]]:
    """Take the last values of each column that has enough of them.

    Parameters
    ----------
    returns
        Values, NaN where one is lacking.
    length
        How many.

    Returns
    -------
    values, columns
        The last ``length`` values of the columns that have as many, in the order of time; and which
        columns these are.
    """
    there = ~np.isnan(returns)
    columns = np.flatnonzero(there.sum(axis=0) >= length)
    values = np.take(returns[-length:], columns, axis=1)
    torn = np.flatnonzero(np.isnan(values).any(axis=0))
    if len(torn):
        order = np.argsort(there[:, columns[torn]], axis=0, kind="stable")
        values[:, torn] = np.take_along_axis(returns[:, columns[torn]], order, axis=0)[-length:]
    return values, columns


def _statistics(closes: Matrix, volatility: Stored) -> dict[str, Vector]:
    """Statistics and places of some series, by column of the table; NaN where there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        returns = np.log(closes[1:] / closes[:-1]) / volatility[:-1]
        series, columns = complete(np.where(np.isfinite(returns), returns, np.nan), LONGEST)
        made = {name: np.full(closes.shape[1], np.nan) for name in _FEATURES}
        if not len(columns):
            return made
        # numpy adds up a single column in another order than one of several.
        found = statistics_of(np.concatenate([series, series[:, -1:]], axis=1))
    noise = stored_noise()
    for statistic, values in found.items():
        name = "hurst" if statistic == _SLOPE else statistic
        value = hurst(values, noise[_SLOPE]) if statistic == _SLOPE else values
        for feature, told in ((name, value), (f"{name}_place", noise[statistic].place(values))):
            if feature in made:
                made[feature][columns] = np.where(np.isfinite(told), told, np.nan)[:-1]
    return made


def _rows(parts: Sequence[tuple[date, pl.Series, list[dict[str, Vector]]]]) -> pl.DataFrame:
    """Rows of sessions, each with its securities and what was found of some of them at a time."""
    rows = {
        "session": pl.Series(
            np.repeat(
                [np.datetime64(day, "D") for day, _, _ in parts], [len(n) for _, n, _ in parts]
            )
        ),
        "security_id": pl.concat([names for _, names, _ in parts]),
    }
    for name in _FEATURES:
        values = [some[name] for _, _, found in parts for some in found]
        column = pl.Series(np.concatenate(values or [np.zeros(0)]), nan_to_null=True)
        rows[name] = column.cast(FEATURES_PREDICTABILITY.columns[name].dtype)
    return pl.DataFrame(rows)
