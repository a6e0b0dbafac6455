"""``quant import``: look over a folder of files, and take it in."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from quant_platform.calendars import SessionCalendar, build_calendar, calendar_horizon
from quant_platform.cli.console import table_console
from quant_platform.errors import ConfigError, SourceError
from quant_platform.lakehouse.lake import Lake, utc_now
from quant_platform.market.import_report import ImportReport, report_of
from quant_platform.settings import Settings, load_settings
from quant_platform.settings.asset_class import AssetClass
from quant_platform.settings.hygiene import HygieneSettings
from quant_platform.settings.sleeve import SECOND_KIND, SleeveSettings, SourceKind
from quant_platform.sources.files import Again, FolderReader, ImportStore, read_mapping

app = typer.Typer(add_completion=False)

_COLOURS = {"refused": "red", "warning": "yellow", "note": "default"}


@app.command()
def import_command(
    folder: Annotated[Path, typer.Argument(help="Folder of the files.")],
    sleeve: Annotated[
        str | None, typer.Option(help="Sleeve that the files are for; its calendar counts.")
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="Mapping file; without one the sleeve's own, or else the documented layout."
        ),
    ] = None,
    second: Annotated[
        bool,
        typer.Option(
            "--second", help="Take it in as what the sleeve's bars are compared with, beside them."
        ),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only look: report and write nothing.")
    ] = False,
    calendar: Annotated[
        str, typer.Option(help="Calendar to check against where no sleeve is named.")
    ] = "XNYS",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a folder of market data; with --sleeve, take it into the lake."""
    settings = load_settings()
    if not folder.is_dir():
        raise ConfigError(
            f"{folder} is no folder", expected="a folder of files", mend="correct the path"
        )
    if sleeve is None and not check:
        raise ConfigError(
            "no sleeve was named",
            expected="--sleeve NAME to import, or --check to look only",
            mend="add one of the two",
        )
    if second and sleeve is None:
        raise ConfigError(
            "--second without a sleeve",
            expected="--sleeve NAME, whose bars are to be compared",
            mend="add it, or leave --second out",
        )
    own = sleeve_of(settings, sleeve) if sleeve is not None else None
    if own is not None:
        mapping = mapping_of(settings, own, mapping, only_look=check, second=second)
    code = own.calendar if own is not None else calendar
    classes = own.asset_classes if own is not None else ()
    reader = folder_reader(settings, folder.resolve(), mapping, code, classes)
    hygiene = own.hygiene if own is not None else HygieneSettings()
    if check or sleeve is None:
        with tempfile.TemporaryDirectory() as aside:
            prepared = ImportStore(Path(aside)).prepare(reader, None)
            report = report_of(prepared, reader.calendar, hygiene, asset_classes=classes)
        _show(report, as_json=as_json)
    else:
        _refuse_itself(settings, sleeve, reader, second=second)
        store = ImportStore.of(settings.lake_root, sleeve, second=second)
        before = store.manifest()
        again = again_of(settings, sleeve, reader.calendar, second=second)
        prepared = store.prepare(reader, before, again)
        report = report_of(prepared, reader.calendar, hygiene, before, asset_classes=classes)
        _show(report, as_json=as_json)
        if not report.refusals:
            store.commit(prepared, utc_now())
            _tell(settings, sleeve, reader, mapping, second=second)
    if report.refusals:
        first = report.refusals[0]
        raise SourceError(
            f"{folder} can not be imported: {first.what}, {first.detail}",
            expected="files that can be believed",
            mend="mend the files; nothing was written",
        )


def _refuse_itself(settings: Settings, sleeve: str, reader: FolderReader, *, second: bool) -> None:
    """Refuse files that would be compared with themselves: they agree, whatever they say."""
    compares = second or settings.sleeves[sleeve].sources.get(SECOND_KIND) == "files"
    beside = ImportStore.of(settings.lake_root, sleeve, second=not second).manifest()
    own = (str(reader.folder), reader.mapping.digest)
    if compares and beside is not None and (beside.folder, beside.mapping) == own:
        raise SourceError(
            f"{reader.folder} is what the bars of sleeve {sleeve!r} would be compared with, too",
            expected="files of two vendors, in two folders or by two mapping files",
            mend="name the folder of another vendor",
        )


def sleeve_of(settings: Settings, name: str) -> SleeveSettings:
    """Return the settings of a sleeve.

    Raises
    ------
    ConfigError
        When there is none of that name.
    """
    own = settings.sleeves.get(name)
    if own is None:
        raise ConfigError(
            f"there is no sleeve {name!r}",
            expected=f"one of {', '.join(settings.sleeves)}",
            mend="add its file to assets_config/sleeves/ first",
        )
    return own


def mapping_of(
    settings: Settings,
    own: SleeveSettings,
    mapping: Path | None,
    *,
    only_look: bool,
    second: bool = False,
) -> Path | None:
    """Return the mapping file of an import: that of the sleeve, once its file names one.

    Raises
    ------
    ConfigError
        When another one is asked for: the sleeve would be read by two rules.
    """
    files = own.second_files if second else own.files
    if files is None:
        return mapping
    named = None if files.mapping is None else settings.project_root / files.mapping
    if mapping is None or (named is not None and mapping.resolve() == named.resolve()):
        return named
    if only_look:
        return mapping
    raise ConfigError(
        f"{mapping} is not the mapping file of sleeve {own.name!r}",
        expected="the documented layout, as its file names none" if named is None else str(named),
        mend="leave --mapping out, or name the file in "
        f"{'second_files' if second else 'files'}.mapping of the sleeve",
    )


def again_of(
    settings: Settings,
    sleeve: str,
    calendar: SessionCalendar,
    symbols: Collection[str] | None = None,
    *,
    second: bool = False,
) -> Again | None:
    """Say how to import again; None while the lake has taken in nothing of the sleeve's bars."""
    lake, table = Lake(settings.lake_root), f"{sleeve}/{SECOND_KIND if second else 'bars'}"
    sessions = lake.entries(table) if settings.lake_root.is_dir() and table in lake.tables() else {}
    if not sessions:
        return None
    return Again(calendar.cutoff(max(sessions)), utc_now(), symbols)


def folder_reader(
    settings: Settings,
    folder: Path,
    mapping: Path | None,
    code: str,
    asset_classes: Sequence[AssetClass] = (),
) -> FolderReader:
    """Return the reader of a folder on a calendar of the platform.

    What says nothing of its class is of that of the sleeve, if it holds but one.
    """
    platform = settings.platform
    calendar = build_calendar(
        code,
        horizon=calendar_horizon(utc_now()),
        grace=timedelta(minutes=platform.ingest_grace_minutes),
        extra_holidays=platform.extra_holidays.get(code, ()),
        extra_sessions=platform.extra_sessions.get(code, ()),
    )
    rules = read_mapping(mapping)
    if len(asset_classes) == 1 and "asset_class" not in rules.model_fields_set:
        rules = rules.model_copy(update={"asset_class": asset_classes[0]})
    return FolderReader(folder, rules, calendar, platform.knowledge_lag_minutes)


def _show(report: ImportReport, *, as_json: bool) -> None:
    if as_json:
        told = {
            "facts": dict(report.facts),
            "findings": [asdict(finding) for finding in report.findings],
            "importable": not report.refusals,
        }
        typer.echo(json.dumps(told, indent=2))
        return
    facts = Table(show_header=False)
    facts.add_column()
    facts.add_column(justify="right")
    for name, value in report.facts.items():
        facts.add_row(escape(name), f"{value:,}" if isinstance(value, int) else escape(value))
    table_console().print(facts)
    table = Table()
    table.add_column("weight")
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("detail", overflow="fold")
    for finding in report.findings:
        colour = _COLOURS[finding.weight]
        table.add_row(
            f"[{colour}]{finding.weight}[/{colour}]",
            escape(finding.what),
            f"{finding.count:,}",
            escape(finding.detail),
        )
    table_console().print(table)


def _tell(
    settings: Settings, sleeve: str, reader: FolderReader, mapping: Path | None, *, second: bool
) -> None:
    """Say what the sleeve's file must say, if it does not say so yet."""
    own = settings.sleeves[sleeve]
    kind: SourceKind = SECOND_KIND if second else "bars"
    typer.echo(f"Imported for {'the comparison in ' if second else ''}sleeve {sleeve}.", err=True)
    if own.sources.get(kind) == "files":
        return
    routes = {**own.sources, kind: "files"} if second else {kind: "files"}
    lines = ["sources:", *(f"  {each}: {source}" for each, source in routes.items())]
    lines += ["second_files:" if second else "files:", f"  folder: {reader.folder}"]
    if mapping is not None:
        lines.append(f"  mapping: {mapping.resolve()}")
    typer.echo(
        f"To use it, write into assets_config/sleeves/{sleeve}.yaml, in the place of its sources:",
        err=True,
    )
    typer.echo("\n".join(lines))
