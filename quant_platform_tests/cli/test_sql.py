"""``quant sql``: rows for people and for programs, whatever is in them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from quant_platform import __version__
from quant_platform.cli.sql import SHOWN_ROWS
from quant_platform.errors import LakeError
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.cli.command_line import quant
from quant_platform_tests.end_to_end.projects import lay_out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill one sleeve of a project that the tests only ask."""
    folder = tmp_path_factory.mktemp("project")
    lay_out(folder)
    answer = quant(folder, "backfill", "--from", "2022-01-03", "--to", "2022-01-07", "--json")
    assert answer.code == 0
    return folder


def rows(folder: Path, query: str, *options: str) -> list[Any]:
    answer = quant(folder, "sql", query, "--json", *options)
    assert answer.code == 0, answer.err
    return answer.lines()


def test_rows_come_as_json_lines(folder: Path) -> None:
    found = rows(
        folder,
        "select session, count(*) as n, min(close) > 0 as positive, null as nothing "
        "from instruments.bars group by session order by session",
    )
    assert len(found) == 5
    stored = Lake.open(folder / "lakehouse").scan("instruments/bars").collect()
    counts = stored.group_by("session").len().sort("session")["len"].to_list()
    assert [row["n"] for row in found] == counts
    told = {name: value for name, value in found[0].items() if name != "n"}
    assert told == {"session": "2022-01-03", "positive": True, "nothing": None}


def test_a_query_without_rows_prints_nothing_as_json(folder: Path) -> None:
    assert rows(folder, "select * from instruments.bars where false") == []
    assert rows(folder, "/* only a comment */") == []


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("sum(2::hugeint)", 2),
        ("1.50::decimal(6, 2)", "1.50"),
        ("{'a': [1, null], 'b': 'x'}", {"a": [1, None], "b": "x"}),
        ("timestamptz '2024-03-01 21:30:00+00'", "2024-03-01 21:30:00+00:00"),
        ("'it''s [red]'", "it's [red]"),
        ("'nan'::double", None),
        ("'-inf'::double", None),
        ("['nan'::double, 1]", [None, 1.0]),
        ("interval 1 day", "1 day"),
    ],
)
def test_values_of_every_kind_are_json(folder: Path, expression: str, value: Any) -> None:
    (row,) = rows(folder, f"select {expression} as x")
    assert row == {"x": value}


def test_without_a_query_the_views_are_listed(folder: Path) -> None:
    listed = {row["view"]: row["grain"] for row in quant(folder, "sql", "--json").lines()}
    assert "instruments.bars_latest" in listed
    assert "checks.instruments_features_trend" in listed
    assert "provenance.instruments_bars" in listed
    assert all(listed.values())
    for view in listed:
        assert rows(folder, f"select count(*) as n from {view}")[0]["n"] >= 0


def test_a_person_sees_a_table(folder: Path) -> None:
    answer = quant(
        folder,
        "sql",
        "select 'a' as name, 1234567.891::double as x, null as y union all select 'b', 2, 3",
    )
    assert answer.code == 0
    shown = [line.split() for line in answer.out.splitlines() if line.startswith("│")]
    assert [[cell for cell in row if cell != "│"] for row in shown] == [
        ["a", "1.23457e+06", "–"],
        ["b", "2", "3"],
    ]


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/x]", "[link=a]", "\\[x]"])
def test_brackets_in_values_and_names_are_shown_as_they_are(folder: Path, text: str) -> None:
    answer = quant(folder, "sql", f"select '{text}' as \"{text}\"")
    assert answer.code == 0, answer.err
    assert answer.out.count(text) == 2


def test_long_answers_are_cut_and_say_so(folder: Path) -> None:
    many = f"select range as n from range({SHOWN_ROWS + 7})"
    cut = quant(folder, "sql", many)
    assert f"{SHOWN_ROWS} of {SHOWN_ROWS + 7} rows" in cut.err
    assert quant(folder, "sql", many, "--limit", "0").err == ""
    assert len(rows(folder, many)) == len(rows(folder, many, "--limit", "0")) == SHOWN_ROWS + 7
    few = quant(folder, "sql", many, "--json", "--limit", "3")
    assert len(few.lines()) == 3
    assert f"3 of {SHOWN_ROWS + 7} rows" in few.err
    assert quant(folder, "sql", many, "--limit", "-1").code == 2


@pytest.mark.parametrize("query", ["select 1 as a, 2 as a", "selec 1"])
def test_what_cannot_be_answered_is_one_sentence(folder: Path, query: str) -> None:
    answer = quant(folder, "sql", query)
    assert answer.code == LakeError.exit_code
    assert answer.err.startswith("LakeError: the query cannot be run")
    assert len(answer.err.strip().splitlines()) == 1
    assert answer.out == ""


def test_a_query_writes_no_file(folder: Path, tmp_path: Path) -> None:
    answer = quant(folder, "sql", f"copy (select 1) to '{tmp_path / 'written.csv'}'")
    assert answer.code == LakeError.exit_code
    assert "COPY is no question" in answer.err
    assert not list(tmp_path.iterdir())


def test_wide_answers_are_whole_where_no_terminal_cuts_them(folder: Path) -> None:
    names = [f"a_column_with_a_long_name_{number}" for number in range(40)]
    selected = ", ".join(f"'{name} of text' as {name}" for name in names)
    answer = quant(folder, "sql", f"select {selected}")
    for name in names:
        assert answer.out.count(f" {name} ") == 2
    assert "…" not in answer.out


def test_partitions_that_are_gone_or_damaged_are_told(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "project")
    layout = Lake.open(tmp_path / "project" / "lakehouse").layout("instruments/bars")
    first, second = layout.files()[:2]
    first.unlink()
    query = "select count(*) as n from instruments.bars"
    sentence = "'instruments/bars' is not whole: the files of 2022-01-03 are gone"
    answer = quant(tmp_path / "project", "sql", query, "--json")
    assert answer.code == LakeError.exit_code
    assert answer.out == ""
    assert sentence in answer.err
    assert len(answer.err.splitlines()) == 1
    asked = quant(tmp_path / "project", "sql", query, "--json", "--partial")
    assert asked.code == 0
    assert asked.lines() == [{"n": rows(folder, query)[0]["n"] * 4 // 5}]
    assert sentence in asked.err
    shown = quant(tmp_path / "project", "sql", query)
    assert shown.code == 0
    assert sentence in shown.out.splitlines()[-1]
    other = quant(tmp_path / "project", "sql", "select count(*) from instruments.actions")
    assert sentence not in other.out
    content = bytearray(second.read_bytes())
    content[40] ^= 1  # In the rows: the footer can still be read.
    second.write_bytes(content)
    answer = quant(tmp_path / "project", "sql", query, "--json")
    assert answer.code == LakeError.exit_code
    assert answer.out == ""
    assert f"{second} is damaged" in answer.err.splitlines()[-1]
    assert "'quant doctor --deep'" in answer.err


def test_the_version_is_told(tmp_path: Path) -> None:
    answer = quant(tmp_path, "--version")
    assert (answer.code, answer.out) == (0, f"quant_platform {__version__}\n")
