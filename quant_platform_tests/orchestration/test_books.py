"""Books: one call makes several tables, carries one of them, and judges each on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quant_platform.errors import MissingUpstreamError
from quant_platform.lakehouse.inputs import NOTHING
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.store import Judgement
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.orchestration.plan import plan_chunks
from quant_platform_tests.end_to_end.stories import Story, story
from quant_platform_tests.lakehouse.small_lake import trend_frame
from quant_platform_tests.orchestration.small_books import (
    COMPARED,
    DAYS,
    GATES,
    NONE,
    POSITIONS,
    Faults,
    everywhere,
    graph,
    make,
    stale,
    with_bars,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return with_bars(tmp_path)


def told(lake: Lake) -> dict[str, Story]:
    return {table: story(lake, table) for table in (POSITIONS, COMPARED, GATES)}


def verdicts(lake: Lake, table: str) -> list[date]:
    """Blocked sessions."""
    return [day for day, entry in lake.entries(table).items() if entry.verdict == "blocked"]


def test_one_call_makes_every_table_of_a_book(lake: Lake) -> None:
    made = make(lake, graph(Faults()), DAYS, [POSITIONS])
    assert [each.stage.table for each in made] == [POSITIONS, COMPARED]
    assert lake.sessions(POSITIONS) == lake.sessions(COMPARED) == list(DAYS)
    last = lake.scan(POSITIONS, [DAYS[-1]]).collect()
    assert last["close_state"].to_list() == [sum(10.0 + n for n in range(len(DAYS)))] * 3
    assert lake.entries(POSITIONS)[DAYS[3]].input_hash == lake.entries(COMPARED)[DAYS[3]].input_hash


def test_dagster_is_not_told_what_a_book_carries() -> None:
    _, positions, compared, gates = graph(Faults())
    assert set(positions.declared) == set(compared.declared) == {"bars"}
    assert gates.declared == gates.windows


def test_a_blocked_comparison_blocks_itself_and_what_reads_it(lake: Lake) -> None:
    bad = DAYS[5]
    make(lake, graph(Faults(unmatched=(bad,))), DAYS)
    assert verdicts(lake, POSITIONS) == []
    assert verdicts(lake, COMPARED) == verdicts(lake, GATES) == [bad]
    (cause,) = lake.checks(GATES).filter(rule="upstream")["cause"]
    assert cause == f"{COMPARED} of {bad} is blocked"


def test_a_blocked_position_blocks_the_book_from_there_on(lake: Lake) -> None:
    bad = DAYS[5]
    make(lake, graph(Faults(lost=(bad,))), DAYS)
    assert verdicts(lake, POSITIONS) == list(DAYS[5:])
    # The comparison of the day itself was made of positions that nobody may carry on.
    assert verdicts(lake, COMPARED) == list(DAYS[6:])
    causes = lake.checks(COMPARED).filter(rule="upstream").sort("session")["cause"].to_list()
    assert causes == [f"{POSITIONS} of {before} is blocked" for before in DAYS[5:-1]]


FAULTS = [
    Faults(),
    Faults(
        unmatched=(
            DAYS[5],
            DAYS[9],
        )
    ),
    Faults(unmatched=(DAYS[2],), lost=(DAYS[8],)),
]


@pytest.mark.parametrize("faults", FAULTS, ids=["none", "unmatched", "lost"])
def test_single_days_equal_the_range(lake: Lake, tmp_path: Path, faults: Faults) -> None:
    stages = graph(faults)
    make(lake, stages, DAYS)
    days = with_bars(tmp_path / "days")
    for day in DAYS:
        make(days, stages, [day])
    assert told(lake) == told(days)


def poison(lake: Lake, days: Sequence[date]) -> None:
    numbers = pl.selectors.ends_with("_state") & pl.selectors.float()
    rows = lake.scan(POSITIONS, days).with_columns(numbers * 1000).collect()
    stamp = lake.provenance(POSITIONS, days[0]).stamp
    lake.store(POSITIONS).write(rows, {day: Judgement("passed", "poison") for day in days}, stamp)


def test_a_range_never_reads_the_rows_of_a_book_that_it_replaces(lake: Lake) -> None:
    stages = graph(Faults())
    make(lake, stages, DAYS)
    honest = told(lake)
    poison(lake, DAYS[4:10])
    make(lake, stages, DAYS[4:10])
    assert told(lake) == honest
    # The twin: what lies before the range is read.
    poison(lake, DAYS[3:4])
    make(lake, stages, DAYS[4:10])
    assert told(lake)[POSITIONS][DAYS[9]] != honest[POSITIONS][DAYS[9]]


@pytest.mark.parametrize("table", [POSITIONS, COMPARED])
def test_one_stale_table_makes_its_whole_book_planned(lake: Lake, table: str) -> None:
    stages = graph(Faults())
    make(lake, stages, DAYS)
    assert stale(lake, stages) == NONE
    lake.layout(table).part(DAYS[10]).unlink()
    assert stale(lake, stages) == everywhere(DAYS[10:])
    (chunk,) = plan_chunks(lake, {"daily": stages[1:]}, DAYS[0], DAYS[-1], chunk=100).chunks
    assert [known.table for known in chunk.stages] == [POSITIONS, COMPARED, GATES]
    make(lake, stages, chunk.sessions)
    assert stale(lake, stages) == NONE


def test_a_book_without_the_session_before_is_not_made(lake: Lake) -> None:
    with pytest.raises(MissingUpstreamError, match=f"{POSITIONS} has no {DAYS[3]}"):
        make(lake, graph(Faults()), DAYS[4:6])


# -- a later beginning -----------------------------------------------------------------------------

BEGINS = DAYS[6]


def test_before_its_first_day_a_table_is_empty_and_not_planned(lake: Lake) -> None:
    stages = graph(Faults(), begins=BEGINS)
    assert stale(lake, stages) == everywhere(DAYS[6:])
    parts = plan_chunks(lake, {"daily": stages[1:]}, DAYS[0], DAYS[-1], chunk=100).chunks
    assert [chunk.sessions for chunk in parts] == [tuple(DAYS[6:])]
    make(lake, stages, DAYS)
    for table in NONE:
        entries = lake.entries(table)
        assert {day for day in DAYS if not entries[day].rows} == set(DAYS[:6])
        assert {entries[day].input_hash for day in DAYS[:6]} == {NOTHING}
        assert not verdicts(lake, table)
    assert stale(lake, stages) == NONE
    # Whether idle sessions were stored or not, the others are what they are.
    other = with_bars(lake.root.parent / "other")
    for day in DAYS[6:]:
        make(other, stages, [day])
    assert stale(other, stages) == NONE
    for table in NONE:
        assert story(other, table) == story(lake, table, DAYS[6:])


def test_a_beginning_that_is_moved_later_empties_what_was_before(lake: Lake) -> None:
    make(lake, graph(Faults()), DAYS)
    later = graph(Faults(), begins=BEGINS)
    found = stale(lake, later)
    # The chain begins anew, and what only reads it follows; before it everything becomes empty.
    assert found == everywhere(DAYS)
    for chunk in plan_chunks(lake, {"daily": later[1:]}, DAYS[0], DAYS[-1], chunk=100).chunks:
        make(lake, later, chunk.sessions)
    assert stale(lake, later) == NONE
    fresh = with_bars(lake.root.parent / "fresh")
    make(fresh, later, DAYS)
    assert told(lake) == told(fresh)


def test_a_force_leaves_the_sessions_before_a_beginning_alone(lake: Lake) -> None:
    stages = graph(Faults(), begins=BEGINS)
    (chunk,) = plan_chunks(
        lake, {"daily": stages[1:]}, DAYS[0], DAYS[-1], chunk=100, force=True
    ).chunks
    assert chunk.sessions == tuple(DAYS[6:])


# -- an input that does not withdraw ---------------------------------------------------------------


@pytest.mark.parametrize("withdraws", [True, False])
def test_a_blocked_session_of_an_input_that_does_not_withdraw_counts_as_empty(
    lake: Lake, withdraws: bool
) -> None:
    bad = DAYS[5]
    faults = Faults(unmatched=(bad,))
    *others, gates = graph(faults)
    seen: dict[date, int] = {}

    def count(
        frames: Mapping[str, pl.LazyFrame], _settings: None, wanted: SessionRange
    ) -> pl.DataFrame:
        seen.update(frames["compared"].group_by("session").len().collect().iter_rows())
        return trend_frame(wanted.sessions)

    window = replace(gates.windows["compared"], lookback=1, withdraws=withdraws)
    make(lake, [*others, replace(gates, function=count, windows={"compared": window})], DAYS)
    assert set(seen) == set(DAYS) - {bad}
    assert verdicts(lake, GATES) == ([bad, DAYS[6]] if withdraws else [])
