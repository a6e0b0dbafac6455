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
        "known_at": pl.Datetime("us", "UTC"),
        "known_at_basis": KNOWN_AT_BASIS,
    }
)
"""Listings, bitemporal: a delisting is a second row, and ``delisted_on`` is null until known."""

ACTION_SCHEMA = pl.Schema(
    {
        "security_id": pl.String(),
        "session": pl.Date(),
        "kind": pl.Enum(["split", "delisting"]),
        "value": pl.Float64(),
        "known_at": pl.Datetime("us", "UTC"),
        "known_at_basis": KNOWN_AT_BASIS,
    }
)
"""Corporate actions by their ex session, the first on the new terms.

``value`` is by kind: new units per old one of a split, cash per unit of a delisting.
"""


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
        """Return the listings and delistings that became known, as `SECURITY_SCHEMA`.

        Whoever starts a history in the middle asks for the sessions before it as well: a security
        is listed once, possibly years before.
        """

    def actions(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the splits and delistings that became known, as `ACTION_SCHEMA`.

        A split is known before its ex session, a delisting by the cutoff of its own. Prices before
        the ex session of a split are in old units, from it on in new ones, and stay so: bars are
        raw. As for listings, a history that starts in the middle asks for the sessions before it.
        """
