"""The progress bar and the closing summary of runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from quant_platform.cli.console import table_console
from quant_platform.cli.project import Project
from quant_platform.orchestration.backfill import BackfillReport
from quant_platform.orchestration.plan import Chunk, RecordPlan
from quant_platform.reports.figure import counted

Told = Callable[[Chunk, bool], None]
_COUNTS = ("rows", "warned", "blocked", "rejected")


@contextmanager
def chunk_progress(*, shown: bool) -> Iterator[Told]:
    """Show a bar over the partitions of the chunks; silent when the output is JSON or no terminal.

    What is not a terminal is a log, and there an error is one line and not a bar and a line.
    """
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("partitions"),
        TimeElapsedColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
    ) as bar:
        tasks: dict[str, Any] = {}

        def told(chunk: Chunk, ended: bool) -> None:
            label = f"{chunk.job} {chunk.sessions[0]} … {chunk.sessions[-1]}"
            if label not in tasks:
                tasks[label] = bar.add_task(label, total=chunk.partitions)
            if ended:
                bar.update(tasks[label], completed=chunk.partitions)

        yield told


def print_report(project: Project, report: BackfillReport, *, as_json: bool) -> None:
    """Print what was done and what the lake now holds."""
    rows = [_table_row(project, stage.table) for stage in project.graph.stages]
    overhead = None if report.overhead is None else 1000 * report.overhead
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "chunks": report.tally.done,
                    "partitions": report.tally.made,
                    "seconds": round(report.seconds, 3),
                    "computing_seconds": round(report.computing, 3),
                    "overhead_milliseconds_per_partition": overhead and round(overhead, 3),
                    "stopped": report.tally.stopped,
                    "dead_runs": report.dead_runs,
                    "recovered": {
                        t: [str(d) for d in days] for t, days in report.recovered.items()
                    },
                    "account": None if report.record is None else _account_facts(report.record),
                    "tables": rows,
                    "lake": str(project.lake.root),
                },
                indent=2,
            )
        )
        return
    for run_id in report.dead_runs:
        typer.echo(f"Marked run {run_id[:8]} as failed: its process was gone.")
    for name, days in report.recovered.items():
        typer.echo(f"Told Dagster of {len(days)} partitions of {name} that only the lake knew.")
    for sentence in () if report.record is None else _account_sentences(report.record):
        typer.echo(sentence)
    table_console().print(_lake_table(project, rows))
    if overhead is not None:
        made = f"{report.tally.made} partitions in {report.tally.done} runs"
        typer.echo(
            f"{made}: {report.seconds:.1f} s, of which "
            f"{report.computing:.1f} s computing; {overhead:.2f} ms of overhead per partition."
        )
    elif not report.chunks:
        typer.echo("Everything is current: nothing was run.")


def _account_facts(record: RecordPlan) -> dict[str, Any]:
    """Facts of what became of the account, for ``--json``."""
    return {
        "kept": len(record.kept),
        "simulate_again": _simulate_again(record),
        "made_again": len(record.again),
        "cause": record.cause if record.again else None,
    }


def _account_sentences(record: RecordPlan) -> Iterator[str]:
    """Say what was kept of the account against what settings, code and inputs say now."""
    if record.kept:
        yield (
            f"{counted(len(record.kept), 'session')} of the account ({record.kept[0]} to "
            f"{record.kept[-1]}) kept as recorded, although settings, code or inputs have changed "
            f"since; '{_simulate_again(record)}' simulates them again."
        )
    if record.again:
        yield (
            f"{counted(len(record.again), 'session')} of the account from {record.again[0]} on "
            f"planned again, as {record.cause}."
        )


def _simulate_again(record: RecordPlan) -> str | None:
    """Command that makes the kept sessions again, and all that continue them."""
    if not record.kept:
        return None
    last = record.last or record.kept[-1]
    return f"quant backfill --from {record.kept[0]} --to {last} --job {record.job} --force"


def _lake_table(project: Project, rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line for each link of each branch; ``--json`` has every table."""
    table = Table(title=escape(f"Lake at {project.lake.root}"), title_justify="left")
    for name in ("branch", "stage"):
        table.add_column(name)
    for name in ("tables", "sessions"):
        table.add_column(name, justify="right")
    for name in ("first", "last"):
        table.add_column(name)
    for name in _COUNTS:
        table.add_column(name, justify="right")
    links: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for stage, row in zip(project.graph.stages, rows, strict=True):
        branch = stage.table.rpartition("/")[0]
        links.setdefault((branch, stage.group), []).append(row)
    before = None
    for (branch, group), own in links.items():
        if before not in (None, branch):
            table.add_section()
        days = [row[end] for row in own for end in ("first", "last") if row[end]]
        table.add_row(
            "" if before == branch else branch,
            group.replace("_", " "),
            str(len(own)),
            str(max(row["sessions"] for row in own)),
            min(days, default="–"),
            max(days, default="–"),
            *(f"{sum(row[name] for row in own):,}" for name in _COUNTS),
        )
        before = branch
    return table


def _table_row(project: Project, table: str) -> dict[str, str | int | None]:
    """One line of the summary."""
    entries = project.lake.entries(table)
    days: list[date] = list(entries)
    rejected = project.lake.log(f"quarantine/{table}").latest().values()
    verdicts = [entry.verdict for entry in entries.values()]
    return {
        "table": table,
        "sessions": len(days),
        "first": str(days[0]) if days else None,
        "last": str(days[-1]) if days else None,
        # Rows that no reader gets are none.
        "rows": sum(entry.rows for entry in entries.values() if entry.verdict != "blocked"),
        "warned": verdicts.count("warned"),
        "blocked": verdicts.count("blocked"),
        "rejected": sum(entry.rows for entry in rejected),
    }
