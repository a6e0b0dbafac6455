"""Series of the embedded market: volatility indices, the credit pair, bonds, gold, the factors.

1. VIX and VIX3M are the volatility that the market's GARCH expects over 21 and 63 sessions, a
   year's worth in points, plus a premium for insurance and some noise. Known after the close.
2. HYG, LQD, TLT and GLD are indices of what the funds of these names are built on, distributions
   included, 100 at the market's start. Known after the close.
3. The five factors, momentum and the risk-free rate are daily returns, published for a whole month
   on the 25th of the month after.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import numpy as np
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.sources.protocol import SERIES_SCHEMA
from quant_platform.sources.simulated.days import WEEKDAYS, path_days
from quant_platform.sources.simulated.draws import Floats, Integers, stream
from quant_platform.sources.simulated.funds import driver
from quant_platform.sources.simulated.publication import DAY, NOON, Publication
from quant_platform.sources.simulated.state import (
    STYLES,
    equity_state,
    expected_volatility,
)

_PREMIUM = 1.15
_INDICES = {"HYG": "high yield", "LQD": "corporate", "TLT": "bond 17", "GLD": "gold"}
_PUBLISHED_ON = 25


def series(calendar: SessionCalendar, seed: int, start: date, news: Publication) -> pl.DataFrame:
    """Return every observation in the protocol's columns plus ``knowledge``.

    Parameters
    ----------
    calendar
        Calendar of the branch; the state is that of US stocks, Monday to Friday.
    seed, start
        The market.
    news
        Publications on that calendar.
    """
    sessions, at_close, monthly = _values(calendar, seed, start)
    published = news.published
    factor_instants = _month_after(sessions) * DAY + NOON
    parts = [
        _rows(name, sessions, value, unit, known=published, news=news)
        for name, (value, unit) in at_close.items()
    ] + [
        _rows(name, sessions, value, "fraction", known=factor_instants, news=news)
        for name, value in monthly.items()
    ]
    return pl.concat(parts).sort("known_at", "session", "series")


def _rows(
    name: str, sessions: Integers, value: Floats, unit: str, *, known: Integers, news: Publication
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "series": pl.repeat(name, len(sessions), dtype=pl.String, eager=True),
            "session": sessions,
            "value": value,
            "unit": pl.repeat(unit, len(sessions), dtype=pl.String, eager=True),
            "known_at": known,
            "knowledge": news.known_in(known),
        }
    ).select(
        "series",
        pl.col("session").cast(pl.Int32).cast(pl.Date),
        "value",
        "unit",
        pl.col("known_at").cast(SERIES_SCHEMA["known_at"]),
        pl.lit("assumed", SERIES_SCHEMA["known_at_basis"]).alias("known_at_basis"),
        "knowledge",
    )


def _month_after(sessions: Integers) -> Integers:
    """Day since 1970 on which the factors of each session are published."""
    month = sessions.astype("datetime64[D]").astype("datetime64[M]") + 1
    day = month.astype("datetime64[D]") + (_PUBLISHED_ON - 1)
    return day.astype(np.int64)


@lru_cache(maxsize=4)
def _values(
    calendar: SessionCalendar, seed: int, start: date
) -> tuple[Integers, dict[str, tuple[Floats, str]], dict[str, Floats]]:
    time = path_days(calendar, start)
    state = equity_state(seed, start, WEEKDAYS, len(time.days))
    # A session shows the state of its own day, a weekend's session that of Friday.
    at = np.maximum(np.searchsorted(state.days, time.sessions, side="right") - 1, 0)
    before = np.concatenate([[-1], at[:-1]])

    def between(moves: Floats) -> Floats:
        """Sum of log moves since the session before."""
        total = np.concatenate([[0.0], np.cumsum(moves)])
        return np.asarray(total[at + 1] - total[before + 1])

    at_close: dict[str, tuple[Floats, str]] = {}
    for name, sessions, noise in (("VIX", 21, 0.03), ("VIX3M", 63, 0.015)):
        jitter = stream(seed, "series", name).standard_normal(len(state.days))
        level = 100 * np.sqrt(252) * _PREMIUM * expected_volatility(state, sessions)
        at_close[name] = (np.round(level * np.exp(noise * jitter), 2)[at], "index points")
    for name, underlying in _INDICES.items():
        level = 100 * np.exp(np.cumsum(driver(state, underlying)))[at]
        at_close[name] = (np.round(level, 4), "index points")
    free = np.expm1(between(state.risk_free))
    monthly = {"Mkt-RF": np.expm1(between(state.climate.market)) - free, "RF": free}
    for column, style in enumerate(STYLES):
        monthly[style] = np.expm1(between(state.styles[:, column]))
    return time.sessions, at_close, {name: np.round(v, 6) for name, v in monthly.items()}
