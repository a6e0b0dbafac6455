"""The console that tables are printed on."""

from __future__ import annotations

from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 1_000_000
"""Where the output is no terminal a table is as wide as its cells: a program that reads it must not
find a name or a number cut."""


def table_console() -> Console:
    """Console as wide as the terminal, or without a width where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)
