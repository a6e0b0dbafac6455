"""``quant run``: two years or four, or up to a day; again does nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from quant_platform.cli import run as module
from quant_platform.errors import CalendarError, ConfigError
from quant_platform.lakehouse.lake import Lake
from quant_platform.orchestration.backfill import BackfillReport
from quant_platform.orchestration.runs import Tally
from quant_platform.settings import load_settings
from quant_platform_tests.cli.command_line import Answer, instance_of, quant
from quant_platform_tests.end_to_end.projects import lay_out

TABLES = [
    *(
        f"{sleeve}/{kind}"
        for sleeve in ("crypto", "instruments")
        for kind in (
            "securities",
            "bars",
            "actions",
            "returns",
            "quality",
            "universe",
            "universe_counts",
            "features_trend",
            "features_state",
            "features_avwap",
            "features_liquidity",
            "features_volatility",
        )
    ),
    "instruments/earnings",
    "instruments/membership",
    "market/series",
]
"""Tables that have rows before the walk-forward history begins."""
LAST = "2022-01-10"


def sessions_of(table: str) -> int:
    """Count the sessions from the third to the tenth of January 2022 on the table's calendar."""
    return 8 if table.startswith("crypto") else 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    lay_out(folder, sleeves=("instruments", "crypto"))
    return folder


@pytest.fixture(scope="module")
def first(folder: Path) -> Answer:
    return quant(folder, "run", "--to", LAST, "--json")


def test_a_run_makes_every_table_and_says_what_it_made(folder: Path, first: Answer) -> None:
    assert first.code == 0
    report = first.json()
    assert report["lake"] == str(folder / "lakehouse")
    assert not report["stopped"]
    assert report["chunks"] == 2
    lake = Lake.open(folder / "lakehouse")
    made = {row["table"]: row for row in report["tables"]}
    assert sorted(table for table, row in made.items() if row["sessions"]) == sorted(TABLES)
    for table in TABLES:
        row = made[table]
        entries = lake.entries(table)
        assert row["sessions"] == len(entries) == sessions_of(table)
        assert (row["first"], row["last"]) == (str(min(entries)), str(max(entries)))
        assert row["rows"] == lake.scan(table).collect().height
        assert row["blocked"] == 0
    assert report["partitions"] == sum(map(sessions_of, TABLES))
    assert report["overhead_milliseconds_per_partition"] > 0


def test_a_second_run_does_nothing(folder: Path, first: Answer) -> None:
    again = quant(folder, "run", "--to", LAST, "--json").json()
    assert (again["chunks"], again["partitions"]) == (0, 0)
    assert again["overhead_milliseconds_per_partition"] is None
    assert again["tables"] == first.json()["tables"]
    told = quant(folder, "run", "--to", LAST)
    assert told.code == 0
    assert "Everything is current" in told.out
    assert "make ui" in told.out


def test_a_run_tells_a_person_the_same(folder: Path, first: Answer) -> None:
    told = quant(folder, "run", "--to", "2022-01-11")
    assert told.code == 0
    for word in ("crypto", "instruments", "market data", "features"):
        assert word in told.out
    assert f"{len(TABLES)} partitions in 2 runs" in told.out
    assert "Traceback" not in told.out + told.err


def test_a_run_goes_on_where_the_last_one_ended(folder: Path, first: Answer) -> None:
    """The event log holds each partition once, whoever made it."""
    quant(folder, "run", "--to", LAST, "--json")
    with instance_of(folder) as instance:
        for table in TABLES:
            stored = Lake.open(folder / "lakehouse").entries(table)
            known = instance.get_materialized_partitions(dg.AssetKey(table.split("/")))
            assert known == {day.isoformat() for day in stored}


@pytest.mark.parametrize(
    ("arguments", "last"),
    [
        ([], date(2023, 12, 31)),
        (["--full"], date(2025, 12, 31)),
        (["--to", LAST], date(2022, 1, 10)),
    ],
)
def test_the_length_of_a_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], last: date
) -> None:
    """What is asked for, without the minutes of making it."""
    asked: list[tuple[date, date]] = []

    def told(_graph: Any, _lake: Any, _instance: Any, begin: date, end: date, **_: Any) -> Any:
        asked.append((begin, end))
        return BackfillReport([])

    monkeypatch.setattr(module, "backfill", told)
    assert quant(folder, "run", *arguments, "--json").code == 0
    assert asked == [(date(2022, 1, 3), last)]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--to", "2021-12-31"], CalendarError),
        (["--to", "2199-01-01"], CalendarError),
        (["--to", "soon"], CalendarError),
    ],
)
def test_a_day_that_is_none_is_refused(
    folder: Path, arguments: list[str], error: type[CalendarError]
) -> None:
    answer = quant(folder, "run", *arguments)
    assert answer.code == error.exit_code
    assert answer.err.startswith(f"{error.__name__}: --")


def test_a_stopped_run_says_how_to_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "backfill", lambda *_args, **_options: BackfillReport([], Tally(stopped=True))
    )
    answer = quant(folder, "run", "--to", LAST, "--json")
    assert answer.code == 130
    assert "'quant run' goes on" in answer.err
    assert answer.json()["stopped"] is True


def test_without_a_sleeve_there_is_nothing_to_run(tmp_path: Path) -> None:
    lay_out(tmp_path, sleeves=())
    answer = quant(tmp_path, "run", "--to", LAST)
    assert answer.code == ConfigError.exit_code
    assert "sleeve" in answer.err
    assert not (tmp_path / "lakehouse").exists()


def test_the_lake_may_be_named_by_the_environment(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "a [lake] of one's own"
    monkeypatch.setenv("QUANT_PLATFORM__LAKE_ROOT", str(elsewhere))
    answer = quant(folder, "run", "--to", "2022-01-04")
    assert answer.code == 0
    assert "a [lake] of one's own" in answer.out.replace("\n", "")
    stored = Lake.open(elsewhere).scan("instruments/bars").collect().height
    found = quant(folder, "sql", "--json", "select count(*) as n from instruments.bars")
    assert found.lines() == [{"n": stored}]
    assert stored
    assert load_settings(folder).lake_root == elsewhere
