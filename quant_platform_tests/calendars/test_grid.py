"""The rebalance grid is counted in NYSE sessions and in nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from quant_platform.calendars import build_calendar, rebalance_grid
from quant_platform.errors import CalendarError, ConfigError

GRACE = timedelta(minutes=90)
NYSE = build_calendar("XNYS", horizon=date(2027, 12, 31), grace=GRACE)
ANCHOR = date(2016, 1, 4)


def test_the_grid_counts_sessions_from_the_anchor_on() -> None:
    grid = rebalance_grid(NYSE, ANCHOR, 21)
    assert grid[0] == ANCHOR
    steps = {NYSE.ordinal(after) - NYSE.ordinal(before) for before, after in pairwise(grid)}
    assert steps == {21}
    assert len(NYSE.sessions) - NYSE.ordinal(grid[-1]) <= 21


def test_the_horizon_only_lengthens_the_grid() -> None:
    near = build_calendar("XNYS", horizon=date(2026, 12, 31), grace=GRACE)
    short = rebalance_grid(near, ANCHOR, 21)
    assert rebalance_grid(NYSE, ANCHOR, 21)[: len(short)] == short


def test_an_extra_holiday_moves_only_later_rebalances() -> None:
    holiday = date(2018, 3, 14)
    corrected = build_calendar(
        "XNYS", horizon=date(2027, 12, 31), grace=GRACE, extra_holidays=[holiday]
    )
    before = [day for day in rebalance_grid(NYSE, ANCHOR, 21) if day < holiday]
    grid = rebalance_grid(corrected, ANCHOR, 21)
    assert list(grid[: len(before)]) == before
    assert grid[len(before)] == NYSE.offset(before[-1], 22)


def test_a_bad_anchor_or_step_is_refused() -> None:
    with pytest.raises(CalendarError, match="2016-01-04"):
        rebalance_grid(NYSE, date(2016, 1, 3), 21)
    with pytest.raises(ConfigError, match="step"):
        rebalance_grid(NYSE, ANCHOR, 0)
