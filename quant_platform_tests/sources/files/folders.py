"""Small folders of files, written as somebody's own history would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.import_report import ImportReport, report_of
from quant_platform.settings.hygiene import HygieneSettings
from quant_platform.sources.files import FilesSource, FolderReader, ImportStore, read_mapping
from quant_platform_tests.sources.markets import NYSE

FIRST, LAST = date(2024, 1, 2), date(2024, 3, 1)
DAYS = NYSE.between(FIRST, LAST)
SYMBOLS = tuple(f"S{number:02d}" for number in range(12))
SLEEVE = "own"
AT = datetime(2024, 3, 2, tzinfo=UTC)
"""When an import is made that nothing depends on."""


def prices(days: Sequence[date] = DAYS, symbols: Sequence[str] = SYMBOLS) -> pl.DataFrame:
    """Quiet walks, each symbol its own."""
    rows = [
        (symbol, day, *_bar(number, step))
        for number, symbol in enumerate(symbols)
        for step, day in enumerate(days)
    ]
    names = ["symbol", "date", "open", "high", "low", "close", "volume"]
    return pl.DataFrame(rows, schema=names, orient="row")


def _bar(number: int, step: int) -> tuple[float, float, float, float, float]:
    close = 20.0 + 3 * number + ((7 * step + 3 * number) % 11) / 10
    return close - 0.05, close + 0.2, close - 0.3, close, 1000.0 + 37 * number + 13 * step


def write(folder: Path, tables: Mapping[str, pl.DataFrame | str]) -> Path:
    """Write tables as CSV or Parquet, texts as they are."""
    for name, table in tables.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(table, str):
            path.write_text(table, encoding="utf-8")
        elif path.suffix == ".parquet":
            table.write_parquet(path)
        else:
            table.write_csv(path)
    return folder


def imported(
    folder: Path,
    lake: Path,
    mapping: Path | None = None,
    calendar: object = NYSE,
    *,
    second: bool = False,
) -> tuple[FilesSource, ImportReport]:
    """Import a folder as ``quant import`` does; nothing is taken in if the report refuses it."""
    assert calendar is NYSE
    reader = FolderReader(folder, read_mapping(mapping), NYSE, {"bars": 30})
    store = ImportStore.of(lake, SLEEVE, second=second)
    before = store.manifest()
    prepared = store.prepare(reader, before)
    report = report_of(prepared, NYSE, HygieneSettings(), before)
    if not report.refusals:
        store.commit(prepared, AT)
    return FilesSource(lake, (SLEEVE,), is_second=second), report


def span(first: date = FIRST, last: date = LAST) -> SessionRange:
    """Range of sessions, of a history that begins with the folder."""
    return SessionRange(NYSE, tuple(NYSE.between(first, last)), FIRST)
