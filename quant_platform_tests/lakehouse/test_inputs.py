"""What a range stands on: readiness and input hashes, of ranges and of their single days."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.calendars import build_calendar
from quant_platform.lakehouse.inputs import Readiness, input_hashes, readiness
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform_tests.lakehouse.small_lake import (
    CALENDAR,
    HISTORY,
    SESSIONS,
    TREND_TABLE,
    open_lake,
    span,
    trend_frame,
    write,
)

INPUT = TREND_TABLE
OWN = "crypto/features_trend"
PLAIN = {"rows": Window(INPUT, 3)}
CARRIED = PLAIN | {"state": Window(OWN, 2, own=True)}
DAYS = SESSIONS[:16]
RANGE = span(DAYS[4], DAYS[11])
State = Literal["there", "absent", "blocked"]


def filled(lake: Lake, table: str, states: dict[date, State]) -> Lake:
    """Write the sessions of a table that are there or blocked."""
    there = [day for day, state in states.items() if state != "absent"]
    blocked = {day: "blocked" for day, state in states.items() if state == "blocked"}
    if there:
        write(lake, table, trend_frame(there), there, verdicts=blocked)
    return lake


def whole(root: Path, *, upto: int = 16) -> Lake:
    lake = filled(open_lake(root), INPUT, dict.fromkeys(DAYS, "there"))
    return filled(lake, OWN, dict.fromkeys(DAYS[:upto], "there"))


# -- readiness -------------------------------------------------------------------------------------


def test_a_whole_input_makes_every_session(tmp_path: Path) -> None:
    assert readiness(whole(tmp_path), CARRIED, RANGE) == Readiness({}, {})


def test_an_absent_session_is_missed_by_those_that_need_it(tmp_path: Path) -> None:
    states: dict[date, State] = dict.fromkeys(DAYS, "there")
    lake = filled(open_lake(tmp_path), INPUT, states | {DAYS[6]: "absent"})
    found = readiness(lake, PLAIN, RANGE)
    assert found.blocked == {}
    assert found.missing == dict.fromkeys(DAYS[6:10], f"{INPUT} has no {DAYS[6]}")
    optional = {"rows": Window(INPUT, 3, required=False)}
    assert readiness(lake, optional, RANGE) == Readiness({}, {})


def test_a_deleted_file_is_missing(tmp_path: Path) -> None:
    lake = whole(tmp_path)
    lake.layout(INPUT).part(DAYS[10]).unlink()
    assert list(readiness(lake, PLAIN, RANGE).missing) == [DAYS[10], DAYS[11]]


def test_a_blocked_session_blocks_those_that_need_it(tmp_path: Path) -> None:
    states: dict[date, State] = dict.fromkeys(DAYS, "there")
    lake = filled(open_lake(tmp_path), INPUT, states | {DAYS[1]: "blocked", DAYS[9]: "blocked"})
    found = readiness(lake, PLAIN, RANGE)
    assert found.missing == {}
    sentence = INPUT + " of {} is blocked"
    later = dict.fromkeys(DAYS[9:12], sentence.format(DAYS[9]))
    assert found.blocked == {DAYS[4]: sentence.format(DAYS[1])} | later
    for tolerant in (
        {"rows": Window(INPUT, 3, required=False)},
        {"rows": Window(INPUT, 3, withdraws=False)},
    ):
        assert readiness(lake, tolerant, RANGE) == Readiness({}, {})


def test_an_input_that_does_not_withdraw_is_needed_all_the_same(tmp_path: Path) -> None:
    states: dict[date, State] = dict.fromkeys(DAYS, "there")
    lake = filled(open_lake(tmp_path), INPUT, states | {DAYS[6]: "absent", DAYS[8]: "blocked"})
    tolerant = {"rows": Window(INPUT, 1, withdraws=False)}
    found = readiness(lake, tolerant, RANGE)
    assert found == Readiness(dict.fromkeys(DAYS[6:8], f"{INPUT} has no {DAYS[6]}"), {})
    # What the session holds still tells its readers from those of a session that is not blocked.
    before = input_hashes(lake, tolerant, RANGE)
    write(lake, INPUT, trend_frame([DAYS[8]]))
    after = input_hashes(lake, tolerant, RANGE)
    assert [day for day in RANGE.sessions if before[day] != after[day]] == DAYS[8:10]


def test_a_carried_state_skips_no_session(tmp_path: Path) -> None:
    states: dict[date, State] = dict.fromkeys(DAYS, "there")
    lake = filled(open_lake(tmp_path), INPUT, states | {DAYS[6]: "blocked"})
    filled(lake, OWN, dict.fromkeys(DAYS[:4], "there"))
    found = readiness(lake, CARRIED, RANGE)
    assert found.missing == {}
    assert found.blocked[DAYS[6]] == f"{INPUT} of {DAYS[6]} is blocked"
    assert list(found.blocked) == DAYS[6:12]
    assert found.blocked[DAYS[10]] == f"{OWN} of {DAYS[9]} is blocked"


def test_a_carried_state_needs_the_session_before_the_range_and_none_inside(tmp_path: Path) -> None:
    lake = whole(tmp_path, upto=4)
    assert readiness(lake, CARRIED, RANGE) == Readiness({}, {})
    later = span(DAYS[5], DAYS[7])
    found = readiness(lake, CARRIED, later)
    assert list(found.missing) == DAYS[5:8]
    assert found.missing[DAYS[5]] == f"{OWN} has no {DAYS[4]}"
    first = span(DAYS[0], DAYS[2])
    assert readiness(whole(tmp_path / "new", upto=0), CARRIED, first) == Readiness({}, {})


def test_sessions_before_history_are_not_asked_for(tmp_path: Path) -> None:
    states: dict[date, State] = dict.fromkeys(DAYS[4:], "there")
    lake = filled(open_lake(tmp_path), INPUT, states)
    late = SessionRange(CALENDAR, tuple(DAYS[4:8]), DAYS[4])
    assert readiness(lake, PLAIN, late) == Readiness({}, {})
    assert list(readiness(lake, PLAIN, span(DAYS[4], DAYS[7])).missing) == DAYS[4:7]


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.sampled_from(["there", "there", "there", "absent", "blocked"]), min_size=16),
    st.sampled_from([PLAIN, {"rows": Window(INPUT, 6)}, {"rows": Window(INPUT, 0)}]),
)
def test_a_range_misses_and_blocks_what_its_single_days_do(
    tmp_path_factory: pytest.TempPathFactory, states: list[State], windows: dict[str, Window]
) -> None:
    lake = filled(
        open_lake(tmp_path_factory.mktemp("lake")), INPUT, dict(zip(DAYS, states, strict=False))
    )
    ranged = readiness(lake, windows, RANGE)
    for day in RANGE.sessions:
        alone = readiness(lake, windows, span(day, day))
        assert alone.missing.get(day) == ranged.missing.get(day)
        assert alone.blocked.get(day) == ranged.blocked.get(day)


# -- input hashes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "windows",
    [PLAIN, CARRIED],
    ids=["plain", "carried"],
)
def test_a_range_hashes_like_its_single_days(tmp_path: Path, windows: dict[str, Window]) -> None:
    lake = whole(tmp_path)
    ranged = input_hashes(lake, windows, RANGE)
    assert list(ranged) == list(RANGE.sessions)
    for day in RANGE.sessions:
        assert input_hashes(lake, windows, span(day, day)) == {day: ranged[day]}
    assert len(set(ranged.values())) == len(ranged)


@pytest.mark.parametrize("position", [0, 1, 2, 3, 4, 8, 11, 12])
@pytest.mark.parametrize("change", ["content", "blocked", "absent"])
def test_a_hash_changes_exactly_where_the_session_is_read(
    tmp_path: Path, position: int, change: str
) -> None:
    windows = {"rows": Window(INPUT, 4)}
    lake = whole(tmp_path)
    before = input_hashes(lake, windows, RANGE)
    day = DAYS[position]
    if change == "content":
        write(lake, INPUT, trend_frame([day], close=77.0))
    elif change == "blocked":
        write(lake, INPUT, trend_frame([day]), verdicts={day: "blocked"})
    else:
        log = lake.layout(INPUT).log
        lines = log.read_bytes().splitlines(keepends=True)
        log.unlink()
        log.write_bytes(b"".join(line for line in lines if day.isoformat().encode() not in line))
    after = input_hashes(Lake.open(lake.root), windows, RANGE)
    changed = {session for session in RANGE.sessions if before[session] != after[session]}
    read = {
        session
        for session in RANGE.sessions
        if day in span(session, session).loaded(windows["rows"])
    }
    assert changed == read


def test_confirmed_content_leaves_the_hash_alone(tmp_path: Path) -> None:
    lake = whole(tmp_path)
    before = input_hashes(lake, PLAIN, RANGE)
    write(lake, INPUT, trend_frame(DAYS), input_hash="moved on")
    assert input_hashes(lake, PLAIN, RANGE) == before


def test_fresh_content_of_the_table_itself_goes_before_the_stored_one(tmp_path: Path) -> None:
    lake = whole(tmp_path)
    stored = input_hashes(lake, CARRIED, RANGE)
    fresh = {day: lake.provenance(OWN, day).content_hash for day in RANGE.sessions}
    assert input_hashes(lake, CARRIED, RANGE, {OWN: fresh}) == stored
    changed = input_hashes(lake, CARRIED, RANGE, {OWN: fresh | {DAYS[6]: "other"}})
    assert [day for day in RANGE.sessions if changed[day] != stored[day]] == DAYS[7:9]
    blocked = input_hashes(lake, CARRIED, RANGE, {OWN: fresh | {DAYS[6]: "blocked"}})
    write(lake, OWN, trend_frame([DAYS[6]]), verdicts={DAYS[6]: "blocked"})
    assert input_hashes(lake, CARRIED, RANGE) == blocked


ALL = {"rows": Window(INPUT, ALL_HISTORY)}


@pytest.mark.parametrize("range_", [RANGE, span(DAYS[0], DAYS[15]), span(DAYS[15], DAYS[15])])
def test_all_of_history_hashes_in_a_range_as_in_single_days(
    tmp_path: Path, range_: SessionRange
) -> None:
    lake = whole(tmp_path)
    ranged = input_hashes(lake, ALL, range_)
    assert ranged == {day: input_hashes(lake, ALL, span(day, day))[day] for day in range_.sessions}
    assert len(set(ranged.values())) == len(ranged)


@pytest.mark.parametrize("position", [0, 3, 4, 9, 11, 12])
def test_a_change_of_history_changes_every_later_hash_and_none_before(
    tmp_path: Path, position: int
) -> None:
    lake = whole(tmp_path)
    before = input_hashes(lake, ALL, RANGE)
    write(lake, INPUT, trend_frame([DAYS[position]], close=77.0))
    after = input_hashes(lake, ALL, RANGE)
    changed = [day for day in RANGE.sessions if before[day] != after[day]]
    assert changed == [day for day in RANGE.sessions if day >= DAYS[position]]


def test_a_session_that_decides_hashes_otherwise(tmp_path: Path) -> None:
    lake = whole(tmp_path)
    before = input_hashes(lake, PLAIN, RANGE)
    after = input_hashes(lake, PLAIN, RANGE, grid=[DAYS[1], DAYS[6], DAYS[14]])
    assert [day for day in RANGE.sessions if before[day] != after[day]] == [DAYS[6]]
    alone = input_hashes(lake, PLAIN, span(DAYS[6], DAYS[6]), grid=[DAYS[6]])
    assert alone == {DAYS[6]: after[DAYS[6]]}


def test_an_input_that_begins_later_is_asked_for_from_then_on(tmp_path: Path) -> None:
    begins = DAYS[6]
    lake = filled(open_lake(tmp_path), INPUT, dict.fromkeys(DAYS[6:], "there"))
    late = {"rows": Window(INPUT, 3, begins=begins)}
    assert readiness(lake, late, RANGE) == Readiness({}, {})
    assert list(readiness(lake, PLAIN, RANGE).missing) == DAYS[4:9]
    own = CARRIED | {"state": Window(OWN, 2, own=True, begins=begins)}
    active = span(DAYS[6], DAYS[11])
    assert readiness(lake, {**own, **late}, active) == Readiness({}, {})
    later = readiness(lake, {**own, **late}, span(DAYS[7], DAYS[8]))
    assert later.missing[DAYS[7]] == f"{OWN} has no {DAYS[6]}"


def test_the_name_of_an_input_is_part_of_the_hash(tmp_path: Path) -> None:
    lake = whole(tmp_path)
    found = [
        input_hashes(lake, {name: Window(table, 3)}, RANGE)[DAYS[5]]
        for name, table in (("rows", INPUT), ("bars", INPUT), ("rows", OWN))
    ]
    assert len(set(found)) == 3


def test_a_declared_closure_changes_the_hash_of_the_session_after_it(tmp_path: Path) -> None:
    lake = whole(tmp_path)
    closed = build_calendar(
        "XNYS",
        horizon=CALENDAR.horizon,
        grace=timedelta(minutes=90),
        extra_holidays=(DAYS[6],),
    )
    before = input_hashes(lake, {}, RANGE)
    sessions = tuple(closed.between(RANGE.first, RANGE.last))
    after = input_hashes(lake, {}, SessionRange(closed, sessions, HISTORY))
    assert [day for day in sessions if after[day] != before[day]] == [DAYS[7]]
