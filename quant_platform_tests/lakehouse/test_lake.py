"""The lake's reads: bounded by what was known, over the files that the log names and no others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.calendars import build_calendar
from quant_platform.errors import CalendarError, ContractError, LakeError, LookAheadError
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.lakehouse.small_lake import (
    BARS_TABLE,
    CALENDAR,
    EVENING,
    SESSIONS,
    TREND_TABLE,
    bar,
    bars_frame,
    open_lake,
    stamp,
    trend_frame,
    write,
)

DAYS = SESSIONS[:8]
ROWS = [
    *(bar("a", day, 10.0 + number) for number, day in enumerate(DAYS)),
    bar("a", DAYS[1], 99.0, late=2),
    bar("a", DAYS[1], 77.0, late=4),
    bar("b", DAYS[2], 5.0, late=3),
    bar("b", DAYS[7], 6.0),
]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Fill a lake that the tests only read."""
    lake = open_lake(tmp_path_factory.mktemp("read"))
    write(lake, BARS_TABLE, bars_frame(ROWS), SESSIONS[:12])
    write(lake, TREND_TABLE, trend_frame(DAYS))
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Fill a lake that a test may spoil."""
    lake = open_lake(tmp_path)
    write(lake, TREND_TABLE, trend_frame(DAYS))
    return lake


def known(rows: list[dict[str, Any]], session: date) -> dict[tuple[str, date], float]:
    """Find what was known at a session's cutoff, one row after the other."""
    latest: dict[tuple[str, date], dict[str, Any]] = {}
    for row in rows:
        if row["known_at"] <= CALENDAR.cutoff(session):
            key = (row["security_id"], row["session"])
            if key not in latest or latest[key]["known_at"] < row["known_at"]:
                latest[key] = row
    return {key: row["close"] for key, row in latest.items()}


def as_dict(rows: pl.LazyFrame) -> dict[tuple[str, date], float]:
    frame = rows.collect()
    keys = list(zip(frame["security_id"], frame["session"], strict=True))
    assert len(keys) == len(set(keys))
    return dict(zip(keys, frame["close"], strict=True))


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


@settings(deadline=None, max_examples=25)
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


# -- the newest snapshot ---------------------------------------------------------------------------


def test_the_newest_snapshot_tells_its_age_in_sessions(read: Lake) -> None:
    for later, age in ((7, 0), (8, 1), (11, 4)):
        rows, found = read.latest(TREND_TABLE, SESSIONS[later])
        assert found == age
        assert rows.collect()["session"].to_list() == [DAYS[7]]
    saturday = date(2024, 1, 6)
    rows, age = read.latest(TREND_TABLE, saturday)
    assert (rows.collect()["session"].to_list(), age) == ([date(2024, 1, 5)], 0)


def test_features_carry_their_age_and_may_be_chosen(read: Lake) -> None:
    frame = read.features(TREND_TABLE, SESSIONS[9]).collect()
    assert frame["age_sessions"].to_list() == [2]
    assert read.features(TREND_TABLE, SESSIONS[9], ["nobody"]).collect().height == 0
    assert read.features(TREND_TABLE, SESSIONS[9], ["a"]).collect().height == 1


def test_nothing_before_the_first_snapshot(read: Lake) -> None:
    with pytest.raises(LakeError, match="has nothing for 2023-12-29"):
        read.latest(TREND_TABLE, date(2023, 12, 29))


# -- scans -----------------------------------------------------------------------------------------


def test_a_scan_reads_each_asked_partition_once(read: Lake) -> None:
    asked = [DAYS[3], DAYS[3], date(1999, 1, 1), DAYS[1]]
    assert read.scan(TREND_TABLE, asked).collect()["session"].to_list() == [DAYS[1], DAYS[3]]
    assert read.scan(TREND_TABLE, []).collect().height == 0
    assert read.scan(BARS_TABLE).collect().height == len(ROWS)


def test_blocked_sessions_are_invisible_to_every_reader(lake: Lake) -> None:
    write(lake, TREND_TABLE, trend_frame([DAYS[7]]), verdicts={DAYS[7]: "blocked"})
    assert lake.sessions(TREND_TABLE) == DAYS[:7]
    assert lake.scan(TREND_TABLE, [DAYS[7]]).collect().height == 0
    assert lake.as_of(TREND_TABLE, DAYS[7], lookback=0).collect().height == 0
    assert lake.latest(TREND_TABLE, DAYS[7])[1] == 1
    assert lake.entries(TREND_TABLE)[DAYS[7]].verdict == "blocked"
    assert lake.provenance(TREND_TABLE, DAYS[7]).rows == 1


def test_a_table_of_empty_and_blocked_partitions_has_no_rows(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    write(lake, TREND_TABLE, trend_frame([]), DAYS[:3], verdicts={DAYS[1]: "blocked"})
    frame = lake.scan(TREND_TABLE).collect()
    assert frame.schema == CONTRACTS["features_trend"].empty().schema
    assert lake.sessions(TREND_TABLE) == [DAYS[0], DAYS[2]]
    assert lake.as_of(TREND_TABLE, DAYS[2]).collect().height == 0


# -- what can be wrong -----------------------------------------------------------------------------


def _delete(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(path)


def _other_session(path: Path) -> None:
    other = path.parent.with_name(f"session={DAYS[0]}") / path.name
    grown = pl.read_parquet(other, hive_partitioning=False)
    footer = pl.read_parquet_metadata(other)["quant_platform"]
    grown.write_parquet(path, metadata={"quant_platform": footer, "padding": "x" * 99})


def _other_table(path: Path) -> None:
    rows = pl.read_parquet(path, hive_partitioning=False)
    footer = pl.read_parquet_metadata(path)["quant_platform"]
    footer = footer.replace("instruments/features_trend", "crypto/features_trend")
    rows.write_parquet(path, metadata={"quant_platform": footer})


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_delete, "is gone from"),
        (_cut, "not an intact partition file"),
        (_empty, "not an intact partition file"),
        (_foreign, "not an intact partition file"),
        (_other_session, f"of {DAYS[0]}"),
        (_other_table, "holds crypto/features_trend"),
        (_folder, "not an intact partition file"),
    ],
)
def test_a_file_that_is_not_the_partition_is_a_sentence(
    lake: Lake, spoil: Callable[[Path], None], sentence: str
) -> None:
    path = lake.layout(TREND_TABLE).part(DAYS[4])
    spoil(path)
    for reading in (lake.scan, lambda table: lake.as_of(table, DAYS[6], lookback=4)):
        with pytest.raises(LakeError, match=sentence) as told:
            reading(TREND_TABLE)
        assert str(path) in str(told.value)
        assert told.value.mend
    # Reads that do not need it are not disturbed.
    assert lake.as_of(TREND_TABLE, DAYS[3]).collect().height == 4


def test_a_flipped_bit_is_found_by_verifying(lake: Lake) -> None:
    lake.verify(TREND_TABLE, DAYS)
    path = lake.layout(TREND_TABLE).part(DAYS[4])
    content = bytearray(path.read_bytes())
    content[10] ^= 4
    path.write_bytes(content)
    lake.verify(TREND_TABLE, [*DAYS[:4], *DAYS[5:]])
    with pytest.raises(LakeError, match="is damaged"):
        lake.verify(TREND_TABLE, DAYS)


@pytest.mark.parametrize(
    "read_it",
    [
        lambda lake: lake.scan(TREND_TABLE),
        lambda lake: lake.as_of(TREND_TABLE, DAYS[6], lookback=4),
        lambda lake: lake.latest(TREND_TABLE, DAYS[4]),
        lambda lake: lake.features(TREND_TABLE, DAYS[4]),
    ],
)
@pytest.mark.parametrize("position", [10, -20])
def test_a_flipped_bit_is_never_another_number(
    lake: Lake, read_it: Callable[[Lake], Any], position: int
) -> None:
    read_it(lake)
    path = lake.layout(TREND_TABLE).part(DAYS[4])
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)
    # Not even the time of its last change gives it away.
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(LakeError) as told:
        read_it(lake)
    assert str(path) in str(told.value)
    assert "'quant doctor --deep'" in str(told.value)
    assert not lake.store(TREND_TABLE).intact(lake.provenance(TREND_TABLE, DAYS[4]))


def test_a_partition_that_its_writer_has_not_logged_yet_is_read(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    log = layout.log.read_bytes()
    write(lake, TREND_TABLE, trend_frame([DAYS[4]], close=77.0))
    # As between the rename and the line of the log.
    layout.log.write_bytes(log)
    layout.pending.write_text(str(DAYS[4]))
    reader = Lake.open(lake.root, clock=lake.clock)
    assert reader.scan(TREND_TABLE, [DAYS[4]]).collect()["close"].to_list() == [77.0]
    # Nobody is replacing it: then it is not what was written.
    layout.pending.unlink()
    with pytest.raises(LakeError, match="is damaged"):
        reader.scan(TREND_TABLE, [DAYS[4]])


# -- questions that are none -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda lake, table: lake.scan(table),
        lambda lake, table: lake.scan(table, [DAYS[0]]),
        lambda lake, table: lake.sessions(table),
        lambda lake, table: lake.checks(table),
        lambda lake, table: lake.as_of(table, DAYS[0]),
        lambda lake, table: lake.latest(table, DAYS[0]),
        lambda lake, table: lake.features(table, DAYS[0]),
        lambda lake, table: lake.provenance(table, DAYS[0]),
        lambda lake, table: lake.versions(table, DAYS[0]),
    ],
)
def test_a_misspelt_table_is_a_sentence(lake: Lake, ask: Callable[[Lake, Any], Any]) -> None:
    with pytest.raises(LakeError, match="is not in the lake") as told:
        ask(lake, "instrument/features_trend")
    assert f"perhaps {TREND_TABLE}" in str(told.value)
    with pytest.raises(LakeError, match="is no table") as told:
        ask(lake, f"checks/{TREND_TABLE}")
    assert f"lake.checks('{TREND_TABLE}')" in str(told.value)
    with pytest.raises(LakeError, match="the table is"):
        ask(lake, [TREND_TABLE])


def test_a_table_that_was_not_made_yet_has_no_sessions(lake: Lake, tmp_path: Path) -> None:
    assert lake.sessions(BARS_TABLE) == []
    assert lake.scan(BARS_TABLE, []).collect().height == 0
    assert lake.scan(f"quarantine/{TREND_TABLE}").collect().height == 0
    assert open_lake(tmp_path / "new").sessions(BARS_TABLE) == []


@pytest.mark.parametrize(
    "day", [datetime(2024, 1, 5, tzinfo=UTC), "2024-01-05", 20240105, 1.5, None, [date(2024, 1, 5)]]
)
def test_what_is_no_day_is_a_sentence(read: Lake, day: Any) -> None:
    asked: list[Callable[[], Any]] = [
        lambda: read.as_of(BARS_TABLE, day),
        lambda: read.as_of(BARS_TABLE, DAYS[5], sessions=[day]),
        lambda: read.latest(TREND_TABLE, day),
        lambda: read.features(TREND_TABLE, day),
        lambda: read.scan(TREND_TABLE, [day]),
        lambda: read.provenance(TREND_TABLE, day),
        lambda: read.versions(TREND_TABLE, day),
    ]
    for ask in asked:
        with pytest.raises(CalendarError, match=r"expected a datetime\.date"):
            ask()


@pytest.mark.parametrize("days", ["2024-01-05", date(2024, 1, 5)])
def test_what_is_no_list_of_days_is_a_sentence(read: Lake, days: Any) -> None:
    with pytest.raises(CalendarError, match=r"a list of datetime\.date"):
        read.scan(TREND_TABLE, days)
    with pytest.raises(CalendarError, match=r"a list of datetime\.date"):
        read.as_of(TREND_TABLE, DAYS[5], sessions=days)


@pytest.mark.parametrize("lookback", [1.0, "1", True])
def test_a_look_back_that_is_no_whole_number_is_a_sentence(read: Lake, lookback: Any) -> None:
    with pytest.raises(LakeError, match="a whole number of sessions"):
        read.as_of(TREND_TABLE, DAYS[5], lookback=lookback)


def test_features_of_a_session_to_come_are_look_ahead(read: Lake) -> None:
    before = Lake.open(
        read.root, clock=lambda: CALENDAR.cutoff(DAYS[4]) - timedelta(microseconds=1)
    )
    for ask in (before.features, before.latest):
        with pytest.raises(LookAheadError, match="whose cutoff is"):
            ask(TREND_TABLE, DAYS[4])
    assert before.features(TREND_TABLE, DAYS[3]).collect()["session"].to_list() == [DAYS[3]]


def test_one_security_may_be_asked_for_by_its_name(read: Lake) -> None:
    assert read.features(TREND_TABLE, SESSIONS[9], "a").collect().height == 1
    assert read.features(TREND_TABLE, SESSIONS[9], "ab").collect().height == 0
    with pytest.raises(LakeError, match="one security id or a list"):
        read.features(TREND_TABLE, SESSIONS[9], 3)  # type: ignore[arg-type]
    for wrong in (("a", SESSIONS[9]), (["a"], SESSIONS[9]), (SESSIONS[9], ["a"])):
        with pytest.raises(LakeError):
            read.features(*wrong)


# -- sessions that were never made -----------------------------------------------------------------


@pytest.mark.parametrize("table", [BARS_TABLE, TREND_TABLE])
def test_a_session_that_was_never_made_is_no_empty_answer(tmp_path: Path, table: str) -> None:
    lake = open_lake(tmp_path)
    made = [*DAYS[2:4], *DAYS[5:7]]
    rows = bars_frame(bar("a", day) for day in made) if table == BARS_TABLE else trend_frame(made)
    write(lake, table, rows)

    def asked(day: date, **options: Any) -> list[date]:
        return lake.as_of(table, day, **options).collect()["session"].sort().to_list()

    refused: list[tuple[date, date, dict[str, Any]]] = [
        (DAYS[7], DAYS[7], {"lookback": 0}),
        (DAYS[7], DAYS[7], {"lookback": 1}),
        (DAYS[5], DAYS[4], {"lookback": 1}),
        (DAYS[6], DAYS[4], {}),
        (DAYS[6], DAYS[4], {"sessions": [DAYS[4]]}),
        (DAYS[1], DAYS[1], {}),
    ]
    for day, absent, options in refused:
        with pytest.raises(LakeError, match=f"has nothing for {absent}") as told:
            asked(day, **options)
        assert "missing='skip'" in str(told.value)
        asked(day, **options, missing="skip")
    # Before its first session a table has none, and a look-back is cut there.
    assert asked(DAYS[3], lookback=3) == asked(DAYS[3]) == made[:2]
    assert asked(DAYS[6], lookback=1) == made[2:]
    assert asked(DAYS[6], missing="skip") == made


def test_present_sessions_are_those_with_a_file(lake: Lake) -> None:
    write(lake, TREND_TABLE, trend_frame([DAYS[2]]), verdicts={DAYS[2]: "blocked"})
    lake.layout(TREND_TABLE).part(DAYS[4]).unlink()
    asked = [*DAYS, SESSIONS[10]]
    assert lake.present(TREND_TABLE, asked) == [day for day in DAYS if day != DAYS[4]]


def test_absent_lakes_tables_and_sessions_are_sentences(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="there is no lake at"):
        Lake.open(tmp_path / "nowhere")
    with pytest.raises(LakeError, match="has nothing for 2024-06-28") as told:
        lake.provenance(TREND_TABLE, SESSIONS[-1])
    assert f"{DAYS[0]} to {DAYS[-1]}" in str(told.value)
    with pytest.raises(LakeError, match="has nothing for"):
        lake.versions(TREND_TABLE, SESSIONS[-1])
    with pytest.raises(LakeError, match="is not in the lake"):
        lake.as_of(BARS_TABLE, DAYS[0])
    with pytest.raises(ContractError, match="has no contract"):
        lake.scan("instruments/barss")
    (tmp_path / "a file").touch()
    with pytest.raises(LakeError, match="cannot be made"):
        Lake.create(tmp_path / "a file" / "lake")


def test_a_broken_description_is_a_sentence(lake: Lake) -> None:
    lake.layout(TREND_TABLE).description.write_text('{"calendar": "XNYS"}')
    with pytest.raises(LakeError, match="cannot be read"):
        Lake.open(lake.root).as_of(TREND_TABLE, DAYS[0])


def test_a_lake_knows_its_calendars_by_itself(lake: Lake) -> None:
    assert Lake.open(lake.root).calendar(TREND_TABLE) == CALENDAR
    path = lake.layout(TREND_TABLE).description
    touched = path.stat().st_mtime_ns
    lake.describe(TREND_TABLE, CALENDAR)
    assert path.stat().st_mtime_ns == touched
    moved = build_calendar("XNYS", horizon=date(2025, 12, 31), grace=timedelta(minutes=120))
    lake.describe(TREND_TABLE, moved)
    assert lake.calendar(TREND_TABLE) == Lake.open(lake.root).calendar(TREND_TABLE) == moved


def test_what_another_process_wrote_shows_at_once(lake: Lake) -> None:
    reader = Lake.open(lake.root, clock=lake.clock)
    assert reader.sessions(TREND_TABLE) == DAYS
    write(lake, TREND_TABLE, trend_frame([SESSIONS[8]]))
    assert reader.sessions(TREND_TABLE) == SESSIONS[:9]


# -- what made it ----------------------------------------------------------------------------------


def test_provenance_and_checks_are_those_of_the_last_write(lake: Lake) -> None:
    outcome = {
        "rule": "row_count",
        "severity": "warning",
        "passed": False,
        "value": 0.25,
        "threshold": 0.5,
        "cause": None,
    }
    write(
        lake,
        TREND_TABLE,
        trend_frame([DAYS[0]], close=11.0),
        input_hash="input-2",
        outcomes=(outcome,),
        verdicts={DAYS[0]: "warned"},
        made_by=stamp("run-2"),
    )
    entry = lake.provenance(TREND_TABLE, DAYS[0])
    assert (entry.input_hash, entry.stamp.run_id, entry.verdict) == ("input-2", "run-2", "warned")
    assert lake.checks(TREND_TABLE).to_dicts() == [{"session": DAYS[0], **outcome}]


# -- schema versions -------------------------------------------------------------------------------


def _second_version(upgrades: Mapping[int, Any]) -> Any:
    class FeaturesTrend(CONTRACTS["features_trend"].schema):  # type: ignore[misc]
        liquid = dy.Bool(nullable=True, description="Added in version 2.")

    return replace(CONTRACTS["features_trend"], schema=FeaturesTrend, version=2, upgrades=upgrades)


def test_reads_span_schema_versions(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    second = _second_version({1: lambda rows: rows.with_columns(liquid=pl.lit(True))})
    monkeypatch.setitem(CONTRACTS, "features_trend", second)
    later = Lake.open(lake.root, clock=lake.clock)
    frame = trend_frame([DAYS[2]]).with_columns(liquid=pl.lit(False))
    write(later, TREND_TABLE, frame)
    found = later.scan(TREND_TABLE).collect().sort("session")
    assert found.columns == list(second.columns)
    assert found["liquid"].to_list() == [day != DAYS[2] for day in DAYS]
    assert later.as_of(TREND_TABLE, DAYS[3], lookback=1).collect().height == 2


def test_a_version_without_an_upgrade_is_an_error(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONTRACTS, "features_trend", _second_version({}))
    later = Lake.open(lake.root, clock=lake.clock)
    with pytest.raises(ContractError, match="partitions of version 1 of 'features_trend'"):
        later.scan(TREND_TABLE)
    write(later, TREND_TABLE, trend_frame([DAYS[2]]).with_columns(liquid=pl.lit(False)))
    assert later.scan(TREND_TABLE, [DAYS[2]]).collect().height == 1


def test_an_upgrade_that_forgets_a_column_is_noticed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONTRACTS, "features_trend", _second_version({1: lambda rows: rows}))
    later = Lake.open(lake.root, clock=lake.clock)
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match="liquid"):
        later.scan(TREND_TABLE).collect()


# -- where a lake lies -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["with 'quotes'", "[abc]", "a*b?", "100 %"])
def test_a_lake_may_lie_in_any_folder(read: Lake, tmp_path: Path, name: str) -> None:
    shutil.copytree(read.root, tmp_path / name)
    moved = Lake.open(tmp_path / name, clock=lambda: EVENING)
    assert as_dict(moved.as_of(BARS_TABLE, DAYS[5])) == known(ROWS, DAYS[5])
