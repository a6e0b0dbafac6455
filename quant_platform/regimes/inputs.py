"""What the regime models judge a session by: prices, breadth and series as known at its cutoff.

1. The benchmark's bars become a panel of closes, one column per vintage: each session sees the path
   of closes as it was known at its cutoff, in units of that session. `returns` would not do. They
   keep a wrong close and its later correction as the two jumps that holders saw, and for 20
   sessions those pass for volatility that the market never had. The series become such panels too.
2. Each input is taken from the last values of its own sessions, no more and no fewer, so that no
   value depends on where a range begins. Values that are lacking are left out, as many as
   ``max_missing_share`` allows (rounded down); nothing is filled in for them.
3. A level that is published of the session itself (VIX) may be as old as ``LATEST`` sessions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.panel import Panel
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings.regime_states import StressSettings
from quant_platform.settings.regimes import RegimeSettings

Vector = npt.NDArray[np.float64]

VOLATILITY_CLOSES = 21
"""Sessions whose closes make 20 returns."""
QUARTER = 63
"""Closes of drawdown, growth and the sd that stress compares with."""
MOMENTUM_CLOSES = 64
"""Closes of a return over 63 sessions."""
TREND_CLOSES = (50, 200)
YEAR = 252
"""Closes of turbulence, and observations of the credit pair."""
RECENT = 10
"""Returns whose wildness is compared with the quarter's and the year's."""
LATEST = 5
"""Sessions, a trading week, within which the last value of a series stands for today's."""

SERIES = ("VIX", "VIX3M", "HYG", "LQD", "GLD", "TLT")
"""What is read of ``market/series``."""


@dataclass(frozen=True)
class Inputs:
    """What a session is judged by; None where there is too little history.

    Parameters
    ----------
    session_return
        Return of the benchmark since the session before, fraction.
    volatility
        Annualised sample sd of 20 daily returns, fraction.
    drawdown
        Last of 63 closes over the highest less one, never positive.
    trend
        Mean of 50 closes over the mean of 200 less one, fraction.
    breadth
        Share of securities above their 200-session mean.
    credit
        HYG / LQD against its 252 sessions, in standard deviations.
    term_structure
        VIX less VIX3M, points.
    cross_asset
        Return of the benchmark over 63 sessions less the mean of those of GLD and TLT, fraction.
    implied
        VIX, points.
    distance
        Last close over the mean of 200 less one, fraction.
    growth
        Mean of 62 returns times the periods of a year, fraction.
    turbulence
        Where the mean squared standard score of the last 10 returns lies among all such means of
        252 sessions, in (0, 1).
    stress
        Weighted sum of turbulence and of the sd of 10 returns over that of 62.
    """

    session_return: float | None = None
    volatility: float | None = None
    drawdown: float | None = None
    trend: float | None = None
    breadth: float | None = None
    credit: float | None = None
    term_structure: float | None = None
    cross_asset: float | None = None
    implied: float | None = None
    distance: float | None = None
    growth: float | None = None
    turbulence: float | None = None
    stress: float | None = None

    @property
    def benchmark_known(self) -> bool:
        """Whether the benchmark itself says anything; breadth is another sleeve's."""
        return any(v is not None for v in (self.volatility, self.drawdown, self.trend))


def measured(
    closes: Vector, series: Mapping[str, Vector], breadth: float | None, settings: RegimeSettings
) -> Inputs:
    """Measure one session.

    Parameters
    ----------
    closes
        Closes of the benchmark up to the session, in its units; NaN where there is no bar.
    series
        By name, the observations up to the session, on the same sessions; those that nobody
        publishes are absent.
    breadth
        The session's breadth.
    settings
        Tolerance for missing values and what annualises.
    """
    missing = settings.max_missing_share
    day = last_known(closes, 2, 0.0)
    latest = last_known(closes, VOLATILITY_CLOSES, missing)
    quarter = last_known(closes, QUARTER, missing)
    short, long = (last_known(closes, count, missing) for count in TREND_CLOSES)
    turbulence = _turbulence(last_known(closes, YEAR, missing))
    return Inputs(
        session_return=None if day is None else float(day[1] / day[0] - 1),
        volatility=None
        if latest is None
        else float(np.std(_returns(latest), ddof=1) * np.sqrt(settings.periods_per_year)),
        drawdown=None if quarter is None else float(quarter[-1] / quarter.max() - 1),
        trend=None if short is None or long is None else float(short.mean() / long.mean() - 1),
        breadth=breadth,
        credit=_credit(series, missing),
        term_structure=_term_structure(series),
        cross_asset=_cross_asset(closes, series, missing),
        implied=_latest(series.get("VIX")),
        distance=None if long is None else float(long[-1] / long.mean() - 1),
        growth=None
        if quarter is None
        else float(_returns(quarter).mean() * settings.periods_per_year),
        turbulence=turbulence,
        stress=_stress(quarter, turbulence, settings.states.stress),
    )


def last_known(values: Vector, count: int, missing: float) -> Vector | None:
    """Return what is known of the last sessions; None where too much is lacking.

    Parameters
    ----------
    values
        Values of sessions, NaN where there is none.
    count
        Sessions.
    missing
        Share of them that may lack a value.
    """
    window = values[-count:]
    # A copy: sums must not depend on where in memory the window begins.
    known = window[~np.isnan(window)]
    enough = len(window) == count and len(known) >= count - int(missing * count)
    return known if enough else None


def _returns(closes: Vector) -> Vector:
    return np.asarray(closes[1:] / closes[:-1] - 1)


def _turbulence(closes: Vector | None) -> float | None:
    """Rank the squared distance of the last returns from the usual among those of the year.

    The distance is that of Kritzman and Li (Skulls, Financial Turbulence, and Risk Management,
    Financial Analysts Journal 2010) for one asset; its mean over ten sessions, by its percentile.
    """
    if closes is None:
        return None
    moves = _returns(closes)
    sd = np.std(moves, ddof=1)
    if not sd > 0:
        return None
    distance = np.square((moves - moves.mean()) / sd)
    means = np.lib.stride_tricks.sliding_window_view(distance, RECENT).mean(axis=1)
    below, equal = (means < means[-1]).sum(), (means == means[-1]).sum()
    return float((below + equal / 2) / len(means))


def _stress(
    closes: Vector | None, turbulence: float | None, weights: StressSettings
) -> float | None:
    """Weigh how wild the last sessions were beside the quarter, and beside the year."""
    if closes is None or turbulence is None:
        return None
    moves = _returns(closes)
    usual = np.std(moves, ddof=1)
    if not usual > 0:
        return None
    ratio = np.std(moves[-RECENT:], ddof=1) / usual
    return float(weights.ratio * ratio + weights.turbulence * turbulence)


def _latest(values: Vector | None) -> float | None:
    """Return the last value of a trading week."""
    if values is None:
        return None
    week = values[-LATEST:]
    known = week[~np.isnan(week)]
    return float(known[-1]) if len(known) else None


def _term_structure(series: Mapping[str, Vector]) -> float | None:
    """VIX less VIX3M of the last session that has both."""
    if not {"VIX", "VIX3M"} <= series.keys():
        return None
    return _latest(series["VIX"] - series["VIX3M"])


def _credit(series: Mapping[str, Vector], missing: float) -> float | None:
    """Return the last ratio of high yield to investment grade, against those of the year."""
    if not {"HYG", "LQD"} <= series.keys():
        return None
    ratio = series["HYG"] / series["LQD"]
    year, last = last_known(ratio, YEAR, missing), _latest(ratio)
    if year is None or last is None:
        return None
    sd = np.std(year, ddof=1)
    return float((last - year.mean()) / sd) if sd > 0 else None


def _cross_asset(closes: Vector, series: Mapping[str, Vector], missing: float) -> float | None:
    """Return how the benchmark did over a quarter against gold and long government bonds."""
    if not {"GLD", "TLT"} <= series.keys():
        return None
    own, gold, bonds = (
        last_known(values, MOMENTUM_CLOSES, missing)
        for values in (closes, series["GLD"], series["TLT"])
    )
    if own is None or gold is None or bonds is None:
        return None
    havens = (gold[-1] / gold[0] + bonds[-1] / bonds[0]) / 2
    return float(own[-1] / own[0] - havens)


def closes_by_session(
    bars: pl.LazyFrame,
    actions: pl.LazyFrame,
    security: str,
    wanted: SessionRange,
    window: Window,
) -> dict[date, Vector]:
    """Return by session a security's closes up to it, as known at its cutoff and in its units.

    Parameters
    ----------
    bars, actions
        Published rows of its sleeve.
    security
        Its stable key.
    wanted
        Sessions to compute.
    window
        Window on the bars: at most as many closes as a session needs.
    """
    own = pl.col("security_id") == security
    columns = ("security_id", "session", "knowledge_session", "known_at", "close")
    rows = bars.filter(own).select(columns).collect()
    splits = splits_in_effect(actions.filter(own).collect())
    return _paths(rows, [security], wanted, window, splits)[security]


def series_by_session(
    series: pl.LazyFrame, wanted: SessionRange, window: Window
) -> dict[str, dict[date, Vector]]:
    """Return by name and session the observations up to it, as known at its cutoff.

    Parameters
    ----------
    series
        Rows of ``market/series``.
    wanted
        Sessions to compute.
    window
        Window on them.
    """
    rows = (
        series.filter(pl.col("series").is_in(SERIES))
        .select("session", "knowledge_session", "known_at", security_id="series", close="value")
        .collect()
    )
    return _paths(rows, SERIES, wanted, window)


def _paths(
    rows: pl.DataFrame,
    names: Sequence[str],
    wanted: SessionRange,
    window: Window,
    splits: pl.DataFrame | None = None,
) -> dict[str, dict[date, Vector]]:
    """Cut each session's values out of its vintage's column; none of a name without rows."""
    loaded = wanted.loaded(window)
    panel = Panel.of(rows, wanted, loaded, ["close"], splits)
    values, longest = panel.columns["close"], window.lookback + 1
    ends = range(len(loaded) - len(wanted.sessions) + 1, len(loaded) + 1)
    columns = panel.series.with_row_index("column")
    paths = {}
    for name in names:
        own = columns.filter(pl.col("security_id") == name)
        begins, first = own["vintage_from"].to_list(), own["column"].to_list()
        paths[name] = {
            session: values[max(end - longest, 0) : end, first[bisect_right(begins, session) - 1]]
            if begins
            else np.empty(0)
            for session, end in zip(wanted.sessions, ends, strict=True)
        }
    return paths


def breadth_by_session(features: pl.LazyFrame) -> dict[date, float]:
    """Return by session the share of securities above their long mean, of those that have one."""
    counted = (
        features.filter(pl.col("sma_200").is_not_null())
        .group_by("session")
        .agg(
            above=(pl.col("close") > pl.col("sma_200")).sum().cast(pl.Int64),
            all=pl.len().cast(pl.Int64),
        )
        .collect()
    )
    return {session: above / every for session, above, every in counted.iter_rows()}
