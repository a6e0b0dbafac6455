"""Evenings to report on: the account of a random world, and streams of its sleeves and meta.

The account's tables, the meta's streams, weights and returns are those of the real producers. The
sleeves' streams are drawn, a year and a month of them, so that the look-backs are full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from quant_platform.lakehouse.contracts.daily import DAILY
from quant_platform.lakehouse.contracts.meta import META_HOLDINGS, META_WEIGHTS
from quant_platform.lakehouse.contracts.profile_returns import PROFILE_RETURNS
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.portfolio.meta_holding import (
    meta_holdings,
    meta_holdings_windows,
    meta_portfolio_returns,
)
from quant_platform.portfolio.meta_returns import meta_returns
from quant_platform.portfolio.meta_weights import meta_weights, meta_weights_windows
from quant_platform.reports.figures import daily_figures
from quant_platform.reports.gates import GatesScope, gate_counts
from quant_platform.reports.scope import AccountScope, DailyScope, daily_windows
from quant_platform.settings.portfolio import CostSettings, MetaSettings
from quant_platform_tests.execution.world import (
    CALENDARS,
    NYSE,
    SESSIONS,
    World,
    random_world,
    run,
    settings,
)
from quant_platform_tests.portfolio.metas import stream
from quant_platform_tests.portfolio.stages import frame_of

BEGIN = date(2023, 6, 1)
YEAR = NYSE.between(BEGIN, SESSIONS[-1])
PROFILES = ("equal_weight", "hrp", "min_variance")
META = MetaSettings(name="meta", members=tuple(CALENDARS), train=30, min_joint=20)
GRID = frozenset(YEAR[40::20])
SCOPE = DailyScope(
    sleeves=dict.fromkeys(CALENDARS, PROFILES),
    metas={"meta": PROFILES},
    account=AccountScope(
        portfolio="meta", profile="equal_weight", currency="USD", opened=SESSIONS[0]
    ),
    regime=True,
)
BARE = DailyScope(sleeves=SCOPE.sleeves)

Tables = dict[str, pl.DataFrame]


def span(sessions: Sequence[date]) -> SessionRange:
    """Range on the report's calendar; history begins with the streams."""
    return SessionRange(NYSE, tuple(sessions), BEGIN)


def drawn_streams(seed: int = 1) -> Tables:
    """``profile_returns`` of each sleeve, another stream for each profile."""
    random = np.random.default_rng(seed)
    made = {}
    for sleeve, scale in (("crypto", 0.02), ("etfs", 0.004), ("instruments", 0.007)):
        rows = [
            stream(day, random.normal(0.0003, scale), random.normal(0.0002, scale), profile)
            for day in CALENDARS[sleeve].between(BEGIN, SESSIONS[-1])
            for profile in PROFILES
        ]
        made[sleeve] = frame_of(PROFILE_RETURNS, rows)
    return made


def meta_tables(sleeves: Mapping[str, pl.DataFrame]) -> Tables:
    """Streams, weights and returns of the meta over the sleeves, by its own functions."""
    wanted = span(YEAR)
    lazy = {name: table.lazy() for name, table in sleeves.items()}
    returns = meta_returns(lazy, META, wanted, CALENDARS)
    frames = {"returns": returns.lazy(), "weights": META_WEIGHTS.empty().lazy()}
    assert meta_weights_windows(META).keys() == frames.keys()
    weights = meta_weights(frames, META, wanted, grid=GRID)
    frames = {
        "returns": returns.lazy(),
        "weights": weights.lazy(),
        "holdings": META_HOLDINGS.empty().lazy(),
    }
    assert meta_holdings_windows(META).keys() == frames.keys()
    costs = dict.fromkeys(META.members, CostSettings())
    holdings = meta_holdings(frames, META, wanted, costs)
    made = meta_portfolio_returns(frames | {"holdings": holdings.lazy()}, META, wanted)
    return {"returns_meta": made, "weights_meta": weights}


def tables_of(world: World | None = None, **changes: Any) -> Tables:
    """All inputs of the report over all sessions, by the names of its windows.

    Parameters
    ----------
    world
        Market and targets of the account; by default a random one.
    changes
        Settings of the account.
    """
    market = random_world(3) if world is None else world
    sleeves = drawn_streams()
    made = run(market, settings(**changes))
    made |= {name: market.frames()[name] for name in ("target_portfolio", "regime")}
    made |= {f"returns_{name}": table for name, table in sleeves.items()}
    audits = {
        f"execution_{name}": made[name].lazy() for name in ("risk_controls", "execution_ready")
    }
    made["gates"] = gate_counts(audits, GatesScope(sleeves={}, account=True), span(SESSIONS))
    return made | meta_tables(sleeves)


def handed(tables: Tables, scope: DailyScope, sessions: Sequence[date]) -> dict[str, pl.LazyFrame]:
    """Bound each table to what the report's windows load, as the IO manager does."""
    wanted = span(sessions)
    frames = {}
    for name, window in daily_windows(scope).items():
        loaded = wanted.loaded(window)
        between = pl.col("session").is_between(loaded[0], wanted.last)
        if window.required or name in tables:
            frames[name] = tables[name].filter(between).lazy()
    return frames


def report(
    tables: Tables, scope: DailyScope = SCOPE, sessions: Sequence[date] = SESSIONS
) -> pl.DataFrame:
    """``reports/daily`` of a range, judged by its contract."""
    made = daily_figures(handed(tables, scope, sessions), scope, span(sessions), CALENDARS)
    return DAILY.validate("reports/daily", made)


def figure(
    figures: pl.DataFrame, session: date, section: str, item: str, name: str
) -> dict[str, Any]:
    """One row of the report."""
    rows = figures.filter(session=session, section=section, item=item, figure=name).to_dicts()
    assert len(rows) == 1, rows
    return rows[0]
