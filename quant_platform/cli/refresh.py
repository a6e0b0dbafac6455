"""``quant refresh``: fetch what lagging symbols lack, as data that became known now."""

from __future__ import annotations

import json
from typing import Annotated

import polars as pl
import typer
from rich.markup import escape
from rich.table import Table

from quant_platform.cli.console import table_console
from quant_platform.cli.importing import again_of, folder_reader, sleeve_of
from quant_platform.errors import ConfigError, SourceError
from quant_platform.lakehouse.lake import utc_now
from quant_platform.market.import_report import report_of
from quant_platform.settings import load_settings
from quant_platform.sources.files import ImportStore, Manifest

app = typer.Typer(add_completion=False)


@app.command()
def refresh_command(
    sleeve: Annotated[str, typer.Option(help="Sleeve whose bars are fetched.")],
    symbols: Annotated[
        str | None, typer.Option(help="Symbols, as EXCHANGE:TICKER, with commas between them.")
    ] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Every symbol whose last bar is older than the newest.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch again; what is new of past sessions is known now, and what was told stays told."""
    settings = load_settings()
    own = sleeve_of(settings, sleeve)
    if (symbols is None) != stale:
        raise ConfigError(
            "it is not said what to refresh" if symbols is None else "--symbols and --stale",
            expected="one of --symbols and --stale",
            mend="give exactly one of them",
        )
    if own.sources["bars"] != "files" or own.files is None:
        raise SourceError(
            f"the bars of sleeve {sleeve!r} come from {own.sources['bars']!r}, which has nothing "
            "that it has not told",
            expected="a sleeve whose bars come from files",
            mend="name another sleeve",
        )
    folder = settings.project_root / own.files.folder
    mapping = None if own.files.mapping is None else settings.project_root / own.files.mapping
    store = ImportStore.of(settings.lake_root, sleeve)
    manifest = store.required()
    before = _last_bars(store, manifest)
    wanted = (
        set(before.filter(pl.col("last") < pl.col("last").max())["symbol"])
        if symbols is None
        else {name.strip() for name in symbols.split(",") if name.strip()}
    )
    unknown = sorted(wanted - set(before["symbol"]))
    if unknown:
        raise SourceError(
            f"sleeve {sleeve!r} has no symbol {unknown[0]!r}",
            expected="symbols that have been imported, as EXCHANGE:TICKER",
            mend="correct --symbols; new symbols come with 'quant import'",
        )
    reader = folder_reader(settings, folder, mapping, own.calendar, own.asset_classes)
    again = again_of(settings, sleeve, reader.calendar, wanted)
    if again is None:
        raise SourceError(
            f"the lake has taken in no session of sleeve {sleeve!r}, so that nothing lags behind",
            expected="sessions that were made from what was imported",
            mend="run 'quant import' and 'quant backfill' first",
        )
    prepared = store.prepare(reader, manifest, again)
    report = report_of(
        *(prepared, reader.calendar, own.hygiene, manifest),
        asset_classes=own.asset_classes,
        symbols=wanted,
    )
    for refusal in report.refusals:
        raise SourceError(
            f"{folder} can not be imported: {refusal.what}, {refusal.detail}",
            expected="files that can be believed",
            mend="mend the files; nothing was written",
        )
    store.commit(prepared, utc_now())
    after = _last_bars(store, store.required()).rename({"last": "after"})
    shown = before.filter(pl.col("symbol").is_in(sorted(wanted))).join(after, on="symbol")
    rows = [
        {"symbol": symbol, "before": str(last), "after": str(now)}
        for symbol, last, now in shown.select("symbol", "last", "after").sort("symbol").iter_rows()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("symbol", "last bar before", "after")
    for row in rows:
        table.add_row(*(escape(value) for value in row.values()))
    table_console().print(table)


def _last_bars(store: ImportStore, manifest: Manifest) -> pl.DataFrame:
    """Return the last bar of each symbol in the import."""
    bars = store.bars(manifest).group_by("symbol").agg(last=pl.col("session").max())
    return bars.sort("symbol").collect()
