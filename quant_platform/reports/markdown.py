"""The report of one session as Markdown, for the metadata of its asset.

Dagster's page renders GitHub's Markdown, drops HTML, and shows pictures whose address holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from quant_platform.reports.board import Board
from quant_platform.reports.chart import data_uri
from quant_platform.reports.notation import long_date
from quant_platform.reports.sections import figure_tables


def daily_markdown(
    figures: pl.DataFrame,
    session: date,
    charts: Sequence[str] = (),
    *,
    checks: pl.DataFrame | None = None,
) -> str:
    """Write the figures of one session as Markdown.

    Parameters
    ----------
    figures
        ``reports/daily``.
    session
        The session to show.
    charts
        Standalone pictures that stand above the tables, as :func:`page.return_charts` makes them.
    checks
        How often the rules of the tables failed, as ``fire_rates.check_rates`` says.
    """
    parts = [f"# Daily report, {long_date(session)}\n"]
    parts += [f"![Net return of each profile]({data_uri(chart)})\n" for chart in charts]
    for title, tables in figure_tables(Board.of(figures, session), checks).items():
        parts.append(f"## {title}\n")
        parts += [table.markdown() for table in tables]
    return "\n".join(parts)
