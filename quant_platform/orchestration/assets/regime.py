"""``market/regime``, which throttles exposure, and ``<sleeve>/regime`` of other markets.

A market's regime is made on the calendar of its benchmark, in the job of that calendar: the tables
of a sleeve may read it on the same evening.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import dagster as dg
import polars as pl

from quant_platform.orchestration.assets.context import PortfolioContext, SleeveContext
from quant_platform.orchestration.assets.telling import told
from quant_platform.orchestration.stage import Stage, Stored, Told
from quant_platform.regimes.decisions import LEDGERS, action_of, regime_decisions
from quant_platform.regimes.table import regime, regime_windows
from quant_platform.reports.chart import data_uri
from quant_platform.reports.regime import regime_charts
from quant_platform.reports.scope import YEAR
from quant_platform.settings.regimes import RegimeSettings
from quant_platform.settings.sleeve import SHARED_KIND

MARKET = "market/regime"


def regime_stages(portfolio: PortfolioContext) -> list[Stage]:
    """Stages of the regimes; none where no regime is configured."""
    settings = portfolio.settings.regimes
    if settings is None:
        return []
    series = portfolio.series is not None and SHARED_KIND in portfolio.series[0].kinds
    others = [
        replace(
            _stage(portfolio, f"{sleeve}/regime", settings.of_sleeve(sleeve), series=False),
            calendar=portfolio.calendars[sleeve],
        )
        for sleeve in settings.others
    ]
    return [*others, _stage(portfolio, MARKET, settings.market, series=series)]


def regime_of(sleeve: SleeveContext, portfolio: PortfolioContext) -> str:
    """Table of the regime that a sleeve reads on its own evening; empty where there is none.

    Parameters
    ----------
    sleeve, portfolio
        The sleeve; and the settings of the regimes.
    """
    settings = portfolio.settings.regimes
    if settings is None:
        return ""
    if sleeve.sleeve.name in settings.others:
        return sleeve.table("regime")
    return MARKET if sleeve.calendar == portfolio.calendar else ""


def _stage(
    portfolio: PortfolioContext, table: str, settings: RegimeSettings, *, series: bool
) -> Stage:
    """Stage of one market's regime."""
    return portfolio.stage(
        table,
        function=regime,
        settings=settings,
        description=f"Regime of {settings.benchmark.security_id} by the models E1 and E2, "
        "quadrant, market and volatility state, each confirmed over several sessions: fast into "
        "danger, slow out of it.",
        group="regime",
        windows=regime_windows(settings, table, series=series),
        job="",
        shown=partial(_ribbon, table=table),
        recorded=partial(_decisions, table=table),
    )


def _decisions(stored: Stored, table: str) -> Mapping[str, Told]:
    """Say what each model made of each session, once."""
    rows, action = stored.tables["regime"], action_of(table)
    return {
        ledger: told(action, regime_decisions(rows, model), stored.run_id)
        for model, ledger in LEDGERS.items()
    }


def _ribbon(stored: Stored, table: str) -> dict[str, dg.MetadataValue]:
    """Draw the year up to the last session of a range."""
    new = stored.tables["regime"]
    if not new.height:
        return {}
    wanted = stored.wanted
    position = wanted.calendar.ordinal(wanted.last)
    year = set(wanted.calendar.sessions[max(position - YEAR + 1, 0) : position + 1])
    earlier = (
        [day for day in stored.lake.sessions(table) if day in year and day < wanted.first]
        if table in stored.lake.tables()
        else []
    )
    old = [stored.lake.scan(table, earlier).collect().select(new.columns)] if earlier else []
    pictures = regime_charts(pl.concat([*old, new]), standalone=True)
    text = "\n".join(f"![Regime of the benchmark]({data_uri(picture)})" for picture in pictures)
    return {"ribbon": dg.MetadataValue.md(text)} if pictures else {}
