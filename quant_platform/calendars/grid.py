"""The rebalance grid: the sessions on which portfolios decide.

One grid serves every sleeve of a meta portfolio, whatever the sleeve's own calendar: it is counted
in NYSE sessions. It is a pure function of the calendar and never of data, so that a missing bar
can not move a rebalance.
"""

from __future__ import annotations

from datetime import date

from quant_platform.calendars.sessions import SessionCalendar
from quant_platform.errors import ConfigError


def rebalance_grid(nyse: SessionCalendar, anchor: date, step: int) -> tuple[date, ...]:
    """Return `anchor` and every `step`-th session after it, up to the calendar's horizon.

    Parameters
    ----------
    nyse
        The calendar in whose sessions the step is counted.
    anchor
        First rebalance session. Nothing is rebalanced before it: the grid runs forward only.
    step
        Sessions between two rebalances, one or more.

    Raises
    ------
    CalendarError
        When the anchor is not a session.
    ConfigError
        When the step is not positive.
    """
    if step < 1:
        raise ConfigError(
            f"the rebalance step is {step}",
            expected="one session or more",
            mend="correct the step in platform.yaml",
        )
    return nyse.sessions[nyse.ordinal(anchor) :: step]
