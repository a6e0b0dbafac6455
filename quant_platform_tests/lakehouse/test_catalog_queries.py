"""Queries of the catalog: questions alone, over whole tables, answered or refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_platform.errors import LakeError
from quant_platform.lakehouse.catalog import CATALOG, query_catalog, refresh_catalog
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.lakehouse.filled_lake import ask, filled_for_asking
from quant_platform_tests.lakehouse.small_lake import (
    SESSIONS,
    TREND_TABLE,
)

DAYS = SESSIONS[:5]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Fill a lake that a test may spoil."""
    return filled_for_asking(tmp_path)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select * from nowhere", "nowhere"),
        ("selekt 1", "selekt"),
        ("select clos from instruments.bars", "clos"),
        ("select 1 as a, 2 as a", "more than once"),
        ("select 1/0 from", "syntax error"),
    ],
)
def test_a_query_that_cannot_be_run_is_a_sentence(lake: Lake, query: str, said: str) -> None:
    with pytest.raises(LakeError, match=said) as told:
        query_catalog(lake, query)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("query", ["-- a comment", ";"])
def test_a_statement_without_a_result_gives_no_rows(lake: Lake, query: str) -> None:
    assert query_catalog(lake, query).height == 0


def spoil(path: Path, how: str) -> None:
    """Damage a file: cut it short, or turn one bit of it and leave its size."""
    content = bytearray(path.read_bytes())
    content[10] ^= 4
    path.write_bytes(b"not parquet" if how == "cut" else content)


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_partition_is_a_sentence_and_no_number(lake: Lake, how: str) -> None:
    refresh_catalog(lake)
    path = lake.layout(TREND_TABLE).part(DAYS[2])
    spoil(path, how)
    for view in ("instruments.features_trend", '"instruments" . "features_trend_latest"'):
        with pytest.raises(LakeError) as told:
            query_catalog(lake, f"select sum(close) from {view}")
        assert str(path) in str(told.value)
        assert "'quant doctor --deep'" in str(told.value)
        assert "'quant sql'" not in str(told.value)
    # What does not read it is not disturbed.
    assert ask(lake, "select count(*) from instruments.bars") == [(7,)]


def test_a_catalog_that_cannot_be_built_names_the_damaged_file(lake: Lake) -> None:
    path = lake.layout(TREND_TABLE).part(DAYS[0])
    path.write_bytes(b"not parquet")
    with pytest.raises(LakeError, match="cannot be built") as told:
        refresh_catalog(lake)
    assert str(path) in str(told.value)
    assert "'quant doctor --deep'" in str(told.value)
    assert not list(lake.root.glob(f"*{CATALOG}*"))


def test_a_file_that_no_log_names_and_nobody_can_read_is_a_sentence(lake: Lake) -> None:
    refresh_catalog(lake)
    stray = lake.layout(TREND_TABLE).part(SESSIONS[9])
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"not parquet")
    with pytest.raises(LakeError, match="a file that cannot be read") as told:
        query_catalog(lake, "select sum(close) from instruments.features_trend")
    assert str(stray) in str(told.value)
    assert "'quant doctor --deep'" in str(told.value)


def test_what_is_gone_is_told_and_only_where_it_is_missed(lake: Lake) -> None:
    for day in DAYS[1:3]:
        lake.layout(TREND_TABLE).part(day).unlink()
    told: list[str] = []
    query = "select count(*) as n from instruments.features_trend"
    assert query_catalog(lake, query, told.append).item() == 3
    (sentence,) = told
    assert f"'{TREND_TABLE}' is not whole" in sentence
    assert f"{DAYS[1]} and 1 more are gone" in sentence
    query_catalog(lake, "select count(*) from instruments.bars", told.append)
    assert len(told) == 1


def test_what_is_gone_is_no_answer_where_nobody_is_told(lake: Lake) -> None:
    lake.layout(TREND_TABLE).part(DAYS[1]).unlink()
    with pytest.raises(LakeError, match=rf"the files of {DAYS[1]} are gone.*sql --partial"):
        query_catalog(lake, "select count(*) as n from instruments.features_trend")
    assert query_catalog(lake, "select count(*) from instruments.bars").item() > 0


@pytest.mark.parametrize(
    "statement",
    [
        "copy (select 1) to '{path}'",
        "select 1; copy (select 1) to '{path}'",
        "explain analyze copy (select 1) to '{path}'",
        "explain /* select */ analyze copy (select 1) to '{path}'",
        "attach '{path}'",
        "pragma enable_profiling; pragma profiling_output = '{path}'; select 1",
        "set threads = 1",
    ],
)
def test_a_statement_that_is_no_question_is_refused(
    lake: Lake, tmp_path: Path, statement: str
) -> None:
    written = tmp_path / "written"
    with pytest.raises(LakeError, match="is no question"):
        query_catalog(lake, statement.format(path=written))
    assert not written.exists()


@pytest.mark.parametrize(
    "question",
    [
        "describe instruments.bars",
        "show tables",
        "from instruments.bars",
        "with a as (select 1) select * from a",
        "values (1)",
        "summarize instruments.bars",
        "explain select 1",
        "EXPLAIN ANALYZE select 1",
        "pivot instruments.bars on security_id using max(close) group by session",
        "select 1; select 2",
    ],
)
def test_questions_of_every_form_are_answered(lake: Lake, question: str) -> None:
    assert query_catalog(lake, question).width


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("interval 1 day", "1 day"),
        ("[interval 1 day]", "[1 day]"),
        ("union_value(number := 2)", "2"),
        ("'101'::bit", "101"),
    ],
)
def test_types_that_polars_has_not_come_as_text(lake: Lake, expression: str, text: str) -> None:
    found = query_catalog(lake, f'select {expression} as "a ""b""", 1 as c')
    assert found.rows() == [(text, 1)]
    assert found.columns == ['a "b"', "c"]
