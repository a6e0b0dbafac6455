"""``quant``: the command line. One sentence on stderr and an exit code for every expected error."""

from __future__ import annotations

import sys
import warnings

import click
import typer

from quant_platform.cli import config, doctor
from quant_platform.cli.backfill import backfill_command
from quant_platform.cli.run import run_command
from quant_platform.cli.sql import sql_command
from quant_platform.cli.ui import ui_command
from quant_platform.errors import QuantError

app = typer.Typer(
    help="From raw market data to reconciled fills, in one point-in-time asset graph.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run_command)
app.command("backfill")(backfill_command)
app.command("sql")(sql_command)
app.command("ui")(ui_command)
app.command("doctor")(doctor.doctor_command)
app.add_typer(config.app, name="config")

INTERRUPTED = 130


def main() -> None:
    """Entry point of the ``quant`` command."""
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: list[str]) -> int:
    """Run a command; return its exit code.

    Parameters
    ----------
    arguments
        What follows ``quant`` on the command line.
    """
    # Dagster warns of its own beta features at each definition; nothing a user could act upon.
    warnings.filterwarnings("ignore", module=r"dagster(\..*)?")
    try:
        code = app(arguments, standalone_mode=False, prog_name="quant")
    except QuantError as error:
        typer.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        return error.exit_code
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as misuse:
        misuse.show()
        return misuse.exit_code
    except (KeyboardInterrupt, click.Abort):
        typer.secho("Stopped.", err=True)
        return INTERRUPTED
    return code if isinstance(code, int) else 0
