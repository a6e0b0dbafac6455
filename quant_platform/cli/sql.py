"""``quant sql``: ask the lake's views.

An answer over a table that has lost a file says so where it stands: a person reads it under the
table, a program gets an error instead of rows unless it asks for what is left.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from quant_platform.cli.console import table_console
from quant_platform.lakehouse.catalog import query_catalog
from quant_platform.lakehouse.lake import Lake
from quant_platform.settings import load_settings

app = typer.Typer(add_completion=False)

SHOWN_ROWS = 50


@app.command()
def sql_command(
    query: Annotated[
        str | None, typer.Argument(help="A query; without one the views are listed.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            help=f"Rows shown; 0 for all. {SHOWN_ROWS} by default, all with --json.", min=0
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one row a line.")] = False,
    partial: Annotated[
        bool,
        typer.Option(
            help="Print JSON also where files of the asked tables are gone; the gap is told on "
            "standard error."
        ),
    ] = False,
) -> None:
    """Ask the lake's views with a query, which can change and write nothing."""
    lake = Lake.open(load_settings().lake_root)
    listing = (
        "select schema_name || '.' || view_name as view, comment as grain "
        "from duckdb_views() where not internal order by 1"
    )
    gaps: list[str] = []
    refuses = as_json and not partial
    frame = query_catalog(lake, query or listing, None if refuses else gaps.append)
    if limit is None:
        limit = 0 if as_json else SHOWN_ROWS
    shown = frame.head(limit) if limit else frame
    if shown.height < frame.height:
        typer.echo(f"{shown.height} of {frame.height} rows; --limit 0 shows all.", err=True)
    if as_json:
        for row in shown.to_dicts():
            typer.echo(json.dumps(_plain(row), default=str, allow_nan=False))
        for gap in gaps:
            typer.echo(gap, err=True)
        return
    table = Table()
    for name, dtype in frame.schema.items():
        table.add_column(escape(name), justify="right" if dtype.is_numeric() else "left")
    for cells in shown.iter_rows():
        table.add_row(*("–" if cell is None else escape(_cell(cell)) for cell in cells))
    table_console().print(table)
    for gap in gaps:
        typer.echo(gap)


def _plain(value: object) -> object:
    """Value as JSON knows it: sums of integers are numbers, and what is no number is null."""
    match value:
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return int(value) if value.as_tuple().exponent == 0 else value
        case _:
            return value


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
