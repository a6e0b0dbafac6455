"""``features_beta``: betas to the sleeve's benchmark, calm and in crisis, and exposures to factors.

1. Total returns of the sleeve, as its ``returns`` held them, and of the benchmark, are laid out
   session by session. What became known later moved the return of the session in which it did, so
   that no row is ever restated.
2. Betas are slopes over trailing windows, whose sums add in an order that the window's length alone
   decides (`quant_platform.features.rolling`).
3. A session is one of *crisis* where VIX is above the 75th percentile of its trailing 252 sessions,
   all of them as first published, on time: the kind of a session is settled at its own cutoff, and
   one whose VIX came late is of neither kind.
4. Factors are published for a whole month at a time, weeks later. Exposures are of the 252 sessions
   up to the last one whose factors were known, in the version known, and stay the same from one
   publication to the next. Where that session is more than `STALEST` sessions ago there are none.
5. The style has *drifted* where an exposure and that of the 252 sessions before, which share no
   return, differ by more than the settings' number of joint errors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from quant_platform.features.panel import places_of, rows_of
from quant_platform.features.regression import (
    Exposures,
    Mask,
    Matrix,
    Vector,
    exposures,
    trailing_beta,
)
from quant_platform.lakehouse.contracts.features_beta import FACTORS, FEATURES_BETA
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings import BetaSettings

YEAR, QUARTER, LONG = 252, 63, 756
STALEST = 126
"""Sessions after which the last published factors say nothing of today."""
_RISK_FREE, _FEAR = "RF", "VIX"
_ABREAST = 128


def beta_windows(benchmark: str, series: str) -> dict[str, Window]:
    """Sessions of its inputs that ``features_beta`` depends on.

    Parameters
    ----------
    benchmark
        Table of the benchmark's returns; empty where they are among the sleeve's own.
    series
        Table of VIX and factors; empty for none.
    """
    windows = {"returns": Window("returns", LONG - 1)}
    if benchmark:
        windows["benchmark"] = Window(benchmark, LONG - 1)
    if series:
        windows["series"] = Window(series, LONG + YEAR - 2, withdraws=False)
    return windows


def beta_features(
    frames: Mapping[str, pl.LazyFrame],
    settings: BetaSettings,
    wanted: SessionRange,
    benchmark: str,
    max_missing_share: float,
) -> pl.DataFrame:
    """Compute ``features_beta`` for a range.

    Parameters
    ----------
    frames
        ``returns``: returns of the loaded sessions. ``benchmark``: those of the benchmark, where
        they are in another table. ``series``: observations that became known in the loaded
        sessions; without them there are neither conditional betas nor exposures.
    settings
        Percentile of crisis, sessions of each kind, lags, errors of a drift.
    wanted
        Sessions to compute.
    benchmark
        The benchmark's key.
    max_missing_share
        Share of a window's returns that may lack.

    Returns
    -------
    polars.DataFrame
        One row per security with a return, by session and security.
    """
    market = _Market.of(frames, wanted, benchmark)
    if not len(market.owners):
        return FEATURES_BETA.empty()
    asked = slice(len(market.days) - len(wanted.sessions), None)
    keep = ~np.isnan(market.returns[asked])
    numbers = [n for n in FEATURES_BETA.columns if n not in _OTHERS]
    made = {name: np.full(keep.shape, np.nan, np.float32) for name in numbers}
    counted = np.zeros(keep.shape, dtype=np.uint32)
    drifted = np.full(keep.shape, np.nan, np.float32)
    kinds = _kinds(frames.get("series"), market, settings, max_missing_share)
    publications = list(_publications(frames.get("series"), market, wanted))

    def fill(begin: int) -> None:
        part = slice(begin, begin + _ABREAST)
        returns = np.ascontiguousarray(market.returns[:, part])
        with np.errstate(invalid="ignore", divide="ignore"):
            own, counts = _betas(market, returns, kinds, settings, max_missing_share)
            for name, values in own.items():
                made[name][:, part] = values[asked]
            counted[:, part] = counts[asked]
            for told in publications:
                now, past = told.exposures(returns, settings, max_missing_share)
                for number, name in enumerate(FACTORS, 1):
                    made[f"exposure_{name}"][told.rows, part] = now.coefficient[number]
                    made[f"error_{name}"][told.rows, part] = now.error[number]
                drifted[told.rows, part] = _drift(now, past, settings.drift_errors)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(0, len(market.owners), _ABREAST)))
    through = np.full(len(wanted.sessions), "NaT", dtype="datetime64[D]")
    for told in publications:
        through[told.rows] = market.days[told.through]
    session, place = np.nonzero(keep)
    return pl.DataFrame(
        {
            "session": pl.Series(wanted.sessions, dtype=pl.Date).gather(session),
            "security_id": market.owners.gather(place),
            **{name: pl.Series(values[keep]).fill_nan(None) for name, values in made.items()},
            "crisis_sessions": pl.Series(counted[keep]),
            "factors_through": pl.Series(through[session], dtype=pl.Date),
            "style_drift": pl.Series(drifted[keep]).fill_nan(None).cast(pl.Boolean),
        }
    ).select(*FEATURES_BETA.columns)


_OTHERS = ("session", "security_id", "crisis_sessions", "factors_through", "style_drift")


@dataclass(frozen=True)
class _Market:
    """Returns of the loaded sessions: sessions down, securities across."""

    days: npt.NDArray[np.datetime64]
    year_before: npt.NDArray[np.datetime64]
    owners: pl.Series
    returns: Matrix
    benchmark: Vector

    @classmethod
    def of(
        cls, frames: Mapping[str, pl.LazyFrame], wanted: SessionRange, benchmark: str
    ) -> _Market:
        loaded = wanted.loaded(beta_windows("", "")["returns"])
        days = np.array(loaded, dtype="datetime64[D]")
        first = wanted.calendar.ordinal(loaded[0])
        before = wanted.calendar.sessions[max(first - YEAR + 1, 0) : first]
        inside = pl.col("session") <= wanted.last
        rows = frames["returns"].filter(inside).select("session", "security_id", "total").collect()
        # Who has no row in the range would be laid out for nothing.
        asked = rows.filter(pl.col("session") >= wanted.first)["security_id"].unique().sort()
        other = frames.get("benchmark", frames["returns"]).filter(
            inside, pl.col("security_id") == benchmark
        )
        return cls(
            days,
            np.array(before, dtype="datetime64[D]"),
            asked,
            _laid(rows, days, asked),
            _laid(
                other.select("session", "security_id", "total").collect(),
                days,
                pl.Series([benchmark]),
            )[:, 0],
        )


def _laid(rows: pl.DataFrame, days: npt.NDArray[np.datetime64], owners: pl.Series) -> Matrix:
    """Lay returns out, NaN for none."""
    laid = np.full((len(days), len(owners)), np.nan)
    row, place = rows_of(rows["session"], days), places_of(rows["security_id"], owners)
    inside = (row >= 0) & (place >= 0)
    laid[row[inside], place[inside]] = rows["total"].to_numpy()[inside]
    return laid


def _least(length: int, missing: float) -> int:
    """Count the returns that a window must have."""
    return length - int(missing * length)


def _betas(
    market: _Market,
    returns: Matrix,
    kinds: tuple[Mask, Mask],
    settings: BetaSettings,
    missing: float,
) -> tuple[dict[str, Matrix], npt.NDArray[np.int64]]:
    """Betas of some securities by column, and their sessions of crisis."""
    found = {}
    for name, length in (("beta_252", YEAR), ("beta_63", QUARTER)):
        beta, count = trailing_beta(returns, market.benchmark, length)
        found[name] = np.where(count >= _least(length, missing), beta, np.nan)
    found["beta_stability"] = _stability(found["beta_63"])
    (crisis, stressed), (normal, calm) = (
        trailing_beta(returns, market.benchmark, LONG, kind) for kind in kinds
    )
    enough = (stressed >= settings.least_of_each) & (calm >= settings.least_of_each)
    found["beta_crisis"] = np.where(enough, crisis, np.nan)
    found["beta_normal"] = np.where(enough, normal, np.nan)
    return found, stressed


def _stability(beta: Matrix) -> Matrix:
    """How little the betas of four quarters differ, up to 1."""
    padded = np.concatenate([np.full((3 * QUARTER, beta.shape[1]), np.nan), beta])
    quarters = [padded[back : back + len(beta)] for back in range(0, 4 * QUARTER, QUARTER)]
    mean = (quarters[0] + quarters[1] + quarters[2] + quarters[3]) / 4
    apart = [(quarter - mean) ** 2 for quarter in quarters]
    return np.asarray(1 / (1 + np.sqrt((apart[0] + apart[1] + apart[2] + apart[3]) / 3)))


def _kinds(
    series: pl.LazyFrame | None, market: _Market, settings: BetaSettings, missing: float
) -> tuple[Mask, Mask]:
    """Which loaded sessions are of crisis, and which are calm."""
    none = np.zeros(len(market.days), dtype=bool)
    if series is None:
        return none, none
    on_time = pl.col("knowledge_session") == pl.col("session")
    rows = series.filter(pl.col("series") == _FEAR, on_time).collect()
    rows = rows.sort("known_at").unique("session", keep="last", maintain_order=True)
    days = np.concatenate([market.year_before, market.days])
    values = np.full(len(market.days) + YEAR - 1, np.nan)
    place = rows_of(rows["session"], days)
    values[place[place >= 0] - len(days)] = rows["value"].to_numpy()[place >= 0]
    windows = sliding_window_view(values, YEAR)
    enough = np.count_nonzero(~np.isnan(windows), axis=1) >= _least(YEAR, missing)
    level = np.full(len(market.days), np.nan)
    if enough.any():
        level[enough] = np.nanquantile(windows[enough], settings.crisis_percentile, axis=1)
    today = values[YEAR - 1 :]
    return today > level, today <= level


@dataclass(frozen=True)
class _Publication:
    """What was known of the factors from one session to the next news of them.

    Parameters
    ----------
    rows
        Sessions of the range that it is known on.
    through
        Row of the last session whose factors were all known.
    regressors
        Constant and factors of every loaded session, 0 where one was not known.
    risk_free
        The risk-free rate; NaN where something was not known.
    """

    rows: slice
    through: int
    regressors: Matrix
    risk_free: Vector

    def exposures(
        self, returns: Matrix, settings: BetaSettings, missing: float
    ) -> tuple[Exposures, Exposures]:
        """Exposures of the year up to the last factors, and of the year before."""
        excess = returns - self.risk_free[:, None]
        ends = self.through + 1, self.through + 1 - YEAR
        now, past = (
            exposures(
                excess[max(end - YEAR, 0) : max(end, 0)],
                self.regressors[max(end - YEAR, 0) : max(end, 0)],
                _least(YEAR, missing),
                settings.hac_lags,
            )
            for end in ends
        )
        return now, past


def _publications(
    series: pl.LazyFrame | None, market: _Market, wanted: SessionRange
) -> Iterator[_Publication]:
    """Yield what was known of the factors, one span of the range after another."""
    if series is None:
        return
    names = [*FACTORS.values(), _RISK_FREE]
    rows = (
        series.filter(pl.col("series").is_in(names), pl.col("knowledge_session") <= wanted.last)
        .select("series", "session", "knowledge_session", "known_at", "value")
        .sort("known_at")
        .collect()
    )
    news = rows.filter(pl.col("knowledge_session") > wanted.first)["knowledge_session"].unique()
    begins = [wanted.first, *news.sort()]
    place = {session: row for row, session in enumerate(wanted.sessions)}
    for begin, following in zip(begins, [*begins[1:], None], strict=True):
        known = _known_factors(rows.filter(pl.col("knowledge_session") <= begin), market, names)
        complete = ~np.isnan(known).any(axis=1)
        if not complete.any():
            continue
        through = int(np.flatnonzero(complete)[-1])
        first = place[begin]
        stop = len(wanted.sessions) if following is None else place[following]
        stop = min(stop, through + STALEST + 1 - (len(market.days) - len(wanted.sessions)))
        if stop > first:
            regressors = np.ones((len(known), len(FACTORS) + 1))
            regressors[:, 1:] = known[:, :-1]
            regressors[~complete] = 0.0
            risk_free = np.where(complete, known[:, -1], np.nan)
            yield _Publication(slice(first, stop), through, regressors, risk_free)


def _known_factors(rows: pl.DataFrame, market: _Market, names: Sequence[str]) -> Matrix:
    """Lay out the last version of each factor, NaN for none; the rows are by ``known_at``."""
    laid = np.full((len(market.days), len(names)), np.nan)
    row = rows_of(rows["session"], market.days)
    column = places_of(rows["series"], pl.Series(names))
    inside = row >= 0
    laid[row[inside], column[inside]] = rows["value"].to_numpy()[inside]
    return laid


def _drift(now: Exposures, past: Exposures, errors: float) -> Vector:
    """1 where some exposure is further from the one before than errors explain, 0 where none is."""
    apart = np.abs(now.coefficient[1:] - past.coefficient[1:])
    joint = np.sqrt(now.error[1:] ** 2 + past.error[1:] ** 2)
    known = ~(np.isnan(apart) | np.isnan(joint)).any(axis=0)
    return np.where(known, (apart > errors * joint).any(axis=0), np.nan)
