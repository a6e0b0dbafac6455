"""The panel: published rows as dense matrices, sessions down and series across.

A series is one security in one vintage (see ``lakehouse.vintages``). Kernels work on whole columns
of such matrices; a session without a bar is NaN, and nothing is ever filled forward.

1. Every row finds its cell: the session's place among the loaded ones, the security's among all.
   Rows known on time are laid out once, the last version of each on top.
2. A vintage's series begins as its security's; the late rows known at its start are laid over it,
   what comes after its end is taken away.
3. Prices and volumes of a series are put into the units of its vintage.

This is what ``vintages`` says of rows, without a row for every cell of every vintage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.lakehouse.vintages import PRICES, VOLUMES, vintage_spans
from quant_platform.lakehouse.windows import SessionRange

Matrix = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]
Places = npt.NDArray[np.int64]


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
        series = vintage_spans(rows, wanted, splits)
        days = np.array(loaded, dtype="datetime64[D]")
        owners = series["security_id"].unique(maintain_order=True)
        owner = places_of(series["security_id"], owners)
        rows = rows.with_columns(
            row=pl.Series(rows_of(rows["session"], days)),
            owner=pl.Series(places_of(rows["security_id"], owners)),
        ).filter(pl.col("row") >= 0)
        late = pl.col("knowledge_session") > pl.col("session")
        known, news = rows.filter(~late), rows.filter(late)
        cells = known["row"].to_numpy(), known["owner"].to_numpy()
        if _repeats(*cells, len(days), len(owners)):
            known = known.sort("known_at", maintain_order=True)
            cells = known["row"].to_numpy(), known["owner"].to_numpy()
        spans = series.with_row_index("column").with_columns(owner=pl.Series(owner))
        over = (
            news.join(spans.select("owner", "column", "vintage_from"), on="owner")
            .filter(pl.col("knowledge_session") <= pl.col("vintage_from"))
            .sort("known_at", maintain_order=True)
        )
        beyond = _after_the_end(spans, wanted.last, days)
        factors = {} if splits is None else _factors(spans, splits, days)
        laid = {}
        for name in columns:
            base = np.full((len(days), len(owners)), np.nan)
            base[cells] = known[name].cast(pl.Float64).to_numpy()
            matrix = base if len(owner) == len(owners) else np.take(base, owner, axis=1)
            for column, row in beyond:
                matrix[row:, column] = np.nan
            matrix[over["row"].to_numpy(), over["column"].to_numpy()] = (
                over[name].cast(pl.Float64).to_numpy()
            )
            for column, factor in factors.items() if name in PRICES else ():
                matrix[:, column] /= factor
            for column, factor in factors.items() if name in VOLUMES else ():
                matrix[:, column] *= factor
            laid[name] = matrix
        return cls(tuple(loaded), series, laid, owners, owner)

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


def _repeats(rows: Places, columns: Places, height: int, width: int) -> bool:
    """Whether two rows are for one cell."""
    seen = np.zeros(height * width, dtype=bool)
    seen[rows * width + columns] = True
    return bool(np.count_nonzero(seen) < len(rows))


def _after_the_end(spans: pl.DataFrame, last: date, days: Days) -> list[tuple[int, int]]:
    """Column of each series that ends before the range does, and the row after its end."""
    ended = spans.filter(pl.col("vintage_to") < last)
    ends = ended["vintage_to"].to_numpy().astype("datetime64[D]")
    rows = np.searchsorted(days, ends, side="right")
    return list(zip(ended["column"].to_list(), rows.tolist(), strict=True))


def _factors(spans: pl.DataFrame, splits: pl.DataFrame, days: Days) -> dict[int, Matrix]:
    """Units of each series that a split concerns: units of the row in one of the vintage."""
    concerned = splits.join(spans, on="security_id", maintain_order="left").filter(
        pl.col("vintage_from") >= pl.col("effective")
    )
    factors: dict[int, Matrix] = {}
    upto = np.searchsorted(days, concerned["ex"].to_numpy().astype("datetime64[D]"))
    steps = zip(concerned["column"], upto, concerned["step"], strict=True)
    for column, row, step in steps:
        factors.setdefault(column, np.ones(len(days)))[:row] *= step
    return factors


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
