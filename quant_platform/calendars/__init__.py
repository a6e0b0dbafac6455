"""When markets trade: exchange sessions, UTC days, knowledge cutoffs and rebalance grids.

Everything here is a pure function of a calendar code, a horizon and the platform's own list of
unscheduled closures. Nothing reads the clock: a "now" is always a parameter. What belongs to
Dagster (partitions, mappings, schedules) lives in `quant_platform.orchestration`.
"""

from quant_platform.calendars.build import build_calendar
from quant_platform.calendars.grid import rebalance_grid
from quant_platform.calendars.sessions import EPOCH, SessionCalendar, calendar_horizon

__all__ = [
    "EPOCH",
    "SessionCalendar",
    "build_calendar",
    "calendar_horizon",
    "rebalance_grid",
]
