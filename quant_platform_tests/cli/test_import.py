"""``quant import`` and ``quant refresh``: looked over, taken in, and fetched again as late data."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from quant_platform.cli.importing import folder_reader
from quant_platform.lakehouse.lake import Lake
from quant_platform.settings import load_settings
from quant_platform.settings.asset_class import AssetClass
from quant_platform_tests.cli.command_line import quant
from quant_platform_tests.end_to_end.projects import lay_out
from quant_platform_tests.sources.files.folders import DAYS, prices, write

REPOSITORY = Path(__file__).resolve().parents[2]
FIRST, LAST = DAYS[0].isoformat(), DAYS[20].isoformat()
LACKING = pl.col("symbol").eq("S01") & (pl.col("date") > DAYS[17])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Lay out a project whose stocks come from a folder of files, imported and made."""
    folder = tmp_path / "project"
    lay_out(folder)
    sleeve = folder / "assets_config" / "sleeves" / "instruments.yaml"
    text = sleeve.read_text(encoding="utf-8")
    routed = "sources:\n  bars: files\nfiles:\n  folder: ../in\n"
    assert "sources:\n  bars: simulated\n" in text
    sleeve.write_text(text.replace("sources:\n  bars: simulated\n", routed), encoding="utf-8")
    platform = folder / "assets_config" / "platform.yaml"
    text = platform.read_text(encoding="utf-8")
    for told, moved in (
        ("history_start: 2022-01-03", f"history_start: {FIRST}"),
        ("walk_forward_start: 2023-01-03", "walk_forward_start: 2025-01-02"),
    ):
        assert told in text
        text = text.replace(told, moved)
    platform.write_text(text, encoding="utf-8")
    write(tmp_path / "in", {"bars/a.csv": prices(DAYS[:21]).filter(~LACKING)})
    return folder


def test_a_folder_is_checked_taken_in_and_made(project: Path) -> None:
    source = project.parent / "in"
    checked = quant(project, "import", str(source), "--check", "--json")
    assert checked.code == 0
    assert checked.json()["importable"]
    assert not (project / "lakehouse" / "_imports").exists()
    assert quant(project, "import", str(source), "--sleeve", "instruments", "--json").code == 0
    answer = quant(project, "backfill", "--from", FIRST, "--to", LAST, "--json")
    assert answer.code == 0, answer.err
    bars = Lake.open(project / "lakehouse").scan("instruments/bars").collect()
    assert bars.height == prices(DAYS[:21]).height - 3


def test_the_sleeves_own_mapping_is_used_and_no_other(project: Path) -> None:
    source, own = str(project.parent / "in"), project / "own.yaml"
    own.write_text("symbols: {exchange: XX}\nbars:\n  - files: bars/*.csv\n", encoding="utf-8")
    other = project / "other.yaml"
    other.write_text("bars:\n  - files: bars/*.csv\n", encoding="utf-8")
    route(project, "instruments", "folder: ../in", "folder: ../in\n  mapping: own.yaml")
    answer = quant(project, "import", source, "--sleeve", "instruments", "--mapping", str(other))
    assert answer.code != 0
    assert "is not the mapping file of sleeve 'instruments'" in answer.err.replace("\n", " ")
    assert not (project / "lakehouse" / "_imports").exists()
    for arguments in ((), ("--mapping", str(own))):
        answer = quant(project, "import", source, "--sleeve", "instruments", *arguments)
        assert answer.code == 0, answer.err
        ids = pl.read_parquet(project / "lakehouse/_imports/instruments/ids.parquet")
        assert ids["symbol"].str.starts_with("XX:").all()


def test_the_shared_series_come_from_the_sleeve_that_names_them(project: Path) -> None:
    route(project, "instruments", "bars: files", "bars: files\n  series: files")
    rows = [("VIX", day, 15.0 + place, "index points") for place, day in enumerate(DAYS[:21])]
    names = ["series", "session", "value", "unit"]
    write(project.parent / "in", {"series/vix.csv": pl.DataFrame(rows, names, orient="row")})
    source = str(project.parent / "in")
    assert quant(project, "import", source, "--sleeve", "instruments").code == 0
    answer = quant(project, "backfill", "--from", FIRST, "--to", LAST, "--job", "us_daily")
    assert answer.code == 0, answer.err
    made = Lake.open(project / "lakehouse").scan("market/series").sort("session").collect()
    assert made["value"].to_list() == [15.0 + place for place in range(21)]
    assert made["series"].unique().to_list() == ["VIX"]


def test_two_sleeves_that_name_the_series_are_refused(project: Path) -> None:
    route(project, "instruments", "bars: files", "bars: files\n  series: files")
    sleeves = project / "assets_config" / "sleeves"
    shutil.copy(sleeves / "instruments.yaml", sleeves / "others.yaml")
    answer = quant(project, "backfill", "--from", FIRST, "--to", LAST)
    assert answer.code != 0
    assert "the sleeves instruments, others each name a source of series" in answer.err


def route(project: Path, sleeve: str, told: str, instead: str) -> None:
    """Have a sleeve's file name other sources."""
    path = project / "assets_config" / "sleeves" / f"{sleeve}.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count(f"  {told}\n") == 1
    path.write_text(text.replace(f"  {told}\n", f"  {instead}\n"), encoding="utf-8")


def test_the_doctor_says_what_goes_without_its_data(project: Path) -> None:
    lines = {line["what"]: line for line in quant(project, "doctor", "--json").json()}
    for what in ("earnings", "membership"):
        assert lines[f"data instruments/{what}"]["state"] == "note"
    assert "source files" in lines["data instruments/earnings"]["detail"]
    assert "data instruments/fund_facts" not in lines


def test_what_lags_is_fetched_as_late_data(project: Path) -> None:
    source = project.parent / "in"
    # Those who are gone lag behind as well, and nothing comes of them.
    gone = pl.col("symbol").is_in(["S07", "S08", "S09", "S10"]) & (pl.col("date") > DAYS[15])
    write(source, {"bars/a.csv": prices(DAYS[:21]).filter(~LACKING, ~gone)})
    quant(project, "import", str(source), "--sleeve", "instruments")
    quant(project, "backfill", "--from", FIRST, "--to", LAST)
    lake = Lake.open(project / "lakehouse")
    before = lake.scan("instruments/bars").collect()
    write(source, {"bars/a.csv": prices(DAYS[:21]).filter(~gone)})
    answer = quant(project, "refresh", "--sleeve", "instruments", "--stale", "--json")
    assert answer.code == 0, answer.err
    fetched, *others = answer.json()
    assert fetched == {"symbol": "US:S01", "before": str(DAYS[17]), "after": str(DAYS[20])}
    assert [row["symbol"] for row in others] == ["US:S07", "US:S08", "US:S09", "US:S10"]
    assert {(row["before"], row["after"]) for row in others} == {(str(DAYS[15]), str(DAYS[15]))}
    # What was made stays as it was, made again or not.
    again = quant(project, "backfill", "--from", FIRST, "--to", LAST, "--force")
    assert again.code == 0
    assert Lake.open(project / "lakehouse").scan("instruments/bars").collect().equals(before)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sleeve", "nobody", "--stale"], "there is no sleeve 'nobody'"),
        (["--sleeve", "instruments"], "not said what to refresh"),
        (["--sleeve", "instruments", "--symbols", "US:NONE"], "has no symbol 'US:NONE'"),
    ],
)
def test_a_wrong_question_is_answered_in_one_sentence(
    project: Path, arguments: list[str], sentence: str
) -> None:
    quant(project, "import", str(project.parent / "in"), "--sleeve", "instruments")
    answer = quant(project, "refresh", *arguments)
    assert answer.code != 0
    assert sentence in answer.err.replace("\n", " ")


def test_a_source_that_has_told_everything_has_nothing_to_refresh(tmp_path: Path) -> None:
    lay_out(tmp_path)
    answer = quant(tmp_path, "refresh", "--sleeve", "instruments", "--stale")
    assert answer.code == 9
    assert "has nothing that it has not told" in answer.err.replace("\n", " ")


def test_single_symbols_are_fetched_though_the_others_of_the_session_are_there(
    project: Path,
) -> None:
    """A newest session with two symbols is not half a session, if two were asked for."""
    source = project.parent / "in"
    quant(project, "import", str(source), "--sleeve", "instruments")
    quant(project, "backfill", "--from", FIRST, "--to", LAST)
    write(source, {"bars/day.csv": prices(DAYS[:22]).filter(date=DAYS[21])})
    asked = ("--sleeve", "instruments", "--symbols", "US:S03,US:S04")
    answer = quant(project, "refresh", *asked, "--json")
    assert answer.code == 0, answer.err
    told = [
        {"symbol": name, "before": LAST, "after": str(DAYS[21])} for name in ("US:S03", "US:S04")
    ]
    assert answer.json() == told
    rows = pl.read_parquet(project / "lakehouse/_imports/instruments/bars/*.parquet")
    # And no other symbol of the file.
    assert rows.filter(session=DAYS[21])["symbol"].sort().to_list() == ["US:S03", "US:S04"]
    # The rest comes with the next import.
    assert quant(project, "import", str(source), "--sleeve", "instruments").code == 0
    rows = pl.read_parquet(project / "lakehouse/_imports/instruments/bars/*.parquet")
    assert rows.filter(session=DAYS[21])["symbol"].n_unique() == 12


@pytest.mark.parametrize(
    ("classes", "told", "taken"),
    [
        (("etf",), "", "etf"),
        (("etf",), "asset_class: stock", "stock"),
        (("stock", "etf"), "", "stock"),
    ],
)
def test_what_says_nothing_of_its_class_is_of_that_of_the_sleeve(
    tmp_path: Path, classes: tuple[AssetClass, ...], told: str, taken: str
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(f"{told}\nbars:\n  - files: bars/*.csv\n", encoding="utf-8")
    settings = load_settings(REPOSITORY, environ={})
    reader = folder_reader(settings, tmp_path, own, "XNYS", classes)
    assert reader.mapping.asset_class == taken


def test_securities_of_another_class_are_refused(project: Path) -> None:
    source, own = str(project.parent / "in"), project / "own.yaml"
    own.write_text("asset_class: crypto\nbars:\n  - files: bars/*.csv\n", encoding="utf-8")
    answer = quant(
        project, "import", source, "--sleeve", "instruments", "--check", "--mapping", str(own)
    )
    assert answer.code == 9
    assert "are 'crypto', the sleeve holds stock" in answer.err.replace("\n", " ")


def test_a_refused_folder_writes_nothing(project: Path) -> None:
    source = project.parent / "in"
    half = prices(DAYS[:21]).filter((pl.col("date") != DAYS[20]) | (pl.col("symbol") < "S03"))
    write(source, {"bars/a.csv": half})
    answer = quant(project, "import", str(source), "--sleeve", "instruments")
    assert answer.code == 9
    assert "half there" in answer.err.replace("\n", " ")
    assert not (project / "lakehouse" / "_imports" / "instruments" / "manifest.json").exists()
