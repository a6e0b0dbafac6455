"""The account: fills, book, reconciliation, overlay and plan of an evening, its gates, its orders.

``fills`` to ``orders_plan`` are one book: each session's need the positions of the one before and
the orders that its plan became. ``execution_ready`` and ``orders`` follow on their own, so that an
evening can stop between them: the chain ends with the gates, and only the execution sensor asks for
the orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from quant_platform.execution import decisions, slippage
from quant_platform.execution.orders import submit_orders, submit_windows
from quant_platform.execution.readiness import readiness, readiness_windows
from quant_platform.execution.simulation import trade_sessions, trade_windows
from quant_platform.orchestration.assets.context import PortfolioContext
from quant_platform.orchestration.assets.telling import told
from quant_platform.orchestration.stage import Stage, Stored, Told
from quant_platform.settings.execution import ExecutionSettings

GROUP = "execution"
BOOK = "execution/book"
ORDERS = "execution/orders"
READY = "execution/execution_ready"

_BOOK_TABLES = {
    "fills": "What the orders of the evening before became, up to this session's cutoff.",
    "broker_state": "The broker's own record of the account after the session.",
    "positions": "Our book after the session, from positions and fills alone, at its marks.",
    "reconciliation": "Our book against the broker's record, item by item.",
    "risk_controls": "Tonight's targets after exposure and caps, with codes of what was blocked.",
    "orders_plan": "Orders that tonight's targets ask for, sells before buys.",
}
ACCOUNT = frozenset({*(f"execution/{kind}" for kind in _BOOK_TABLES), READY, ORDERS})
"""The record: what was decided, sent and filled. Nothing that changes later makes it again."""


def execution_stages(portfolio: PortfolioContext) -> list[Stage]:
    """Stages of the account, in the order of the evening; none where it is not configured."""
    settings = portfolio.settings.execution
    if settings is None:
        return []
    return [
        *_book(portfolio, settings),
        portfolio.stage(
            READY,
            function=readiness,
            settings=settings,
            description="Whether tonight's orders may go out, and if not, the codes of the gates "
            "that are closed.",
            group=GROUP,
            windows=readiness_windows(settings),
            begins=settings.opened,
            recorded=_decisions,
            record=ACCOUNT,
        ),
        portfolio.stage(
            ORDERS,
            function=submit_orders,
            settings=settings,
            description="Orders handed to the broker. In the evening only the execution sensor "
            "asks for them; over past sessions they are simulated.",
            group=GROUP,
            windows=submit_windows(settings),
            begins=settings.opened,
            acts=True,
            record=ACCOUNT,
        ),
    ]


def _book(portfolio: PortfolioContext, settings: ExecutionSettings) -> list[Stage]:
    """Stages that one call makes."""
    sleeves = portfolio.settings.metas[settings.portfolio].members
    calendars = {name: portfolio.calendars[name] for name in sleeves}
    windows = trade_windows(settings, sleeves)
    if portfolio.settings.regimes is None:
        windows.pop("regime")
    return [
        portfolio.stage(
            f"execution/{kind}",
            function=partial(trade_sessions, calendars=calendars),
            settings=settings,
            description=description,
            group=GROUP,
            windows=windows,
            begins=settings.opened,
            book=BOOK,
            record=ACCOUNT,
            recorded=partial(_slippage, settings=settings, calendars=calendars)
            if kind == "fills"
            else None,
        )
        for kind, description in _BOOK_TABLES.items()
    ]


def _decisions(stored: Stored) -> dict[str, Told]:
    """Say what each evening decided, once."""
    ready = stored.tables["execution_ready"]
    made = decisions.evening_decisions(stored.frames, ready, stored.wanted)
    named = ((session, session.isoformat(), payload) for session, payload in made)
    return {decisions.LEDGER: told(decisions.ACTION, named, stored.run_id)}


def _slippage(
    stored: Stored, settings: ExecutionSettings, calendars: Mapping[str, Any]
) -> dict[str, Told]:
    """Say what each fill cost, once."""
    events = slippage.slippage_events(
        stored.frames, stored.tables["fills"], settings, stored.wanted, calendars
    )
    named = ((session, str(event["fill_id"]), event) for session, event in events)
    return {slippage.LEDGER: told(slippage.ACTION, named, stored.run_id)}
