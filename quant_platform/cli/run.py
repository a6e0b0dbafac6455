"""``quant run``: the whole chain over the first years of the configured history."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from quant_platform.cli.evening import print_evening
from quant_platform.cli.progress import chunk_progress, print_report
from quant_platform.cli.project import Project
from quant_platform.cli.session_arguments import parse_day, refuse_outside
from quant_platform.lakehouse.catalog import refresh_catalog
from quant_platform.orchestration.backfill import backfill
from quant_platform.orchestration.side_by_side import cores

app = typer.Typer(add_completion=False)

INTERRUPTED = 130
WARM_UP_YEARS = 1
"""The longest look-back is a year of sessions; before that, features are null by contract."""
DEFAULT_YEARS = 1
FULL_YEARS = 3


@app.command()
def run_command(
    full: Annotated[bool, typer.Option(help=f"{FULL_YEARS} years instead of one.")] = False,
    until: Annotated[
        str | None, typer.Option("--to", help="Last day, YYYY-MM-DD, instead of a length.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make the whole chain: a warm-up year and one more, or three with --full."""
    project = Project.open()
    start = project.settings.platform.history_start
    jobs = project.jobs(None)
    latest = project.latest(jobs)
    years = WARM_UP_YEARS + (FULL_YEARS if full else DEFAULT_YEARS)
    end = (
        parse_day(until, "--to")
        if until is not None
        else min(date(start.year + years - 1, 12, 31), latest)
    )
    refuse_outside(start, end, start, latest)
    with project.instance, chunk_progress(shown=not as_json) as told:
        report = backfill(
            project.graph,
            project.lake,
            project.instance,
            start,
            end,
            chunk=project.settings.platform.backfill_chunk,
            progress=told,
            processes=cores(),
        )
    refresh_catalog(project.lake)
    print_report(project, report, as_json=as_json)
    if report.tally.stopped:
        typer.echo("Stopped; 'quant run' goes on where it left off.", err=True)
        raise typer.Exit(INTERRUPTED)
    if not as_json:
        print_evening(project)
        typer.echo("Look at it with 'make ui', or ask it with 'quant sql'.")
