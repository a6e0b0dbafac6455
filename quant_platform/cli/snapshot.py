"""``quant snapshot``: ask the vendor's screener about the session that is over."""

from __future__ import annotations

import json
from typing import Annotated, Any

import polars as pl
import typer
from rich.markup import escape
from rich.table import Table

from quant_platform.cli.console import table_console
from quant_platform.cli.importing import sleeve_of
from quant_platform.errors import ConfigError
from quant_platform.lakehouse.lake import Lake, utc_now
from quant_platform.market.snapshot import identified
from quant_platform.orchestration.graph import platform_calendar
from quant_platform.settings import Settings, load_settings
from quant_platform.sources.tradingview.answer import frame_of
from quant_platform.sources.tradingview.client import ScreenerClient, Timing
from quant_platform.sources.tradingview.query import scanner_query
from quant_platform.sources.tradingview.taking import take_snapshot

app = typer.Typer(add_completion=False)

_EXAMPLES = 5


@app.command()
def snapshot_command(
    sleeve: Annotated[
        str | None, typer.Option(help="Sleeve whose snapshot is taken and kept.")
    ] = None,
    scanner: Annotated[
        str | None, typer.Option(help="Scanner whose question is asked now; nothing is kept.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Take tonight's snapshot of a sleeve, or look what the vendor finds for a scanner."""
    settings = load_settings()
    if (sleeve is None) == (scanner is None):
        raise ConfigError(
            "it is not said what to ask" if sleeve is None else "--sleeve and --scanner",
            expected="one of --sleeve and --scanner",
            mend="give exactly one of them",
        )
    timing = Timing(utc_now)
    told = (
        _taken(settings, sleeve, timing)
        if sleeve is not None
        else _found(settings, str(scanner), timing)
    )
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    table = Table("", "")
    for name, value in told.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(name.replace("_", " "), escape(shown))
    table_console().print(table)


def _taken(settings: Settings, sleeve: str, timing: Timing) -> dict[str, Any]:
    own = sleeve_of(settings, sleeve)
    calendar = platform_calendar(settings, own.calendar, timing.now())
    taken = take_snapshot(settings, sleeve, calendar, timing)
    rows, lake = taken.kept.frame(), Lake(settings.lake_root)
    known = f"{sleeve}/securities"
    told: dict[str, Any] = {
        "session": taken.session.isoformat(),
        "complete": f"{taken.kept.complete:%Y-%m-%d %H:%M:%S} UTC",
        "rows": rows.height,
        "announced": taken.announced,
        "pages": taken.pages,
    }
    if lake.root.is_dir() and known in lake.tables():
        named = identified(rows, lake.scan(known).collect(), taken.session)
        unknown = named.filter(pl.col("security_id").is_null())["symbol"]
        told["securities"] = named.height - len(unknown)
        told["unknown_symbols"] = len(unknown)
        told["unknown_for_instance"] = unknown.head(_EXAMPLES).to_list()
    return told | {"file": str(taken.kept.path), "content_hash": taken.kept.content_hash}


def _found(settings: Settings, name: str, timing: Timing) -> dict[str, Any]:
    if name not in settings.scanners:
        raise ConfigError(
            f"there is no scanner {name!r}",
            expected=f"one of {', '.join(sorted(settings.scanners))}",
            mend="correct --scanner",
        )
    scanner = settings.scanners[name]
    pushed = scanner_query(scanner)
    with ScreenerClient(settings.platform.tradingview, timing) as client:
        scanned = client.scan(pushed.query)
    rows = frame_of(pushed.query, scanned.rows)
    ranked = rows
    if scanner.final_sort_by in rows.columns:
        downwards = scanner.final_sort_order == "desc"
        ranked = rows.sort(scanner.final_sort_by, descending=downwards, nulls_last=True)
    return {
        "scanner": name,
        "announced": scanned.total,
        "rows": rows.height,
        "not_asked": list(pushed.remaining),
        "first": ranked.head(scanner.limit)["symbol"].to_list(),
    }
