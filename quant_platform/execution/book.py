"""Our own book: what positions, fills and corporate actions say, without asking the broker.

Vectors over all securities of the range. Day by day of a session:

1. Dividends are paid in cash for the units held before. Splits restate units, mean price and mark;
   the value does not move.
2. What was held earns the way from its last mark to the day's; what was filled earns the way from
   the *ideal* price to the day's mark. The distance from the ideal price to the price paid, and the
   commission, are costs. So ``change of equity = sum of earned - sum of costs``, exactly.
3. Fills move units and cash; a name that leaves turns into cash at its mark.

A name without a row keeps its last mark. Sums are exact (``math.fsum``), so that neither the order
of the names nor their number changes a byte.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.errors import ContractError
from quant_platform.execution.account import CASH
from quant_platform.execution.market import Day, Mask, Vector
from quant_platform.execution.records import Fill


@dataclass(frozen=True)
class Book:
    """Our book after a session.

    Parameters
    ----------
    cash
        Money.
    quantity, average, mark
        Units held, mean price paid (NaN without units), last mark (NaN if never marked).
    symbol
        Last name known.
    earned, costs
        P&L of the session in each name, costs excluded, and its costs, money.
    shown
        Names with a row: held now, or until this session.
    equity_before
        Equity after the session before; the opening cash on the first.
    """

    cash: float
    quantity: Vector
    average: Vector
    mark: Vector
    symbol: npt.NDArray[np.object_]
    earned: Vector
    costs: Vector
    shown: Mask
    equity_before: float

    @classmethod
    def opening(cls, cash: float, securities: int) -> Book:
        """Return the book of an account that has only cash."""
        unknown = np.full(securities, np.nan)
        none = np.zeros(securities)
        return cls(
            cash,
            none,
            unknown,
            unknown,
            np.full(securities, None, dtype=object),
            none,
            none,
            none > 0,
            cash,
        )

    @classmethod
    def of(cls, rows: pl.DataFrame, column: Mapping[str, int]) -> Book:
        """Read the ``positions`` of one session.

        Parameters
        ----------
        rows
            Rows of the session.
        column
            Place of each security in the vectors.
        """
        cash = rows.filter(pl.col("item") == CASH)
        if cash.height != 1:
            raise ContractError(
                f"our book has {rows.height} rows and {cash.height} of them are cash",
                expected="one row for the cash of the account",
                mend="compute execution from the account's first session again",
            )
        book = cls.opening(cash["quantity"].item(), len(column))
        held = rows.filter((pl.col("item") != CASH) & (pl.col("quantity") != 0))
        columns = np.array([column[item] for item in held["item"]], dtype=np.intp)

        def spread(name: str, empty: float) -> Vector:
            vector = np.full(len(column), empty)
            vector[columns] = held[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            return vector

        symbol = book.symbol.copy()
        symbol[columns] = held["symbol"].to_list()
        return replace(
            book,
            quantity=spread("quantity", 0.0),
            average=spread("average_price", np.nan),
            mark=spread("mark", np.nan),
            symbol=symbol,
        )

    @property
    def value(self) -> Vector:
        """Units times mark; 0 without units."""
        return np.where(self.quantity != 0, self.quantity * np.nan_to_num(self.mark), 0.0)

    @property
    def equity(self) -> float:
        """Cash and the value of all positions."""
        return math.fsum([self.cash, *self.value.tolist()])

    @property
    def weight(self) -> Vector:
        """Share of equity in each name; 0 if nothing is left."""
        equity = self.equity
        return self.value / equity if equity > 0 else np.zeros_like(self.quantity)

    @property
    def equity_implied(self) -> float:
        """Equity that the session before, what was earned and what was paid imply."""
        flows = [*self.earned.tolist(), *(-self.costs).tolist()]
        return math.fsum([self.equity_before, *flows])

    def after(self, days: Sequence[Day], fills: Sequence[Fill], column: Mapping[str, int]) -> Book:
        """Return the book one session later.

        Parameters
        ----------
        days
            Own days of the session, ascending.
        fills
            Fills of the session.
        column
            Place of each security in the vectors.
        """
        held_before = self.quantity != 0
        none = np.zeros_like(self.quantity)
        # What is not held is not stored either: a run that begins here would not know its mark.
        book = replace(
            self,
            mark=np.where(held_before, self.mark, np.nan),
            symbol=np.where(held_before, self.symbol, np.full_like(self.symbol, None)),
            earned=none,
            costs=none,
            equity_before=self.equity,
        )
        bought = np.zeros_like(held_before)
        for day in days:
            own = [fill for fill in fills if fill.filled_on == day.day]
            book = book._marked(day)
            book = book._filled(own, column)._without_delisted(day)
            bought[[column[fill.security_id] for fill in own]] = True
        return replace(book, shown=held_before | bought | (book.quantity != 0))

    def _marked(self, day: Day) -> Book:
        """Take in the cash of a day, apply its splits and move to its marks."""
        income = np.where(self.quantity != 0, self.quantity * day.cash, 0.0)
        quantity, old = self.quantity * day.split, self.mark / day.split
        mark = np.where(day.present, day.mark, old)
        gain = np.where(quantity != 0, quantity * (mark - old), 0.0)
        return replace(
            self,
            cash=math.fsum([self.cash, *income.tolist()]),
            quantity=quantity,
            average=self.average / day.split,
            mark=mark,
            symbol=np.where(day.present, day.symbol, self.symbol),
            earned=self.earned + gain + income,
        )

    def _filled(self, fills: Sequence[Fill], column: Mapping[str, int]) -> Book:
        """Book the fills of a day whose marks are already in."""
        if not fills:
            return self
        columns = np.array([column[fill.security_id] for fill in fills], dtype=np.intp)
        units, price, ideal, commission = np.array(
            [[fill.quantity, fill.price, fill.ideal_price, fill.commission] for fill in fills]
        ).T
        signed = np.where([fill.side == "buy" for fill in fills], units, -units)
        quantity, paid = self.quantity.copy(), self.quantity * np.nan_to_num(self.average)
        earned, costs = self.earned.copy(), self.costs.copy()
        bought = signed > 0
        np.add.at(quantity, columns, signed)
        np.add.at(paid, columns[bought], (units * price)[bought])
        np.add.at(earned, columns, signed * (self.mark[columns] - ideal))
        np.add.at(costs, columns, commission + units * np.abs(price - ideal))
        average = self.average.copy()
        grown = columns[bought]
        average[grown] = paid[grown] / quantity[grown]
        average[quantity == 0] = np.nan
        cash = math.fsum([self.cash, *(-signed * price).tolist(), *(-commission).tolist()])
        return replace(
            self, cash=cash, quantity=quantity, average=average, earned=earned, costs=costs
        )

    def _without_delisted(self, day: Day) -> Book:
        """Turn what leaves on a day into cash."""
        gone = day.delisted & (self.quantity != 0)
        if not gone.any():
            return self
        paid = (self.quantity * self.mark)[gone].tolist()
        return replace(
            self,
            cash=math.fsum([self.cash, *paid]),
            quantity=np.where(gone, 0.0, self.quantity),
            average=np.where(gone, np.nan, self.average),
        )
