"""From weights to orders.

1. If the weights would leave less cash than the buffer, all are scaled down to leave it.
2. The units to trade are (weight x equity) / mark less what is held, in whole lots. A name with
   weight zero, or without a weight, is left as a whole, odd lots included.
3. Orders below the minimum trade are left out, except those that leave a name: a rule about small
   orders must not keep the book in a name that it wants out of.
4. Sells come before buys, the larger order first, so that the cash of the sells is there for the
   buys and what the cash does not reach is the smallest.

Names whose increase the overlay blocked are never bought, not even by the rounding of a weight.
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
) -> list[PlannedOrder]:
    """Plan an evening's orders.

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
    change = weight * equity / mark - book.quantity
    units = np.where(leaving, book.quantity, whole_lots(np.abs(change), wish.lot))
    notional = units * mark
    large = leaving | (notional >= settings.min_trade * equity)
    allowed = (change < 0) | wish.may_buy
    chosen = np.flatnonzero(priced & (units > 0) & large & allowed)
    sides = {place: "sell" if change[place] < 0 else "buy" for place in chosen.tolist()}
    queue = sorted(sides, key=lambda p: submission_key(sides[p], float(notional[p]), securities[p]))
    return [
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


_REASONS: Mapping[tuple[str, bool], str] = {
    ("sell", True): "leave",
    ("sell", False): "decrease",
    ("buy", True): "increase",
    ("buy", False): "enter",
}
