"""``quant gc``: give back the space of what nobody reads any more."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.table import Table

from quant_platform.cli.console import table_console
from quant_platform.cli.project import Project
from quant_platform.orchestration.housekeeping import LOG_DAYS, Tidied, tidy

app = typer.Typer(add_completion=False)

KEPT = 2
"""A wrong correction can be taken back, and the one before it."""
_NAMES = {
    "superseded": "superseded files",
    "drafts": "drafts of crashed writes",
    "events": "superseded events",
    "runs": "superseded runs",
    "logs": f"logs of runs older than {LOG_DAYS} days",
}


@app.command()
def gc_command(
    keep: Annotated[
        int, typer.Option(help="Superseded contents of a partition that stay.", min=0)
    ] = KEPT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Remove superseded files, drafts of crashed writes, superseded events and old logs."""
    project = Project.open()
    with project.instance:
        done = tidy(
            project.lake, project.instance, list(project.graph.jobs), keep=keep, dry_run=dry_run
        )
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "keep": keep, **asdict(done)}, indent=2))
    else:
        table_console().print(_table(done, dry_run=dry_run))


def _table(done: Tidied, *, dry_run: bool) -> Table:
    table = Table("what", title="Nothing was removed: --dry-run" if dry_run else None)
    for name in ("would go", "would be freed") if dry_run else ("removed", "freed"):
        table.add_column(name, justify="right")
    total = 0
    for field, name in _NAMES.items():
        freed = getattr(done, field)
        if freed is None:
            table.add_row(name, "–", "not on this storage")
            continue
        total += freed.size
        inside = field == "events" and dry_run and freed.count
        table.add_row(name, f"{freed.count:,}", "–" if inside else decimal(freed.size))
    table.add_section()
    table.add_row("together", "", decimal(total))
    return table
