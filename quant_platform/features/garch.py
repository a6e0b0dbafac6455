"""``features_garch``: the volatility to reckon with, of the candidates on rebalance sessions.

1. On a rebalance session each candidate is taken with its closes as they were known then, in the
   units of that session; on other sessions there are no rows. Of the sessions of the look-back
   those without a return are left out, and what remains is taken as one series.
2. GARCH(1,1) is fitted to all of them at once (`quant_platform.features.garch_fit`). A fit starts
   from the estimates that the table holds of the rebalance session before: the table carries them
   itself, so that a range starts where its single days do.
3. Who has too few returns, never moved, or whose fit does not converge, gets the EWMA volatility of
   ``features_state``, and the row says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from itertools import pairwise
from math import sqrt

import numpy as np
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.features.finite import PUBLISHED
from quant_platform.features.garch_fit import fit
from quant_platform.features.garch_likelihood import PARAMETERS, Fits, Matrix, Vector
from quant_platform.features.panel import Panel
from quant_platform.lakehouse.contracts.features_garch import FEATURES_GARCH, REASONS
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.settings import GarchSettings

Estimates = Mapping[str, tuple[float, ...]]
"""Parameters by security."""
_NOTHING: Estimates = {}


def garch_windows(
    settings: GarchSettings, calendar: SessionCalendar, grid: Collection[date]
) -> dict[str, Window]:
    """Sessions of its inputs that ``features_garch`` depends on.

    Parameters
    ----------
    settings
        Look-back.
    calendar, grid
        Sessions of the table, and the rebalance sessions: the table looks back at itself as far as
        the one before.
    """
    deciding = [row for row, session in enumerate(calendar.sessions) if session in grid]
    gap = max((later - earlier for earlier, later in pairwise(deciding)), default=1)
    return {
        "candidates": Window("candidates"),
        "bars": Window("bars", settings.lookback),
        "actions": Window("actions", ALL_HISTORY),
        "state": Window("features_state", withdraws=False),
        "before": Window("features_garch", gap, own=True),
    }


def garch_features(
    frames: Mapping[str, pl.LazyFrame],
    settings: GarchSettings,
    wanted: SessionRange,
    grid: Collection[date],
    periods_per_year: int,
) -> pl.DataFrame:
    """Compute ``features_garch`` for a range.

    Parameters
    ----------
    frames
        ``candidates``, ``bars``, ``actions`` and ``state``: rows of the loaded sessions.
        ``before``: the table itself before the range, back to the rebalance session before.
    settings
        Look-back, least number of returns, horizon, most steps.
    wanted
        Sessions to compute.
    grid
        Rebalance sessions.
    periods_per_year
        Sessions a year of the sleeve.

    Returns
    -------
    polars.DataFrame
        One row per candidate on a rebalance session, by session and security.
    """
    deciding = [session for session in wanted.sessions if session in grid]
    candidates = (
        frames["candidates"]
        .filter(pl.col("session").is_in(deciding))
        .select("session", "security_id")
        .sort("session", "security_id")
        .collect()
    )
    if not candidates.height:
        return FEATURES_GARCH.empty()
    names = candidates["security_id"].unique()
    asked = pl.col("security_id").is_in(names)
    bars = frames["bars"].filter(asked).select(*PUBLISHED, "close").collect()
    loaded = wanted.loaded(Window("bars", settings.lookback))
    splits = splits_in_effect(frames["actions"].collect())
    panel = Panel.of(bars, wanted, loaded, ["close"], splits)
    ewma = frames["state"].select("session", "security_id", "ewma_volatility")
    known = candidates.join(
        ewma.collect(), on=["session", "security_id"], how="left", maintain_order="left"
    )
    row_of = {session: row for row, session in enumerate(loaded)}
    before = _stored(frames["before"], wanted, grid)
    parts = []
    for session in deciding:
        rows = known.filter(pl.col("session") == session)
        series = _series(panel, row_of[session], rows["security_id"], settings.lookback)
        made = _forecast(rows, series, before, settings, sqrt(periods_per_year))
        before = _estimates(made)
        parts.append(made)
    return pl.concat(parts)


def _stored(stored: pl.LazyFrame, wanted: SessionRange, grid: Collection[date]) -> Estimates:
    """Estimates of the last rebalance session before the range."""
    days = wanted.calendar.sessions[: wanted.calendar.ordinal(wanted.first)]
    last = next((session for session in reversed(days) if session in grid), None)
    if last is None:
        return _NOTHING
    return _estimates(stored.filter(pl.col("session") == last).collect())


def _estimates(rows: pl.DataFrame) -> Estimates:
    """Estimates of the rows that were fitted."""
    fitted = rows.filter(pl.col("actual") == "garch").select("security_id", *PARAMETERS)
    return {name: tuple(values) for name, *values in fitted.iter_rows()}


def _series(panel: Panel, row: int, names: pl.Series, lookback: int) -> Matrix:
    """Log returns of some securities as they were known at a session; NaN where one lacks."""
    seen = panel.visible(row, row + 1)[0]
    own = panel.series.with_row_index("column").filter(pl.Series(seen))
    columns = names.to_frame("security_id").join(
        own.select("security_id", "column"), on="security_id", how="left", maintain_order="left"
    )["column"]
    there = columns.is_not_null().to_numpy()
    if not there.any():
        return np.full((1, len(names)), np.nan)
    known = panel.columns["close"][max(row - lookback, 0) : row + 1]
    closes = np.take(known, columns.fill_null(0).to_numpy(), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        returns = np.log(closes[1:] / closes[:-1])
    return np.where(np.isfinite(returns) & there, returns, np.nan)


def _forecast(
    rows: pl.DataFrame, returns: Matrix, before: Estimates, settings: GarchSettings, year: float
) -> pl.DataFrame:
    """Rows of one session."""
    names = rows["security_id"]
    there = ~np.isnan(returns)
    lengths = there.sum(axis=0)
    enough = lengths >= settings.least_returns
    highest = np.where(there, returns, -np.inf).max(axis=0, initial=-np.inf)
    moved = highest > np.where(there, returns, np.inf).min(axis=0, initial=np.inf)
    tried = np.flatnonzero(enough & moved)
    reason = np.where(enough, np.where(moved, "", REASONS[1]), REASONS[0]).astype(object)
    ewma = rows["ewma_volatility"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    found: dict[str, Vector] = {
        name: np.full(len(names), np.nan)
        for name in ("next", "ahead", *PARAMETERS, "log_likelihood", "iterations", "converged")
    }
    if len(tried):
        unknown = (np.nan,) * len(PARAMETERS)
        known = np.array([before.get(name, unknown) for name in names.gather(tried)]).T
        fits = _fitted(returns[:, tried], known, settings.iterations)
        found["converged"][tried], found["iterations"][tried] = fits.converged, fits.iterations
        done = tried[fits.converged]
        reason[tried[~fits.converged]] = REASONS[2]
        for name in (*PARAMETERS, "log_likelihood"):
            found[name][done] = getattr(fits, name)[fits.converged]
        found["next"][done] = np.sqrt(fits.next_variance[fits.converged])
        found["ahead"][done] = np.sqrt(fits.mean_variance(settings.horizon)[fits.converged])
    fitted = reason == ""
    actual = np.where(fitted, "garch", np.where(np.isnan(ewma), "none", "ewma"))
    made = {
        "session": rows["session"],
        "security_id": names,
        "requested": pl.repeat("garch", len(names), eager=True),
        "actual": pl.Series(actual.tolist(), dtype=pl.String),
        "reason": pl.Series([why or None for why in reason], dtype=pl.String),
        "converged": pl.Series(found["converged"]).fill_nan(None).cast(pl.Boolean),
        "returns": pl.Series(lengths),
        "volatility_next": _known(np.where(fitted, found["next"], ewma) * year),
        "volatility_ahead": _known(np.where(fitted, found["ahead"], ewma) * year),
        **{name: _known(found[name]) for name in (*PARAMETERS, "log_likelihood", "iterations")},
    }
    columns = FEATURES_GARCH.columns
    return pl.DataFrame({name: made[name].cast(column.dtype) for name, column in columns.items()})


def _fitted(returns: Matrix, before: Matrix, iterations: int) -> Fits:
    """Fits of securities, with what lacks of their returns above the others."""
    there = ~np.isnan(returns)
    order = np.argsort(there, axis=0, kind="stable")
    packed = np.take_along_axis(returns, order, axis=0)
    return fit(packed, np.count_nonzero(there, axis=0), before, iterations=iterations)


def _known(values: Vector) -> pl.Series:
    return pl.Series(values).fill_nan(None)
