"""Selection's inputs by hand, and its definitions one security and one session at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from math import prod, sqrt
from statistics import stdev
from typing import Any

import numpy as np
import polars as pl

from quant_platform.lakehouse.contracts import CONTRACTS, contract_of
from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.selection.policy import select, selection_windows
from quant_platform.settings.selection import SelectionSettings
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS, bar, span

PERIODS = 252
SETTINGS = SelectionSettings(top_n=2, lookback_sessions=5, max_annual_volatility=2.5)

Rows = Sequence[Mapping[str, Any]]


def table(kind: str, rows: Rows) -> pl.DataFrame:
    """Rows in the columns of a contract."""
    return pl.DataFrame(list(rows), schema=CONTRACTS[kind].empty().schema)


def returned(
    security: str, session: date, total: float, *, delisted: bool = False, late: bool = False
) -> dict[str, Any]:
    """One row of ``returns``, as far as selection reads it; ``late``: without a bar of its own."""
    return {
        "session": session,
        "security_id": security,
        "total": total,
        "delisted": delisted,
        "mark_session": session - timedelta(days=1) if late else session,
    }


def bars_of(returns: Rows) -> Rows:
    """Bars that returns may be those of; one more, on the session before a security's first.

    The bar of a session without a return is lacking, that of a ``late`` one comes a session late.
    """
    bars = []
    for security in sorted({one["security_id"] for one in returns}):
        own = sorted((one["session"], one) for one in returns if one["security_id"] == security)
        close = 100.0
        bars.append(bar(security, CALENDAR.offset(own[0][0], -1), close))
        for session, one in own:
            close *= 1 + one["total"]
            bars.append(bar(security, session, close, late=one["mark_session"] < session))
    return bars


def path(security: str, sessions: Sequence[date], seed: int, volatility: float = 0.01) -> Rows:
    """Random returns of one security over sessions."""
    totals = np.random.default_rng(seed).normal(0.0005, volatility, len(sessions))
    return [returned(security, day, float(t)) for day, t in zip(sessions, totals, strict=True)]


def found(sessions: Sequence[date], securities: str) -> Rows:
    """Candidates: the same securities on each session."""
    return [
        {
            "session": day,
            "security_id": name,
            "symbol": f"NYSE:{name.upper()}",
            "asset_class": "stock",
            "sector": None,
            "scanners": ["tried"],
        }
        for day in sessions
        for name in securities
    ]


def run(
    candidates: Rows,
    returns: Rows,
    sessions: Sequence[date],
    grid: Collection[date],
    *,
    cuts: Sequence[int] = (),
    settings: SelectionSettings = SETTINGS,
    bars: Rows | None = None,
    actions: Rows = (),
) -> pl.DataFrame:
    """Select over sessions in one run, or in several that begin at the cuts."""
    tables = {
        "candidates": table("candidates", candidates),
        "bars": table("bars", bars_of(returns) if bars is None else bars),
        "actions": table("actions", actions),
        "returns": table("returns", returns),
        "selection": SELECTION.empty(),
    }
    for begin, end in pairwise([0, *sorted(cuts), len(sessions)]):
        if begin == end:
            continue
        wanted = span(sessions[begin], sessions[end - 1], SESSIONS[0])
        frames = {
            name: tables[window.table]
            .filter(pl.col(contract_of(f"x/{window.table}").partition).is_in(wanted.loaded(window)))
            .lazy()
            for name, window in selection_windows(settings).items()
        }
        made = SELECTION.validate("x/selection", select(frames, settings, wanted, grid, PERIODS))
        tables["selection"] = pl.concat([tables["selection"], made])
    return tables["selection"]


def figures(returns: Rows, security: str, window: Sequence[date]) -> tuple[float, float] | None:
    """Momentum and annual volatility by their definitions; None without full evidence."""
    totals = {one["session"]: one["total"] for one in returns if one["security_id"] == security}
    values = [totals[day] for day in window if day in totals]
    if len(values) < len(window) or len(set(values)) == 1:
        return None
    return prod(1 + value for value in values) - 1, stdev(values) * sqrt(PERIODS)


def scores(raw: Mapping[str, float]) -> dict[str, float]:
    """Rank scores by their definition; equals share their mean rank."""
    ordered = sorted(raw.values())
    if len(ordered) == 1:
        return dict.fromkeys(raw, 0.505)
    ranks = {
        name: ordered.index(value) + (ordered.count(value) + 1) / 2 for name, value in raw.items()
    }
    return {name: 0.01 + 0.99 * (rank - 1) / (len(ordered) - 1) for name, rank in ranks.items()}
