"""The broker's own record of the account, and the session on which the account opens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from quant_platform.errors import ContractError
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.settings.execution import ExecutionSettings

CASH = "cash"
EQUITY = "equity"


@dataclass(frozen=True)
class Holding:
    """Units held, and the mean price paid for one of them."""

    quantity: float
    average_price: float


@dataclass(frozen=True)
class Account:
    """What the broker holds for us after a session."""

    cash: float
    holdings: Mapping[str, Holding]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Account:
        """Read the ``broker_state`` of one session."""
        held = {
            item: Holding(quantity, average)
            for item, quantity, average in rows.select(
                "item", "quantity", "average_price"
            ).iter_rows()
        }
        cash = held.pop(CASH, None)
        if cash is None:
            raise ContractError(
                f"the broker's record has {rows.height} rows and none of them is cash",
                expected="one row for the cash of the account",
                mend="compute execution from the account's first session again",
            )
        return cls(cash.quantity, held)


def first_session(settings: ExecutionSettings, wanted: SessionRange) -> date:
    """Session on which the account exists for the first time.

    It is the first session of history from ``opened`` on; ``date.max`` if the calendar ends before.
    """
    sessions = wanted.calendar.sessions
    position = bisect_left(sessions, max(settings.opened, wanted.history_start))
    return sessions[position] if position < len(sessions) else date.max
