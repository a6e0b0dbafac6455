"""``quant ledger``: prove that no line was changed, show the last ones, close what a crash left."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from quant_platform.cli.console import table_console
from quant_platform.errors import LedgerError
from quant_platform.lakehouse.lake import utc_now
from quant_platform.lakehouse.ledgers import Ledger, ledgers_of, verify_ledgers
from quant_platform.lakehouse.ledgers.canonical import canonical_json
from quant_platform.lakehouse.ledgers.records import LedgerLine
from quant_platform.lakehouse.ledgers.verification import VerifyReport
from quant_platform.settings import load_settings

app = typer.Typer(add_completion=False, help="Verify and read the ledgers.", no_args_is_help=True)

SHOWN_LINES = 10
RUN_ID = "quant ledger recover"

_Type = Annotated[
    str | None, typer.Option("--type", help="One ledger, such as orders; all of them without it.")
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def verify(ledger_type: _Type = None, as_json: _AsJson = False) -> None:
    """Recompute every hash and link; exit non-zero if anything does not hold."""
    root = load_settings().lake_root
    reports = (
        verify_ledgers(root)
        if ledger_type is None
        else [Ledger(root, ledger_type, utc_now).verify()]
    )
    whole = not any(report.problems for report in reports)
    if as_json:
        ledgers = [asdict(report) for report in reports]
        typer.echo(json.dumps({"whole": whole, "ledgers": ledgers}, indent=2))
    elif not any(report.files or report.problems for report in reports):
        _explain_absence(root, ledger_type)
    else:
        _print_reports(reports)
    if not whole:
        raise typer.Exit(LedgerError.exit_code)


@app.command()
def tail(
    ledger_type: Annotated[str, typer.Argument(metavar="TYPE", help="Ledger, such as orders.")],
    count: Annotated[int, typer.Option("-n", help="How many lines.", min=1)] = SHOWN_LINES,
    trail: Annotated[
        bool, typer.Option(help="Every line: superseded ones and withdrawals as well.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as they are.")] = False,
) -> None:
    """Print the last lines of a ledger that are in force, oldest first."""
    root = load_settings().lake_root
    lines = Ledger(root, ledger_type, utc_now).tail(count, trail=trail)
    if as_json:
        for line in lines:
            typer.echo(line.to_json())
    elif not lines:
        _explain_absence(root, ledger_type)
    else:
        table_console().print(_line_table(lines))


@app.command()
def recover(ledger_type: _Type = None) -> None:
    """Close intents whose process died; run it while nothing else runs."""
    root = load_settings().lake_root
    names = ledgers_of(root) if ledger_type is None else [ledger_type]
    closed = 0
    for name in names:
        for line in Ledger(root, name, utc_now).recover(RUN_ID):
            closed += 1
            typer.echo(f"{name}: closed the intent of line {line.payload['intent']}, {line.action}")
    if not closed:
        typer.echo("Every intent has its outcome; nothing to recover.")


def _explain_absence(root: Path, ledger_type: str | None) -> None:
    name = "No ledger" if ledger_type is None else f"No line in the ledger {ledger_type}"
    typer.echo(f"{name} yet at {root / 'ledger'}; the first decision, order or fill starts one.")


def _print_reports(reports: list[VerifyReport]) -> None:
    table = Table("ledger")
    for title in ("files", "lines", "problems", "set aside"):
        table.add_column(title, justify="right")
    for report in reports:
        found = len(report.problems)
        table.add_row(
            report.ledger_type,
            str(report.files),
            str(report.lines),
            Text(str(found), style="red" if found else "green"),
            str(len(report.set_aside)),
        )
    table_console().print(table)
    for report in reports:
        for problem in report.problems:
            typer.echo(f"{report.ledger_type}: {problem.sentence}.")
        for name in report.set_aside:
            typer.echo(f"{report.ledger_type}: {name} holds what a crash left of a line.")


def _line_table(lines: list[LedgerLine]) -> Table:
    table = Table("seq", "written", "type", "session", "action", "run", "supersedes", "payload")
    table.columns[0].justify = "right"
    table.columns[-1].overflow = "fold"
    for line in lines:
        cells = (
            str(line.seq),
            line.ts_utc.isoformat(sep=" ", timespec="seconds"),
            line.record_type,
            "–" if line.session is None else line.session.isoformat(),
            line.action,
            line.run_id,
            "–" if line.supersedes is None else str(line.supersedes),
            canonical_json(line.payload),
        )
        # Text, because a payload such as ["a"] would be read as markup.
        table.add_row(*(Text(cell) for cell in cells))
    return table
