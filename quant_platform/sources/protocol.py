"""What every source answers.

A request names *knowledge sessions*: the answer is every row whose ``known_at`` lies after the
cutoff of the session before and at or before the cutoff of the session itself. A correction or a
late row therefore belongs to the request in which it became known, not to the session that it
describes, and no answer can hold what was unknown at its cutoff.

Two promises that the tests hold every source to: the rows of a knowledge session do not depend on
which others are asked for in the same call, and they come in a fixed order (by ``known_at``, then
by the session and the security that they describe), so that a range is the concatenation of its
days, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol

import polars as pl

from quant_platform.calendars import SessionCalendar

KNOWN_AT_BASIS = pl.Enum(["observed", "assumed"])
"""Whether ``known_at`` was seen, or is the close plus a lag."""

ASSET_CLASS = pl.Enum(["stock", "etf", "crypto"])
"""What a security can be."""

BAR_SCHEMA = pl.Schema(
    {
        "symbol": pl.String(),
        "security_id": pl.String(),
        "session": pl.Date(),
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "volume": pl.Float64(),
        "known_at": pl.Datetime("us", "UTC"),
        "known_at_basis": KNOWN_AT_BASIS,
    }
)
"""Raw, unadjusted daily bars; not yet checked, so a row may break any rule of the contract."""

SECURITY_SCHEMA = pl.Schema(
    {
        "symbol": pl.String(),
        "security_id": pl.String(),
        "name": pl.String(),
        "exchange": pl.String(),
        "asset_class": ASSET_CLASS,
        "sector": pl.String(),
        "category": pl.String(),
        "listed_on": pl.Date(),
        "delisted_on": pl.Date(),
        "tick": pl.Float64(),
        "lot": pl.Float64(),
        "leverage": pl.Float64(),
        "underlying": pl.String(),
        "country": pl.String(),
        "known_at": pl.Datetime("us", "UTC"),
        "known_at_basis": KNOWN_AT_BASIS,
    }
)
"""Listings, bitemporal: a delisting or a new name is another row of the same ``security_id``.

``delisted_on`` is null until known. ``leverage`` is the factor of a fund on its ``underlying`` (a
security_id or the name of what it is built on); null is 1.
"""

ACTION_KIND = pl.Enum(
    [
        "split",
        "dividend",
        "special_dividend",
        "stock_dividend",
        "spin_off",
        "merger",
        "delisting",
        "rename",
    ]
)
"""What can happen to a security."""

ACTION_SCHEMA = pl.Schema(
    {
        "security_id": pl.String(),
        "session": pl.Date(),
        "kind": ACTION_KIND,
        "value": pl.Float64(),
        "counterpart": pl.String(),
        "known_at": pl.Datetime("us", "UTC"),
        "known_at_basis": KNOWN_AT_BASIS,
    }
)
"""Corporate actions by their ex session, the first on the new terms.

``value`` is by kind: new units per old one of a split or a stock dividend; cash per old unit of the
dividends and of a spin-off; cash per unit that holders get of a merger or a delisting, null where
that is not told; null of a rename. ``counterpart`` is the acquirer of a merger, the new symbol of a
rename, else null.
"""

EARNINGS_SCHEMA = pl.Schema(
    {
        "security_id": pl.String(),
        "period": pl.String(),
        "announced_on": pl.Date(),
        "timing": pl.Enum(["pre", "post", "unknown"]),
        "status": pl.Enum(["expected", "actual"]),
        "estimate": pl.Float64(),
        "actual": pl.Float64(),
        "known_at": pl.Datetime("us", "UTC"),
        "known_at_basis": KNOWN_AT_BASIS,
    }
)
"""Announcements of results by fiscal period (``2023Q2``); a revised date is a later row.

``timing`` is before the open or after the close of ``announced_on``, which is the expected day
until ``status`` is actual. ``estimate`` and ``actual`` are earnings per share.
"""

MEMBERSHIP_SCHEMA = pl.Schema(
    {
        "index": pl.String(),
        "security_id": pl.String(),
        "valid_from": pl.Date(),
        "valid_to": pl.Date(),
        "known_at": pl.Datetime("us", "UTC"),
        "known_at_basis": KNOWN_AT_BASIS,
    }
)
"""Members of indices; both days are members' days, ``valid_to`` is null until it is known."""

FUND_FACT_SCHEMA = pl.Schema(
    {
        "security_id": pl.String(),
        "session": pl.Date(),
        "aum": pl.Float64(),
        "expense_ratio": pl.Float64(),
        "yield": pl.Float64(),
        "issuer": pl.String(),
        "category": pl.String(),
        "known_at": pl.Datetime("us", "UTC"),
        "known_at_basis": KNOWN_AT_BASIS,
    }
)
"""What an issuer says of its fund: assets in quote currency, fee and yield as fractions a year."""

SERIES_SCHEMA = pl.Schema(
    {
        "series": pl.String(),
        "session": pl.Date(),
        "value": pl.Float64(),
        "unit": pl.String(),
        "known_at": pl.Datetime("us", "UTC"),
        "known_at_basis": KNOWN_AT_BASIS,
    }
)
"""Observations that belong to no security, such as VIX or a factor's return, with their unit."""


class Source(Protocol):
    """Something that delivers raw rows by the session in which they became known."""

    @property
    def name(self) -> str:
        """Name by which a sleeve routes a kind of data to this source."""

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of data that it delivers, each a method of that name."""

    def bars(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the raw bars that became known in the given sessions, as `BAR_SCHEMA`.

        Raises
        ------
        CalendarError
            When one of them is not a session of the calendar.
        SourceError
            When the source does not have the sleeve, or no bars that early.
        """

    def securities(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return listings, delistings and new names that became known, as `SECURITY_SCHEMA`.

        Whoever starts a history in the middle asks for the sessions before it as well: a security
        is listed once, possibly years before.
        """

    def actions(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the corporate actions that became known, as `ACTION_SCHEMA`.

        A split is known before its ex session, a delisting by the cutoff of its own. Prices before
        the ex session of a split are in old units, from it on in new ones, and stay so: bars are
        raw. As for listings, a history that starts in the middle asks for the sessions before it.
        """

    def earnings(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return expected and actual announcements that became known, as `EARNINGS_SCHEMA`.

        Of this and of what follows a source need not have anything; `kinds` says what it has. As
        for listings, a history that starts in the middle asks for the sessions before it.
        """

    def membership(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the index memberships that became known, as `MEMBERSHIP_SCHEMA`; as earnings."""

    def fund_facts(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return what became known of funds, as `FUND_FACT_SCHEMA`; as earnings."""

    def series(
        self, calendar: SessionCalendar, branch: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the observations that became known, as `SERIES_SCHEMA`; of a branch, ``market``.

        As for bars, an observation belongs to the session in which it was published.
        """
