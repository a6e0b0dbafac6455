"""Reference data: what a source published of listings, actions, earnings, members, funds.

Each is told once, possibly years before: the first session of history holds all that was known
before it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts import Contract
from quant_platform.lakehouse.contracts.actions import ACTIONS
from quant_platform.lakehouse.contracts.earnings import EARNINGS
from quant_platform.lakehouse.contracts.fund_facts import FUND_FACTS
from quant_platform.lakehouse.contracts.membership import MEMBERSHIP
from quant_platform.lakehouse.contracts.securities import SECURITIES
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.market.delivery import asked_sessions, taken
from quant_platform.market.doubts import MEMORY_SESSIONS, doubts_of_actions
from quant_platform.market.hygiene import Doubt, Ingested
from quant_platform.settings.hygiene import HygieneSettings
from quant_platform.sources.protocol import Source

_Ask = Callable[[SessionCalendar, str, Sequence[date]], pl.DataFrame]
"""Method of a source: what became known of a sleeve in some sessions."""


def published_securities(source: Source, sleeve: str, wanted: SessionRange) -> Ingested:
    """Take the listings and delistings that became known in the sessions of a range.

    Parameters
    ----------
    source
        Where they come from.
    sleeve
        Sleeve whose universe is asked for.
    wanted
        Knowledge sessions.

    Returns
    -------
    Ingested
        Rows for ``<sleeve>/securities`` and the rejected ones.

    Raises
    ------
    SourceError
        When the source lacks a column or delivers another type, or rows of which it does not say
        when they were known, or that were known outside the range.
    """
    return _published(source, source.securities, SECURITIES, sleeve, wanted)


def actions_windows() -> dict[str, Window]:
    """Bars that an action is held against: those of its ex session and of the ones before.

    A session of bars that is blocked or lacking tells nothing of an action, which is then taken at
    its word; the bars' coming makes the session stale, and the action is held against them then.
    """
    return {"bars": Window("bars", MEMORY_SESSIONS, required=False)}


def published_actions(
    source: Source,
    sleeve: str,
    wanted: SessionRange,
    bars: pl.LazyFrame | None = None,
    settings: HygieneSettings | None = None,
) -> Ingested:
    """Take the corporate actions that became known; as ``published_securities``.

    Parameters
    ----------
    source, sleeve, wanted
        As for ``published_securities``.
    bars
        Published bars of the range and of the sessions before it; without them no action is held
        against a price.
    settings
        Names the actions that somebody confirmed; nobody by default.

    Returns
    -------
    Ingested
        Rows for ``<sleeve>/actions`` and the rejected ones. An action that the price contradicts is
        rejected (``contradicts_price``) until somebody confirms it.
    """
    doubt = None
    if bars is not None:
        confirmed = (settings or HygieneSettings()).confirmed_actions
        doubt = doubts_of_actions(bars.collect(), wanted.calendar, confirmed)
    return _published(source, source.actions, ACTIONS, sleeve, wanted, doubt=doubt)


def published_earnings(source: Source, sleeve: str, wanted: SessionRange) -> Ingested:
    """Take the announcements that became known; as ``published_securities``."""
    return _published(source, source.earnings, EARNINGS, sleeve, wanted)


def published_membership(source: Source, sleeve: str, wanted: SessionRange) -> Ingested:
    """Take the index memberships that became known; as ``published_securities``."""
    return _published(source, source.membership, MEMBERSHIP, sleeve, wanted)


def published_fund_facts(source: Source, sleeve: str, wanted: SessionRange) -> Ingested:
    """Take the facts of funds that became known; as ``published_securities``."""
    return _published(source, source.fund_facts, FUND_FACTS, sleeve, wanted)


def _published(
    source: Source,
    ask: _Ask,
    contract: Contract,
    sleeve: str,
    wanted: SessionRange,
    *,
    doubt: Doubt | None = None,
) -> Ingested:
    """Ask for what is told once, and sort the answer out."""
    delivered = ask(wanted.calendar, sleeve, asked_sessions(wanted))
    return taken(
        delivered, contract, wanted, source=source.name, first_holds_earlier=True, doubt=doubt
    )
