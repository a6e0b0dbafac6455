"""What the sleeves' returns say about the names that the account touches, as matrices.

1. Rows of all sleeves become one panel: a row for each own day of any sleeve, a column for each
   security that is held, ordered or wanted. Nobody else is loaded.
2. Every own day belongs to the first portfolio session at or after it: Saturday, Sunday and Monday
   of a 24/7 sleeve belong to Monday's session, so a session never sees a later day.
3. Per session the own days are compounded to one return, the *joint* return; it is null where a
   security has no row on any of them.

A session is asked for alone, and sees rows of its look-back and no older ones, so that it answers
the same whatever range was loaded around it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts.returns import RETURNS
from quant_platform.lakehouse.windows import SessionRange

Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Polars counts days from the epoch of Unix, dates count from year one.
_FIRST_DAY = date(1970, 1, 1).toordinal()

_COLUMNS = (
    *("session", "security_id", "symbol", "mark", "mark_session"),
    *("execution_price", "total", "split", "cash", "delisted"),
)


class Quote(NamedTuple):
    """One security on one of its own days, in units of that day.

    ``cash`` is what a unit of the day before is paid, in units of then.
    """

    execution_price: float | None
    mark: float
    split: float
    delisted: bool
    cash: float = 0.0


@dataclass(frozen=True)
class Day:
    """One own day of some sleeves: vectors over all securities of the market.

    Parameters
    ----------
    day
        The day.
    present
        Securities with a row.
    execution_price
        NaN where nothing trades.
    mark
        Last close known at the day's cutoff; NaN without a row.
    split
        New units per old one; 1 without a row.
    cash
        Cash per unit held the day before, in units of then; 0 without a row.
    delisted
        The security leaves on this day and pays its mark.
    symbol
        Names as of the day; None without a row.
    """

    day: date
    present: Mask
    execution_price: Vector
    mark: Vector
    split: Vector
    cash: Vector
    delisted: Mask
    symbol: npt.NDArray[np.object_]

    def quote(self, column: int) -> Quote | None:
        """Return one security's row, None if it has none."""
        if not self.present[column]:
            return None
        price = float(self.execution_price[column])
        return Quote(
            None if np.isnan(price) else price,
            float(self.mark[column]),
            float(self.split[column]),
            bool(self.delisted[column]),
            float(self.cash[column]),
        )


@dataclass(frozen=True)
class Evening:
    """What is known of all securities at one session's cutoff.

    Parameters
    ----------
    days
        Own days since the session before, ascending.
    mark
        Last mark on them; NaN where there was none.
    mark_age
        Calendar days from the mark's session to this one; NaN without a mark.
    joint
        Joint returns of the look-back, sessions × securities, this session last.
    sleeve
        Position of each security's sleeve in ``Market.sleeves``; -1 if no row names it.
    gone
        Securities that have left: their last row of the look-back says so.
    """

    days: Sequence[Day]
    mark: Vector
    mark_age: Vector
    joint: npt.NDArray[np.float64]
    sleeve: npt.NDArray[np.intp]
    gone: Mask


class Market:
    """The returns of a range and its look-back, for the securities that matter.

    Parameters
    ----------
    wanted
        Sessions of the range.
    calendars
        Calendar of each sleeve.
    securities
        Sorted keys of the columns.
    lookback
        Sessions that an evening sees, itself included.
    """

    def __init__(
        self,
        wanted: SessionRange,
        calendars: Mapping[str, SessionCalendar],
        securities: Sequence[str],
        lookback: int,
    ) -> None:
        self.wanted = wanted
        self.calendars = calendars
        self.sleeves = sorted(calendars)
        self.securities = list(securities)
        self.column = {security: column for column, security in enumerate(self.securities)}
        self.lookback = lookback
        self._origin = max(wanted.calendar.ordinal(wanted.first) - lookback + 1, wanted.origin)
        sessions = wanted.calendar.ordinal(wanted.last) - self._origin + 1
        shape = (max(sessions, 0), len(self.securities))
        self._growth = np.full(shape, np.nan)
        self._mark = np.full(shape, np.nan)
        self._mark_day = np.full(shape, np.nan)
        self._sleeve = np.full(shape, -1, dtype=np.intp)
        self._gone = np.zeros(shape, dtype=bool)
        self._days: dict[int, list[Day]] = {}

    @classmethod
    def of(
        cls,
        frames: Mapping[str, pl.LazyFrame],
        calendars: Mapping[str, SessionCalendar],
        wanted: SessionRange,
        securities: Collection[str],
        lookback: int,
    ) -> Market:
        """Lay out the frames ``returns_<sleeve>``.

        Parameters
        ----------
        frames
            Returns of each sleeve, from ``lookback`` sessions before the range on.
        calendars
            Calendar of each sleeve.
        wanted
            Sessions of the range.
        securities
            Keys of the securities that are needed.
        lookback
            Sessions that an evening sees, itself included.
        """
        market = cls(wanted, calendars, sorted(securities), lookback)
        market._enter(market._rows(frames))
        return market

    def evening(self, session: date) -> Evening:
        """Return what is known at a session's cutoff."""
        row = self.wanted.calendar.ordinal(session) - self._origin
        first = max(row - self.lookback + 1, 0)
        seen = self._sleeve[first : row + 1] >= 0
        latest = row - seen[::-1].argmax(axis=0), np.arange(len(self.securities))
        return Evening(
            days=self._days.get(row, []),
            mark=self._mark[row],
            mark_age=session.toordinal() - self._mark_day[row],
            joint=self._growth[first : row + 1] - 1,
            sleeve=self._sleeve[latest],
            gone=self._gone[latest],
        )

    def due(self, session: date) -> list[date | None]:
        """By sleeve: its first own session after the session before; None if it has none."""
        calendar = self.wanted.calendar
        since = calendar.sessions[calendar.ordinal(session) - 1] + timedelta(days=1)
        return [
            next(iter(self.calendars[sleeve].between(since, session)), None)
            for sleeve in self.sleeves
        ]

    def _rows(self, frames: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
        """Rows of all sleeves with their column, portfolio session and sleeve."""
        wanted = self.wanted
        columns = pl.LazyFrame(
            {"security_id": self.securities, "column": range(len(self.securities))},
            schema={"security_id": pl.String, "column": pl.Int64},
        )
        sessions = wanted.calendar.frame().select(belongs="session", ordinal="ordinal").lazy()
        parts = [RETURNS.empty().lazy().select(*_COLUMNS).with_columns(sleeve=pl.lit(-1, pl.Int64))]
        parts += [
            frames[f"returns_{sleeve}"]
            .select(*_COLUMNS)
            .filter(pl.col("session") <= wanted.last)
            .with_columns(sleeve=pl.lit(number, pl.Int64))
            for number, sleeve in enumerate(self.sleeves)
        ]
        return (
            pl.concat(parts)
            .join(columns, on="security_id")
            .sort("session", "sleeve", "column")
            # A security in two sleeves is the same security: the first sleeve's row stands for it.
            .unique(["session", "column"], keep="first", maintain_order=True)
            .join_asof(sessions, left_on="session", right_on="belongs", strategy="forward")
            .filter(pl.col("ordinal") >= self._origin)
            .collect()
        )

    def _enter(self, rows: pl.DataFrame) -> None:
        """Lay the rows out, one own day after another."""
        days = rows["session"].to_list()
        columns = rows["column"].to_numpy()
        places = rows["ordinal"].to_numpy() - self._origin
        symbols = np.array([*rows["symbol"].to_list(), None], dtype=object)[:-1]
        execution, mark, split, cash, delisted, total = (
            rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            for name in ("execution_price", "mark", "split", "cash", "delisted", "total")
        )
        age = rows["mark_session"].to_physical().cast(pl.Float64).to_numpy() + _FIRST_DAY
        sleeves = rows["sleeve"].to_numpy()
        size = len(self.securities)

        def spread(values: Vector, part: slice, empty: float) -> Vector:
            vector = np.full(size, empty)
            vector[columns[part]] = values[part]
            return vector

        changes = [n for n in range(1, len(days)) if days[n] != days[n - 1]]
        for first, stop in pairwise([0, *changes, len(days)] if days else []):
            part, row, own = slice(first, stop), places[first], columns[first:stop]
            present = np.zeros(size, dtype=bool)
            present[own] = True
            symbol = np.full(size, None, dtype=object)
            symbol[own] = symbols[part]
            day = Day(
                days[first],
                present,
                spread(execution, part, np.nan),
                spread(mark, part, np.nan),
                spread(split, part, 1.0),
                spread(cash, part, 0.0),
                spread(delisted, part, 0.0) > 0,
                symbol,
            )
            self._days.setdefault(int(row), []).append(day)
            so_far = np.nan_to_num(self._growth[row, own], nan=1.0)
            self._growth[row, own] = so_far * (1 + total[part])
            self._mark[row, own] = mark[part]
            self._mark_day[row, own] = age[part]
            self._sleeve[row, own] = sleeves[part]
            self._gone[row, own] = day.delisted[own]
