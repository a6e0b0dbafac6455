"""What the vendor answers, read with suspicion: texts in, rows out, nothing guessed.

1. An answer is a JSON object with ``totalCount`` and ``data``, each row ``{"s": symbol, "d": […]}``
   with one value for each column that was asked for. Anything else is either *transient* (half an
   answer, a page for people, a limit of requests), and may be asked again, or *changed*, and is
   refused in one sentence.
2. A page must have as many rows as were announced for its place. Rows move between pages while
   prices do, so that one is told twice and another not at all: `merged` counts different symbols,
   and `ScanQuery.limit` cuts after the merging.
3. The list of columns (``metainfo``) must have each column that is asked for, under the type that
   the field table knows. The vendor itself says nothing: it fills unknown columns with nulls.
4. Values become columns of the screener, in its units. A value of another type is refused. The unit
   of ``change`` is checked by arithmetic, from the close and the change in money.

Nothing here knows a network or a clock; the source reads what was kept with the same functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import polars as pl

from quant_platform.errors import SourceError
from quant_platform.settings.base import near_names
from quant_platform.settings.wording import plain
from quant_platform.sources.tradingview.fields import (
    CHANGE_IN_MONEY,
    FIELDS,
    Market,
    fields_of,
)
from quant_platform.sources.tradingview.query import ScanQuery

Rows = dict[str, list[Any]]
"""Values by symbol, in the order of the question's columns."""

_SYMBOL = re.compile(r"[A-Z0-9_]+:[^\s:]+")
_UNKNOWN = re.compile(r"[Uu]nknown field \"?(?P<name>[^\"]+?)\"?$")
_BUSY = re.compile(
    r"\b(too many|limit\w*|throttl\w*|try again|later|busy|time-?out)\b", re.IGNORECASE
)
_LONGEST_QUOTE = 120
_TOLD_APART = 0.5
"""Percent below which a change says nothing of its unit: the vendor rounds."""
_CORRECT = "correct sources/tradingview/fields.py after the vendor's list of columns"


class TransientAnswerError(Exception):
    """An answer that may be another one a little later; the message says what it was."""


@dataclass(frozen=True)
class Page:
    """One page of rows.

    Parameters
    ----------
    total
        Rows that the vendor announces for the whole question.
    rows
        The page's.
    """

    total: int
    rows: Rows


def json_of(body: str) -> Any:
    """Read a body as JSON without NaN or infinities.

    Raises
    ------
    TransientAnswerError
        When it is none: half an answer, or a page for people.
    """
    try:
        return json.loads(body, parse_constant=_no_number)
    except ValueError as error:
        begins = body.lstrip()[:1]
        what = "a page for people" if begins == "<" else "half an answer or none"
        raise TransientAnswerError(f"it answered with {what} in the place of JSON") from error


def page_of(body: str, query: ScanQuery, first: int, asked: int) -> Page:
    """Read one page.

    Parameters
    ----------
    body
        The answer.
    query
        The question.
    first, asked
        Place of the page's first row, and how many were asked for.

    Raises
    ------
    TransientAnswerError
        When it may be another one a little later.
    SourceError
        When the vendor refused the question, or answers in another form than it used to.
    """
    answer = json_of(body)
    if isinstance(answer, dict) and answer.get("error"):
        _refuse_error(str(answer["error"]), query.market)
    if not isinstance(answer, dict) or not {"totalCount", "data"} <= answer.keys():
        found = list(answer)[:5] if isinstance(answer, dict) else type(answer).__name__
        raise _changed(f"an answer of {found}", "an object with totalCount and data")
    total, data = answer["totalCount"], answer["data"]
    if not isinstance(total, int) or isinstance(total, bool) or not isinstance(data, list):
        raise _changed(
            f"totalCount {plain(str(total))[:40]} and {type(data).__name__} as data",
            "a number and a list",
        )
    rows: Rows = {}
    for row in data:
        symbol, values = _row_of(row, len(query.columns))
        if symbol in rows:
            raise TransientAnswerError(f"one page has {plain(symbol)} twice")
        rows[symbol] = values
    due = min(asked, max(total - first, 0))
    if len(rows) > asked:
        raise _changed(f"{len(rows)} rows on a page", f"the {asked} that were asked for")
    if len(rows) < due:
        raise TransientAnswerError(
            f"the page from row {first} on has {len(rows)} rows of the {due} announced"
        )
    return Page(total, rows)


def merged(query: ScanQuery, pages: Iterable[Page]) -> Rows:
    """Put pages together: each symbol once, as it was told last, cut to what was asked for.

    Parameters
    ----------
    query
        The question of all of them.
    pages
        Pages in the order in which they came, of one pass or of several.
    """
    rows: Rows = {}
    for page in pages:
        rows |= page.rows
    if len(rows) <= query.limit:
        return rows
    place = query.columns.index(query.sort_by)
    downwards = query.sort_order == "desc"

    def rank(symbol: str) -> tuple[bool, float, str]:
        value = rows[symbol][place]
        if not isinstance(value, int | float):
            return True, 0.0, symbol
        return False, -value if downwards else value, symbol

    return {symbol: rows[symbol] for symbol in sorted(rows, key=rank)[: query.limit]}


def check_columns(body: str, query: ScanQuery) -> None:
    """Hold the vendor's list of columns against what is about to be asked.

    Parameters
    ----------
    body
        The list: ``{"fields": [{"n": name, "t": type, …}, …]}``.
    query
        The question that will be asked: its columns must be of their types, those of its conditions
        must be there.

    Raises
    ------
    TransientAnswerError
        When it may be another one a little later.
    SourceError
        When a column is gone, or is of another type than it used to be.
    """
    answer = json_of(body)
    listed = answer.get("fields") if isinstance(answer, dict) else None
    if isinstance(answer, dict) and answer.get("error"):
        _refuse_error(str(answer["error"]), query.market)
    if not isinstance(listed, list) or not all(
        isinstance(entry, dict) and {"n", "t"} <= entry.keys() for entry in listed
    ):
        raise _changed("a list of columns in another form", 'fields of {"n": name, "t": type}')
    types = {str(entry["n"]): str(entry["t"]) for entry in listed}
    due = {column: field.listed_as for column, field in fields_of(query.market).items()}
    due[CHANGE_IN_MONEY] = "price"
    for column in (*query.columns, *(condition.left for condition in query.conditions)):
        if column not in types:
            raise _unknown(column, query.market, list(types))
        if types[column] != due.get(column, types[column]):
            raise SourceError(
                f"the vendor lists {column!r} of {query.market} as {plain(types[column])}",
                expected=f"{due[column]}, as it was when its unit was looked up",
                mend=f"look up its unit and {_CORRECT}",
            )


def frame_of(query: ScanQuery, rows: Rows) -> pl.DataFrame:
    """Return an answer as columns of the screener, in its units, by symbol.

    Parameters
    ----------
    query
        The question.
    rows
        The answer.

    Returns
    -------
    polars.DataFrame
        ``symbol`` and every column of the field table; those that the market has not are null.

    Raises
    ------
    SourceError
        When a value is of another type, or a change is not in percent.
    """
    symbols = sorted(rows)
    told = {column: [rows[s][place] for s in symbols] for place, column in enumerate(query.columns)}
    nothing = [None] * len(symbols)
    values = {
        field.name: _series(column, told.get(column, nothing), field.is_text)
        for column, field in fields_of(query.market).items()
    }
    money = _series(CHANGE_IN_MONEY, told.get(CHANGE_IN_MONEY, nothing), text=False)
    _check_change(values["change"], values["close"], money)
    empty = [field for field in FIELDS if field.name not in values]
    return pl.DataFrame({"symbol": pl.Series(symbols, dtype=pl.String), **values}).select(
        "symbol",
        *(
            pl.lit(None, pl.String if field.is_text else pl.Float64).alias(field.name)
            if field in empty
            else pl.col(field.name)
            if field.is_text or field.scale == 1.0
            else pl.col(field.name) * field.scale
            for field in FIELDS
        ),
    )


def _row_of(row: Any, width: int) -> tuple[str, list[Any]]:
    if not isinstance(row, dict) or not {"s", "d"} <= row.keys():
        raise _changed("a row in another form", '{"s": symbol, "d": values}')
    symbol, values = row["s"], row["d"]
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
        raise _changed(f"the symbol {plain(str(symbol))[:40]}", "EXCHANGE:TICKER")
    if not isinstance(values, list) or len(values) != width:
        found = len(values) if isinstance(values, list) else type(values).__name__
        raise _changed(f"{found} values of {plain(symbol)}", f"one for each of {width} columns")
    return symbol, values


def _series(column: str, values: Sequence[Any], text: bool) -> pl.Series:
    """Return the values of a column, all of its type or null."""
    for value in values:
        if value is not None and not (isinstance(value, str) if text else _is_finite(value)):
            raise SourceError(
                f"the vendor answers {column!r} with {plain(repr(value))[:40]}",
                expected="a text" if text else "a number",
                mend=f"look up what it holds now and {_CORRECT}",
            )
    exact = values if text else [None if v is None else float(v) for v in values]
    return pl.Series(exact, dtype=pl.String if text else pl.Float64)


def _is_finite(value: Any) -> bool:
    """Whether a value is a number that a column can hold; 1e999 is infinite in JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _check_change(change: pl.Series, close: pl.Series, money: pl.Series) -> None:
    """Compare ``change`` with what close and change in money make of it."""
    percent = 100 * pl.col("money") / (pl.col("close") - pl.col("money"))
    ratio = (
        pl.DataFrame({"change": change, "close": close, "money": money})
        .filter(pl.col("close") > pl.col("money"), percent.abs() > _TOLD_APART)
        .select(pl.col("change") / percent)
        .to_series()
        .median()
    )
    if isinstance(ratio, float) and not 0.5 < ratio < 2.0:
        raise SourceError(
            f"the vendor's 'change' is {ratio:.3g} times what close and change_abs make of it in "
            "percent",
            expected="percent",
            mend=f"look up its unit and {_CORRECT}",
        )


def _refuse_error(sentence: str, market: Market) -> NoReturn:
    """Refuse an answer that is an error of the vendor's."""
    unknown = _UNKNOWN.search(sentence)
    if unknown:
        raise _unknown(unknown["name"], market, list(fields_of(market)))
    told = plain(sentence)[:_LONGEST_QUOTE]
    if _BUSY.search(sentence):
        raise TransientAnswerError(f"it answered with the error {told!r}")
    raise SourceError(
        f"the vendor refused the question: {told}",
        expected="an answer",
        mend="correct the scanner, or sources/tradingview after what the vendor asks for now",
    )


def _unknown(column: str, market: Market, known: list[str]) -> SourceError:
    near = near_names(column, known)
    field = next((f.name for f in fields_of(market).values() if f.column(market) == column), "")
    what = f" for {field!r}" if field and field != column else ""
    return SourceError(
        f"the vendor has no column {plain(column)!r} in {market} any more, which is asked{what}",
        expected=f"a column such as {' or '.join(near)}" if near else "a column of its list",
        mend=_CORRECT,
    )


def _changed(found: str, expected: str) -> SourceError:
    return SourceError(
        f"the vendor answers with {found}",
        expected=expected,
        mend="correct sources/tradingview/answer.py after the form that it has now",
    )


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)
