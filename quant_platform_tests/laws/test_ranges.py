"""Law 2 on the shipped graph, in good days and bad, and on graphs that break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest

from quant_platform_tests.laws import deliveries, moments, planted, ranges
from quant_platform_tests.laws.broken import LawBroken, require_same
from quant_platform_tests.laws.conftest import (
    CHAIN_FIRST,
    CHAIN_LAST,
    FIRST,
    LAST,
    OPENED,
    SMALL_FIRST,
    SMALL_LAST,
    filled_small,
    small_recipe,
)
from quant_platform_tests.laws.deliveries import AlteredDelivery
from quant_platform_tests.laws.nothing_lost import SLOW
from quant_platform_tests.laws.ranges import (
    Segment,
    check_made_over_again,
    check_range_equals_chunks,
    check_securities_apart,
)
from quant_platform_tests.laws.workshop import Recipe, Workshop
from quant_platform_tests.small_project import SmallProject

LEAKY = "instruments/features_trend"
BAD_DAY = date(2022, 3, 23)
SEPARATE = {f"instruments/{kind}" for kind in SLOW}
"""Tables that can do without bars."""
BAD_SEGMENT = (BAD_DAY - timedelta(days=2), BAD_DAY + timedelta(days=5))


def segments_of(workshop: Workshop) -> dict[str, Segment]:
    """Stretches of history in which a range could differ from its days."""
    nyse = next(s.calendar for s in workshop.stages if s.calendar.code == "XNYS")
    days = moments.event_days(moments.truth(workshop.recipe.sleeves, FIRST, LAST), nyse)
    full = nyse.offset(nyse.between(FIRST, LAST)[0], 252)
    return {
        "the first days of history": (FIRST, FIRST + timedelta(days=2)),
        "a session that arrives late": (days["late_session"][1], days["late_session"][-1]),
        "a correction": (days["correction"][1], days["correction"][-1]),
        "a delisting, and a late session of crypto": (
            days["delisting"][0],
            days["delisting"][-1] + timedelta(days=1),
        ),
        "the first full window": (full - timedelta(days=1), full),
        "the last days": (LAST - timedelta(days=1), LAST),
    }


@pytest.mark.parametrize("name", ["the first days of history", "the first full window"])
def test_single_days(filled: Workshop, name: str) -> None:
    check_range_equals_chunks(filled, [segments_of(filled)[name]], chunks=[1])


@pytest.mark.slow
def test_single_days_of_many_kinds(filled: Workshop) -> None:
    check_range_equals_chunks(filled, list(segments_of(filled).values()), chunks=[1])


@pytest.mark.slow
def test_chunks_of_seven(filled: Workshop) -> None:
    check_range_equals_chunks(filled, [(date(2022, 6, 27), date(2022, 7, 24))], chunks=[7])


@pytest.mark.slow
def test_made_over_again(filled: Workshop) -> None:
    check_made_over_again(filled, [(date(2022, 3, 20), date(2022, 4, 20))])


def test_securities_apart(filled: Workshop) -> None:
    check_securities_apart(filled, segments_of(filled)["a correction"])


@pytest.mark.slow
def test_every_single_day(filled: Workshop) -> None:
    check_range_equals_chunks(filled, [(FIRST, LAST)], chunks=[1])


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [5, 63, 100])
def test_all_history_in_chunks(filled: Workshop, chunk: int) -> None:
    check_range_equals_chunks(filled, [(FIRST, LAST)], chunks=[chunk])


def test_a_blocked_session_blocks_the_same_in_single_days(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    recipe = small_recipe()
    garbled = replace(
        recipe, alter=lambda source: AlteredDelivery(source, deliveries.garbled, [BAD_DAY])
    )
    workshop = Workshop.open(tmp_path_factory.mktemp("garbled"), garbled)
    workshop.make_all(SMALL_FIRST, SMALL_LAST)
    verdicts = {s.table: workshop.lake.provenance(s.table, BAD_DAY) for s in workshop.stages}
    blocked = {table for table, entry in verdicts.items() if entry.verdict == "blocked"}
    assert blocked == {s.table for s in workshop.stages if s.first_day <= BAD_DAY} - SEPARATE
    check_range_equals_chunks(workshop, [BAD_SEGMENT], chunks=[1, 3])
    check_made_over_again(workshop, [BAD_SEGMENT])


def test_an_absent_session_is_missed_the_same_in_single_days(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    absent = [("instruments/bars", BAD_DAY)]
    workshop = Workshop.open(tmp_path_factory.mktemp("absent"), small_recipe())
    workshop.make_all(SMALL_FIRST, SMALL_LAST, absent=absent)
    for stage in workshop.stages:
        there = workshop.lake.present(stage.table, [BAD_DAY])
        assert bool(there) == (stage.table in SEPARATE or stage.first_day > BAD_DAY)
    check_range_equals_chunks(workshop, [BAD_SEGMENT], chunks=[1, 3], absent=absent)


def test_an_honest_short_history_keeps_the_law(small: Workshop) -> None:
    check_range_equals_chunks(small, [BAD_SEGMENT], chunks=[3])
    check_made_over_again(small, [BAD_SEGMENT])
    check_securities_apart(small, BAD_SEGMENT)


def test_chunks_catch_a_sum_that_begins_with_the_range(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    leaking = filled_small(tmp_path_factory, planted.RUNNING)
    with pytest.raises(LawBroken) as caught:
        check_range_equals_chunks(leaking, [BAD_SEGMENT], chunks=[3])
    require(caught.value, ranges.DAYS)


def test_making_over_again_catches_own_rows_inside_the_range(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    leaking = filled_small(tmp_path_factory, planted.OWN_ROWS)
    with pytest.raises(LawBroken) as caught:
        check_made_over_again(leaking, [BAD_SEGMENT])
    require(caught.value, ranges.DAYS)


def test_subsets_catch_a_rank(tmp_path_factory: pytest.TempPathFactory) -> None:
    leaking = filled_small(tmp_path_factory, planted.RANKED)
    with pytest.raises(LawBroken) as caught:
        check_securities_apart(leaking, BAD_SEGMENT)
    require(caught.value, ranges.APART)


def test_dagster_makes_what_the_workshop_makes(
    small: Workshop, small_project: Callable[..., SmallProject]
) -> None:
    """One run, and single days, through Dagster; the laws above leave its loop out."""
    recipe: Recipe = small.recipe
    project = small_project(stages=small.planted, **recipe.changes)
    middle = date(2022, 4, 12)
    project.fill(SMALL_FIRST, middle)
    project.fill(middle + timedelta(days=1), SMALL_LAST, chunk=1)
    project.fill(BAD_DAY, BAD_DAY, force=True)
    # Nobody asks for the empty sessions before the first day of a table.
    days = {
        table: sessions
        for table, sessions in small.days(SMALL_FIRST, SMALL_LAST).items()
        if table.startswith("quarantine/") or small.stage(table).first_day <= SMALL_FIRST
    }
    require_same(ranges.DAYS, small.lake, project.lake, days, "by Dagster")


@pytest.mark.slow
def test_dagster_makes_the_chain_that_the_workshop_makes(
    chain: Workshop, small_project: Callable[..., SmallProject]
) -> None:
    """Books, foreign calendars and late beginnings included, in several runs."""
    project = small_project(**chain.recipe.changes)
    project.fill(CHAIN_FIRST, OPENED, chunk=50)
    project.fill(OPENED + timedelta(days=1), CHAIN_LAST)
    # Nobody asks for the empty sessions before the first day of a table.
    days = {
        table: [day for day in sessions if day >= chain.stage(table).first_day]
        for table, sessions in chain.days(CHAIN_FIRST, CHAIN_LAST).items()
        if not table.startswith("quarantine/")
    }
    require_same(ranges.DAYS, chain.lake, project.lake, days, "by Dagster")


def require(broken: LawBroken, law: str) -> None:
    assert (broken.law, broken.table, broken.session) == (law, LEAKY, BAD_SEGMENT[0])
