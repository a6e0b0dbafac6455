"""Sources that misbehave on purpose: what a rule fires on comes through the real producer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.sources.protocol import Source

_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Delivery:
    """What a source delivers for one knowledge session, and where to ask for more.

    Parameters
    ----------
    rows
        The rows.
    day
        The knowledge session.
    calendar
        Its calendar.
    of
        Rows that the unaltered source delivers for other sessions.
    """

    rows: pl.DataFrame
    day: date
    calendar: SessionCalendar
    of: Callable[[Sequence[date]], pl.DataFrame]


Change = Callable[[Delivery], pl.DataFrame]


@dataclass(frozen=True)
class AlteredDelivery:
    """A source, the deliveries of some of whose knowledge sessions are changed.

    Parameters
    ----------
    inner
        The source that is altered.
    change
        Returns the rows to deliver instead.
    days
        The knowledge sessions concerned.
    kind
        Kind of data that is changed.
    """

    inner: Source
    change: Change
    days: Collection[date]
    kind: str = "bars"

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def kinds(self) -> frozenset[str]:
        return self.inner.kinds

    def bars(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self._delivered("bars", calendar, sleeve, knowledge_sessions)

    def securities(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self._delivered("securities", calendar, sleeve, knowledge_sessions)

    def actions(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self._delivered("actions", calendar, sleeve, knowledge_sessions)

    def earnings(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self._delivered("earnings", calendar, sleeve, knowledge_sessions)

    def membership(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self._delivered("membership", calendar, sleeve, knowledge_sessions)

    def fund_facts(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self._delivered("fund_facts", calendar, sleeve, knowledge_sessions)

    def series(
        self, calendar: SessionCalendar, branch: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self._delivered("series", calendar, branch, knowledge_sessions)

    def _delivered(
        self, kind: str, calendar: SessionCalendar, sleeve: str, asked: Sequence[date]
    ) -> pl.DataFrame:
        def deliver(days: Sequence[date]) -> pl.DataFrame:
            rows: pl.DataFrame = getattr(self.inner, kind)(calendar, sleeve, days)
            return rows

        if kind != self.kind:
            return deliver(asked)
        honest = deliver([day for day in asked if day not in self.days])
        changed = [
            self.change(Delivery(deliver([day]), day, calendar, deliver))
            for day in asked
            if day in self.days
        ]
        return pl.concat([honest, *changed])


def garbled(delivery: Delivery) -> pl.DataFrame:
    """Turn every price negative."""
    return delivery.rows.with_columns(-pl.col(name) for name in _PRICES)


def fallen(delivery: Delivery) -> pl.DataFrame:
    """Halve every price."""
    return delivery.rows.with_columns(pl.col(name) / 2 for name in _PRICES)


def nothing(delivery: Delivery) -> pl.DataFrame:
    """Deliver no row."""
    return delivery.rows.head(0)


def quarter(delivery: Delivery) -> pl.DataFrame:
    """Deliver every fourth security."""
    number = pl.col("security_id").str.tail(4).cast(pl.Int64)
    return delivery.rows.filter(number % 4 == 0)


def held_back(days: Sequence[date]) -> Change:
    """Deliver the rows of several sessions together, with the last of them."""

    def change(delivery: Delivery) -> pl.DataFrame:
        if delivery.day != days[-1]:
            return delivery.rows.head(0)
        seen = delivery.calendar.cutoff(delivery.day) - timedelta(minutes=1)
        known = pl.lit(seen).cast(delivery.rows.schema["known_at"])
        late = delivery.of(days[:-1]).with_columns(known_at=known)
        return pl.concat([delivery.rows, late])

    return change
