"""From columns as somebody wrote them to ours: words and units translated, texts made dates.

A text that is neither stops the import with its file and row: a guess would be a wrong number. A
date with a time zone is the day in that zone, not the one that it is elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.sources.files.layouts import FIRST_YEAR
from quant_platform.sources.files.mapping import ColumnRule, Reading

TEXT, DAY, NUMBER = pl.String(), pl.Date(), pl.Float64()

OTHER_NAMES = {
    "session": ("date", "ex_date"),
    "known_at": ("first_asof",),
    "value": ("ratio", "amount"),
    "symbol": ("ticker",),
    "adjusted": ("adj_close",),
}
"""Names that the documented layout accepts besides ours."""

_ENDS = ("delisted_on", "valid_to")


@dataclass(frozen=True)
class Told:
    """Files of one header as their layout reads them.

    Parameters
    ----------
    first
        Path below the folder of the first of them.
    names
        That of the file of each row.
    rows
        What they say, under their own names.
    reading
        How they are to be read.
    calendar
        Calendar of the sessions.
    numbers
        Number of each row in its file, from 1 on.
    """

    first: str
    names: pl.Series
    rows: pl.DataFrame
    reading: Reading
    calendar: SessionCalendar
    numbers: pl.Series

    def place(self, row: int) -> str:
        """Return the file of a row."""
        return str(self.names[row])


def known_column(column: str, table: pl.DataFrame, name: str) -> str:
    """Return the name of a column that the file must have."""
    if column not in table.columns:
        raise SourceError(
            f"{name} has no column {column!r}",
            expected=f"one of {', '.join(table.columns[:12])}",
            mend="correct the mapping file",
        )
    return column


def own_column(own: str, dtype: pl.DataType, told: Told) -> pl.Series | None:
    """One of our columns, or None where the file has none for it."""
    reading, table, calendar = told.reading, told.rows, told.calendar
    rule = reading.columns.get(own)
    if rule is None:
        found = next((n for n in (own, *OTHER_NAMES.get(own, ())) if n in table.columns), None)
        if found is None:
            return None
        rule = ColumnRule(column=found)
    if rule.column is None:
        series = pl.Series([rule.value]).new_from_index(0, table.height)
    else:
        series = table[known_column(rule.column, table, told.first)]
    if rule.values or rule.otherwise is not None:
        words = series.cast(pl.String)
        translated = words.replace_strict(rule.values, default=None, return_dtype=pl.String)
        if rule.otherwise is None:
            series = pl.select(pl.coalesce(translated, words)).to_series()
        else:
            series = translated.fill_null(rule.otherwise)
    series = _typed(series, dtype, rule, own, told)
    if dtype == NUMBER:
        if rule.inverse:
            series = 1 / series
        return series * rule.scale if rule.scale != 1 else series
    if dtype == DAY:
        series = _covered(series, own, told)
    if dtype == DAY and rule.open_ended:
        newest = told.rows.select(pl.lit(series).max().over(told.names)).to_series()
        series = series.set(series == newest, None)
    if rule.next_session:
        return _shifted(series, calendar, 1)
    return _shifted(series, calendar, -1) if rule.previous_session else series


def refuse_strange_words(words: pl.Series, known: pl.Enum) -> None:
    """Refuse words that the column does not know.

    Raises
    ------
    SourceError
        With the first of them.
    """
    strange = words.cast(pl.String).drop_nulls()
    strange = strange.filter(~strange.is_in(known.categories.implode()))
    if len(strange):
        raise SourceError(
            f"{len(strange)} rows say {strange[0]!r} for {words.name}",
            expected=f"one of {', '.join(known.categories)}",
            mend=f"translate it in the mapping file: {words.name}.values",
        )


def _typed(
    series: pl.Series, dtype: pl.DataType, rule: ColumnRule, own: str, told: Told
) -> pl.Series:
    """Turn a column into its type; a text that can not be is named with its row."""
    if series.dtype == dtype:
        return series
    if series.dtype == pl.String and dtype in (NUMBER, DAY):
        series = series.str.strip_chars()
        series = series.set(series == "", None)
    if series.dtype == pl.String and dtype == NUMBER and told.reading.decimal == ",":
        cast = series.str.replace(",", ".", literal=True).cast(dtype, strict=False)
        # A point parts thousands there; 1.234 would be read as little more than one.
        cast = cast.set(series.str.contains(".", literal=True).fill_null(value=False), None)
    elif dtype == DAY and isinstance(series.dtype, pl.Datetime):
        cast = series.dt.date()
    elif dtype == DAY and series.dtype == pl.String:
        cast = series.str.to_date(rule.format or "%Y-%m-%d", strict=False)
    elif dtype == DAY and series.dtype.is_numeric():
        # 20240131, as a number; others, such as days since 1900, are no dates.
        whole = series.cast(pl.Int64, strict=False).cast(pl.String)
        cast = whole.str.to_date(rule.format or "%Y%m%d", strict=False)
    else:
        cast = series.cast(dtype, strict=False)
    if dtype == DAY:
        cast = cast.set(cast.dt.year() < FIRST_YEAR, None)
    wrong = (cast.is_null() & series.is_not_null()).arg_true()
    if len(wrong):
        kind = "date" if dtype == DAY else "text"
        if dtype == NUMBER:
            kind = f"number such as 1234{told.reading.decimal}5"
        raise SourceError(
            f"{told.place(wrong[0])} says {series[wrong[0]]!r} for {own} in row "
            f"{told.numbers[wrong[0]]}"
            + (f" and {len(wrong) - 1} rows more" if len(wrong) > 1 else ""),
            expected=f"a {kind}",
            mend="correct the file, or say in the mapping file how it is written: "
            + ("decimal, or values" if dtype == NUMBER else "format, or values"),
        )
    return cast


def _covered(days: pl.Series, own: str, told: Told) -> pl.Series:
    """Refuse days beyond the calendar; an end of that day, such as 9999-12-31, is none yet."""
    beyond = days > told.calendar.horizon
    if own in _ENDS:
        return days.set(beyond.fill_null(value=False), None)
    late = beyond.arg_true()
    if len(late):
        raise SourceError(
            f"{told.place(late[0])} says {days[late[0]]!s} for {own} in row "
            f"{told.numbers[late[0]]}",
            expected=f"a day up to {told.calendar.horizon}",
            mend="correct the file",
        )
    return days


def _shifted(days: pl.Series, calendar: SessionCalendar, step: int) -> pl.Series:
    """Session next after or before each day; where the calendar has none, the day beside it."""
    sessions = calendar.frame()["session"]
    if step > 0:
        places = sessions.search_sorted(days.fill_null(sessions[0]), side="right").cast(pl.Int64)
    else:
        places = sessions.search_sorted(days.fill_null(sessions[0]), side="left").cast(pl.Int64) - 1
    inside = places.is_between(0, len(sessions) - 1)
    found = sessions.gather(places.clip(0, len(sessions) - 1))
    return found.zip_with(inside, days.dt.offset_by(f"{step}d")).set(days.is_null(), None)
