"""The layouts that files are published in, each read into one table.

- ``table``: Parquet, or a CSV with one header line.
- ``cboe``: the histories of CBOE's indices: ``DATE,OPEN,HIGH,LOW,CLOSE`` or ``DATE,<INDEX>``, days
  written month/day/year.
- ``french``: the CSVs of Ken French's data library: prose, a header line that begins with a comma,
  rows that begin with YYYYMMDD (or YYYYMM), percentages, prose again; -99.99 and -999 are missing.
- ``ishares``: the holdings of a fund: its name, ``Fund Holdings as of,"<date>"``, more prose, and a
  table that begins with ``Ticker``.
- ``edgar``: the form indices of EDGAR (``company.idx`` separated by ``|``, as ``master.idx`` is):
  the table of filings with the day of each, which is when it became known.

All but Parquet come as texts; dates are written ISO here, so that a mapping need not say how a
published layout writes them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import polars as pl

from quant_platform.errors import SourceError

FIRST_YEAR = 1000
"""A year before it was written with two digits."""
_CUT_OFF = "fetch the file again; nothing of it was taken"


def _table(path: Path, name: str, separator: str) -> pl.DataFrame:
    if path.suffix.lower() == ".parquet":
        try:
            return pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(
                f"{name} is no whole Parquet file ({str(error).splitlines()[0][:80]})",
                expected="a file that ends as it began",
                mend=_CUT_OFF,
            ) from error
    return _whole(path, name, separator)


def _text(path: Path, name: str) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SourceError(
            f"{name} can not be read ({error.strerror})", mend="give this user permission to it"
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{name} holds bytes that are not UTF-8", expected="text", mend="save it as UTF-8"
        ) from error
    if not text.strip():
        raise SourceError(f"{name} is empty", expected="a header line and rows", mend=_CUT_OFF)
    return text


def _whole(path: Path, name: str, separator: str) -> pl.DataFrame:
    """Read a CSV; without a last line break its last field must look like those above it.

    Many programs write none. But a number that is cut short looks like another number: one that is
    shorter than all others, or lacks the decimal point that they have, is taken for such.
    """
    text = _text(path, name)
    table = _csv(text, name, separator)
    if not text.endswith(("\n", "\r", '"')) and table.height > 1:
        column = table.get_column(table.columns[-1])
        last, above = str(column[-1] or ""), column.head(-1).drop_nulls()
        shorter = not (above.str.len_chars() <= len(last)).any()
        pointless = "." not in last and above.str.contains(".", literal=True).all()
        if len(above) and (shorter or pointless):
            raise SourceError(
                f"{name} ends with {last!r} and no line break: that may be cut short",
                expected="a last line that is whole",
                mend="fetch the file again, or end it with a line break if it is whole",
            )
    return table


def _csv(text: str, name: str, separator: str) -> pl.DataFrame:
    """Read a CSV as texts; one whose last line lacks columns was cut off."""
    if "\n" not in text:
        text = text.replace("\r", "\n")
    header, _, body = text.partition("\n")
    last = body.rstrip("\r\n").rpartition("\n")[2]
    try:
        names = next(csv.reader([header.strip()], delimiter=separator), [])
        fields = next(csv.reader([last], delimiter=separator), names) if last else names
    except csv.Error as error:
        raise _no_table(name, str(error), separator) from error
    plain = [column.strip() for column in names if column.strip()]
    twice = [column for column in dict.fromkeys(plain) if plain.count(column) > 1]
    if twice:
        raise SourceError(
            f"{name} has {plain.count(twice[0])} columns called {twice[0]!r}",
            expected="a name of its own for each column",
            mend="correct the header line of the file",
        )
    if len(fields) < len(names):
        raise SourceError(
            f"{name} ends in the middle of a line, after {len(fields)} of {len(names)} columns",
            expected="a whole file",
            mend=_CUT_OFF,
        )
    try:
        table = pl.read_csv(
            text.encode(), separator=separator, infer_schema=False, truncate_ragged_lines=False
        )
    except pl.exceptions.PolarsError as error:
        raise _no_table(name, str(error), separator) from error
    return table.rename({column: column.strip() for column in table.columns})


def _no_table(name: str, error: str, separator: str) -> SourceError:
    return SourceError(
        f"{name} is no table ({error.splitlines()[0][:80]})",
        expected=f"lines of as many columns as the first, separated by {separator!r}",
        mend="correct the file, or its separator in the mapping file",
    )


def _cboe(path: Path, name: str, separator: str) -> pl.DataFrame:
    table = _whole(path, name, separator)
    lower = {column: column.lower() for column in table.columns}
    if "date" not in lower.values() or len(set(lower.values())) < max(2, len(lower)):
        raise _not_in_layout(name, "CBOE's indices", "a column DATE and others, each once")
    table = table.rename(lower)
    if "close" not in table.columns:
        value = next(column for column in table.columns if column != "date")
        table = table.rename({value: "close"})
    days = table["date"].str.strip_chars().str.to_date("%m/%d/%Y", strict=False)
    wrong = (days.is_null() | (days.dt.year() < FIRST_YEAR)).arg_true()
    if len(wrong):
        raise _not_in_layout(
            f"{name}, with {table['date'][wrong[0]]!r} for DATE in row {wrong[0] + 1},",
            "CBOE's indices",
            "days such as 01/31/2024",
        )
    return table.with_columns(
        date=days.cast(pl.String), symbol=pl.lit(path.stem.split("_")[0].upper())
    )


def _french(path: Path, name: str, separator: str) -> pl.DataFrame:
    lines = _text(path, name).splitlines()
    head = next((n for n, line in enumerate(lines) if line.strip().startswith(separator)), None)
    if head is None:
        raise _not_in_layout(name, "Ken French's library", "a header line that begins with a comma")
    rows = []
    for line in lines[head + 1 :]:
        day = line.split(separator)[0].strip()
        if not (day.isdigit() and len(day) in (6, 8)):
            break
        rows.append(line)
    table = _csv("\n".join(["date" + lines[head].strip(), *rows]), name, separator)
    written = pl.col("date").str.strip_chars()
    # A month is told by its last day.
    daily = written.str.to_date("%Y%m%d", strict=False)
    monthly = (written + "01").str.to_date("%Y%m%d", strict=False).dt.month_end()
    texts = [pl.col(column).str.strip_chars() for column in table.columns if column != "date"]
    return table.with_columns(
        pl.when(written.str.len_chars() == 8).then(daily).otherwise(monthly).cast(pl.String),
        *(
            pl.when(text.cast(pl.Float64, strict=False).is_in([-99.99, -999.0]).not_()).then(text)
            for text in texts
        ),
    )


def _ishares(path: Path, name: str, separator: str) -> pl.DataFrame:
    lines = _text(path, name).splitlines()
    head = next((n for n, line in enumerate(lines) if line.startswith(f"Ticker{separator}")), None)
    told = next((line for line in lines if line.startswith("Fund Holdings as of")), None)
    if head is None or told is None:
        raise _not_in_layout(
            name, "iShares holdings", "a line 'Fund Holdings as of' and a table with Ticker"
        )
    width = len(next(csv.reader([lines[head]], delimiter=separator)))
    rows = []
    for line in lines[head + 1 :]:
        if len(next(csv.reader([line], delimiter=separator), [])) < width:
            break
        rows.append(line)
    written = next(csv.reader([told], delimiter=separator))[1]
    day = pl.Series([written]).str.to_date("%b %d, %Y", strict=False)[0]
    if day is None:
        raise _not_in_layout(name, "iShares holdings", "a day such as Sep 30, 2024")
    table = _csv("\n".join([lines[head], *rows]), name, separator)
    numbers = [column for column in table.columns if column != "Name"]
    fund = next(csv.reader(io.StringIO(lines[0]), delimiter=separator), [""])[0]
    return table.with_columns(pl.col(numbers).str.replace_all(",", "", literal=True)).with_columns(
        date=pl.lit(day.isoformat()), fund=pl.lit(fund.lstrip("\ufeff"))
    )


def _edgar(path: Path, name: str, _separator: str) -> pl.DataFrame:
    lines = _text(path, name).splitlines()
    head = next((n for n, line in enumerate(lines) if line.startswith("CIK|")), None)
    if head is None:
        raise _not_in_layout(name, "EDGAR's master index", "a header line that begins with CIK|")
    rows = [line for line in lines[head + 1 :] if "|" in line]
    return _csv("\n".join([lines[head], *rows]), name, "|")


def _not_in_layout(name: str, layout: str, expected: str) -> SourceError:
    return SourceError(
        f"{name} is not in the layout of {layout}",
        expected=expected,
        mend="correct layout in the mapping file, or fetch the file again",
    )


LAYOUTS: dict[str, Callable[[Path, str, str], pl.DataFrame]] = {
    "table": _table,
    "cboe": _cboe,
    "french": _french,
    "ishares": _ishares,
    "edgar": _edgar,
}
"""Readers by the name that a mapping file gives them: ``(path, name, separator)``."""
