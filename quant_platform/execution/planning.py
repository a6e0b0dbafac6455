"""From weights to orders.

1. If the weights would leave less cash than the buffer, all are scaled down to leave it.
2. The units to trade are (weight x equity) / mark less what is held, in whole lots. A name with
   weight zero, or without a weight, is left as a whole, odd lots included.
3. Orders below the minimum trade are left out, except those that leave a name: a rule about small
   orders must not keep the book in a name that it wants out of.
4. Sells come before buys, the larger order first, so that the cash of the sells is there for the
   buys and what the cash does not reach is the smallest.

Names whose increase the overlay blocked are never bought, not even by the rounding of a weight.
A change that is wanted and makes no order says why, in the order in which it is asked:

``NO_PRICE``   the mark is zero: nobody knows how many units it takes
``BUFFER``     it would be an order, and the cash buffer took it
``LOT``        it is smaller than one lot
``MIN_TRADE``  it is smaller than the minimum trade

The identity of an order is ``session-portfolio-security_id-side-leg-slice-revision``; everything
goes out as one leg in one slice, and nothing is revised here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from quant_platform.execution.book import Book
from quant_platform.execution.lots import whole_lots
from quant_platform.execution.market import Mask, Vector
from quant_platform.execution.records import PlannedOrder, submission_key
from quant_platform.settings.execution import ExecutionSettings

OrderType = Literal["opening_auction", "market"]


NO_PRICE = "NO_PRICE"
BUFFER = "BUFFER"
LOT = "LOT"
MIN_TRADE = "MIN_TRADE"

# A change below this share of equity is the rounding of a weight, and nobody's wish.
_ROUNDING = 1e-9


class Planned(NamedTuple):
    """What an evening plans.

    Parameters
    ----------
    orders
        Orders in the order of their submission.
    unordered
        Over all securities: the code of why a wanted change makes no order; None where it makes
        one, where none is wanted, and where the overlay blocked it.
    """

    orders: list[PlannedOrder]
    unordered: npt.NDArray[np.object_]


class Wish(NamedTuple):
    """What tonight's book should become; vectors over all securities.

    Parameters
    ----------
    weight
        Weight after the overlay; 0 for names that are not targets.
    may_buy
        Names that may be increased.
    mark
        Price to plan with; NaN without one.
    lot
        Smallest unit of each name.
    continuous
        Names whose trading never stops.
    symbol
        Names as of tonight.
    """

    weight: Vector
    may_buy: Mask
    mark: Vector
    lot: Vector
    continuous: Mask
    symbol: npt.NDArray[np.object_]


def order_id(session: date, portfolio: str, security_id: str, side: str) -> str:
    """Identity of an order; the same decision always has the same one."""
    leg, part, revision = 1, 1, 0
    day = session.isoformat().replace("-", "")
    return f"{day}-{portfolio}-{security_id}-{side}-{leg}-{part}-{revision}"


def plan(
    session: date,
    book: Book,
    wish: Wish,
    securities: Sequence[str],
    settings: ExecutionSettings,
) -> Planned:
    """Plan an evening's orders, and say of which wishes there are none.

    Parameters
    ----------
    session
        Session that decides.
    book
        Our book after it.
    wish
        What the overlay allows.
    securities
        Keys of the vectors, sorted.
    settings
        Buffer, minimum trade, name of the portfolio.
    """
    equity, current = book.equity, book.weight
    gross = math.fsum(wish.weight.tolist())
    spendable = 1 - settings.cash_buffer
    weight = wish.weight * (spendable / gross) if gross > spendable else wish.weight
    priced = wish.mark > 0
    mark = np.where(priced, wish.mark, 1.0)
    leaving = (book.quantity > 0) & (weight == 0)
    least = settings.min_trade * equity

    def trade(aim: Vector) -> tuple[Vector, Vector, Mask]:
        """Return the change of units, the units of an order, and whether there is one."""
        change = aim * equity / mark - book.quantity
        units = np.where(leaving, book.quantity, whole_lots(np.abs(change), wish.lot))
        large = leaving | (units * mark >= least)
        allowed = (change < 0) | wish.may_buy
        return change, units, priced & (units > 0) & large & allowed

    change, units, ordered = trade(weight)
    notional = units * mark
    chosen = np.flatnonzero(ordered)
    sides = {place: "sell" if change[place] < 0 else "buy" for place in chosen.tolist()}
    queue = sorted(sides, key=lambda p: submission_key(sides[p], float(notional[p]), securities[p]))
    orders = [
        PlannedOrder(
            session=session,
            order_id=order_id(session, settings.portfolio, securities[p], sides[p]),
            place=number,
            security_id=securities[p],
            symbol=str(wish.symbol[p]),
            side=sides[p],
            quantity=float(units[p]),
            order_type="market" if wish.continuous[p] else "opening_auction",
            expected_price=float(wish.mark[p]),
            notional=float(notional[p]),
            current_weight=float(current[p]),
            target_weight=float(weight[p]),
            reason=_REASONS[sides[p], bool(leaving[p] if sides[p] == "sell" else current[p] > 0)],
        )
        for number, p in enumerate(queue, start=1)
    ]
    unbuffered, whole, would = trade(wish.weight)
    wanted = np.abs(unbuffered) * mark > _ROUNDING * equity
    wanted &= ~ordered & ((unbuffered < 0) | wish.may_buy)
    unordered = np.full(len(wanted), None, dtype=object)
    unordered[wanted] = MIN_TRADE
    unordered[wanted & (whole == 0)] = LOT
    unordered[wanted & would] = BUFFER
    unordered[~priced & (wish.weight > 0) & wish.may_buy] = NO_PRICE
    return Planned(orders, unordered)


_REASONS: Mapping[tuple[str, bool], str] = {
    ("sell", True): "leave",
    ("sell", False): "decrease",
    ("buy", True): "increase",
    ("buy", False): "enter",
}
