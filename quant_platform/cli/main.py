"""``quant``: the command line. One sentence on stderr and an exit code for every expected error.

A command's module is imported when the command is called: ``quant sql`` need not wait for Dagster.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from quant_platform import __version__
from quant_platform.errors import QuantError

INTERRUPTED = 130
COMMANDS = {
    "run": "Make the whole chain on the configured history.",
    "backfill": "Make every stale session of a range.",
    "import": "Look over a folder of market data, and take it in.",
    "refresh": "Fetch what lagging symbols lack, as data that became known now.",
    "snapshot": "Ask the vendor's screener about the session that is over, and keep the answer.",
    "scanners": "List, show and validate the scanners.",
    "scan": "What scanners found on a session, and how many each rule left.",
    "explain": "Every decision about a symbol on a session, from the universe to its weights.",
    "sql": "Ask the lake's views.",
    "doctor": "Look at the environment, the settings, the lake and the instance.",
    "gc": "Remove superseded files, drafts of crashed writes, superseded events and old logs.",
    "ledger": "Verify and read the ledgers.",
    "config": "Show and describe the settings.",
    "ui": "Start the Dagster UI and its daemon.",
}
"""Each command with its one line of help, in the order in which they are listed; the module of the
same name in this package defines its ``app``."""

MODULES = {"import": "importing"}
"""Commands whose name no module can have."""


class _Commands(TyperGroup):
    """Group that imports a command when it is asked for.

    ``ctx`` is of a class that is private to typer.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands."""
        return list(COMMANDS)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; say so where it was stopped outside of anything that must be ended."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Stopped.", err=True)
            raise typer.Exit(INTERRUPTED) from None

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Name and help of a command: enough to list it."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is called, and import it."""
        name, _, rest = super().resolve_command(ctx, args)
        module = MODULES.get(str(name), str(name))
        command = typer.main.get_command(import_module(f"quant_platform.cli.{module}").app)
        command.name = name
        return name, command, rest


app = typer.Typer(
    cls=_Commands,
    help="From raw market data to reconciled fills, in one point-in-time asset graph.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"quant_platform {__version__}")
        raise typer.Exit


@app.callback()
def quant(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_tell_version),
    ] = False,
) -> None:
    """From raw market data to reconciled fills, in one point-in-time asset graph."""


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
        app(arguments, prog_name="quant")
    except QuantError as error:
        for line in (f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())):
            typer.secho(line, fg="red", err=True)
        return error.exit_code
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    return 0
