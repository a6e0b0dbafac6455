"""As-of reads: bounded by what was known at a cutoff, whatever came later."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.errors import CalendarError, LookAheadError
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.lakehouse.filled_lake import (
    DAYS,
    ROWS,
    as_dict,
    filled_for_reading,
    known,
)
from quant_platform_tests.lakehouse.small_lake import (
    BARS_TABLE,
    CALENDAR,
    SESSIONS,
    TREND_TABLE,
    bar,
    bars_frame,
    open_lake,
    write,
)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Fill a lake that the tests only read."""
    return filled_for_reading(tmp_path_factory.mktemp("read"))


# -- as of -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("session", SESSIONS[:12])
def test_as_of_is_what_was_known_at_the_cutoff(read: Lake, session: date) -> None:
    assert as_dict(read.as_of(BARS_TABLE, session)) == known(ROWS, session)


@pytest.mark.parametrize("lookback", [0, 1, 3, 7])
@pytest.mark.parametrize("session", DAYS[-3:])
def test_a_look_back_counts_sessions(read: Lake, session: date, lookback: int) -> None:
    position = SESSIONS.index(session)
    inside = SESSIONS[max(position - lookback, 0) : position + 1]
    expected = {key: close for key, close in known(ROWS, session).items() if key[1] in inside}
    assert as_dict(read.as_of(BARS_TABLE, session, lookback=lookback)) == expected
    trend = read.as_of(TREND_TABLE, session, lookback=lookback).collect()
    assert trend["session"].to_list() == [day for day in DAYS if day in inside]


def test_single_sessions_may_be_asked_for(read: Lake) -> None:
    chosen = [DAYS[5], DAYS[1], DAYS[1]]
    expected = {k: v for k, v in known(ROWS, DAYS[6]).items() if k[1] in chosen}
    assert as_dict(read.as_of(BARS_TABLE, DAYS[6], sessions=chosen)) == expected
    trend = read.as_of(TREND_TABLE, DAYS[6], sessions=chosen).collect()
    assert trend["session"].to_list() == [DAYS[1], DAYS[5]]
    assert read.as_of(BARS_TABLE, DAYS[6], sessions=[]).collect().height == 0


def test_a_row_known_in_the_cutoffs_last_microsecond_counts_and_one_after_it_does_not(
    tmp_path: Path,
) -> None:
    lake = open_lake(tmp_path)
    cutoff = CALENDAR.cutoff(DAYS[0])
    last = bar("a", DAYS[0]) | {"known_at": cutoff}
    after = bar("b", DAYS[0]) | {
        "known_at": cutoff + timedelta(microseconds=1),
        "knowledge_session": DAYS[1],
    }
    # One that lies in a partition where it does not belong is bounded by known_at all the same.
    astray = bar("c", DAYS[0]) | {"known_at": cutoff + timedelta(microseconds=1)}
    write(lake, BARS_TABLE, bars_frame([last, after, astray]))
    assert as_dict(lake.as_of(BARS_TABLE, DAYS[0])) == {("a", DAYS[0]): 10.0}
    assert len(as_dict(lake.as_of(BARS_TABLE, DAYS[1]))) == 3


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 7), st.integers(0, 5), st.integers(0, 60)),
        unique_by=lambda v: (v[0], v[1], v[2], v[3]),
        max_size=25,
    ),
    st.integers(0, 7),
)
def test_later_knowledge_never_changes_an_earlier_read(
    tmp_path_factory: pytest.TempPathFactory,
    versions: list[tuple[str, int, int, int]],
    position: int,
) -> None:
    rows = [
        bar(name, SESSIONS[day], 1.0 + number, late=late, minutes=minutes)
        for number, (name, day, late, minutes) in enumerate(versions)
    ]
    session = SESSIONS[position]
    early = [row for row in rows if row["known_at"] <= CALENDAR.cutoff(session)]
    found = []
    for part in (early, rows):
        lake = open_lake(tmp_path_factory.mktemp("lake"))
        write(lake, BARS_TABLE, bars_frame(part), SESSIONS[:14])
        found.append(as_dict(lake.as_of(BARS_TABLE, session)))
    assert found[0] == found[1] == known(rows, session)


def test_a_session_after_the_asking_one_is_look_ahead(read: Lake) -> None:
    for table in (BARS_TABLE, TREND_TABLE):
        with pytest.raises(LookAheadError, match=f"session {DAYS[5]} of table"):
            read.as_of(table, DAYS[4], sessions=[DAYS[3], DAYS[5]])


def test_a_negative_look_back_is_look_ahead(read: Lake) -> None:
    with pytest.raises(LookAheadError, match="reaches into the future"):
        read.as_of(TREND_TABLE, DAYS[4], lookback=-1)


def test_a_session_whose_cutoff_has_not_passed_is_look_ahead(read: Lake) -> None:
    cutoff = CALENDAR.cutoff(DAYS[4])
    before = Lake.open(read.root, clock=lambda: cutoff - timedelta(microseconds=1))
    with pytest.raises(LookAheadError, match="whose cutoff is"):
        before.as_of(TREND_TABLE, DAYS[4])
    assert before.as_of(TREND_TABLE, DAYS[3]).collect().height == 4
    at_it = Lake.open(read.root, clock=lambda: cutoff)
    assert at_it.as_of(TREND_TABLE, DAYS[4]).collect().height == 5


def test_a_day_that_is_no_session_cannot_ask(read: Lake) -> None:
    with pytest.raises(CalendarError, match="2024-01-06"):
        read.as_of(TREND_TABLE, date(2024, 1, 6))


def test_rejected_rows_are_read_by_the_session_that_rejected_them(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    table = f"quarantine/{BARS_TABLE}"
    frame = pl.DataFrame(
        {"knowledge_session": DAYS[:3], "row": [0] * 3, "rule": ["r"] * 3, "raw": ["{}"] * 3},
        schema=lake.layout(table).contract.empty().schema,
    )
    write(lake, table, frame)
    assert lake.as_of(table, DAYS[1]).collect()["knowledge_session"].to_list() == DAYS[:2]
    rows, age = lake.latest(table, DAYS[4])
    assert (rows.collect()["knowledge_session"].to_list(), age) == ([DAYS[2]], 2)


# -- tables without a session ----------------------------------------------------------------------

LISTINGS_TABLE = "instruments/securities"


def listing(security: str, known_at: datetime, name: str, gone: date | None = None) -> Any:
    """One published description; the first session holds what was known before it."""
    return {
        "knowledge_session": max(CALENDAR.knowledge_session(known_at), DAYS[0]),
        "security_id": security,
        "known_at": known_at,
        "known_at_basis": "assumed",
        "symbol": f"NYSE:{security.upper()}",
        "name": name,
        "exchange": "NYSE",
        "asset_class": "stock",
        "sector": None,
        "category": None,
        "listed_on": date(2019, 5, 1),
        "delisted_on": gone,
    }


LISTINGS = [
    listing("a", CALENDAR.close(date(2019, 5, 1)), "old"),
    listing("a", CALENDAR.cutoff(DAYS[2]), "renamed"),
    listing("a", CALENDAR.cutoff(DAYS[4]) + timedelta(microseconds=1), "gone", DAYS[5]),
    listing("b", CALENDAR.close(DAYS[3]), "young"),
]


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = open_lake(tmp_path_factory.mktemp("listings"))
    contract = CONTRACTS["securities"]
    schema = {name: column.dtype for name, column in contract.columns.items()}
    frame = contract.validate(LISTINGS_TABLE, pl.DataFrame(LISTINGS, schema=schema))
    write(lake, LISTINGS_TABLE, frame, DAYS)
    write(lake, f"quarantine/{LISTINGS_TABLE}", CONTRACTS["quarantine"].empty(), DAYS)
    return lake


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (0, {"a": ("old", None)}),
        (1, {"a": ("old", None)}),
        (2, {"a": ("renamed", None)}),
        (3, {"a": ("renamed", None), "b": ("young", None)}),
        (4, {"a": ("renamed", None), "b": ("young", None)}),
        (5, {"a": ("gone", DAYS[5]), "b": ("young", None)}),
        (7, {"a": ("gone", DAYS[5]), "b": ("young", None)}),
    ],
)
def test_of_each_security_the_last_description_known_at_the_cutoff_wins(
    listings: Lake, position: int, expected: dict[str, tuple[str, date | None]]
) -> None:
    whole = listings.as_of(LISTINGS_TABLE, DAYS[position])
    newest, age = listings.latest(LISTINGS_TABLE, DAYS[position])
    for frame in (whole.collect(), newest.collect()):
        rows = {row["security_id"]: (row["name"], row["delisted_on"]) for row in frame.to_dicts()}
        assert rows == expected
        assert frame.height == len(expected)
    assert age == 0


def test_descriptions_are_counted_by_the_session_in_which_they_became_known(
    listings: Lake,
) -> None:
    names = {
        lookback: listings.as_of(LISTINGS_TABLE, DAYS[5], lookback=lookback).collect()["name"]
        for lookback in (0, 2, 3, 5)
    }
    assert {lookback: found.to_list() for lookback, found in names.items()} == {
        0: ["gone"],
        2: ["gone", "young"],
        3: ["gone", "young"],
        5: ["gone", "young"],
    }
    single = listings.as_of(LISTINGS_TABLE, DAYS[5], sessions=[DAYS[2], DAYS[3]]).collect()
    assert single["name"].to_list() == ["renamed", "young"]
    with pytest.raises(LookAheadError):
        listings.as_of(LISTINGS_TABLE, DAYS[2], sessions=[DAYS[5]])


def test_nothing_rejected_is_an_empty_quarantine(listings: Lake) -> None:
    table = f"quarantine/{LISTINGS_TABLE}"
    assert listings.as_of(table, DAYS[3]).collect().height == 0
    assert listings.sessions(table) == DAYS
