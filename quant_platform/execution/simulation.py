"""The chain of an evening, session by session: from fills to the plan for the next session.

For each session D, in order:

1. ``fills``: what the orders of D-1 did after the cutoff of D-1, up to D.
2. ``broker_state``: the account of the paper broker after that.
3. ``positions``: our own book from the positions of D-1 and the fills, valued at D's marks.
4. ``reconciliation``: the two against each other.
5. ``risk_controls``: D's targets after exposure and blocks.
6. ``orders_plan``: what these ask for, given the reconciled book.
7. The gates decide, and the orders of D are made from the plan, as ``execution_ready`` and
   ``orders`` do it for the evening on their own.

Fills need the orders of the session before and these its positions, so no table of the chain can be
computed for a range without the others: they are made together. Before the range there are the
account and the book of the session before, and its orders; if it has none, nothing was submitted
and nothing fills. Inside the range orders are the functions' own.

The account exists from its first session on (``opened``): it has its cash, decides that evening and
fills on the session after. Sessions before it have no rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import MissingUpstreamError
from quant_platform.execution.account import CASH, Account, first_session
from quant_platform.execution.book import Book
from quant_platform.execution.market import Evening, Market
from quant_platform.execution.orders import submit
from quant_platform.execution.overlay import Controls, control, target_volatility
from quant_platform.execution.paper_broker import TradingDay, Venue, trade
from quant_platform.execution.planning import Wish, plan
from quant_platform.execution.readiness import Evidence, closed_gates
from quant_platform.execution.reconcile import reconcile
from quant_platform.execution.records import Fill, Order, records
from quant_platform.execution.tables import Tables, Target, read_targets
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings.execution import AROUND_THE_CLOCK, ExecutionSettings, TermsSettings

VOLUME_SESSIONS = 20
"""Sessions of volumes that slippage looks back on."""


def trade_windows(settings: ExecutionSettings, sleeves: Collection[str]) -> dict[str, Window]:
    """Sessions of its inputs that the chain of an evening depends on.

    Parameters
    ----------
    settings
        Look-back of the volatility; name of the meta.
    sleeves
        Names of all sleeves that the account may trade.
    """
    lookback = settings.risk.volatility_lookback
    return {
        # Orders come after the chain and before the next one: only those before the range count.
        "orders": Window("execution/orders", 1, own=True, required=False),
        "broker_state": Window("execution/broker_state", 1, own=True),
        "positions": Window("execution/positions", 1, own=True),
        # The evening reads its own; the one before says whose weights its fills serve (slippage).
        "target_portfolio": Window(f"{settings.portfolio}/target_portfolio", 1),
        "regime": Window("market/regime"),
        # Splits restate the volumes below.
        **{
            f"returns_{sleeve}": Window(f"{sleeve}/returns", max(lookback, VOLUME_SESSIONS))
            for sleeve in sleeves
        },
        # What a name traded up to the evening before: for slippage, which only observes.
        **{
            f"bars_{sleeve}": Window(f"{sleeve}/bars", VOLUME_SESSIONS, withdraws=False)
            for sleeve in sleeves
        },
    }


def trade_sessions(
    frames: Mapping[str, pl.LazyFrame],
    settings: ExecutionSettings,
    wanted: SessionRange,
    calendars: Mapping[str, SessionCalendar],
) -> dict[str, pl.DataFrame]:
    """Simulate a range and return all tables of it.

    Parameters
    ----------
    frames
        What :func:`trade_windows` asks for, by its names. ``orders`` may be absent, and so may
        ``regime`` where no regime model is in the graph: then nothing is throttled.
    settings
        The account, its costs, its limits.
    wanted
        Sessions of the portfolio's calendar to compute.
    calendars
        Calendar of each sleeve.

    Returns
    -------
    dict
        Frames of ``fills``, ``broker_state``, ``positions``, ``reconciliation``,
        ``risk_controls`` and ``orders_plan``, and the ``orders`` that the range assumed.

    Raises
    ------
    MissingUpstreamError
        When the account existed before the range and its record is not there.
    """
    opening = first_session(settings, wanted)
    rows = Tables()
    if opening > wanted.last:
        return rows.frames()
    before = _Before.of(frames, wanted, opening)
    targets = read_targets(frames["target_portfolio"], settings.profile, wanted)
    market = Market.of(
        frames,
        calendars,
        wanted,
        before.securities | {item for target in targets.values() for item in target.weight},
        settings.risk.volatility_lookback,
    )
    desk = _Desk(market, settings, targets, _multipliers(frames, wanted))
    account, orders = before.account, before.orders
    book = None if before.positions is None else Book.of(before.positions, market.column)
    for session in wanted.sessions:
        if session < opening:
            continue
        evening = market.evening(session)
        if account is None or book is None:
            account = Account(settings.cash, {})
            book = Book.opening(settings.cash, len(market.securities))
        else:
            fills, account = desk.fill(session, evening, account, orders)
            book = book.after(evening.days, fills, market.column)
            rows.fills.extend(fills)
        orders = desk.decide(session, evening, account, book, rows)
        rows.orders.extend(orders)
    return rows.frames()


@dataclass(frozen=True)
class _Before:
    """What there is before the range: None where the account does not exist yet."""

    account: Account | None
    positions: pl.DataFrame | None
    orders: list[Order]
    securities: frozenset[str]

    @classmethod
    def of(cls, frames: Mapping[str, pl.LazyFrame], wanted: SessionRange, opening: date) -> _Before:
        if opening >= wanted.first:
            return cls(None, None, [], frozenset())
        last = wanted.calendar.offset(wanted.first, -1)
        state, positions = (
            frames[name].filter(pl.col("session") == last).collect()
            for name in ("broker_state", "positions")
        )
        for name, rows in (("broker_state", state), ("positions", positions)):
            if not rows.height:
                raise MissingUpstreamError(
                    f"execution/{name} has no rows on {last}, and the account exists since "
                    f"{opening}",
                    expected="the record of the session before the range",
                    mend=f"compute execution in order, from {opening} on",
                )
        orders: list[Order] = []
        if "orders" in frames:
            handed = frames["orders"].filter(session=last, status="accepted").collect()
            orders = records(Order, handed)
        account = Account.of(state)
        held = {item for item in positions["item"] if item != CASH} | account.holdings.keys()
        return cls(
            account,
            positions,
            orders,
            frozenset(held | {order.security_id for order in orders}),
        )


@dataclass(frozen=True)
class _Desk:
    """One evening's work, given the account and the book before it."""

    market: Market
    settings: ExecutionSettings
    targets: Mapping[date, Target]
    multipliers: Mapping[date, float | None]

    def fill(
        self, session: date, evening: Evening, account: Account, orders: Sequence[Order]
    ) -> tuple[list[Fill], Account]:
        """Let the broker work the session."""
        column = self.market.column
        concerned = sorted({order.security_id for order in orders} | account.holdings.keys())
        days = []
        for day in evening.days:
            quotes = {item: day.quote(column[item]) for item in concerned}
            known = {item: quote for item, quote in quotes.items() if quote is not None}
            days.append(TradingDay(day.day, known))
        due = self.market.due(session)
        venues = {}
        for order in orders:
            sleeve = int(evening.sleeve[column[order.security_id]])
            if sleeve >= 0:
                venues[order.security_id] = Venue(self._terms(sleeve), due[sleeve])
        return trade(session, account, orders, days, venues)

    def decide(
        self, session: date, evening: Evening, account: Account, book: Book, rows: Tables
    ) -> list[Order]:
        """Reconcile, plan and submit; keep what was found on the way."""
        settings, securities = self.settings, self.market.securities
        compared = reconcile(
            book, account, securities, self.market.column, settings.gates.cash_tolerance
        )
        target = self.targets.get(session, Target({}, {}))
        places = np.array([self.market.column[item] for item in target.weight], dtype=np.intp)
        requested = np.array(list(target.weight.values()), dtype=np.float64)
        gone = evening.gone[places]
        holdable = np.where(gone | (evening.sleeve[places] < 0), 0.0, requested)
        made = control(
            requested,
            book.weight[places],
            evening.mark_age[places],
            gone,
            settings.risk,
            volatility=target_volatility(evening.joint[:, places], holdable, settings.risk),
            multiplier=self.multipliers[session],
            session_return=(
                book.equity / book.equity_before - 1 if book.equity_before > 0 else 0.0
            ),
        )
        planned = plan(
            session, book, self._wish(evening, book, target, places, made), securities, settings
        )
        rows.keep_account(session, account)
        rows.keep_book(session, book, securities)
        rows.keep_comparison(session, compared)
        rows.keep_controls(session, target, requested, made, planned.unordered[places])
        rows.plan.extend(planned.orders)
        evidence = Evidence(
            session=session,
            matched=compared.matched,
            equity=compared.ours[1],
            weights=made.weight.tolist(),
            blocked=made.blocked.tolist(),
            orders=planned.orders,
        )
        return submit(planned.orders, not closed_gates(evidence, settings), settings)

    def _wish(
        self,
        evening: Evening,
        book: Book,
        target: Target,
        places: np.ndarray[tuple[int], np.dtype[np.intp]],
        made: Controls,
    ) -> Wish:
        """Spread the evening's targets over all securities."""
        size = len(self.market.securities)
        weight, may_buy = np.zeros(size), np.zeros(size, dtype=bool)
        weight[places] = made.weight
        may_buy[places] = [code is None for code in made.blocked]
        symbol = book.symbol.copy()
        symbol[places] = list(target.symbol.values())
        terms = [self._terms(sleeve) for sleeve in range(len(self.market.sleeves))]
        # The last entries stand for sleeve -1: nobody has seen the name for a whole look-back.
        lots = np.array([*(term.lot for term in terms), self.settings.exchange.lot])
        never_closes = np.array(
            [*(self._code(s) == AROUND_THE_CLOCK for s in range(len(terms))), False], dtype=bool
        )
        return Wish(
            weight,
            may_buy,
            np.where(book.quantity != 0, book.mark, evening.mark),
            lots[evening.sleeve],
            never_closes[evening.sleeve],
            symbol,
        )

    def _code(self, sleeve: int) -> str:
        return self.market.calendars[self.market.sleeves[sleeve]].code

    def _terms(self, sleeve: int) -> TermsSettings:
        return self.settings.terms(self.market.sleeves[sleeve], self._code(sleeve))


def _multipliers(
    frames: Mapping[str, pl.LazyFrame], wanted: SessionRange
) -> dict[date, float | None]:
    """Throttle of each session: the most careful benchmark's.

    None where there is no regime, or a benchmark says nothing: what is not known throttles nobody,
    and the evening is closed for it.
    """
    if "regime" not in frames:
        return dict.fromkeys(wanted.sessions, 1.0)
    asked = frames["regime"].filter(pl.col("session").is_in(wanted.sessions))
    rows = asked.group_by("session").agg(
        pl.when(pl.col("risk_multiplier").is_not_null().all()).then(pl.col("risk_multiplier").min())
    )
    found: dict[date, float | None] = dict(rows.collect().iter_rows())
    return {session: found.get(session) for session in wanted.sessions}
