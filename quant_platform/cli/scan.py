"""``quant scan``: what one scanner found on a session, or all scanners of a sleeve."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any

import polars as pl
import typer
from rich.table import Table
from rich.text import Text

from quant_platform.cli.console import table_console
from quant_platform.cli.finds import Find, find
from quant_platform.cli.held import Held
from quant_platform.cli.naming import scanner_named, sleeve_named
from quant_platform.errors import ConfigError
from quant_platform.lakehouse.lake import Lake
from quant_platform.settings import Settings, load_settings
from quant_platform.settings.scanner import ScannerSettings

app = typer.Typer(add_completion=False)


@app.command()
def scan_command(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Scanner; or else --sleeve with --all.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(help="Session, YYYY-MM-DD; the last one of the screener.")
    ] = None,
    sleeve: Annotated[str | None, typer.Option(help="Sleeve whose screener is looked at.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All scanners of the sleeve.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what scanners found on a session by rank, and how many each rule left."""
    settings = load_settings()
    if (name is None) != every:
        raise ConfigError(
            "no scanner is named" if name is None else f"'{name}' and --all",
            expected="a scanner's name, or --sleeve with --all",
            mend="give exactly one of the two",
        )
    if name is None and sleeve is None:
        raise ConfigError("--all without --sleeve", expected="a sleeve", mend="add --sleeve NAME")
    wanted = None if name is None else scanner_named(settings, name)
    sleeve = _sleeve_of(settings, wanted) if sleeve is None else sleeve
    own = sleeve_named(settings, sleeve)
    scanners = [settings.scanners[other] for other in own.scanners] if wanted is None else [wanted]
    for scanner in scanners:
        if scanner.asset_class not in own.asset_classes:
            raise ConfigError(
                f"the scanner '{scanner.name}' looks at {scanner.asset_class}, and the sleeve "
                f"'{sleeve}' holds {' and '.join(own.asset_classes)}",
                expected="a sleeve of its asset class",
                mend="correct --sleeve",
            )
    held = Held(Lake.open(settings.lake_root), sleeve)
    day = held.session("screener", session)
    finds = [find(held, one, day, listed=one.name in own.scanners) for one in scanners]
    if as_json:
        typer.echo(json.dumps(_report(finds, day) if every else _told(finds[0]), indent=2))
        return
    for found in finds:
        _print_find(found, shown=not every)
    if every:
        _print_candidates(finds)


def _sleeve_of(settings: Settings, scanner: ScannerSettings | None) -> str:
    """Return the sleeve that a scanner is asked of where none is named."""
    assert scanner is not None
    sleeves = settings.sleeves.items()
    listing = [name for name, own in sleeves if scanner.name in own.scanners]
    fitting = listing or [name for name, own in sleeves if scanner.asset_class in own.asset_classes]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise ConfigError(
            f"no sleeve holds {scanner.asset_class}, which the scanner '{scanner.name}' looks at",
            expected="one that does",
            mend="list its asset class in a sleeve's file",
        )
    what = "list" if listing else f"hold {scanner.asset_class} for"
    raise ConfigError(
        f"{len(fitting)} sleeves {what} the scanner '{scanner.name}'",
        expected=f"one of {', '.join(fitting)}",
        mend="say which with --sleeve",
    )


def candidates(finds: list[Find]) -> pl.DataFrame:
    """Unite what scanners found: each security once, with who found it, most finders first."""
    return (
        pl.concat(
            found.rows.filter("passed").select("security_id", "symbol", "scanner")
            for found in finds
        )
        .group_by("security_id", "symbol")
        .agg(scanners=pl.col("scanner").sort())
        .sort(pl.col("scanners").list.len(), "symbol", descending=[True, False])
    )


def _told(found: Find) -> dict[str, Any]:
    return {
        "scanner": found.scanner.name,
        "sleeve": found.sleeve,
        "session": found.session.isoformat(),
        "basis": found.basis,
        "remark": found.remark,
        "sorted_by": found.scanner.final_sort_by,
        "funnel": found.funnel(),
        "found": found.found.drop("session").to_dicts(),
    }


def _report(finds: list[Find], session: date) -> dict[str, Any]:
    return {
        "session": session.isoformat(),
        "scans": [_told(found) for found in finds],
        "candidates": candidates(finds).to_dicts(),
    }


def funnel_line(found: Find) -> str:
    """Write the funnel in one line."""
    funnel = found.funnel()
    steps = [f"listed {'–' if funnel['listed'] is None else funnel['listed']}"]
    steps.append(f"reached {funnel['reached']}")
    steps += [f"{step['rule']} {step['left']}" for step in funnel["rules"]]
    if funnel["counterparts"]:
        steps.append(f"counterparts +{funnel['counterparts']}")
    return " → ".join([*steps, f"found {funnel['found']}"])


def _print_find(found: Find, *, shown: bool) -> None:
    source = f"{found.basis} ({found.remark})" if found.remark else found.basis
    typer.echo(f"{found.scanner.name} of {found.sleeve} on {found.session}: {source}")
    typer.echo(f"  {funnel_line(found)}")
    if not shown or found.found.is_empty():
        return
    frame = found.found.drop("session", "security_id").select(
        "rank", pl.exclude("rank", "sort_value", "admitted_by"), "sort_value", "admitted_by"
    )
    titles = {"sort_value": found.scanner.final_sort_by, "admitted_by": "found by"}
    table = Table()
    for column, dtype in frame.schema.items():
        title = Text(titles.get(column, column))
        table.add_column(title, justify="right" if dtype.is_numeric() else "left")
    for cells in frame.iter_rows():
        table.add_row(*(Text(_cell(cell)) for cell in cells))
    table_console().print(table)


def _print_candidates(finds: list[Find]) -> None:
    united = candidates(finds)
    typer.echo(f"{united.height} candidates:")
    table = Table("symbol", "security_id", "found by")
    for symbol, security, names in united.select("symbol", "security_id", "scanners").iter_rows():
        table.add_row(*map(Text, (symbol, security, ", ".join(names))))
    if not united.is_empty():
        table_console().print(table)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
