"""From the files of one reading to rows under our names, each with the time at which it was known.

1. The files of the glob are read as their layout says; a file that is cut off, empty or no table is
   refused whole.
2. Rows are chosen, columns named, words and units translated, texts turned into dates and numbers.
   A text that is neither stops the import with its file and row: a guess would be a wrong number.
3. Each row gets the time at which it was known (`quant_platform.sources.files.publication`).

Values are not judged here: a negative price passes, and hygiene sets it aside with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping as Names
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.settings.base import near_names
from quant_platform.sources.files.columns import (
    DAY,
    NUMBER,
    TEXT,
    Told,
    known_column,
    own_column,
)
from quant_platform.sources.files.layouts import LAYOUTS
from quant_platform.sources.files.mapping import Kind, Mapping, Reading
from quant_platform.sources.files.publication import known_at

_ROW = "\0row"
"""Column of the number of a row in its file; no file has one of that name."""


@dataclass(frozen=True)
class Shape:
    """Columns of a kind of file.

    Parameters
    ----------
    required, optional
        Columns and their types; an optional one that is absent is null.
    dated
        Column of the day that the row describes: an assumed ``known_at`` is its close.
    """

    required: Names[str, pl.DataType]
    optional: Names[str, pl.DataType]
    dated: str


SHAPES: dict[Kind, Shape] = {
    "bars": Shape(
        {
            "symbol": TEXT,
            "session": DAY,
            **dict.fromkeys(("open", "high", "low", "close", "volume"), NUMBER),
        },
        {"adjusted": NUMBER},
        "session",
    ),
    "listings": Shape(
        {"symbol": TEXT, "listed_on": DAY},
        {
            **dict.fromkeys(
                (
                    *("security_id", "name", "exchange", "asset_class", "sector", "category"),
                    *("underlying", "country", "name_at_end"),
                ),
                TEXT,
            ),
            "delisted_on": DAY,
            **dict.fromkeys(("tick", "lot", "leverage"), NUMBER),
        },
        "listed_on",
    ),
    "actions": Shape(
        {"symbol": TEXT, "session": DAY, "kind": TEXT},
        {"value": NUMBER, "counterpart": TEXT},
        "session",
    ),
    "membership": Shape(
        {"index": TEXT, "symbol": TEXT, "valid_from": DAY},
        {"valid_to": DAY, "snapshot": pl.Boolean()},
        "valid_from",
    ),
    "earnings": Shape(
        {"symbol": TEXT, "period": TEXT, "announced_on": DAY},
        {"timing": TEXT, "status": TEXT, "estimate": NUMBER, "actual": NUMBER},
        "announced_on",
    ),
    "fund_facts": Shape(
        {"symbol": TEXT, "session": DAY},
        {
            **dict.fromkeys(("aum", "expense_ratio", "yield"), NUMBER),
            "issuer": TEXT,
            "category": TEXT,
        },
        "session",
    ),
    "series": Shape({"series": TEXT, "session": DAY, "value": NUMBER, "unit": TEXT}, {}, "session"),
}
"""What a file of each kind holds, under our names."""


@dataclass(frozen=True)
class Conventions:
    """What holds for every file of a kind.

    Parameters
    ----------
    folder
        The folder of the files.
    mapping
        How its files are to be read.
    calendar
        Calendar of the sessions.
    lag
        From the close to the publication, where the files do not say.
    """

    folder: Path
    mapping: Mapping
    calendar: SessionCalendar
    lag: timedelta


def files_of(folder: Path, reading: Reading) -> list[Path]:
    """Files of a reading, in the order of their names."""
    return [
        path
        for path in sorted(folder.glob(reading.files))
        if path.is_file() and path.suffix.lower() in (".csv", ".txt", ".parquet")
    ]


def read_files(
    paths: Sequence[Path], kind: Kind, reading: Reading, conventions: Conventions
) -> pl.DataFrame:
    """Read files of a kind, those of one header together: thousands of small ones are common.

    Returns
    -------
    polars.DataFrame
        ``file`` (path below the folder), the columns of the kind's shape, ``known_at`` and
        ``known_at_basis``; file by file, in the order of the rows.

    Raises
    ------
    SourceError
        When one is no table, is cut off, lacks a column, holds a word that is no date or number, or
        rows of another symbol than the one that it is named after.
    """
    _own_names(kind, reading)
    raw = ((path, _raw(path, reading, conventions)) for path in paths)
    parts = []
    for _, alike in groupby(
        raw, lambda one: (tuple(one[1].schema.items()), _named_after_a_day(one[0]))
    ):
        parts.append(_own_rows(list(alike), kind, reading, conventions))
    return pl.concat(parts)


def _raw(path: Path, reading: Reading, conventions: Conventions) -> pl.DataFrame:
    """Rows of one file that are wanted, under its own names, with their number."""
    name = path.relative_to(conventions.folder).as_posix()
    table = LAYOUTS[reading.layout](path, name, reading.separator).with_row_index(_ROW, offset=1)
    # A blank line says nothing.
    table = table.filter(pl.any_horizontal(pl.exclude(_ROW).is_not_null()))
    for column, wanted in reading.where.items():
        table = table.filter(
            pl.col(known_column(column, table, name)).cast(pl.String).is_in(wanted)
        )
    return _unpivoted(table, reading, name) if reading.wide else table


def _own_rows(
    files: Sequence[tuple[Path, pl.DataFrame]],
    kind: Kind,
    reading: Reading,
    conventions: Conventions,
) -> pl.DataFrame:
    """Rows of files of one header under our names."""
    shape, mapping = SHAPES[kind], conventions.mapping
    paths = [path for path, _ in files]
    names = [path.relative_to(conventions.folder).as_posix() for path in paths]
    heights = pl.Series([table.height for _, table in files], dtype=pl.UInt32)
    table = pl.concat([table for _, table in files])
    of_file = pl.select(pl.lit(pl.Series(names, dtype=pl.String)).repeat_by(heights)).to_series()
    of_file = of_file.explode(empty_as_null=False)
    told = Told(names[0], of_file, table.drop(_ROW), reading, conventions.calendar, table[_ROW])
    stems = of_file.replace_strict(names, [path.stem for path in paths], return_dtype=pl.String)
    columns = {"file": of_file}
    for own, dtype in (*shape.required.items(), *shape.optional.items()):
        series = own_column(own, dtype, told)
        if series is None and own == "symbol" and reading.file_is_symbol:
            series = stems
        if series is None and own == "valid_from" and _named_after_a_day(paths[0]):
            series = stems.str.to_date("%Y-%m-%d")
        if series is None and own in shape.required:
            raise SourceError(
                f"{names[0]} has no column {own!r} among {', '.join(told.rows.columns[:12])}",
                expected=f"{', '.join(shape.required)}",
                mend=f"say in the mapping file which column it is: {kind}.columns.{own}",
            )
        if series is None:
            series = pl.Series([None], dtype=dtype).new_from_index(0, table.height)
        columns[own] = series
    rows = pl.DataFrame([series.alias(own) for own, series in columns.items()])
    if "symbol" in columns:
        rows = rows.with_columns(symbol=_symbols(rows["symbol"], mapping))
        if reading.file_is_symbol:
            _one_symbol(rows, _symbols(stems, mapping))
    if kind == "actions":
        # Of a rename the counterpart is a symbol, written as their symbols are.
        rows = rows.with_columns(
            counterpart=pl.when(pl.col("kind") == "rename")
            .then(_symbols(rows["counterpart"], mapping))
            .otherwise("counterpart")
        )
    if kind == "membership":
        snapshot = _is_snapshot(files, names, reading, told.rows)
        rows = rows.with_columns(snapshot=pl.lit(snapshot))
    rows = rows.with_columns(known_at(told, rows[shape.dated], conventions.lag))
    undated = rows["known_at"].is_null().arg_true()
    if len(undated):
        raise SourceError(
            f"{told.place(undated[0])} has no {shape.dated} in row {told.numbers[undated[0]]}"
            + (f" and {len(undated) - 1} rows more" if len(undated) > 1 else ""),
            expected="a date in every row",
            mend="correct the file, or take such rows out",
        )
    if reading.since is not None:
        rows = rows.filter(pl.col(shape.dated) >= reading.since)
    return rows


def _own_names(kind: Kind, reading: Reading) -> None:
    """Refuse a mapping that names a column of ours that there is not."""
    shape = SHAPES[kind]
    ours = [*shape.required, *shape.optional]
    for own in reading.columns:
        if own in ours:
            continue
        near = near_names(own, ours)
        raise SourceError(
            f"the mapping file names a column {own!r} for {kind}, which there is not",
            expected=" or ".join(near) if near else ", ".join(ours),
            mend="say known_at beside columns, not among them"
            if own == "known_at"
            else "correct the mapping file: the first name is ours, the second one theirs",
        )


def _unpivoted(table: pl.DataFrame, reading: Reading, name: str) -> pl.DataFrame:
    """Put the columns of series below each other."""
    for column in reading.wide:
        known_column(column, table, name)
    rest = [column for column in table.columns if column not in reading.wide]
    made = [column for column in ("series", "value") if column in rest]
    if made:
        raise SourceError(
            f"{name} has a column {made[0]!r} beside those that wide names",
            expected="none of that name: wide makes the columns series and value",
            mend="name the column in wide, or rename it in the file",
        )
    return table.unpivot(on=list(reading.wide), index=rest, variable_name="series").with_columns(
        pl.col("series").replace_strict(reading.wide)
    )


def _named_after_a_day(path: Path) -> bool:
    """Whether a file is called something like 2024-01-31.csv."""
    try:
        date.fromisoformat(path.stem)
    except ValueError:
        return False
    return True


def _is_snapshot(
    files: Sequence[tuple[Path, pl.DataFrame]],
    names: Sequence[str],
    reading: Reading,
    table: pl.DataFrame,
) -> bool:
    """Whether files of one header each list all members of an index on one day."""
    told = "valid_from" in table.columns or "valid_from" in reading.columns
    whole = reading.snapshot or (_named_after_a_day(files[0][0]) and not told)
    empty = [name for name, (_, rows) in zip(names, files, strict=True) if not rows.height]
    if whole and empty:
        raise SourceError(
            f"{empty[0]} lists no member",
            expected="all members of the index on that day",
            mend="fetch the file again, or remove it; nothing of it was taken",
        )
    return whole


def _symbols(symbols: pl.Series, mapping: Mapping) -> pl.Series:
    """EXCHANGE:TICKER of their symbols; the distinct ones are translated once."""
    rule = mapping.symbols
    theirs = symbols.unique()
    ours = theirs.str.strip_chars()
    if rule.upper:
        ours = ours.str.to_uppercase()
    for sign, own in rule.replace.items():
        ours = ours.str.replace_all(sign, own, literal=True)
    prefixed = pl.select(
        pl.when(ours.str.contains(":", literal=True))
        .then(ours)
        .otherwise(pl.lit(f"{rule.exchange}:") + ours)
    ).to_series()
    return symbols.replace_strict(theirs, prefixed, return_dtype=pl.String)


def _one_symbol(rows: pl.DataFrame, asked: pl.Series) -> None:
    """Refuse a file that answers for another symbol than the one that it is named after."""
    others = rows.with_columns(asked=asked).filter(pl.col("symbol") != pl.col("asked"))
    if others.height:
        name, symbol, wanted = others.select("file", "symbol", "asked").row(0)
        raise SourceError(
            f"{name} holds {others.filter(file=name).height} rows of {symbol}",
            expected=f"rows of {wanted}, after which it is named",
            mend="fetch the file again; nothing of it was taken",
        )
