"""``quant config``: what holds in this project, where it came from, and what could be written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from quant_platform.cli.console import table_console
from quant_platform.settings import Settings, find_project_root, load_settings
from quant_platform.settings.reference import schemas, write_reference

app = typer.Typer(
    add_completion=False, help="Show and describe the settings.", no_args_is_help=True
)


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    origins: Annotated[
        bool, typer.Option("--origins", help="Add the layer that gave each value.")
    ] = False,
) -> None:
    """Print the resolved settings and their hash."""
    settings = load_settings()
    if as_json:
        report: dict[str, Any] = {
            "config_hash": settings.config_hash,
            "folders": _folders(settings),
            "manifest": settings.manifest(),
        }
        if origins:
            report["origins"] = settings.origins
        typer.echo(json.dumps(report, indent=2))
        return
    console = table_console()
    table = Table("key", "value", *(["origin"] if origins else []))
    for column in table.columns:
        column.overflow = "fold"
    for key, value in leaves(settings.manifest(), ""):
        cells = [key, value if isinstance(value, str) else json.dumps(value)]
        if origins:
            cells.append(settings.origins[key])
        # Text, because a value such as [stock] would be read as markup.
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    for name, folder in _folders(settings).items():
        typer.echo(f"{name} {folder}")
    typer.echo(f"config_hash {settings.config_hash}")


@app.command()
def schema(
    write: Annotated[
        bool, typer.Option("--write", help="Write docs/reference instead of printing.")
    ] = False,
) -> None:
    """Print the JSON Schemas of the settings files, or write them with the reference page."""
    if not write:
        typer.echo(json.dumps(schemas(), indent=2))
        return
    for path in write_reference(find_project_root()):
        typer.echo(path)


def _folders(settings: Settings) -> dict[str, str]:
    return {
        "project_root": str(settings.project_root),
        "lake_root": str(settings.lake_root),
        "dagster_home": str(settings.dagster_home),
    }


def leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Each value of a manifest that is no mapping, by its dotted key."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value
