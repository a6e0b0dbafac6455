"""Law 1 on the shipped graph, and on graphs that look ahead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.laws import moments, planted
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.conftest import FIRST, LAST, RECIPE
from quant_platform_tests.laws.point_in_time import (
    check_another_future,
    check_clocks,
    check_isolation,
    check_no_clock_is_read,
    check_truncation,
)
from quant_platform_tests.laws.workshop import Workshop


def nyse(workshop: Workshop) -> SessionCalendar:
    return next(s.calendar for s in workshop.stages if s.calendar.code == "XNYS")


def days_of(workshop: Workshop) -> dict[str, list[date]]:
    events = moments.truth(workshop.recipe.sleeves, FIRST, LAST)
    return moments.event_days(events, nyse(workshop))


def test_the_market_has_every_kind_of_event(filled: Workshop) -> None:
    assert set(days_of(filled)) == set(moments.EVENTS)


def test_truncation(filled: Workshop) -> None:
    platform = filled.graph.settings.platform
    grid = platform.rebalance
    days = {day for days in days_of(filled).values() for day in days}
    days |= {
        moments.rebalance_day(nyse(filled), grid.anchor, grid.step, LAST),
        moments.eve_of_a_long_weekend(nyse(filled), LAST),
    }
    check_truncation(filled, FIRST, sorted(days))
