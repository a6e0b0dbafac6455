"""``quant sql``: rows for people and for programs, whatever is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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
    assert f"{SHOWN_ROWS} of {SHOWN_ROWS + 7} rows" in cut.out
    assert "rows" not in quant(folder, "sql", many, "--limit", "0").out
    assert len(rows(folder, many)) == SHOWN_ROWS
    assert len(rows(folder, many, "--limit", "3")) == 3
    assert len(rows(folder, many, "--limit", "0")) == SHOWN_ROWS + 7
    assert quant(folder, "sql", many, "--limit", "-1").code == 2


@pytest.mark.parametrize("query", ["select 1 as a, 2 as a", "select interval 1 day", "selec 1"])
def test_what_cannot_be_answered_is_one_sentence(folder: Path, query: str) -> None:
    answer = quant(folder, "sql", query)
    assert answer.code == LakeError.exit_code
    assert answer.err.startswith("LakeError: the query cannot be run")
    assert len(answer.err.strip().splitlines()) == 1
    assert answer.out == ""
