"""Books: one call makes several tables, carries one of them, and judges each on its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_platform.errors import MissingUpstreamError
from quant_platform.lakehouse.inputs import NOTHING
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.store import Judgement
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.orchestration.io import LakeIOManager
from quant_platform.orchestration.making import Made, make_range
from quant_platform.orchestration.plan import plan_chunks, stale_sessions
from quant_platform.orchestration.stage import Stage, calls, resolved
from quant_platform.settings.base import SettingsModel
from quant_platform_tests.end_to_end.stories import Story, story
from quant_platform_tests.lakehouse.small_lake import (
    CALENDAR,
    HISTORY,
    SESSIONS,
    bar,
    bars_frame,
    open_lake,
    trend_frame,
    write,
)

DAYS = SESSIONS[:14]
BARS, POSITIONS, COMPARED, GATES = (
    f"x/{kind}" for kind in ("bars", "features_state", "reconciliation", "features_trend")
)
HELD = ("a", "b", "c")
BOOK = "x/book"


class Faults(SettingsModel):
    """What goes wrong in a book, and when."""

    lost: tuple[date, ...] = ()
    unmatched: tuple[date, ...] = ()


def keep_book(
    frames: Mapping[str, pl.LazyFrame], faults: Faults, wanted: SessionRange
) -> dict[str, pl.DataFrame]:
    """Add each session's close to what the session before left, and compare."""
    before = wanted.calendar.offset(wanted.first, -1)
    carried = frames["positions"].filter(pl.col("session") == before).collect()
    held = dict(zip(carried["security_id"], carried["close_state"], strict=True))
    closes = dict(frames["bars"].select("session", "close").collect().iter_rows())
    positions, compared = [], []
    for session in wanted.sessions:
        held = {item: held.get(item, 0.0) + closes.get(session, 0.0) for item in HELD}
        kept = HELD[:1] if session in faults.lost else HELD
        positions += [position(session, item, held[item]) for item in kept]
        ours = sum(held.values())
        compared.append(
            {
                "session": session,
                "item": "equity",
                "ours": ours,
                "broker": ours,
                "difference": 0.0,
                "tolerance": 0.01,
                "matched": session not in faults.unmatched,
            }
        )
    return {
        "features_state": pl.DataFrame(positions, schema=stage(POSITIONS).contract.empty().schema),
        "reconciliation": pl.DataFrame(compared, schema=stage(COMPARED).contract.empty().schema),
    }


def position(session: date, security: str, value: float) -> dict[str, Any]:
    columns = stage(POSITIONS).contract.empty().columns
    numbers = dict.fromkeys(("bars", "idle", "revisions_missed"), 0)
    states = {name: value for name in columns if name.endswith("_state")}
    return (
        dict.fromkeys(columns)
        | numbers
        | {"bars": 1}
        | states
        | {"session": session, "security_id": security}
    )


def read_gates(
    frames: Mapping[str, pl.LazyFrame], _settings: None, wanted: SessionRange
) -> pl.DataFrame:
    return trend_frame(wanted.sessions)


def stage(table: str, **changes: Any) -> Stage:
    plain = Stage(
        table=table,
        calendar=CALENDAR,
        history_start=HISTORY,
        function=read_gates,
        settings=None,
        modules=("quant_platform.features.panel",),
        description="",
        group="test",
    )
    return replace(plain, **changes)


def graph(faults: Faults, **changes: Any) -> list[Stage]:
    """Bars, a book of positions and their comparison, and gates that read the comparison."""
    shared: dict[str, Any] = {
        "function": keep_book,
        "settings": faults,
        "book": BOOK,
        "windows": {"bars": Window(BARS), "positions": Window(POSITIONS, 1, own=True)},
    }
    return resolved(
        [
            stage(BARS),
            stage(POSITIONS, **shared | changes),
            stage(COMPARED, **shared | changes),
            stage(GATES, windows={"compared": Window(COMPARED)}, **changes),
        ]
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return with_bars(tmp_path)


def with_bars(folder: Path) -> Lake:
    made = open_lake(folder)
    write(made, BARS, bars_frame([bar("a", day, 10.0 + n) for n, day in enumerate(DAYS)]))
    return made


def make(
    lake: Lake, stages: Sequence[Stage], days: Sequence[date], tables: Collection[str] = ()
) -> list[Made]:
    """Make a range of all calls but the bars, as the asset bodies do."""
    io = LakeIOManager(lake, {known.table: known for known in stages})
    every = []
    for together in calls(stages)[1:]:
        if tables and not any(known.table in tables for known in together):
            continue
        wanted = together[0].range_of(days)
        frames = {name: io.read(w, wanted) for name, w in together[0].windows.items()}
        made = make_range(together, lake, frames, wanted, "run")
        for each in made:
            io.store(each)
        every += made
    return every


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


def stale(lake: Lake, stages: Sequence[Stage]) -> dict[str, list[date]]:
    found = stale_sessions(lake, stages[1:], stages[0].range_of(DAYS))
    return {table: sorted(days) for table, days in found.items()}


def everywhere(days: Sequence[date]) -> dict[str, list[date]]:
    return {table: list(days) for table in NONE}


NONE: dict[str, list[date]] = {POSITIONS: [], COMPARED: [], GATES: []}


@pytest.mark.parametrize("table", [POSITIONS, COMPARED])
def test_one_stale_table_makes_its_whole_book_planned(lake: Lake, table: str) -> None:
    stages = graph(Faults())
    make(lake, stages, DAYS)
    assert stale(lake, stages) == NONE
    lake.layout(table).part(DAYS[10]).unlink()
    assert stale(lake, stages) == everywhere(DAYS[10:])
    (chunk,) = plan_chunks(lake, {"daily": stages[1:]}, DAYS[0], DAYS[-1], chunk=100)
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
    parts = plan_chunks(lake, {"daily": stages[1:]}, DAYS[0], DAYS[-1], chunk=100)
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
    for chunk in plan_chunks(lake, {"daily": later[1:]}, DAYS[0], DAYS[-1], chunk=100):
        make(lake, later, chunk.sessions)
    assert stale(lake, later) == NONE
    fresh = with_bars(lake.root.parent / "fresh")
    make(fresh, later, DAYS)
    assert told(lake) == told(fresh)


def test_a_force_leaves_the_sessions_before_a_beginning_alone(lake: Lake) -> None:
    stages = graph(Faults(), begins=BEGINS)
    (chunk,) = plan_chunks(lake, {"daily": stages[1:]}, DAYS[0], DAYS[-1], chunk=100, force=True)
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
