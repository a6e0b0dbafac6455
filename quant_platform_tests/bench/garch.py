"""``garch``: what the forecasts of a walk-forward history cost, and those of one evening.

75 candidates at 126 rebalance sessions, in runs of 252 sessions as a backfill has them, each run
starting from the estimates of the one before; then 300 candidates on one session, cold. Returns are
those of GARCH-t walks, a fifth of the names younger than the look-back. Wall clock is held to its
bars, so run it on a machine that does nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl

from quant_platform_tests.bench.report import Bar, BenchResult, python_loop_ms

NAME = "garch"
WINNERS, SESSIONS, CHUNK, STEP = 75, 2520, 252, 20
CANDIDATES = 300


def run() -> BenchResult:
    """Make the history, and an evening, in this process."""
    whole, tonight = _history(WINNERS, SESSIONS), _history(CANDIDATES, 1)
    figures = {
        "fits": whole["rows"],
        "seconds": whole["seconds"],
        "processor_seconds": whole["processor"],
        "share_fitted": whole["fitted"],
        "tonight_seconds": tonight["seconds"],
        "tonight_processor_seconds": tonight["processor"],
        "python_loop_ms": python_loop_ms(),
    }
    rows: Sequence[Sequence[str]] = [
        (
            name,
            f"{made['rows']:,.0f}",
            f"{made['fitted']:.1%}",
            f"{made['seconds']:.1f}",
            f"{made['processor']:.1f}",
        )
        for name, made in (("history", whole), ("tonight", tonight))
    ]
    return BenchResult(
        NAME,
        ("made", "forecasts", "by GARCH", "wall s", "processor s"),
        rows,
        figures,
        {"seconds": Bar(90, "at most"), "tonight_seconds": Bar(6, "at most")},
        [
            f"{WINNERS} candidates at {SESSIONS // STEP} rebalance sessions; {CANDIDATES} on one. "
            "Laying out bars is counted, reading and writing files is not.",
        ],
    )


def _history(names: int, count: int) -> dict[str, float]:
    """Make the last ``count`` sessions for so many candidates."""
    from quant_platform.calendars import build_calendar
    from quant_platform.features.garch import garch_features, garch_windows
    from quant_platform.lakehouse.contracts import CONTRACTS
    from quant_platform.lakehouse.windows import SessionRange
    from quant_platform.settings import GarchSettings

    calendar = build_calendar("XNYS", horizon=date(2026, 12, 31), grace=timedelta(minutes=90))
    settings = GarchSettings()
    every = calendar.sessions[-(SESSIONS + settings.lookback + 1) :]
    sessions = every[-count:]
    grid = frozenset(every[-1::-STEP])
    published = _published(every, names)
    securities = published["security_id"].unique().sort()
    tables = {
        "bars": published,
        "actions": CONTRACTS["actions"].empty(),
        "features_state": CONTRACTS["features_state"].empty(),
        "candidates": pl.DataFrame({"session": [day for day in sessions if day in grid]}).join(
            securities.to_frame(), how="cross"
        ),
    }
    own = CONTRACTS["features_garch"].empty()
    began, used = time.perf_counter(), time.process_time()
    for start in range(0, count, CHUNK):
        wanted = SessionRange(calendar, tuple(sessions[start : start + CHUNK]), every[0])
        frames = {}
        for name, window in garch_windows(settings, calendar, grid).items():
            rows = own if window.own else tables[window.table]
            partition = "session" if "session" in rows.columns else "knowledge_session"
            loaded = wanted.loaded(window)
            frames[name] = rows.filter(pl.col(partition).is_between(loaded[0], loaded[-1])).lazy()
        own = own.vstack(garch_features(frames, settings, wanted, grid, 252))
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - used,
        "rows": own.height,
        "fitted": (own["actual"] == "garch").mean(),
    }


def _published(sessions: Sequence[date], names: int) -> pl.DataFrame:
    """Bars of GARCH-t walks, as far as the forecasts look at them."""
    random = np.random.default_rng(7)
    alpha = random.uniform(0.02, 0.2, names)
    beta = random.uniform(0.6, 0.97, names) * (1 - alpha)
    variance, last = np.full(names, 4e-4), np.zeros(names)
    returns = np.zeros((len(sessions), names))
    for row in returns:
        variance = 4e-4 * (1 - alpha - beta) + alpha * last**2 + beta * variance
        last = np.sqrt(variance) * random.standard_t(6, names) / np.sqrt(1.5)
        row[:] = 3e-4 + last
    closes = 50 * np.exp(np.cumsum(returns, axis=0))
    born = np.where(np.arange(names) % 5 == 0, random.integers(0, len(sessions) // 2, names), 0)
    place, name = np.nonzero(np.arange(len(sessions))[:, None] >= born)
    days = pl.Series(list(sessions), dtype=pl.Date).gather(place)
    return pl.DataFrame(
        {
            "security_id": pl.Series([f"name-{n:04d}" for n in range(names)]).gather(name),
            "session": days,
            "knowledge_session": days,
            "known_at": days.cast(pl.Datetime("us", "UTC")),
            "close": closes[place, name],
        }
    )
