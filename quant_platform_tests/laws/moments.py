"""The moments at which a law is tried: days of the market's truth, of the grid and of holidays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.calendars.grid import rebalance_grid
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.sources import SimulatedSource
from quant_platform.sources.simulated.truth import planted_events

EVENTS = {
    "late",
    "correction",
    "late_session",
    "impossible",
    "duplicate",
    "closed_print",
    "missing",
    "listing",
    "delisting",
    "split",
}
"""Kinds of events without which a history tests too little."""
DECISIVE = {"late", "correction", "late_session", "listing", "delisting", "split"}
"""Those of which the days before count as well: a day on which it was not known yet."""


def truth(sleeves: Sequence[SleeveContext], first: date, last: date) -> pl.DataFrame:
    """Return what the market planted between two days: the truth tables, sleeve after sleeve."""
    tables = []
    for sleeve in sleeves:
        assert isinstance(sleeve.source, SimulatedSource)
        events = _planted(sleeve.source, sleeve.calendar, sleeve.sleeve.name)
        tables.append(events.with_columns(sleeve=pl.lit(sleeve.sleeve.name)))
    inside = pl.col("session").is_between(first, last)
    known = pl.col("knowledge_session").is_null() | (pl.col("knowledge_session") <= last)
    everything = pl.concat(tables).filter(inside & known)
    return everything.sort("event", "sleeve", "session", "security_id")


@cache
def _planted(source: SimulatedSource, calendar: SessionCalendar, sleeve: str) -> pl.DataFrame:
    """Look for it once: every law asks for its moments."""
    return planted_events(source, calendar, sleeve)


def event_days(events: pl.DataFrame, calendar: SessionCalendar) -> dict[str, list[date]]:
    """Days around the last row of each kind: the day of it, of its knowledge, and before both.

    Parameters
    ----------
    events
        The truth table.
    calendar
        Calendar in which "the day before" is counted.

    Returns
    -------
    dict
        Kind of event → days, ascending; kinds that the truth table lacks are left out.
    """
    chosen: dict[str, list[date]] = {}
    for row in events.iter_rows(named=True):
        day = row["session"]
        known = row["knowledge_session"] or day
        days = {day, known, *(_before(calendar, d) for d in (day, known))}
        chosen[row["event"]] = sorted(days)
    return chosen


def rebalance_day(calendar: SessionCalendar, anchor: date, step: int, last: date) -> date:
    """Last rebalance session of the grid up to a day."""
    return max(day for day in rebalance_grid(calendar, anchor, step) if day <= last)


def eve_of_a_long_weekend(calendar: SessionCalendar, last: date) -> date:
    """Last Friday session up to a day whose Monday is closed."""
    sessions = calendar.between(last - timedelta(days=500), last)
    return max(
        day
        for day in sessions
        if day.isoweekday() == 5 and not calendar.contains(day + timedelta(days=3))
    )


def holiday(calendar: SessionCalendar, last: date) -> date:
    """Last day from Monday to Friday up to a day on which an exchange is closed."""
    days = (last - timedelta(days=n) for n in range(500))
    return next(day for day in days if day.isoweekday() < 6 and not calendar.contains(day))


def _before(calendar: SessionCalendar, day: date) -> date:
    return calendar.between(day - timedelta(days=14), day - timedelta(days=1))[-1]
