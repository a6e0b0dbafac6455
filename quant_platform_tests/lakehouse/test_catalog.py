"""The catalog: what its views say is what the lake says, for any DuckDB client, at any time."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dataframely as dy
import duckdb
import polars as pl
import pytest

from quant_platform.errors import LakeError
from quant_platform.lakehouse.catalog import CATALOG, query_catalog, refresh_catalog
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.ledgers import Ledger, LedgerRecord
from quant_platform_tests.lakehouse.filled_lake import OUTCOME, ask, filled_for_asking
from quant_platform_tests.lakehouse.small_lake import (
    BARS_TABLE,
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

DAYS = SESSIONS[:5]
NIGHT = datetime(2024, 3, 2, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Fill a lake that a test may spoil."""
    return filled_for_asking(tmp_path)


def views(lake: Lake) -> set[str]:
    query = "select schema_name || '.' || view_name from duckdb_views() where not internal"
    return {name for (name,) in ask(lake, query)}


@pytest.fixture
def held() -> Iterator[list[duckdb.DuckDBPyConnection]]:
    """Collect connections that stay open until the test's end."""
    connections: list[duckdb.DuckDBPyConnection] = []
    yield connections
    for connection in connections:
        connection.close()


# -- what the views say ----------------------------------------------------------------------------


def test_a_view_holds_what_a_scan_reads(lake: Lake) -> None:
    for table in (BARS_TABLE, TREND_TABLE):
        contract = lake.layout(table).contract
        found = query_catalog(lake, f"select * from {table.replace('/', '.')}")
        assert found.columns == list(contract.columns)
        scanned = lake.scan(table).collect()
        same = found.cast(scanned.schema).sort(contract.key)
        assert same.equals(scanned.sort(contract.key))


def test_the_latest_of_an_external_table_is_its_last_known_version(lake: Lake) -> None:
    found = ask(lake, "select security_id, session, close from instruments.bars_latest")
    expected = lake.as_of(BARS_TABLE, DAYS[4]).select("security_id", "session", "close").collect()
    assert sorted(found) == sorted(expected.rows())
    assert ("a", DAYS[1], 99.0) in found
    assert len(ask(lake, "select * from instruments.bars")) == len(found) + 1


def test_the_latest_of_a_derived_table_is_its_newest_session(lake: Lake) -> None:
    assert ask(lake, "select session from instruments.features_trend_latest") == [(DAYS[4],)]
    write(lake, TREND_TABLE, trend_frame([DAYS[4]]), verdicts={DAYS[4]: "blocked"})
    assert ask(lake, "select session from instruments.features_trend_latest") == [(DAYS[3],)]


def test_comments_come_from_the_contracts(lake: Lake) -> None:
    contract = CONTRACTS["bars"]
    found = ask(
        lake,
        "select column_name, comment from duckdb_columns() "
        "where schema_name = 'instruments' and table_name = 'bars'",
    )
    assert dict(found) == {name: c.description for name, c in contract.columns.items()}
    (grain,) = ask(lake, "select comment from duckdb_views() where view_name = 'bars'")
    assert grain == (contract.grain,)


def test_checks_and_provenance_are_those_of_the_lake(lake: Lake) -> None:
    # Written at the same instant of a clock that stands still: only the log's order tells.
    for number in range(3):
        write(
            lake,
            TREND_TABLE,
            trend_frame([DAYS[0]], close=20.0 + number),
            outcomes=(OUTCOME | {"value": float(number)}, OUTCOME | {"rule": "other"}),
            verdicts={DAYS[0]: "warned"},
            made_by=stamp(f"run-{number}"),
        )
    write(lake, TREND_TABLE, trend_frame([DAYS[1]]), verdicts={DAYS[1]: "blocked"})
    checks = lake.checks(TREND_TABLE)
    found = query_catalog(lake, "select * from checks.instruments_features_trend")
    assert found.sort("session", "rule").equals(checks.sort("session", "rule"))
    made = query_catalog(lake, "select * from provenance.instruments_features_trend")
    entries = lake.entries(TREND_TABLE)
    assert made.height == len(entries)
    for row in made.to_dicts():
        entry = entries[row["session"]]
        assert row == {
            "session": entry.session,
            "verdict": entry.verdict,
            "rows": entry.rows,
            "content_hash": entry.content_hash,
            "input_hash": entry.input_hash,
            "schema_version": entry.schema_version,
            "size": entry.size,
            "checksum": entry.checksum,
            **vars(entry.stamp),
            "note": entry.note,
        }


def test_a_torn_line_of_the_log_disturbs_no_view(lake: Lake) -> None:
    query = "select session, content_hash from provenance.instruments_features_trend order by 1"
    before = ask(lake, query)
    with lake.layout(TREND_TABLE).log.open("ab") as stream:
        stream.write(b'{"session":"2024-01-02","table":"instr')
    assert ask(lake, query) == before
    assert len(ask(lake, "select * from checks.instruments_features_trend")) == len(DAYS)


def test_ledgers_are_views(lake: Lake) -> None:
    def record(number: int) -> LedgerRecord:
        payload = {"names": [f"it's {number}"]}
        return LedgerRecord("success", DAYS[0], f"step-{number}", payload, "run-1", "c1")

    assert not any(name.startswith("ledger.") for name in views(lake))
    Ledger(lake.root, "orders", lambda: NIGHT).append_many([record(0), record(1)])
    found = query_catalog(lake, "select * from ledger.orders order by seq")
    (path,) = (lake.root / "ledger" / "orders").glob("*.jsonl")
    for row, line in zip(found.to_dicts(), path.read_text().splitlines(), strict=True):
        told = json.loads(line)
        assert row.keys() == told.keys()
        assert row["session"].isoformat() == told.pop("session")
        assert row["ts_utc"] == datetime.fromisoformat(told.pop("ts_utc"))
        assert json.loads(row["payload"]) == told.pop("payload")
        assert told.items() <= row.items()
    assert ask(lake, "select payload->>'$.names[0]' from ledger.orders order by seq") == [
        ("it's 0",),
        ("it's 1",),
    ]
    Ledger(lake.root, "orders", lambda: NIGHT + timedelta(days=1)).append_many([record(2)])
    assert ask(lake, "select count(*), count(distinct seq) from ledger.orders") == [(3, 3)]
    with path.open("ab") as stream:
        stream.write(b'{"action":"cut sh')
    assert ask(lake, "select count(*) from ledger.orders") == [(3,)]


def test_a_view_of_a_ledger_shows_what_is_in_force(lake: Lake) -> None:
    ledger = Ledger(lake.root, "orders", lambda: NIGHT)

    def record(name: str, price: float) -> LedgerRecord:
        return LedgerRecord("success", DAYS[0], "place", {"price": price}, "run-1", name)

    ledger.append_many([record("a", 1.0), record("b", 1.0), record("a", 2.0)])
    ledger.restate("place", [DAYS[0]], [record("a", 2.0)], "run-2")
    assert ask(lake, "select seq from ledger.orders order by seq") == [(3,)]
    trail = ask(lake, "select seq, record_type, supersedes from ledger.orders_trail order by seq")
    assert trail == [
        (1, "success", None),
        (2, "success", None),
        (3, "success", 1),
        (4, "withdrawn", 2),
    ]


# -- empty, blocked, older -------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["passed", "blocked"])
@pytest.mark.parametrize("table", [BARS_TABLE, TREND_TABLE])
def test_a_table_without_rows_can_be_asked_like_any_other(
    tmp_path: Path, table: str, verdict: str
) -> None:
    lake = open_lake(tmp_path)
    empty = lake.layout(table).contract.empty()
    write(lake, table, empty, DAYS[:2], verdicts=dict.fromkeys(DAYS[:2], verdict))
    view = table.replace("/", ".")
    for name in (view, f"{view}_latest"):
        query = (
            f"select security_id, close * 2, session + interval 1 day from {name} "
            "where session >= date '2024-01-01' and security_id like 'a%'"
        )
        assert ask(lake, query) == []
    assert query_catalog(lake, f"select * from {view}").columns == empty.columns
    verdicts = ask(lake, f"select verdict from provenance.{table.replace('/', '_')}")
    assert verdicts == [(verdict,), (verdict,)]


def test_blocked_partitions_are_in_no_view(lake: Lake) -> None:
    write(lake, TREND_TABLE, trend_frame([DAYS[2]], close=66.0), verdicts={DAYS[2]: "blocked"})
    found = ask(lake, "select session from instruments.features_trend order by 1")
    assert [session for (session,) in found] == lake.sessions(TREND_TABLE)


def test_partitions_of_two_schema_versions_are_in_one_view(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FeaturesTrend(CONTRACTS["features_trend"].schema):
        liquid = dy.Bool(nullable=True, description="Added in version 2.")

    upgrade = {1: lambda rows: rows.with_columns(liquid=pl.lit(None, pl.Boolean))}
    second = replace(CONTRACTS["features_trend"], schema=FeaturesTrend, version=2, upgrades=upgrade)
    monkeypatch.setitem(CONTRACTS, "features_trend", second)
    later = Lake.open(lake.root, clock=lake.clock)
    query = "select session, close, liquid from instruments.features_trend order by 1"
    # Only files of the older version: the new column is there, empty, with its comment.
    assert ask(later, query) == [(day, 10.0, None) for day in DAYS]
    write(later, TREND_TABLE, trend_frame([DAYS[1]]).with_columns(liquid=pl.lit(True)))
    expected = later.scan(TREND_TABLE).select("session", "close", "liquid").collect()
    assert ask(later, query) == sorted(expected.rows())
    assert [row[2] for row in ask(later, query)] == [None, True, None, None, None]


# -- read-only, rebuilt, swapped -------------------------------------------------------------------


def test_the_catalog_is_rebuilt_only_when_there_is_something_new(lake: Lake) -> None:
    path = refresh_catalog(lake)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    write(lake, TREND_TABLE, trend_frame(SESSIONS[5:7]))
    refresh_catalog(lake)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert ask(lake, "select count(*) from instruments.features_trend") == [(7,)]
    write(lake, "crypto/bars", bars_frame([bar("x", DAYS[0])]))
    assert ask(lake, "select count(*) from crypto.bars") == [(1,)]
    assert path.stat().st_ino != before[1]


def test_a_spoilt_catalog_is_built_anew(lake: Lake) -> None:
    path = refresh_catalog(lake)
    path.write_bytes(b"not a database")
    assert ask(lake, "select count(*) from instruments.features_trend") == [(5,)]
    path.unlink()
    with duckdb.connect(str(path)) as other:
        other.execute("create table unrelated (a int)")
    assert ask(lake, "select count(*) from instruments.features_trend") == [(5,)]


def test_any_client_may_open_it_read_only(lake: Lake) -> None:
    path = refresh_catalog(lake)
    with duckdb.connect(str(path), read_only=True) as client:
        found = client.execute("select count(*) from instruments.bars_latest").fetchall()
    assert found == [(6,)]


@pytest.mark.parametrize(
    "statement",
    [
        "create table instruments.mine (a int)",
        "drop view instruments.bars",
        "insert into meta_data.built_from values ('x')",
        "delete from instruments.bars",
        "update instruments.bars set close = 1",
    ],
)
def test_nothing_can_be_changed_through_it(lake: Lake, statement: str) -> None:
    before = refresh_catalog(lake).read_bytes()
    with pytest.raises(LakeError, match="the query cannot be run"):
        query_catalog(lake, statement)
    assert (lake.root / CATALOG).read_bytes() == before


def test_a_swap_disturbs_no_open_connection_and_hides_nothing_from_a_new_one(
    lake: Lake, held: list[duckdb.DuckDBPyConnection]
) -> None:
    path = refresh_catalog(lake)
    held.append(duckdb.connect(str(path), read_only=True))
    write(lake, "crypto/bars", bars_frame([bar("x", DAYS[0])]))
    assert ask(lake, "select count(*) from crypto.bars") == [(1,)]
    built = path.stat().st_ino
    assert ask(lake, "select count(*) from crypto.bars") == [(1,)]
    assert path.stat().st_ino == built
    found = held[0].execute("select count(*) from instruments.features_trend").fetchall()
    assert found == [(5,)]


def _ask_often(root: str, asked: int, answers: Any) -> None:
    lake = Lake.open(root, clock=lambda: EVENING)
    found = [
        query_catalog(lake, "select count(*) from instruments.bars").item() for _ in range(asked)
    ]
    answers.put(found)


def test_another_process_may_ask_while_the_catalog_is_rebuilt(lake: Lake) -> None:
    write(lake, "crypto/bars", bars_frame([bar("x", DAYS[0])]))
    description = lake.layout("crypto/bars").description
    away = description.with_suffix(".away")
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    reader = context.Process(target=_ask_often, args=(str(lake.root), 4, answers))
    reader.start()
    rebuilt = 0
    while answers.empty() and reader.is_alive():
        # A table that comes and goes makes every catalog an old one.
        old, new = (description, away) if description.exists() else (away, description)
        old.rename(new)
        refresh_catalog(lake)
        rebuilt += 1
    assert answers.get(timeout=60) == [7] * 4
    reader.join()
    assert reader.exitcode == 0
    assert rebuilt > 1


# -- where it lies, and what is in it --------------------------------------------------------------


def test_an_empty_lake_has_no_views(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    assert views(lake) == set()
    assert ask(lake, "select 1") == [(1,)]


@pytest.mark.parametrize("name", ["it's", "[abc]", "a*b", 'with "double"', "ünïcode – x"])
def test_a_lake_may_lie_in_any_folder(lake: Lake, tmp_path: Path, name: str) -> None:
    shutil.copytree(lake.root, tmp_path / name)
    moved = Lake.open(tmp_path / name, clock=lake.clock)
    Ledger(moved.root, "orders", lambda: NIGHT).append_many(
        [LedgerRecord("success", DAYS[0], "step", {"a": 1}, "run-1", "c1")]
    )
    assert ask(moved, "select count(*) from instruments.bars") == [(7,)]
    assert ask(moved, "select count(*) from provenance.instruments_bars") == [(5,)]
    assert ask(moved, "select count(*) from ledger.orders") == [(1,)]


def test_quoted_values_and_long_text_come_through(lake: Lake) -> None:
    found = ask(lake, "select cause from checks.instruments_features_trend limit 1")
    assert found == [(OUTCOME["cause"],)]
    assert json.dumps(found[0][0]) == '"it\'s thin"'
