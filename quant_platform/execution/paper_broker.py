"""The paper exchange: a pure function of yesterday's account, the orders and the day's prices.

One portfolio session may hold several days of a sleeve that never closes. Day by day, in order:

1. Dividends are paid for the units held before. A split multiplies the units held and divides the
   mean price paid. It comes before the fills: the execution price is in new units already. An order
   that was decided in old units is restated in new ones, quantity and expected price, as an
   exchange does with open orders on the ex-date.
2. Orders that are due fill at the execution price, half-spread and slippage against us, commission
   on top. An order is due on the first session of its own sleeve after the decision and good for
   that day: without an execution price, or without a session, it expires and leaves no fill.
3. Sells go first, then the larger orders (``submission_key``). A sell is cut to what is held; a buy
   is cut to what the cash then pays, commission included, in whole lots. So Saturday's coins are
   paid with Saturday's cash, and not with what Monday's auction will bring.
4. A security that leaves turns into cash at its mark.

Orders are worked one after another because each takes its cash from what the one before left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from quant_platform.execution.account import Account, Holding
from quant_platform.execution.lots import lots_within, whole_lot
from quant_platform.execution.market import Quote
from quant_platform.execution.records import Fill, Order, submission_key
from quant_platform.settings.execution import TermsSettings

BPS = 1e-4

# What a split leaves of an order to sell everything is all of the position again, to rounding.
_ALL = 1 - 1e-12


class TradingDay(NamedTuple):
    """Quotes of one day by security."""

    day: date
    quotes: Mapping[str, Quote]


class Venue(NamedTuple):
    """Where a security trades: on which terms, and when an order of the evening before is due."""

    terms: TermsSettings
    due: date | None


@dataclass
class _Desk:
    """The account while a session is worked."""

    session: date
    cash: float
    holdings: dict[str, Holding]
    fills: list[Fill]

    def split(self, quotes: Mapping[str, Quote]) -> None:
        for security, held in self.holdings.items():
            quote = quotes.get(security)
            if quote is not None:
                self.cash += held.quantity * quote.cash
            if quote is not None and quote.split != 1:
                self.holdings[security] = Holding(
                    held.quantity * quote.split, held.average_price / quote.split
                )

    def work(self, order: Order, day: date, quote: Quote, terms: TermsSettings) -> None:
        """Fill an order that is due, as far as units and cash go."""
        ideal = quote.execution_price
        if ideal is None:
            return
        against = (terms.half_spread_bps + terms.slippage_bps) * BPS
        rate = terms.commission_bps * BPS
        asked = order.quantity * quote.split
        held = self.holdings.get(order.security_id, Holding(0.0, 0.0))
        if order.side == "sell":
            price = ideal * (1 - against)
            everything = asked >= held.quantity * _ALL
            quantity = held.quantity if everything else whole_lot(asked, terms.lot)
        else:
            price = ideal * (1 + against)
            quantity = whole_lot(asked, terms.lot)
            if quantity * price * (1 + rate) > self.cash:
                quantity = lots_within(max(self.cash, 0.0) / (price * (1 + rate)), terms.lot)
        if quantity <= 0:
            return
        commission = quantity * price * rate
        self._book(order, held, quantity, price, commission)
        raw = (price / ideal - 1) / BPS
        self.fills.append(
            Fill(
                session=self.session,
                fill_id=f"{order.order_id}-1",
                order_id=order.order_id,
                decided_on=order.session,
                filled_on=day,
                security_id=order.security_id,
                symbol=order.symbol,
                side=order.side,
                quantity=quantity,
                price=price,
                ideal_price=ideal,
                expected_price=order.expected_price / quote.split,
                commission=commission,
                slippage_bps=raw if order.side == "buy" else -raw,
            )
        )

    def _book(
        self, order: Order, held: Holding, quantity: float, price: float, commission: float
    ) -> None:
        if order.side == "sell":
            self.cash += quantity * price - commission
            after = Holding(held.quantity - quantity, held.average_price)
        else:
            self.cash -= quantity * price + commission
            units = held.quantity + quantity
            paid = held.quantity * held.average_price + quantity * price
            after = Holding(units, paid / units)
        self.holdings[order.security_id] = after
        if after.quantity == 0:
            del self.holdings[order.security_id]

    def delist(self, quotes: Mapping[str, Quote]) -> None:
        for security in sorted(self.holdings):
            quote = quotes.get(security)
            if quote is not None and quote.delisted:
                self.cash += self.holdings.pop(security).quantity * quote.mark


def trade(
    session: date,
    account: Account,
    orders: Sequence[Order],
    days: Sequence[TradingDay],
    venues: Mapping[str, Venue],
) -> tuple[list[Fill], Account]:
    """Work one portfolio session.

    Parameters
    ----------
    session
        The session whose evening books the fills.
    account
        The account after the session before.
    orders
        Orders accepted on the evening before.
    days
        Own days of the sleeves since then, ascending. A security without a quote has no row.
    venues
        By security; an order for one without a venue expires.

    Returns
    -------
    fills, account
        Fills in the order in which they happened, and the account after the session.
    """
    desk = _Desk(session, account.cash, dict(account.holdings), [])
    queue = sorted(
        orders,
        key=lambda o: submission_key(o.side, o.quantity * o.expected_price, o.security_id),
    )
    for day, quotes in days:
        desk.split(quotes)
        for order in queue:
            venue, quote = venues.get(order.security_id), quotes.get(order.security_id)
            if venue is not None and venue.due == day and quote is not None:
                desk.work(order, day, quote, venue.terms)
        desk.delist(quotes)
    return desk.fills, Account(desk.cash, desk.holdings)
