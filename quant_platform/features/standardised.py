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

from collections.abc import Collection, Mapping
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.finite import beside
from quant_platform.features.noise import hurst, stored_noise
from quant_platform.features.panel import Matrix, Panel
from quant_platform.features.predictability import LONGEST, statistics_of
from quant_platform.lakehouse.contracts.features_predictability import FEATURES_PREDICTABILITY
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.settings import TrendSettings

_SLOPE = "rescaled_slope"
"""Statistic that is stored as the Hurst exponent."""


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
    panel = Panel.of(frames["bars"].collect(), wanted, loaded, ["close"], splits)
    volatility = beside(("ewma_volatility",), frames["state"], panel)["ewma_volatility"]
    row_of = {session: row for row, session in enumerate(loaded)}
    parts = []
    for session in deciding:
        row = row_of[session]
        window = slice(max(row - _sessions(settings), 0), row + 1)
        seen = panel.visible(row, row + 1)[0] & ~np.isnan(panel.columns["close"][row])
        series = np.flatnonzero(seen)
        closes, spread = panel.columns["close"][window, series], volatility[window, series]
        with np.errstate(invalid="ignore", divide="ignore"):
            returns = np.log(closes[1:] / closes[:-1]) / spread[:-1]
        names = panel.series["security_id"].gather(series)
        parts.append(_rows(session, names, np.where(np.isfinite(returns), returns, np.nan)))
    return pl.concat(parts).sort("session", "security_id")


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
    order = np.argsort(there[:, columns], axis=0, kind="stable")
    return np.take_along_axis(returns[:, columns], order, axis=0)[-length:], columns


def _rows(session: date, names: pl.Series, returns: Matrix) -> pl.DataFrame:
    """Rows of one session."""
    series, columns = complete(returns, LONGEST)
    noise = stored_noise()
    with np.errstate(invalid="ignore", divide="ignore"):
        found = statistics_of(series)
    places = {name: noise[name].place(values) for name, values in found.items()}
    found["hurst"] = hurst(found.pop(_SLOPE), noise[_SLOPE])
    places["hurst"] = places.pop(_SLOPE)
    made = found | {f"{name}_place": values for name, values in places.items()}
    rows = {"session": pl.repeat(session, len(names), dtype=pl.Date, eager=True)}
    rows["security_id"] = names
    for name, column in FEATURES_PREDICTABILITY.columns.items():
        if name in made:
            spread = np.full(len(names), np.nan)
            spread[columns] = np.where(np.isfinite(made[name]), made[name], np.nan)
            rows[name] = pl.Series(spread).fill_nan(None).cast(column.dtype)
    return pl.DataFrame({name: rows[name] for name in FEATURES_PREDICTABILITY.columns})
