"""The embedded market run through the real stages, up to what scanners and selection read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Literal

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.features.avwap import avwap_features, avwap_windows
from quant_platform.features.liquidity import liquidity_features, liquidity_windows
from quant_platform.features.state import advance_state
from quant_platform.features.trend import trend_features, trend_windows
from quant_platform.lakehouse.contracts import CONTRACTS, contract_of
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.market.bars import published_bars
from quant_platform.market.reference import (
    published_actions,
    published_fund_facts,
    published_securities,
)
from quant_platform.market.returns import session_returns
from quant_platform.scanners.candidates import candidates_windows, unite
from quant_platform.scanners.cross_section import cross_section_windows, rank_securities
from quant_platform.scanners.engine import scan, scan_windows
from quant_platform.scanners.screener import screen, screener_windows
from quant_platform.scanners.universe import session_universe, universe_windows
from quant_platform.settings import StateSettings, TrendSettings
from quant_platform.settings.cross_section import CrossSectionSettings
from quant_platform.settings.hygiene import HygieneSettings
from quant_platform.settings.returns import ReturnsSettings
from quant_platform.settings.universe import UniverseSettings
from quant_platform.sources import SimulatedSleeve, SimulatedSource
from quant_platform_tests.scanners.manifests import shipped
from quant_platform_tests.sources.markets import CRYPTO, DIRTY, NYSE

HISTORY = date(2022, 1, 3)
LAST = date(2023, 5, 31)
CALENDARS = {"instruments": NYSE, "etfs": NYSE, "crypto": CRYPTO}
SCANNERS = {
    "instruments": ("mean_reversion", "us_trend"),
    "etfs": ("etf_equity_momentum", "sector_etf_trend"),
    "crypto": ("binance_acceleration_trend", "binance_spot_trend"),
}
ASSET_CLASSES = {"instruments": "stock", "etfs": "etf", "crypto": "crypto"}
TREND = TrendSettings()
STALE = HygieneSettings().stale_sessions
SOURCE = replace(
    DIRTY,
    # In the year after HISTORY stocks and funds mostly rise, so that scanners find more than they
    # keep, and the regime turns after it; a session of stocks arrives late after May of 2022.
    seed=207,
    sleeves=tuple(SimulatedSleeve(name, (kind,), 60) for name, kind in ASSET_CLASSES.items()),
)
"""The embedded market with as many symbols as it is shipped with."""
SOURCES = {
    "instruments": SOURCE,
    "etfs": SOURCE,
    # Of coins there is a rebalance at which everything fell, and no scanner finds anything.
    "crypto": replace(SOURCE, seed=DIRTY.seed),
}
"""The market by sleeve."""

Tables = Mapping[str, pl.DataFrame]
"""A sleeve's tables by kind."""


def span(calendar: SessionCalendar, first: date, last: date) -> SessionRange:
    """Range of sessions between two days."""
    return SessionRange(calendar, tuple(calendar.between(first, last)), HISTORY)


def empty(kind: str) -> pl.DataFrame:
    """Table of which nothing was made."""
    return contract_of(f"x/{kind}").empty()


def handed(
    tables: Tables, windows: Mapping[str, Window], wanted: SessionRange
) -> dict[str, pl.LazyFrame]:
    """Bound tables to the partitions that the windows load, as the IO manager does."""
    frames = {}
    for name, window in windows.items():
        rows = tables[window.table] if window.table in tables else empty(window.table)
        partition = contract_of(f"x/{window.table}").partition
        frames[name] = rows.filter(pl.col(partition).is_in(wanted.loaded(window))).lazy()
    return frames


@lru_cache(maxsize=4)
def market(sleeve: str, source: SimulatedSource | None = None, last: date = LAST) -> Tables:
    """Tables of one sleeve from the start of history on, each by its real stage."""
    source = source or SOURCES[sleeve]
    wanted = span(CALENDARS[sleeve], HISTORY, last)
    bars = published_bars(source, sleeve, wanted).rows
    actions = published_actions(source, sleeve, wanted).rows
    frames = {"bars": bars.lazy(), "actions": actions.lazy()}
    nothing = {"state": CONTRACTS["features_state"].empty().lazy()}
    executed: Literal["open", "typical"] = "open" if CALENDARS[sleeve] is NYSE else "typical"
    tables = {
        "securities": published_securities(source, sleeve, wanted).rows,
        "bars": bars,
        "actions": actions,
        "features_state": advance_state(frames | nothing, StateSettings(), wanted),
        "returns": session_returns(frames, ReturnsSettings(execution_price=executed), wanted),
    }
    if sleeve == "etfs":
        tables["fund_facts"] = published_fund_facts(source, sleeve, wanted).rows
    tables |= featured(tables, wanted)
    tables |= {"cross_section": ranked(tables, wanted)}
    return tables | {"screener": screened(tables, wanted)}


def featured(
    tables: Tables, wanted: SessionRange, settings: TrendSettings = TREND
) -> dict[str, pl.DataFrame]:
    """Make the feature tables of finite windows that the screener reads."""
    made: dict[str, pl.DataFrame] = {}
    for kind, windows, function in (
        ("features_trend", trend_windows, trend_features),
        ("features_avwap", avwap_windows, avwap_features),
        ("features_liquidity", liquidity_windows, liquidity_features),
    ):
        frames = handed({**tables, **made}, windows(), wanted)
        made[kind] = function(frames, settings, wanted)
    return made


def ranked(tables: Tables, wanted: SessionRange) -> pl.DataFrame:
    """Rank the securities of a range by the shipped weights."""
    there = {**tables, "universe": belonging(tables, wanted)}
    frames = handed(there, cross_section_windows(), wanted)
    return rank_securities(frames, CrossSectionSettings(), wanted)


def belonging(
    tables: Tables, wanted: SessionRange, settings: UniverseSettings | None = None
) -> pl.DataFrame:
    """Make the universe of a range and hold the rows to their contract."""
    own = settings or UniverseSettings()
    frames = handed(tables, universe_windows(own, tables.keys(), STALE), wanted)
    made = session_universe(frames, own, wanted, stale_sessions=STALE)
    return CONTRACTS["universe"].validate("x/universe", made)


def screened(tables: Tables, wanted: SessionRange) -> pl.DataFrame:
    """Screen the universe of a range and hold the rows to their contract."""
    there = {**tables, "universe": belonging(tables, wanted)}
    made = screen(handed(there, screener_windows(there), wanted), None, wanted)
    return CONTRACTS["screener"].validate("x/screener", made)


def scanned(tables: Tables, wanted: SessionRange, scanners: Sequence[str]) -> Tables:
    """Run shipped scanners over a range, and unite what they find."""
    kinds = {}
    for name in scanners:
        scanner = shipped(name)
        made = scan(handed(tables, scan_windows(scanner), wanted), scanner, wanted)
        kinds[f"scan_{name}"] = CONTRACTS["scan"].validate(f"x/scan_{name}", made)
    ranks = {"cross_section": CONTRACTS["cross_section"].empty()}
    frames = handed({**ranks, **tables, **kinds}, candidates_windows(scanners), wanted)
    united = CONTRACTS["candidates"].validate("x/candidates", unite(frames, scanners, wanted))
    return {**kinds, "candidates": united}
