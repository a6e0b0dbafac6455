"""The panel: published rows as dense matrices, sessions down and series across.

A series is one security in one vintage (see ``lakehouse.vintages``). Kernels work on whole columns
of such matrices; a session without a bar is NaN, and nothing is ever filled forward.

1. Every row finds its cell: the session's place among the loaded ones, the security's among all.
   Rows known on time are laid out once, the last version of each on top.
2. A vintage's series begins as its security's; the late rows known at its start are laid over it.
   What it holds of sessions after its end is nobody's business: see `Panel.visible`.
3. Prices and volumes of a series are put into the units of its vintage.

This is what ``vintages`` says of rows, without a row for every cell of every vintage.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.lakehouse.vintages import PRICES, SPLITS, VOLUMES, vintage_spans
from quant_platform.lakehouse.windows import SessionRange

Matrix = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]
Places = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """Matrices over the loaded sessions.

    Parameters
    ----------
    sessions
        Loaded sessions, ascending; the rows.
    series
        ``security_id``, ``vintage_from``, ``vintage_to``; the columns, in order.
    columns
        One matrix per column asked for.
    owners, owner
        The securities, in order; and the place among them of the one of each series.
    """

    sessions: tuple[date, ...]
    series: pl.DataFrame
    columns: dict[str, Matrix]
    owners: pl.Series
    owner: Places

    @classmethod
    def of(
        cls,
        rows: pl.DataFrame,
        wanted: SessionRange,
        loaded: Sequence[date],
        columns: Sequence[str],
        splits: pl.DataFrame | None = None,
    ) -> Panel:
        """Lay out published rows.

        Parameters
        ----------
        rows
            Rows of an external table, every published version.
        wanted
            Range to compute.
        loaded
            Sessions that the window loads; rows of others are left out.
        columns
            Numeric columns to lay out.
        splits
            Splits in effect (see ``lakehouse.vintages``): each series is then in the units of its
            vintage.
        """
        rows = rows.filter(pl.col("knowledge_session") <= wanted.last)
        late = rows["knowledge_session"] > rows["session"]
        news, owners = rows.filter(late), rows["security_id"].unique().sort()
        series = vintage_spans(owners, news, wanted, splits)
        days = np.array(loaded, dtype="datetime64[D]")
        owner = places_of(series["security_id"], owners)
        cells = _Cells.of(rows, late.to_numpy(), owners, days)
        over = _news(news, series, days)
        none = pl.DataFrame(schema=SPLITS)
        within, units = _units(series, none if splits is None else splits, days)

        def laid(name: str) -> Matrix:
            matrix = cells.laid(rows[name], owner)
            flat = matrix.reshape(-1)
            flat[over["cell"].to_numpy()] = over[name].cast(pl.Float64).to_numpy()
            if name in PRICES:
                flat[within] /= units
            if name in VOLUMES:
                flat[within] *= units
            return matrix

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            matrices = dict(zip(columns, pool.map(laid, columns), strict=True))
        return cls(tuple(loaded), series, matrices, owners, owner)

    @cached_property
    def days(self) -> Days:
        """The loaded sessions as numpy has them."""
        return np.array(self.sessions, dtype="datetime64[D]")

    def visible(self, first: int, last: int) -> npt.NDArray[np.bool_]:
        """Which cells of rows ``first`` to ``last`` (exclusive) their own vintage may fill."""
        days = self.days[first:last, None]
        begin = self.series["vintage_from"].to_numpy().astype("datetime64[D]")
        end = self.series["vintage_to"].to_numpy().astype("datetime64[D]")
        return np.asarray((days >= begin) & (days <= end))


def places_of(names: pl.Series, owners: pl.Series) -> Places:
    """Place of each security among others; -1 for one that is not among them.

    Parameters
    ----------
    names
        Securities, any number of times each.
    owners
        Others, once each.
    """
    known = names.cast(pl.Enum(owners), strict=False).to_physical()
    return known.cast(pl.Int64).fill_null(-1).to_numpy()


def rows_of(sessions: pl.Series, days: Days) -> Places:
    """Row of each session; -1 for one that is not loaded.

    Parameters
    ----------
    sessions
        Sessions in any order.
    days
        Loaded ones, ascending.
    """
    if not len(days):
        return np.full(len(sessions), -1, dtype=np.int64)
    asked, known = sessions.to_physical().to_numpy(), days.astype(np.int64)
    row_of = np.full(known[-1] - known[0] + 3, -1, dtype=np.int64)
    row_of[known - known[0] + 1] = np.arange(len(known))
    return np.asarray(row_of[np.clip(asked - known[0] + 1, 0, len(row_of) - 1)])


@dataclass(frozen=True)
class _Cells:
    """Where rows known on time belong, sessions down and securities across.

    Parameters
    ----------
    shape
        Sessions and securities.
    order
        Rows in the order in which they are entered; None for that in which they are.
    cells
        Cell of each; one behind the last is for rows that are late, or not loaded.
    """

    shape: tuple[int, int]
    order: Places | None
    cells: Places

    @classmethod
    def of(
        cls, rows: pl.DataFrame, late: npt.NDArray[np.bool_], owners: pl.Series, days: Days
    ) -> _Cells:
        """Find the cell of each row."""
        shape = len(days), len(owners)
        row = rows_of(rows["session"], days)
        place = places_of(rows["security_id"], owners)
        nowhere = shape[0] * shape[1]
        cells = np.where(late | (row < 0), nowhere, row * shape[1] + place)
        order = None
        if _repeats(cells, nowhere):
            order = np.argsort(rows["known_at"].to_physical().to_numpy(), kind="stable")
            cells = cells[order]
        return cls(shape, order, cells)

    def laid(self, values: pl.Series, owner: Places) -> Matrix:
        """Lay out a column, once for each vintage of a security."""
        entered = values.cast(pl.Float64).to_numpy()
        flat = np.full(self.shape[0] * self.shape[1] + 1, np.nan)
        flat[self.cells] = entered if self.order is None else entered[self.order]
        matrix = flat[:-1].reshape(self.shape)
        return matrix if len(owner) == self.shape[1] else np.take(matrix, owner, axis=1)


def _repeats(cells: Places, size: int) -> bool:
    """Whether two rows are for one cell."""
    seen = np.zeros(size + 1, dtype=bool)
    seen[cells] = True
    return bool(np.count_nonzero(seen[:size]) < np.count_nonzero(cells < size))


def _news(news: pl.DataFrame, series: pl.DataFrame, days: Days) -> pl.DataFrame:
    """Late rows with the ``cell`` of each vintage that began with them known, by when they were."""
    width = len(series)
    return (
        news.with_columns(row=pl.Series(rows_of(news["session"], days)))
        .filter(pl.col("row") >= 0)
        .join(series.with_row_index("column"), on="security_id")
        .filter(pl.col("knowledge_session") <= pl.col("vintage_from"))
        .sort("known_at", maintain_order=True)
        .with_columns(cell=pl.col("row") * width + pl.col("column").cast(pl.Int64))
    )


def _units(series: pl.DataFrame, splits: pl.DataFrame, days: Days) -> tuple[Places, Vector]:
    """Cells before splits that are in effect in their vintage: units of the row in one of it."""
    upto = np.searchsorted(days, splits["ex"].to_numpy().astype("datetime64[D]"))
    concerned = (
        splits.with_columns(upto=pl.Series(upto))
        .filter(pl.col("upto") > 0)
        .join(series.with_row_index("column"), on="security_id", maintain_order="left")
        .filter(pl.col("vintage_from") >= pl.col("effective"))
    )
    columns, place = np.unique(concerned["column"].to_numpy(), return_inverse=True)
    units = np.ones((len(columns), len(days)))
    for at, row, step in zip(place, concerned["upto"], concerned["step"], strict=True):
        units[at, :row] *= step
    at, row = np.nonzero(units != 1)
    return row * len(series) + columns[at].astype(np.int64), units[at, row]


def window_sums(values: Matrix, start: int, length: int) -> tuple[Matrix, Matrix]:
    """Sum and number of the values in the windows that end at each row from ``start`` on.

    Values are added slice by slice in calendar order, so that a sum does not depend on where the
    range begins.
    """
    height = len(values) - start
    before = np.full((length - 1, values.shape[1]), np.nan)
    padded = np.concatenate([before, values])
    total, count = np.zeros((2, height, values.shape[1]))
    for offset in range(length):
        earlier = padded[start + offset : start + offset + height]
        there = ~np.isnan(earlier)
        total += np.where(there, earlier, 0.0)
        count += there
    return total, count
