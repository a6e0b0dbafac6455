"""The record: what the account did stays as it is recorded, whatever is said later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from quant_platform.lakehouse.lake import Lake
from quant_platform.orchestration.plan import Plan, plan_chunks
from quant_platform.orchestration.stage import Stage
from quant_platform_tests.lakehouse.small_lake import SESSIONS, bar, bars_frame, write
from quant_platform_tests.orchestration.small_books import (
    BARS,
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

RECORD = frozenset({POSITIONS, COMPARED, GATES})


def record(faults: Faults = Faults(), **changes: Any) -> list[Stage]:  # noqa: B008 - frozen
    return graph(faults, record=RECORD, **changes)


def changed(stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages with other settings, as after an edit."""
    return [replace(known, identity={"limit": 0.05}) for known in stages]


def planned(lake: Lake, stages: Sequence[Stage], **options: Any) -> Plan:
    return plan_chunks(lake, {"daily": stages[1:]}, DAYS[0], DAYS[-1], chunk=100, **options)


def run(lake: Lake, stages: Sequence[Stage], plan: Plan) -> None:
    for chunk in plan.chunks:
        make(lake, stages, chunk.sessions, [known.table for known in chunk.stages])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return with_bars(tmp_path)


@pytest.fixture
def lived(lake: Lake) -> Lake:
    """Live through every session, one evening after another."""
    for day in DAYS:
        make(lake, record(), [day])
    return lake


def correct_bars(lake: Lake, day: date) -> None:
    write(lake, BARS, bars_frame([bar("a", day, 99.0)]), [day])


def test_a_fresh_lake_is_made_in_one_go(lake: Lake) -> None:
    stages = record()
    plan = planned(lake, stages)
    assert stale(lake, stages) == everywhere(DAYS)
    assert plan.record is not None
    assert (plan.record.kept, plan.record.again, plan.record.last) == ((), (), None)
    run(lake, stages, plan)
    assert planned(lake, stages).chunks == []


def test_other_settings_leave_what_was_lived(lived: Lake) -> None:
    stages = changed(record())
    assert stale(lived, stages) == NONE
    # The twin: a table that is no record is made again.
    assert stale(lived, changed(graph(Faults()))) == everywhere(DAYS)
    plan = planned(lived, stages)
    assert plan.chunks == []
    assert plan.record is not None
    assert plan.record.kept == tuple(DAYS)
    assert (plan.record.again, plan.record.last) == ((), DAYS[-1])
    forced = planned(lived, stages, force=True)
    assert [chunk.sessions for chunk in forced.chunks] == [tuple(DAYS)]
    assert forced.record is None
    run(lived, stages, forced)
    after = planned(lived, stages)
    assert after.chunks == []
    assert after.record is not None
    assert after.record.kept == ()


def test_a_correction_that_comes_later_rewrites_nothing(lived: Lake) -> None:
    correct_bars(lived, DAYS[4])
    assert stale(lived, record()) == NONE
    found = planned(lived, record()).record
    assert found is not None
    assert found.kept == tuple(DAYS[4:])


def test_the_next_session_goes_on_from_what_is_recorded(lived: Lake) -> None:
    stages = changed(record())
    correct_bars(lived, DAYS[4])
    write(lived, BARS, bars_frame([bar("a", SESSIONS[14], 5.0)]), [SESSIONS[14]])
    plan = plan_chunks(lived, {"daily": stages[1:]}, DAYS[0], SESSIONS[14], chunk=100)
    assert [chunk.sessions for chunk in plan.chunks] == [(SESSIONS[14],)]
    run(lived, stages, plan)
    last = lived.scan(POSITIONS, [SESSIONS[14]]).collect()["close_state"].to_list()
    assert last == [sum(10.0 + n for n in range(len(DAYS))) + 5.0] * 3


@pytest.mark.parametrize("table", sorted(RECORD))
@pytest.mark.parametrize("other", [False, True], ids=["as it was", "other settings"])
def test_a_damaged_session_is_made_again_and_none_before_it(
    lived: Lake, table: str, other: bool
) -> None:
    stages = changed(record()) if other else record()
    before = {known: dict(lived.entries(known)) for known in RECORD}
    lived.layout(table).part(DAYS[8]).unlink()
    plan = planned(lived, stages)
    assert plan.record is not None
    assert plan.record.cause == f"{table} of {DAYS[8]} is damaged or gone"
    assert plan.record.kept == (tuple(DAYS[:8]) if other else ())
    # Under other settings all that follows is another account; the same ones give the gates again.
    same_gates = table == GATES and not other
    assert plan.record.again == ((DAYS[8],) if same_gates else tuple(DAYS[8:]))
    run(lived, stages, plan)
    assert planned(lived, stages).chunks == []
    for known in RECORD:
        for day in DAYS[:8]:
            assert lived.entries(known)[day] == before[known][day]


def test_what_continues_other_rows_than_are_stored_is_made_again(lived: Lake) -> None:
    """Somebody makes a session again in the UI, or a run is stopped between two chunks."""
    correct_bars(lived, DAYS[4])
    make(lived, record(), DAYS[4:6])
    plan = planned(lived, record())
    assert stale(lived, record()) == everywhere(DAYS[6:])
    assert plan.record is not None
    assert plan.record.cause == f"{POSITIONS} of {DAYS[6]} continues other rows than are stored now"
    run(lived, record(), plan)
    assert planned(lived, record()).chunks == []
    # The twin: made again with the same result, nothing that follows is touched.
    make(lived, changed(record()), DAYS[4:6])
    assert stale(lived, changed(record())) == NONE


def test_a_blocked_session_that_nobody_can_continue_is_made_when_it_can_be(lake: Lake) -> None:
    make(lake, record(Faults(lost=(DAYS[5],))), DAYS)
    mended = record()
    assert stale(lake, mended) == everywhere(DAYS[5:])
    run(lake, mended, planned(lake, mended))
    assert planned(lake, mended).chunks == []


def test_an_evening_that_was_blocked_and_lived_over_stays_blocked(lake: Lake) -> None:
    make(lake, record(Faults(unmatched=(DAYS[5],))), DAYS)
    assert stale(lake, record()) == NONE
    assert lake.entries(GATES)[DAYS[5]].verdict == "blocked"


@pytest.mark.parametrize("kept", [False, True], ids=["computed", "record"])
def test_gates_that_are_blocked_with_the_evening_settle_in_one_run(lake: Lake, kept: bool) -> None:
    """What a range carries of them is what is stored afterwards."""
    faults = Faults(unmatched=(DAYS[5], DAYS[9]))
    stages = record(faults) if kept else graph(faults)
    make(lake, stages, DAYS)
    assert lake.entries(GATES)[DAYS[5]].verdict == "blocked"
    assert stale(lake, stages) == NONE


@pytest.mark.parametrize("stored", [False, True], ids=["never made", "stored empty"])
def test_an_opening_that_is_moved_earlier_is_another_account(lake: Lake, stored: bool) -> None:
    make(lake, record(begins=DAYS[6]), DAYS if stored else DAYS[6:])
    earlier = record(begins=DAYS[2])
    assert stale(lake, earlier) == everywhere(DAYS[2:])
    run(lake, earlier, planned(lake, earlier))
    assert planned(lake, earlier).chunks == []


def test_an_opening_that_is_moved_later_is_another_account(lived: Lake) -> None:
    later = record(begins=DAYS[6])
    plan = planned(lived, later)
    assert stale(lived, later) == everywhere(DAYS)
    assert plan.record is not None
    assert plan.record.again == tuple(DAYS)
    run(lived, later, plan)
    assert planned(lived, later).chunks == []
    fresh = with_bars(lived.root.parent / "fresh")
    make(fresh, later, DAYS)
    assert {t: e.content_hash for t, e in lived.entries(POSITIONS).items()} == {
        t: e.content_hash for t, e in fresh.entries(POSITIONS).items()
    }
