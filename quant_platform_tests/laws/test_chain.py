"""Laws 1 and 2 on every table of the shipped graph, from bars to reconciled fills."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.laws import moments
from quant_platform_tests.laws.conftest import CHAIN_FIRST, CHAIN_LAST, DECIDED, OPENED
from quant_platform_tests.laws.nothing_lost import check_rows_conserved
from quant_platform_tests.laws.point_in_time import (
    check_another_future,
    check_clocks,
    check_isolation,
    check_no_clock_is_read,
    check_outlasting,
    check_truncation,
)
from quant_platform_tests.laws.ranges import (
    check_beginning,
    check_made_over_again,
    check_range_equals_chunks,
    check_securities_apart,
)
from quant_platform_tests.laws.test_point_in_time import later_clock, nyse
from quant_platform_tests.laws.workshop import Workshop

TRADED = OPENED + timedelta(days=3)
"""From here on there are orders of the evening before, and fills."""
AHEAD = timedelta(days=6)
DAY = timedelta(days=1)

MOMENTS = (
    "rebalance",
    "delisting",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("split", "holiday", "late_session", "correction")
    ),
)


def moment(chain: Workshop, name: str) -> date:
    """Last day of a kind on which the account was trading, with some days to come after it."""
    last = CHAIN_LAST - AHEAD - DAY
    if name == "rebalance":
        grid = chain.graph.settings.platform.rebalance
        return moments.rebalance_day(nyse(chain), grid.anchor, grid.step, last)
    if name == "holiday":
        return moments.holiday(nyse(chain), last)
    events = moments.truth(chain.recipe.sleeves, TRADED, last)
    known = moments.event_days(events, nyse(chain))[name]
    return known[-2] if name == "split" else known[-1]


def test_there_is_something_to_judge(chain: Workshop) -> None:
    """A law holds of an empty table whatever its function does."""
    for stage in chain.stages:
        entries = chain.lake.entries(stage.table).values()
        assert sum(entry.rows for entry in entries) > 0, stage.table
        assert {entry.rows for entry in entries if entry.session < stage.first_day} <= {0}
        assert not [entry.session for entry in entries if entry.verdict == "blocked"]


@pytest.mark.parametrize("name", MOMENTS)
def test_absent_inputs(chain: Workshop, name: str) -> None:
    day = moment(chain, name) - DAY
    check_outlasting(chain, day - DAY, day, day + 3 * DAY)


def test_truncation(chain: Workshop) -> None:
    day = moment(chain, "rebalance") - DAY
    check_truncation(chain, day - DAY, [day])


@pytest.mark.parametrize("name", ["split", pytest.param("rebalance", marks=pytest.mark.slow)])
def test_another_future(chain: Workshop, name: str) -> None:
    check_another_future(chain, moment(chain, name) - DAY, ago=1, ahead=6)


def test_isolation(chain: Workshop, chain_garbage: Lake) -> None:
    day = moment(chain, "rebalance")
    check_isolation(chain, chain_garbage, day, day + DAY)


def test_two_wall_clocks(chain: Workshop) -> None:
    day = moment(chain, "rebalance")
    check_clocks(chain, day, day, [later_clock])


def test_no_domain_module_reads_the_wall_clock(chain: Workshop) -> None:
    check_no_clock_is_read(chain.graph)


@pytest.mark.parametrize("name", MOMENTS)
def test_where_a_range_begins(chain: Workshop, name: str) -> None:
    day = moment(chain, name)
    check_beginning(chain, day - AHEAD, day, day + 2 * DAY)


def test_where_decisions_begin(chain: Workshop) -> None:
    """A range may begin before the first day of a table."""
    for begins in (DECIDED, OPENED):
        check_beginning(chain, begins - 2 * DAY, begins, begins + DAY)


def test_single_days_around_a_rebalance(chain: Workshop) -> None:
    day = moment(chain, "rebalance")
    check_range_equals_chunks(chain, [(day, day + DAY)], chunks=[1])


def test_the_first_evening_of_the_account(chain: Workshop) -> None:
    check_range_equals_chunks(chain, [(OPENED, OPENED + DAY)], chunks=[1])


def test_made_over_again(chain: Workshop) -> None:
    day = moment(chain, "rebalance")
    check_made_over_again(chain, [(day - DAY, day + 2 * DAY)])


def test_securities_apart(chain: Workshop) -> None:
    for name in ("rebalance", "delisting"):
        day = moment(chain, name)
        check_securities_apart(chain, (day - DAY, day + DAY))


def test_rows_are_conserved(chain: Workshop) -> None:
    check_rows_conserved(chain, CHAIN_FIRST, CHAIN_LAST)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_all_decisions_in_chunks(chain: Workshop, chunk: int) -> None:
    check_range_equals_chunks(chain, [(DECIDED - DAY, CHAIN_LAST)], chunks=[chunk])
