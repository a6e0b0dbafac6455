"""When the rows of a file were known.

What the file says of it is *observed*: an instant, or a date, which is known at its end. Where it
says nothing the close of the session plus the lag is *assumed*, and for a day without a session its
end plus the lag.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.sources.files.columns import Told, known_column
from quant_platform.sources.files.layouts import FIRST_YEAR
from quant_platform.sources.protocol import KNOWN_AT_BASIS

INSTANT = pl.Datetime("us", "UTC")


def known_at(told: Told, days: pl.Series, lag: timedelta) -> list[pl.Series]:
    """Return ``known_at`` and its basis for each row.

    Parameters
    ----------
    told
        The rows as they were read, and how they are to be read.
    days
        The day that each of them describes.
    lag
        From the close to the publication, where the files do not say.

    Raises
    ------
    SourceError
        When a text is neither a date nor an instant, the column named for it holds neither, or it
        names an instant beyond the calendar.
    """
    rule, table, calendar = told.reading.known_at, told.rows, told.calendar
    column = rule.column
    if column is None and rule.published is None:
        column = next((n for n in ("known_at", "first_asof") if n in table.columns), None)
    later = timedelta(days=rule.days_later)
    assumed = assumed_instants(days, calendar, lag) + later
    if column is not None:
        known = _instants(table[known_column(column, table, told.first)], told, column)
        late = (known > calendar.cutoff(calendar.sessions[-1])).arg_true()
        if len(late):
            raise SourceError(
                f"{told.place(late[0])} says {table[column][late[0]]!s} for {column} in row "
                f"{told.numbers[late[0]]}",
                expected=f"a publication before the end of {calendar.horizon}",
                mend="correct the file",
            )
        basis = known.is_null()
        known = pl.select(pl.coalesce(known + later, assumed)).to_series()
    elif rule.published is not None:
        end = _end_of(rule.published) + later
        known = pl.Series([end], dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")
        known = known.new_from_index(0, len(days))
        basis = pl.Series([False]).new_from_index(0, len(days))
    else:
        known = assumed
        basis = pl.Series([True]).new_from_index(0, len(days))
    words = pl.select(
        pl.when(basis)
        .then(pl.lit("assumed", KNOWN_AT_BASIS))
        .otherwise(pl.lit("observed", KNOWN_AT_BASIS))
    ).to_series()
    return [known.alias("known_at"), words.alias("known_at_basis")]


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time.min)


def _ends(days: pl.Series) -> pl.Series:
    """Instant at which each day is over."""
    return (days.cast(pl.Datetime("us")) + timedelta(days=1)).dt.replace_time_zone("UTC")


def _instants(series: pl.Series, told: Told, column: str) -> pl.Series:
    """Instants of a column of dates, instants or texts."""
    if series.dtype == pl.String:
        days = series.str.to_date("%Y-%m-%d", strict=False)
        texts = series.set(days.is_not_null(), None).str.to_datetime(
            time_unit="us", time_zone="UTC", strict=False
        )
        early = (days.dt.year() < FIRST_YEAR).fill_null(value=False)
        bad = ((days.is_null() & texts.is_null() | early) & series.is_not_null()).arg_true()
        if len(bad):
            raise SourceError(
                f"{told.place(bad[0])} says {series[bad[0]]!r} for {column} in row "
                f"{told.numbers[bad[0]]}",
                expected="a date or an instant such as 2024-05-03T21:00:00Z, all written alike",
                mend="correct the file",
            )
        return pl.select(pl.coalesce(_ends(days), texts)).to_series()
    if series.dtype == pl.Date:
        return _ends(series)
    if isinstance(series.dtype, pl.Datetime):
        series = series.cast(pl.Datetime("us", series.dtype.time_zone))
        if series.dtype == pl.Datetime("us"):
            return series.dt.replace_time_zone("UTC")
        return series.dt.convert_time_zone("UTC")
    raise SourceError(
        f"{told.first} has {series.dtype} in {column}",
        expected="a date or an instant",
        mend="name the column of the publication in known_at of the mapping file",
    )


def assumed_instants(days: pl.Series, calendar: SessionCalendar, lag: timedelta) -> pl.Series:
    """Close of each day plus the lag; a day without a session is over at its end."""
    distinct = days.unique().drop_nulls().alias("day").to_frame()
    distinct = distinct.join(_closes(calendar), on="day", how="left")
    end = (pl.col("day").cast(pl.Datetime("us")) + timedelta(days=1)).dt.replace_time_zone("UTC")
    distinct = distinct.with_columns(known=pl.coalesce("close", end) + lag)
    known = days.to_frame("day").join(distinct, on="day", how="left", maintain_order="left")
    return known["known"].cast(INSTANT)


@lru_cache(maxsize=8)
def _closes(calendar: SessionCalendar) -> pl.DataFrame:
    """``day`` and ``close`` of each session; made once for the thousands of files of a folder."""
    return pl.DataFrame(
        {
            "day": pl.Series(calendar.sessions, dtype=pl.Date),
            "close": pl.Series(calendar.closes, dtype=INSTANT),
        }
    )
