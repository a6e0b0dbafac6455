"""One order in its stages, and the frames of many: the columns are those of the contracts.

What belongs here: the shape of an order that is planned, handed over, filled; the order in which
orders go out; the collector that turns a range's sessions into one frame. No decision is made here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, TypeVar

import numpy as np
import polars as pl

from quant_platform.lakehouse.contracts import Contract
from quant_platform.lakehouse.windows import SessionRange


class PlannedOrder(NamedTuple):
    """A row of ``orders_plan``."""

    session: date
    order_id: str
    place: int
    security_id: str
    symbol: str
    side: str
    quantity: float
    order_type: str
    expected_price: float
    notional: float
    current_weight: float
    target_weight: float
    reason: str


class Order(NamedTuple):
    """A row of ``orders``."""

    session: date
    order_id: str
    broker: str
    security_id: str
    symbol: str
    side: str
    quantity: float
    order_type: str
    expected_price: float
    payload_hash: str
    status: str
    reason: str | None


class Fill(NamedTuple):
    """A row of ``fills``."""

    session: date
    fill_id: str
    order_id: str
    decided_on: date
    filled_on: date
    security_id: str
    symbol: str
    side: str
    quantity: float
    price: float
    ideal_price: float
    expected_price: float
    commission: float
    slippage_bps: float


Record = TypeVar("Record", PlannedOrder, Order, Fill)


def submission_key(side: str, notional: float, security_id: str) -> tuple[bool, float, str]:
    """Sort key of the order in which orders go out: sells first, then the larger ones.

    ``orders`` has no column for the place, and needs none: the key follows from its other columns,
    so that the broker works orders in the order of the plan.
    """
    return side != "sell", -notional, security_id


def records(kind: type[Record], frame: pl.DataFrame) -> list[Record]:
    """Turn the rows of a frame into records."""
    return [kind(*row) for row in frame.select(*kind._fields).iter_rows()]


def record_frame(contract: Contract, rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    """Put records into a frame of their contract."""
    return pl.DataFrame(rows, schema=contract.empty().schema, orient="row")


def by_session(frame: pl.LazyFrame, wanted: SessionRange) -> dict[date, pl.DataFrame]:
    """Rows of the wanted sessions, one frame for each session that has any."""
    rows = frame.filter(pl.col("session").is_in(wanted.sessions)).collect()
    parts: Iterable[tuple[Any, pl.DataFrame]] = rows.group_by("session", maintain_order=True)
    return {key[0]: part for key, part in parts}


class Collected:
    """Rows of one table, session by session, as one list per column.

    Parameters
    ----------
    contract
        Contract of the table.
    """

    def __init__(self, contract: Contract) -> None:
        self._schema = contract.empty().schema
        self._columns: dict[str, list[Any]] = {name: [] for name in self._schema}

    def add(
        self, session: date, rows: int, columns: Mapping[str, Iterable[Any] | float | None]
    ) -> None:
        """Append the rows of one session.

        Parameters
        ----------
        session
            Session of the rows.
        rows
            How many there are.
        columns
            The other columns: an array, a list, or one number for all rows. NaN becomes null.
        """
        for name, column in self._columns.items():
            values = session if name == "session" else columns[name]
            if isinstance(values, np.ndarray):
                column.extend(values.tolist())
            elif isinstance(values, Collection) and not isinstance(values, str):
                column.extend(values)
            else:
                column.extend([values] * rows)

    def frame(self) -> pl.DataFrame:
        """Return everything that was added."""
        frame = pl.DataFrame(self._columns, schema=self._schema)
        return frame.with_columns(pl.col(pl.Float64).fill_nan(None))
