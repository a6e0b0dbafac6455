"""A source that publishes rows handed to it, so that a test says when each became known.

The rows are bars of the embedded market without dirt; ``late``, ``corrected`` and ``garbled`` then
do to them what markets and vendors do. Knowledge sessions follow from ``known_at`` and the calendar
that is asked with, as they do for a real source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import polars as pl

from quant_platform.calendars import SessionCalendar, build_calendar, calendar_horizon
from quant_platform.sources import (
    ACTION_SCHEMA,
    BAR_SCHEMA,
    SECURITY_SCHEMA,
    Dirt,
    SimulatedSleeve,
    SimulatedSource,
)
from quant_platform_tests.small_project import EVENING

NYSE = build_calendar("XNYS", horizon=calendar_horizon(EVENING), grace=timedelta(minutes=90))
FIRST = date(2022, 1, 3)
"""First session of history."""
SECURITIES = tuple(f"instruments-{n:04d}" for n in (2, 6, 7, 8, 11, 18, 19, 22))
"""Securities that trade in every session that these tests use."""
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class PublishedSource:
    """A `quant_platform.sources.Source` over fixed rows, by sleeve.

    Parameters
    ----------
    rows
        Bars, by sleeve.
    told
        Corporate actions, the same for every sleeve that has bars; none by default.
    """

    rows: Mapping[str, pl.DataFrame]
    told: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ACTION_SCHEMA))

    @property
    def name(self) -> str:
        return "published"

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({"bars"})

    def bars(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        rows = self.rows.get(sleeve, pl.DataFrame(schema=BAR_SCHEMA))
        return _known_in_sessions(rows, calendar, knowledge_sessions)

    def securities(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return pl.DataFrame(schema=SECURITY_SCHEMA)

    def actions(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        told = self.told if sleeve in self.rows else self.told.head(0)
        return _known_in_sessions(told, calendar, knowledge_sessions)


def _known_in_sessions(
    rows: pl.DataFrame, calendar: SessionCalendar, knowledge_sessions: Sequence[date]
) -> pl.DataFrame:
    known = calendar.knowledge_sessions(rows["known_at"])
    return rows.filter(known.is_in(list(knowledge_sessions))).sort(
        "known_at", "session", "security_id", maintain_order=True
    )


def clean_rows(last: date) -> pl.DataFrame:
    """Bars of eight securities from the start of history, each known on time."""
    market = SimulatedSource(
        seed=7,
        start=date(2015, 1, 2),
        sleeves=(SimulatedSleeve("instruments", ("stock",), 24),),
        dirt=Dirt(),
        lag=timedelta(minutes=30),
    )
    rows = market.bars(NYSE, "instruments", NYSE.between(FIRST, last))
    return rows.filter(pl.col("security_id").is_in(list(SECURITIES)))


def published(
    rows: pl.DataFrame, actions: pl.DataFrame | None = None
) -> dict[str, PublishedSource]:
    """Route every sleeve to a source that has stocks, and actions if some are given."""
    told = pl.DataFrame(schema=ACTION_SCHEMA) if actions is None else actions
    source = PublishedSource({"instruments": rows}, told)
    return {"instruments": source, "crypto": source}


def bar_of(session: date, *securities: str) -> pl.Expr:
    """Rows that describe a session, of all securities unless some are named."""
    chosen = pl.col("session") == session
    return chosen & pl.col("security_id").is_in(list(securities)) if securities else chosen


def known_in(session: date) -> pl.Expr:
    """Return an instant shortly before a session's cutoff."""
    instant = NYSE.cutoff(session) - timedelta(minutes=10)
    return pl.lit(instant, pl.Datetime("us", "UTC"))


def late(rows: pl.DataFrame, chosen: pl.Expr, knowledge_session: date) -> pl.DataFrame:
    """Publish the chosen rows in a later session instead."""
    return rows.with_columns(
        known_at=pl.when(chosen).then(known_in(knowledge_session)).otherwise("known_at"),
        known_at_basis=pl.when(chosen)
        .then(pl.lit("observed", BAR_SCHEMA["known_at_basis"]))
        .otherwise("known_at_basis"),
    )


def corrected(
    rows: pl.DataFrame, chosen: pl.Expr, factor: float, knowledge_session: date
) -> pl.DataFrame:
    """Publish the chosen rows, as they first came, again in a later session with other prices."""
    first = rows.filter(chosen & (pl.col("known_at_basis") == "assumed"))
    again = late(first, pl.lit(True), knowledge_session).with_columns(
        pl.col(name) * factor for name in _PRICES
    )
    return pl.concat([rows, again])


def garbled(rows: pl.DataFrame, chosen: pl.Expr) -> pl.DataFrame:
    """Make the chosen rows impossible: their high below their low."""
    return rows.with_columns(
        high=pl.when(chosen).then(pl.col("low") / 2).otherwise("high"),
    )


def known_by(rows: pl.DataFrame, cutoff: datetime) -> pl.DataFrame:
    """Last version of each bar known at an instant, worked out without the lake."""
    return (
        rows.filter(pl.col("known_at") <= cutoff.astimezone(UTC))
        .sort("known_at", maintain_order=True)
        .unique(["security_id", "session"], keep="last", maintain_order=True)
        .sort("security_id", "session")
    )
