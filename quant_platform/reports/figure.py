"""One figure, and rows by session to make figures of."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

import polars as pl

from quant_platform.lakehouse.windows import SessionRange

Rows = list[dict[str, Any]]


class Figure(NamedTuple):
    """A row of ``reports/daily`` without its session; columns as in the contract."""

    section: str
    item: str
    figure: str
    value: float | None
    unit: str
    note: str | None = None


def lacking(section: str, item: str, figure: str, unit: str, note: str) -> Figure:
    """Figure that is not there, and why."""
    return Figure(section, item, figure, None, unit, note)


def counted(number: int, thing: str) -> str:
    """Write a number of things."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def by_session(frame: pl.LazyFrame | None, wanted: SessionRange) -> dict[date, Rows]:
    """Rows of each session of a range in a fixed order; none where there is no table.

    Parameters
    ----------
    frame
        Rows of one table.
    wanted
        The range; rows of other sessions are left out.
    """
    if frame is None:
        return {}
    own = frame.filter(pl.col("session").is_between(wanted.first, wanted.last)).collect()
    found: dict[date, Rows] = {}
    keys = [name for name in own.columns if own.schema[name] in {pl.Date, pl.String}]
    for row in own.sort(*keys).iter_rows(named=True):
        found.setdefault(row["session"], []).append(row)
    return found
