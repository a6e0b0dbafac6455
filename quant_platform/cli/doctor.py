"""``quant doctor``: whether everything is in its place, and what is wrong or lacking where not."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from quant_platform.cli.console import table_console
from quant_platform.errors import QuantError
from quant_platform.execution.accounting import ACCOUNTS, differences
from quant_platform.lakehouse.contracts import contract_of
from quant_platform.lakehouse.health import examine, rebuild_log
from quant_platform.lakehouse.lake import Lake, utc_now
from quant_platform.lakehouse.ledgers import Ledger
from quant_platform.orchestration.graph import build_graph
from quant_platform.orchestration.instance import fail_dead_runs, open_instance
from quant_platform.reports.figure import counted
from quant_platform.settings import Settings, load_settings
from quant_platform.settings.asset_class import AssetClass
from quant_platform.settings.sleeve import SECOND_KIND, SourceKind

app = typer.Typer(add_completion=False)

State = Literal["ok", "note", "wrong"]
LIBRARIES = ("dagster", "polars", "duckdb", "dataframely", "exchange_calendars")
SHOWN_FINDINGS = 5
_RESTATE = "make its session again with 'quant backfill --force' to have it told anew"
_COLOURS = {"ok": "green", "note": "yellow", "wrong": "red"}


@dataclass(frozen=True)
class Line:
    """One thing looked at."""

    what: str
    state: State
    detail: str


@app.command()
def doctor_command(
    deep: Annotated[
        bool, typer.Option(help="Read every file and compare its rows with its hash.")
    ] = False,
    repair: Annotated[
        bool, typer.Option(help="Rebuild logs from the files; mark dead runs as failed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at the environment, the settings, the lake and the instance."""
    lines = list(_examination(deep=deep, repair=repair))
    if as_json:
        typer.echo(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        table = Table("what", "state", "detail")
        for line in lines:
            colour = _COLOURS[line.state]
            state = f"[{colour}]{line.state}[/{colour}]"
            table.add_row(escape(line.what), state, escape(line.detail))
        table_console().print(table)
    if any(line.state == "wrong" for line in lines):
        raise typer.Exit(1)


def _examination(*, deep: bool, repair: bool) -> Iterator[Line]:
    """Everything looked at, in the order in which one thing stands on another."""
    found = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    yield Line("environment", "ok", f"Python {platform.python_version()}, {found}")
    try:
        settings = load_settings()
        graph = build_graph(settings)
    except QuantError as error:
        yield Line("settings", "wrong", str(error))
        return
    yield Line(
        "settings", "ok", f"{len(settings.sleeves)} sleeves, hash {settings.config_hash[:12]}"
    )
    for stage in graph.stages:
        yield Line(
            f"table {stage.table}",
            "ok",
            f"code {stage.code_version}, config {stage.config_hash[:12]}",
        )
    yield from _degraded_lines(settings, {stage.table for stage in graph.stages})
    yield from _lake_lines(settings, deep=deep, repair=repair)
    yield from _ledger_lines(settings)
    yield from _instance_lines(settings, repair=repair)


_WITHOUT: Mapping[SourceKind, tuple[AssetClass, str]] = {
    "earnings": ("stock", "nothing knows of announcements"),
    "membership": ("stock", "universe.index can not be used"),
    "fund_facts": ("etf", "universe.min_aum is not asked, and fees are not known"),
}
"""Kinds of data that a source need not have: who they are about, and what goes without them."""


def _degraded_lines(settings: Settings, tables: set[str]) -> Iterator[Line]:
    """Say what goes without the kinds of data that no source delivers."""
    for name, sleeve in settings.sleeves.items():
        for kind, (about, without) in _WITHOUT.items():
            if about in sleeve.asset_classes and f"{name}/{kind}" not in tables:
                source = sleeve.sources.get(kind, sleeve.sources["bars"])
                detail = f"source {source} does not deliver it: {without}"
                yield Line(f"data {name}/{kind}", "note", detail)
        if f"{name}/{SECOND_KIND}" not in tables:
            detail = "no second source is named: no bar is compared with anything"
            yield Line(f"data {name}/{SECOND_KIND}", "note", detail)
    if "market/series" not in tables:
        yield Line("data market/series", "note", "no source delivers it: no indices, no factors")


def _lake_lines(settings: Settings, *, deep: bool, repair: bool) -> Iterator[Line]:
    root = settings.lake_root
    if root.exists() and not root.is_dir():
        yield Line("lake", "wrong", f"{root} is not a folder; move it away, or set lake_root")
        return
    if not root.exists():
        yield Line("lake", "note", f"nothing at {root} yet; 'quant run' fills it")
        return
    writable = os.access(root, os.W_OK)
    yield Line(
        "lake", "ok" if writable else "wrong", f"{root}" + ("" if writable else " is read-only")
    )
    lake = Lake(root)
    for table in lake.tables():
        try:
            if repair:
                lake.store(table).repair()
                added = rebuild_log(lake, table)
                if added:
                    yield Line(f"log of {table}", "note", f"{added} entries taken from footers")
            findings = list(examine(lake, table, deep=deep))
        except QuantError as error:
            yield Line(f"files of {table}", "wrong", str(error))
            continue
        sessions = len(lake.entries(table))
        if not findings:
            compared = "byte for byte" if deep else "in size; --deep reads them"
            yield Line(f"files of {table}", "ok", f"{sessions} sessions match the log {compared}")
        for finding in findings[:SHOWN_FINDINGS]:
            where = f" {finding.session}" if finding.session else ""
            yield Line(f"files of {table}{where}", "wrong", finding.sentence)
        if len(findings) > SHOWN_FINDINGS:
            yield Line(f"files of {table}", "wrong", f"and {len(findings) - SHOWN_FINDINGS} more")


def _ledger_lines(settings: Settings) -> Iterator[Line]:
    """Compare each ledger of the account with the table that it tells of."""
    root = settings.lake_root
    lake = Lake(root)
    for account in ACCOUNTS if root.is_dir() else ():
        what = f"ledger {account.ledger}"
        try:
            lines = Ledger(root, account.ledger, utc_now).in_force()
            known = account.table in lake.tables()
            rows = lake.scan(account.table).collect() if known else None
        except QuantError as error:
            yield Line(what, "wrong", str(error))
            continue
        if rows is None:
            rows = contract_of(account.table).empty()
        found = list(differences(account, rows, lines))
        if not found and (lines or rows.height):
            told = counted(rows.height, account.thing)
            yield Line(what, "ok", f"{told} of {account.table}, each with one line in force")
        for sentence in found[:SHOWN_FINDINGS]:
            yield Line(what, "wrong", f"{sentence}; {_RESTATE}")
        if len(found) > SHOWN_FINDINGS:
            yield Line(what, "wrong", f"and {len(found) - SHOWN_FINDINGS} more")


def _instance_lines(settings: Settings, *, repair: bool) -> Iterator[Line]:
    try:
        with open_instance(settings) as instance:
            dead = fail_dead_runs(instance) if repair else []
            count = instance.get_runs_count()
    except QuantError as error:
        yield Line("instance", "wrong", str(error))
        return
    detail = f"{settings.dagster_home}, {count} runs"
    yield Line("instance", "ok", detail + (f", {len(dead)} dead runs marked" if dead else ""))
