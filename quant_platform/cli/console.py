"""The console that tables are printed on."""

from __future__ import annotations

from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 160
"""Wide enough for every table when the output is no terminal and has no width of its own."""


def table_console() -> Console:
    """Console as wide as the terminal, or wide enough where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)
