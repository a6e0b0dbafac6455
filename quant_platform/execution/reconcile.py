"""Our book against the broker's record, item by item.

Units must agree exactly: both sides do the same arithmetic on the same fills, and a difference of
one unit in the last place means that one of them missed something. Cash and equity may differ by
the tolerance, because the two sum up in different orders. Our equity is what the session before and
the P&L imply, the broker's is what its cash and units are worth at our marks: a P&L that does not
explain the equity is found as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quant_platform.execution.account import CASH, EQUITY, Account
from quant_platform.execution.book import Book


@dataclass(frozen=True)
class Comparison:
    """Columns of ``reconciliation``, one entry for each item."""

    item: Sequence[str]
    ours: Sequence[float]
    broker: Sequence[float]
    tolerance: Sequence[float]

    @property
    def difference(self) -> list[float]:
        """Ours less the broker's."""
        return [ours - broker for ours, broker in zip(self.ours, self.broker, strict=True)]

    @property
    def matched(self) -> list[bool]:
        """Whether each difference is within its tolerance."""
        pairs = zip(self.difference, self.tolerance, strict=True)
        return [abs(difference) <= tolerance for difference, tolerance in pairs]


def reconcile(
    book: Book,
    account: Account,
    securities: Sequence[str],
    column: Mapping[str, int],
    tolerance: float,
) -> Comparison:
    """Compare every item that either side shows.

    Parameters
    ----------
    book
        Our book after the session.
    account
        The broker's record after the same session.
    securities, column
        Keys of the book's vectors, and the place of each.
    tolerance
        Difference of cash and equity that is accepted, money.
    """
    shown = {securities[place] for place in np.flatnonzero(book.shown).tolist()}
    items = sorted(shown | account.holdings.keys())
    places = [column[item] for item in items]
    mark = np.nan_to_num(book.mark)
    worth = [held.quantity * float(mark[column[item]]) for item, held in account.holdings.items()]
    held_by_broker = [
        account.holdings[item].quantity if item in account.holdings else 0.0 for item in items
    ]
    return Comparison(
        item=[CASH, EQUITY, *items],
        ours=[book.cash, book.equity_implied, *book.quantity[places].tolist()],
        broker=[account.cash, math.fsum([account.cash, *worth]), *held_by_broker],
        tolerance=[tolerance, tolerance, *[0.0] * len(items)],
    )
