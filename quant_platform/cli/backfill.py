"""``quant backfill``: make a range of sessions, in this process, resumable."""

from __future__ import annotations

from typing import Annotated

import typer

from quant_platform.cli.progress import chunk_progress, print_report
from quant_platform.cli.project import Project
from quant_platform.cli.session_arguments import (
    parse_day,
    refuse_closed,
    refuse_empty,
    refuse_outside,
)
from quant_platform.errors import ConfigError
from quant_platform.lakehouse.catalog import refresh_catalog
from quant_platform.orchestration.backfill import backfill
from quant_platform.orchestration.side_by_side import cores

app = typer.Typer(add_completion=False)

INTERRUPTED = 130
LONGEST_CHUNK = 2520


@app.command()
def backfill_command(
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last day, YYYY-MM-DD.")],
    job: Annotated[str | None, typer.Option(help="Only this job; all by default.")] = None,
    chunk: Annotated[
        int | None, typer.Option(help="Sessions per run; platform.backfill_chunk by default.")
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Make current sessions again as well, and the account's past.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make every stale session of a range; stop with Ctrl-C, go on with the same command."""
    begin, end = parse_day(first, "--from"), parse_day(last, "--to")
    if chunk is not None and not 1 <= chunk <= LONGEST_CHUNK:
        raise ConfigError(
            f"--chunk is {chunk}",
            expected=f"1 to {LONGEST_CHUNK} sessions",
            mend="leave it out for platform.backfill_chunk",
        )
    project = Project.open()
    jobs = project.jobs(job)
    platform = project.settings.platform
    refuse_outside(begin, end, platform.history_start, project.latest(jobs))
    if begin == end:
        refuse_closed(begin, [project.graph.jobs[name][0].calendar for name in jobs], "--from")
    refuse_empty(begin, end, [project.graph.jobs[name][0].calendar for name in jobs])
    with project.instance, chunk_progress(shown=not as_json) as told:
        report = backfill(
            project.graph,
            project.lake,
            project.instance,
            begin,
            end,
            jobs=jobs,
            chunk=chunk or platform.backfill_chunk,
            force=force,
            progress=told,
            processes=cores(),
        )
    refresh_catalog(project.lake)
    print_report(project, report, as_json=as_json)
    if report.tally.stopped:
        typer.echo("Stopped; the same command goes on where it left off.", err=True)
        raise typer.Exit(INTERRUPTED)
