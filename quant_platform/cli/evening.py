"""What the newest evening comes to, for the person at the terminal."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quant_platform.cli.console import table_console
from quant_platform.cli.project import Project
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.orchestration.assets.reports import DAILY, daily_page_path, evening_checks
from quant_platform.reports import table as report_table
from quant_platform.reports.board import Board
from quant_platform.reports.rates import FIRE_RATES
from quant_platform.reports.sections import figure_tables


def print_evening(project: Project) -> None:
    """Print the figures of the newest evening of ``reports/daily`` and where its page lies."""
    sessions = project.lake.sessions(DAILY) if project.lake.entries(DAILY) else []
    if not sessions:
        return
    session = max(sessions)
    figures = project.lake.scan(DAILY, [session]).collect()
    console = table_console()
    console.print()
    console.print(f"Evening of {session:%A, %d %B %Y}", style="bold")
    tonight = SessionRange(
        project.lake.calendar(DAILY), (session,), project.settings.platform.history_start
    )
    checks = evening_checks(project.lake, tonight)
    for title, tables in figure_tables(Board.of(figures, session), checks).items():
        for table in tables:
            # Gates that fire as they should are no news of an evening.
            if title != FIRE_RATES or table.rows:
                _print_table(console, title, table)
    page = daily_page_path(project.lake.root, session.isoformat())
    if page.exists():
        typer.echo(f"Report: {page}")


def _print_table(console: Console, title: str, table: report_table.Table) -> None:
    heading = f"{title}: {table.title}" if table.title else title
    if not table.rows:
        console.print(f"\n{escape(heading)}: {escape(table.empty)}")
        return
    shown = Table(title=escape(heading), title_justify="left")
    for place, name in enumerate(table.head):
        shown.add_column(escape(name), justify="left" if place in table.text else "right")
    for row in table.rows:
        shown.add_row(*(escape(cell) for cell in row))
    console.print()
    console.print(shown)
    for note in table.notes:
        console.print(f"  {escape(note)}")
