"""``quant backfill``: only what is stale, in chunks, of one job or of all."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from quant_platform.errors import MissingUpstreamError
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.cli.command_line import Answer, quant
from quant_platform_tests.end_to_end.projects import lay_out

FIRST, LAST = "2022-01-03", "2022-01-14"
COINS = 12
STOCKS = 15
"""Tables of each: coins have twelve that have rows before the walk-forward history begins, stocks
earnings and members as well, and the shared series beside them."""
RANGE = ["--from", FIRST, "--to", LAST, "--json"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill a project that the tests copy."""
    folder = tmp_path_factory.mktemp("filled")
    lay_out(folder, sleeves=("instruments", "crypto"))
    assert quant(folder, "backfill", *RANGE).json()["partitions"] == STOCKS * 10 + COINS * 12
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    lay_out(tmp_path / "empty", sleeves=("instruments", "crypto"))
    return tmp_path / "empty"


def content(folder: Path) -> dict[tuple[str, date], str]:
    lake = Lake.open(folder / "lakehouse")
    return {
        (table, day): entry.content_hash
        for table in lake.tables()
        for day, entry in lake.entries(table).items()
    }


def test_a_second_backfill_makes_nothing(folder: Path) -> None:
    before = content(folder)
    answer = quant(folder, "backfill", *RANGE)
    assert answer.code == 0
    assert answer.json()["partitions"] == 0
    assert content(folder) == before


def test_chunks_give_what_one_run_gives(filled: Path, empty: Path) -> None:
    answer = quant(empty, "backfill", *RANGE, "--chunk", "4")
    assert answer.json()["chunks"] == 3 + 3
    assert content(empty) == content(filled)


def test_one_job_leaves_the_other_alone(empty: Path) -> None:
    answer = quant(empty, "backfill", *RANGE, "--job", "us_daily")
    assert answer.json()["partitions"] == STOCKS * 10
    made = {row["table"]: row["sessions"] for row in answer.json()["tables"]}
    assert {table for table, sessions in made.items() if sessions} == {
        "market/series",
        *(
            f"instruments/{kind}"
            for kind in (
                "securities",
                "bars",
                "actions",
                "earnings",
                "membership",
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
    }


def test_only_what_is_stale_is_made_again(folder: Path) -> None:
    lake = Lake.open(folder / "lakehouse")
    lake.layout("instruments/features_liquidity").part(date(2022, 1, 12)).unlink()
    before = content(folder)
    answer = quant(folder, "backfill", *RANGE)
    assert (answer.json()["chunks"], answer.json()["partitions"]) == (1, 1)
    assert content(folder) == before
    lake.verify("instruments/features_liquidity", [date(2022, 1, 12)])


def test_force_makes_current_sessions_again_and_changes_no_byte(folder: Path) -> None:
    lake = Lake.open(folder / "lakehouse")
    part = lake.layout("instruments/bars").part(date(2022, 1, 12))
    before, touched = content(folder), part.stat().st_mtime_ns
    answer = quant(folder, "backfill", *RANGE, "--force", "--job", "us_daily")
    assert answer.json()["partitions"] == STOCKS * 10
    assert content(folder) == before
    assert part.stat().st_mtime_ns == touched


def test_a_deleted_log_is_made_anew_from_the_source(folder: Path) -> None:
    before = content(folder)
    lake = Lake.open(folder / "lakehouse")
    for table in ("instruments/bars", "instruments/features_state"):
        lake.layout(table).log.unlink()
    assert quant(folder, "backfill", *RANGE).code == 0
    assert content(folder) == before


def test_a_range_that_lacks_what_came_before_is_an_error_that_keeps_what_it_could_make(
    empty: Path,
) -> None:
    answer = quant(empty, "backfill", "--from", "2022-01-10", "--to", LAST, "--job", "us_daily")
    assert answer.code == MissingUpstreamError.exit_code
    assert answer.err.startswith("MissingUpstreamError: ")
    assert "2022-01-03" in answer.err or "2022-01-07" in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert len(Lake.open(empty / "lakehouse").sessions("instruments/bars")) == 5
    assert quant(empty, "backfill", "--from", FIRST, "--to", LAST, "--json").code == 0


def test_every_job_that_failed_says_why(empty: Path) -> None:
    answer = quant(empty, "backfill", "--from", "2022-01-10", "--to", LAST)
    assert answer.code == MissingUpstreamError.exit_code
    first, second = answer.err.strip().splitlines()
    assert first.startswith("MissingUpstreamError: crypto/")
    assert second.startswith("us_daily failed as well: MissingUpstreamError: instruments/")


def test_days_that_are_no_sessions_may_bound_a_range(folder: Path) -> None:
    """From a Saturday to a holiday: the exchange has five sessions between, the coins ten."""
    answer = quant(
        folder, "backfill", "--from", "2022-01-08", "--to", "2022-01-17", "--json", "--force"
    )
    assert answer.json()["partitions"] == STOCKS * 5 + COINS * 10


def test_a_changed_setting_makes_its_family_and_who_reads_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trend, anchored averages and volatility read the state."""
    partitions = 4 * (10 + 12)
    monkeypatch.setenv("QUANT_PLATFORM__FEATURES__STATE__REPLAY_SESSIONS", "3")
    answer = quant(folder, "backfill", *RANGE)
    assert answer.json()["partitions"] == partitions
    monkeypatch.delenv("QUANT_PLATFORM__FEATURES__STATE__REPLAY_SESSIONS")
    assert quant(folder, "backfill", *RANGE).json()["partitions"] == partitions


def test_a_person_is_told_the_same(folder: Path) -> None:
    answer = quant(folder, "backfill", "--from", FIRST, "--to", "2022-01-18")
    assert answer.code == 0
    assert f"{STOCKS * 1 + COINS * 4} partitions in 2 runs" in answer.out
    for word in ("crypto", "instruments", "features"):
        assert word in answer.out
    told: Answer = quant(folder, "backfill", "--from", FIRST, "--to", LAST)
    assert "Everything is current" in told.out
