"""Bad input on the real command line: one typed sentence with the mend, and an untouched lake."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from quant_platform.calendars import build_calendar
from quant_platform.cli.main import invoke
from quant_platform.cli.session_arguments import refuse_empty
from quant_platform.errors import (
    CalendarError,
    ConfigError,
    InstanceError,
    LakeError,
    QuantError,
)
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.end_to_end.projects import environment, lay_out, start

FIRST, LAST = date(2022, 1, 3), date(2022, 1, 14)
DAMAGED = date(2022, 1, 6)
BESIDE_BARS = (
    *(f"instruments/{kind}" for kind in ("securities", "actions", "earnings", "membership")),
    "market/series",
)
BACKFILL = ["backfill", "--job", "us_daily", "--from", str(FIRST), "--to", str(LAST)]
AGAIN = ["backfill", "--job", "us_daily", "--from", str(LAST), "--to", str(LAST), "--force"]
BARS = "lakehouse/instruments/bars/v1/knowledge_session={}/part.parquet"
LOG = "lakehouse/_provenance/instruments/bars.jsonl"

Refused = Callable[..., str]


def settle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point this process at a project."""
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill a project that the tests copy."""
    folder = tmp_path_factory.mktemp("filled")
    lay_out(folder)
    with pytest.MonkeyPatch.context() as environment:
        settle(folder, environment)
        assert invoke([*BACKFILL, "--json"]) == 0
    return folder


@pytest.fixture
def project(tmp_path: Path, filled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the filled project, so that a test may damage it."""
    folder = tmp_path / "project"
    shutil.copytree(filled, folder)
    settle(folder, monkeypatch)
    return folder


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out a project without a lake."""
    folder = tmp_path / "project"
    lay_out(folder)
    settle(folder, monkeypatch)
    return folder


def contents(lake: Path) -> dict[str, str]:
    """Hash of every file below the lake; locks hold nothing, and only show that somebody came."""
    if not lake.is_dir():
        return {".": hashlib.sha256(lake.read_bytes()).hexdigest()} if lake.exists() else {}
    return {
        path.relative_to(lake).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(lake.rglob("*"))
        if path.is_file() and "_locks" not in path.parts
    }


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must be refused; return its one line.

    Tables that do not stand on the broken one are made all the same, and may be named.
    """

    def run(
        folder: Path,
        arguments: Sequence[str],
        error: type[QuantError],
        independent: Sequence[str] = (),
    ) -> str:
        before = contents(folder / "lakehouse")
        capfd.readouterr()
        code = invoke(list(arguments))
        out, err = capfd.readouterr()
        lines = err.strip().splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith(f"{error.__name__}: ")
        assert code == error.exit_code != 0
        assert "Traceback" not in out + err
        assert "; " in lines[0], "a sentence says what was found and what to do"
        after = contents(folder / "lakehouse")
        assert {
            name: content
            for name, content in after.items()
            if not any(table in name for table in independent)
        } == before
        return lines[0]

    return run


# -- settings --------------------------------------------------------------------------------------


def test_unknown_key(empty: Path, refused: Refused) -> None:
    with (empty / "assets_config" / "platform.yaml").open("a") as settings:
        settings.write("\nbackfil_chunk: 100\n")
    line = refused(empty, BACKFILL, ConfigError)
    assert "backfil_chunk" in line
    assert "backfill_chunk" in line
    assert "platform.yaml:" in line


def test_wrong_type(empty: Path, refused: Refused) -> None:
    platform = empty / "assets_config" / "platform.yaml"
    text = platform.read_text()
    assert "backfill_chunk: 252" in text
    platform.write_text(text.replace("backfill_chunk: 252", "backfill_chunk: many"))
    line = refused(empty, BACKFILL, ConfigError)
    assert "backfill_chunk" in line
    assert "many" in line


def test_missing_platform_file(empty: Path, refused: Refused) -> None:
    (empty / "assets_config" / "platform.yaml").unlink()
    assert "platform.yaml" in refused(empty, BACKFILL, ConfigError)


def test_missing_sleeves_folder(empty: Path, refused: Refused) -> None:
    shutil.rmtree(empty / "assets_config" / "sleeves")
    assert "sleeves" in refused(empty, ["run"], ConfigError)


def test_no_project_at_all(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUANT_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert "QUANT_PROJECT" in refused(tmp_path, ["sql", "select 1"], ConfigError)


def test_unknown_calendar_correction(
    empty: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANT_PLATFORM__EXTRA_HOLIDAYS", '{"XNYS": ["2022-01-08"]}')
    assert "2022-01-08" in refused(empty, BACKFILL, ConfigError)


# -- dates and names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        ("2022-01-08", "2022-01-08", "2022-01-08 (Saturday) is not a session"),
        ("2022-01-17", "2022-01-17", "2022-01-18"),
        ("2022-01-03", "2199-01-01", "is in the future"),
        ("2021-12-31", "2022-01-14", "before the start of history"),
        ("2022-01-14", "2022-01-03", "swap them"),
        ("2022-1-3", "2022-01-14", "--from is '2022-1-3'"),
        ("20220103", "2022-01-14", "--from is '20220103'"),
        ("2022-01-03", "2022-W02-5", "--to is '2022-W02-5'"),
        ("2022-01-03", "2022-02-30", "--to is '2022-02-30'"),
        ("yesterday", "2022-01-14", "--from is 'yesterday'"),
    ],
)
def test_dates_that_are_none(
    empty: Path, refused: Refused, first: str, last: str, told: str
) -> None:
    arguments = ["backfill", "--job", "us_daily", "--from", first, "--to", last]
    assert told in refused(empty, arguments, CalendarError)


def test_a_range_between_two_sessions() -> None:
    calendar = build_calendar("XNYS", horizon=date(2022, 12, 31), grace=timedelta(minutes=90))
    with pytest.raises(CalendarError, match="no session of XNYS in --from 2022-01-08"):
        refuse_empty(date(2022, 1, 8), date(2022, 1, 9), [calendar])
    refuse_empty(date(2022, 1, 8), date(2022, 1, 10), [calendar])


def test_a_damaged_partition_in_the_range_is_made_again(project: Path) -> None:
    part = project / BARS.format(DAMAGED)
    whole = part.read_bytes()
    damage(part, "flipped")
    assert invoke([*BACKFILL, "--json"]) == 0
    assert part.read_bytes() != whole
    lake = Lake.open(project / "lakehouse")
    lake.verify("instruments/bars", lake.sessions("instruments/bars"))


def test_unknown_job(empty: Path, refused: Refused) -> None:
    arguments = ["backfill", "--job", "eu_daily", "--from", str(FIRST), "--to", str(LAST)]
    assert "one of us_daily" in refused(empty, arguments, ConfigError)


def test_impossible_chunk(empty: Path, refused: Refused) -> None:
    assert "--chunk is 0" in refused(empty, [*BACKFILL, "--chunk", "0"], ConfigError)


# -- the instance ----------------------------------------------------------------------------------


def test_missing_dagster_home(empty: Path, refused: Refused) -> None:
    shutil.rmtree(empty / "dagster_home")
    assert "dagster.yaml" in refused(empty, BACKFILL, InstanceError)
    assert not (empty / "lakehouse").exists()


@pytest.mark.parametrize(
    "text", ["storage: [", "storage: {custom: {module: no.such, class: Nothing}}", "strage: {}"]
)
def test_broken_dagster_file(empty: Path, refused: Refused, text: str) -> None:
    (empty / "dagster_home" / "dagster.yaml").write_text(text)
    assert str(empty / "dagster_home") in refused(empty, BACKFILL, InstanceError)
    assert not (empty / "lakehouse").exists()


def test_instance_history_that_cannot_be_opened(project: Path, refused: Refused) -> None:
    runs = project / "dagster_home" / "history" / "runs.db"
    assert runs.is_file()
    runs.write_bytes(b"no database, only some words to make it longer than a header would be" * 9)
    assert "dagster_home" in refused(project, BACKFILL, InstanceError)


# -- the lake --------------------------------------------------------------------------------------


def test_file_in_the_place_of_the_lake(empty: Path, refused: Refused) -> None:
    (empty / "lakehouse").write_text("not a folder")
    assert "lake_root" in refused(empty, BACKFILL, LakeError)
    assert "lakehouse" in refused(empty, ["sql", "select 1"], LakeError)


@pytest.mark.parametrize(
    "path",
    [
        "lakehouse/_provenance/instruments/bars.jsonl",
        "lakehouse/_locks/job.us_daily.lock",
        "lakehouse/instruments/bars/table.json",
        "lakehouse/_provenance/instruments/bars.pending",
    ],
)
def test_folder_in_the_place_of_a_file(empty: Path, refused: Refused, path: str) -> None:
    (empty / path).mkdir(parents=True)
    assert path in refused(empty, BACKFILL, LakeError, BESIDE_BARS)


@pytest.mark.parametrize("path", ["lakehouse/instruments", "lakehouse/instruments/bars"])
def test_file_in_the_place_of_a_folder(empty: Path, refused: Refused, path: str) -> None:
    (empty / path).parent.mkdir(parents=True, exist_ok=True)
    (empty / path).write_text("not a folder")
    assert path in refused(empty, BACKFILL, LakeError, BESIDE_BARS)


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        middle = len(content) // 3
        flipped = bytes(byte ^ 0x55 for byte in content[middle : middle + 16])
        path.write_bytes(content[:middle] + flipped + content[middle + 16 :])


@pytest.mark.parametrize("how", ["truncated", "emptied", "flipped"])
def test_damaged_partition(project: Path, refused: Refused, how: str) -> None:
    part = project / BARS.format(DAMAGED)
    whole = contents(project / "lakehouse")
    damage(part, how)
    line = refused(project, AGAIN, LakeError)
    assert str(part) in line
    mend = f"'quant backfill --from {DAMAGED} --to {DAMAGED}'"
    assert f"delete the file and run {mend}" in line
    part.unlink()
    assert invoke(["backfill", "--from", str(DAMAGED), "--to", str(DAMAGED), "--json"]) == 0
    mended = contents(project / "lakehouse")
    assert mended.keys() - whole.keys() == set()
    assert invoke([*AGAIN, "--json"]) == 0


@pytest.mark.parametrize("how", ["truncated", "emptied", "flipped"])
def test_query_over_a_damaged_partition(project: Path, refused: Refused, how: str) -> None:
    assert invoke(["sql", "select 1"]) == 0
    damage(project / BARS.format(DAMAGED), how)
    arguments = ["sql", "select sum(close) from instruments.bars"]
    line = refused(project, arguments, LakeError)
    assert str(project / BARS.format(DAMAGED)) in line
    assert "'quant doctor --deep'" in line


def test_corrupt_log_line(project: Path, refused: Refused) -> None:
    lines = (project / LOG).read_bytes().splitlines(keepends=True)
    lines[2] = b'{"session": oops' + lines[2][16:]
    (project / LOG).write_bytes(b"".join(lines))
    line = refused(project, BACKFILL, LakeError)
    assert f"line 3 of {project / LOG}" in line
    assert "'quant doctor --repair'" in line
    (project / LOG).rename(project / "aside.jsonl")
    assert invoke(["doctor", "--repair", "--json"]) == 0
    assert invoke([*BACKFILL, "--json"]) == 0


def test_torn_last_line_is_set_aside_and_not_an_error(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torn = b'{"session":"2022-01-14","table":"instru'
    with (project / LOG).open("ab") as log:
        log.write(torn)
    assert invoke(["doctor"]) == 1
    assert "torn line" in capfd.readouterr().out
    later = ["backfill", "--job", "us_daily", "--from", "2022-01-18", "--to", "2022-01-18"]
    assert invoke([*later, "--json"]) == 0
    assert Path(f"{project / LOG}.torn-1").read_bytes() == torn
    assert (project / LOG).read_bytes().endswith(b"\n")
    assert invoke(["doctor", "--json"]) == 0


# -- queries ---------------------------------------------------------------------------------------


def test_query_without_a_lake(empty: Path, refused: Refused) -> None:
    assert "run 'quant run' first" in refused(empty, ["sql", "select 1"], LakeError)
    assert not (empty / "lakehouse").exists()


@pytest.mark.parametrize(
    "query",
    [
        "selekt 1",
        "select * from instruments.barz",
        "select nothing from instruments.bars",
        "create table instruments.mine (x integer)",
        "drop view instruments.bars",
    ],
)
def test_broken_queries(project: Path, refused: Refused, query: str) -> None:
    assert invoke(["sql", "select 1"]) == 0
    assert "'quant sql'" in refused(project, ["sql", query], LakeError)


def test_folder_in_the_place_of_the_catalog(project: Path, refused: Refused) -> None:
    catalog = project / "lakehouse" / "catalog.duckdb"
    catalog.unlink()
    catalog.mkdir()
    assert "catalog.duckdb" in refused(project, ["sql", "select 1"], LakeError)


# -- as a process ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [(["sql", "select 1"], LakeError), ([*BACKFILL[:-1], "2199-01-01"], CalendarError)],
)
def test_the_process_exits_with_the_code_of_the_error(
    empty: Path, arguments: list[str], error: type[QuantError]
) -> None:
    process = start(empty, "quant_platform.cli", *arguments)
    _out, err = process.communicate(timeout=120)
    assert process.returncode == error.exit_code
    assert err.startswith(f"{error.__name__}: ")
    assert len(err.strip().splitlines()) == 1
