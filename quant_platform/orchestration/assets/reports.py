"""``reports/gates`` and ``reports/daily``: what fired, the evening's figures, its page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.files import write_atomic
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.orchestration.assets.context import PortfolioContext
from quant_platform.orchestration.stage import Stage, Stored
from quant_platform.reports.figures import daily_figures
from quant_platform.reports.fire_rates import check_rates, year_to
from quant_platform.reports.gates import GatesScope, gate_counts, gates_windows
from quant_platform.reports.markdown import daily_markdown
from quant_platform.reports.page import daily_page, return_charts
from quant_platform.reports.scope import DailyScope, daily_windows

GROUP = "reports"
DAILY = "reports/daily"
GATES = "reports/gates"


def daily_page_path(lake_root: Path, session: str) -> Path:
    """Where the page of a session lies."""
    return lake_root / "reports" / "daily" / f"{session}.html"


def report_stages(portfolio: PortfolioContext) -> list[Stage]:
    """Stages of the counts of gates, and of the daily report that looks back on them."""
    scope = DailyScope.of(portfolio.settings, portfolio.calendar.code)
    counted = GatesScope.of(portfolio.settings, portfolio.calendar.code)
    return [
        portfolio.stage(
            GATES,
            function=gate_counts,
            settings=counted,
            description="How often each veto, filter, cap and gate was asked on a session, and how "
            "often it fired.",
            group=GROUP,
            windows=gates_windows(counted),
        ),
        portfolio.stage(
            DAILY,
            function=partial(daily_figures, calendars=portfolio.calendars),
            settings=scope,
            description="Figures of the evening: the account, each profile, meta weights, targets "
            "of tonight, orders, fills, slippage, gates and how often they fire, regime. Its page "
            "is one HTML file for the last session of each run.",
            group=GROUP,
            windows=daily_windows(scope),
            shown=partial(_page, scope=scope, calendars=portfolio.calendars),
        ),
    ]


def evening_checks(lake: Lake, tonight: SessionRange) -> pl.DataFrame:
    """Say how often the rules of all tables failed over the year up to a session.

    Parameters
    ----------
    lake
        The lake.
    tonight
        Range of the one session.
    """
    judged = [table for table in lake.tables() if lake.layout(table).contract.rules]
    since = year_to(tonight)[0]
    return check_rates({table: lake.checks(table, since=since) for table in judged}, tonight)


def _page(
    stored: Stored,
    scope: DailyScope,
    calendars: Mapping[str, SessionCalendar],
) -> dict[str, dg.MetadataValue]:
    """Write the page of the newest evening of a range; return what the UI shows of it."""
    figures = stored.tables["daily"]
    if not figures.height:
        return {}
    last: date = max(figures["session"].to_list())
    wanted = stored.wanted
    shown = SessionRange(
        wanted.calendar,
        tuple(day for day in wanted.sessions if day <= last),
        wanted.history_start,
    )
    checks = evening_checks(stored.lake, shown.at_last)
    page = daily_page(stored.frames, figures, scope, shown, calendars, checks=checks)
    path = daily_page_path(stored.lake.root, shown.last.isoformat())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, page.encode())
    metas = tuple(scope.metas)
    charts = return_charts(stored.frames, scope, shown, calendars, branches=metas, standalone=True)
    return {
        "page": dg.MetadataValue.path(str(path)),
        "report": dg.MetadataValue.md(daily_markdown(figures, shown.last, charts, checks=checks)),
    }
