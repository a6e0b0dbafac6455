"""The panel: published rows as dense matrices, sessions down and series across.

A series is one security in one vintage (see ``lakehouse.vintages``). Kernels work on whole columns
of such matrices; a session without a bar is NaN, and nothing is ever filled forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.lakehouse.vintages import vintages
from quant_platform.lakehouse.windows import SessionRange

Matrix = npt.NDArray[np.float64]


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
    """

    sessions: tuple[date, ...]
    series: pl.DataFrame
    columns: dict[str, Matrix]

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
        known = vintages(rows, wanted, splits)
        series = known.select("security_id", "vintage_from", "vintage_to").unique(
            maintain_order=True
        )
        days = pl.DataFrame({"session": loaded}, schema={"session": pl.Date}).with_row_index("row")
        placed = known.join(days, on="session").join(
            series.with_row_index("column"), on=["security_id", "vintage_from"]
        )
        at = (placed["row"].to_numpy(), placed["column"].to_numpy())
        laid = {}
        for name in columns:
            matrix = np.full((len(loaded), series.height), np.nan)
            matrix[at] = placed[name].cast(pl.Float64).to_numpy()
            laid[name] = matrix
        return cls(tuple(loaded), series, laid)

    def visible(self, first: int, last: int) -> npt.NDArray[np.bool_]:
        """Which cells of rows ``first`` to ``last`` (exclusive) their own vintage may fill."""
        days = np.array(self.sessions[first:last], dtype="datetime64[D]")[:, None]
        begin = self.series["vintage_from"].to_numpy().astype("datetime64[D]")
        end = self.series["vintage_to"].to_numpy().astype("datetime64[D]")
        return np.asarray((days >= begin) & (days <= end))


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
