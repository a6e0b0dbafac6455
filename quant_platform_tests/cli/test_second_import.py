"""``quant import --second``: a second folder beside the sleeve's own, and what it says of a bar."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.cli.command_line import quant
from quant_platform_tests.cli.test_import import FIRST, LAST, project
from quant_platform_tests.sources.files.folders import DAYS, prices, write

__all__ = ["project"]

WRONG = (pl.col("symbol") == "S03") & (pl.col("date") == DAYS[8])
LACKING = (pl.col("symbol") == "S04") & (pl.col("date") == DAYS[9])
OTHER = (
    prices(DAYS[:21])
    .filter(~LACKING)
    .with_columns(close=pl.when(WRONG).then(pl.col("close") + 0.15).otherwise("close"))
)
JOB = ("--job", "us_daily")


@pytest.fixture
def other(project: Path) -> Path:
    """Lay out a second folder under another mapping: its columns have other names."""
    rows = OTHER.rename({"symbol": "ticker"})
    write(project.parent / "other", {"vendor.parquet": rows})
    mapping = "bars:\n  - files: vendor.parquet\n    columns: {symbol: ticker}\n"
    (project / "other.yaml").write_text(mapping, encoding="utf-8")
    return project.parent / "other"


def compare(project: Path, told: str) -> None:
    """Write the printed lines into the sleeve's file, in the place of its sources."""
    path = project / "assets_config" / "sleeves" / "instruments.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count("sources:\n  bars: files\n") == 1
    # The report comes first.
    lines = told[told.index("sources:\n") :]
    path.write_text(text.replace("sources:\n  bars: files\n", lines), encoding="utf-8")


def both_imported(project: Path, other: Path) -> None:
    arguments = ("--sleeve", "instruments")
    assert quant(project, "import", str(project.parent / "in"), *arguments).code == 0
    mapping = ("--mapping", str(project / "other.yaml"))
    answer = quant(project, "import", str(other), "--second", *arguments, *mapping)
    assert answer.code == 0, answer.err
    compare(project, answer.out)


def doubts(project: Path) -> list[tuple[object, ...]]:
    rows = Lake.open(project / "lakehouse").scan("instruments/quality").collect()
    compared = rows.filter(pl.col("flag").is_in(["mismatch", "uncompared"]))
    return compared.select("flag", "security_id", "session", "sessions_ago").rows()


FOUND = [
    ("mismatch", "US:S03", DAYS[8], 0),
    ("uncompared", "US:S04", DAYS[9], 0),
]


def test_a_second_folder_is_taken_in_and_compared(project: Path, other: Path) -> None:
    both_imported(project, other)
    lake = project / "lakehouse"
    assert (lake / "_imports" / "instruments.second" / "manifest.json").exists()
    assert (lake / "_imports" / "instruments" / "manifest.json").exists()
    answer = quant(project, "backfill", "--from", FIRST, "--to", LAST, *JOB)
    assert answer.code == 0, answer.err
    assert doubts(project) == FOUND
    documented = Path(__file__).parents[2] / "docs" / "how-to" / "import-your-own-history.md"
    question = documented.read_text(encoding="utf-8").split("```sql\n")[1].split("```")[0]
    row = quant(project, "sql", question, "--json").json()
    assert (row["session"], row["symbol"]) == (DAYS[8].isoformat(), "US:S03")
    assert row["other"] - row["close"] == pytest.approx(0.15)
    assert row["value"] == pytest.approx(0.15 / row["close"])


def test_the_sleeves_own_data_stay_as_they_are(project: Path, other: Path) -> None:
    arguments = ("--sleeve", "instruments")
    quant(project, "import", str(project.parent / "in"), *arguments)
    quant(project, "backfill", "--from", FIRST, "--to", LAST, *JOB)
    lake = Lake.open(project / "lakehouse")
    before = {day: entry.stamp for day, entry in lake.entries("instruments/bars").items()}
    mapping = ("--mapping", str(project / "other.yaml"))
    compare(project, quant(project, "import", str(other), "--second", *arguments, *mapping).out)
    assert quant(project, "backfill", "--from", FIRST, "--to", LAST, *JOB).code == 0
    lake = Lake.open(project / "lakehouse")
    # Nothing but the comparison is made anew, and it is for all of history.
    assert {d: e.stamp for d, e in lake.entries("instruments/bars").items()} == before
    assert doubts(project) == FOUND


def test_what_a_second_folder_gains_is_known_from_its_import_on(project: Path, other: Path) -> None:
    both_imported(project, other)
    quant(project, "backfill", "--from", FIRST, "--to", LAST, *JOB)
    lacked = prices(DAYS[:21]).filter(LACKING)
    write(other, {"vendor.parquet": pl.concat([OTHER, lacked]).rename({"symbol": "ticker"})})
    answer = quant(project, "import", str(other), "--second", "--sleeve", "instruments")
    assert answer.code == 0, answer.err
    assert quant(project, "backfill", "--from", FIRST, "--to", LAST, "--force", *JOB).code == 0
    assert doubts(project) == FOUND


def test_without_its_import_the_error_says_which(project: Path, other: Path) -> None:
    assert other.exists()
    quant(project, "import", str(project.parent / "in"), "--sleeve", "instruments")
    compare(project, "sources:\n  bars: files\n  second_bars: files\n")
    answer = quant(project, "backfill", "--from", FIRST, "--to", FIRST, *JOB)
    assert answer.code != 0
    said = answer.err.replace("\n", " ")
    assert "nothing has been imported for second_bars of sleeve 'instruments'" in said
    assert "quant import DIR --sleeve instruments --second" in said


def test_a_second_import_has_its_own_mapping(project: Path, other: Path) -> None:
    both_imported(project, other)
    wrong = project / "wrong.yaml"
    wrong.write_text("bars:\n  - files: vendor.parquet\n", encoding="utf-8")
    arguments = ("import", str(other), "--second", "--sleeve", "instruments")
    answer = quant(project, *arguments, "--mapping", str(wrong))
    assert answer.code != 0
    assert "second_files.mapping" in answer.err.replace("\n", " ")
    assert quant(project, *arguments).code == 0


def test_files_are_not_compared_with_themselves(project: Path, other: Path) -> None:
    own, arguments = project.parent / "in", ("--sleeve", "instruments")
    assert quant(project, "import", str(own), *arguments).code == 0
    answer = quant(project, "import", str(own), "--second", *arguments)
    assert answer.code != 0
    assert "would be compared with, too" in answer.err.replace("\n", " ")
    assert not (project / "lakehouse/_imports/instruments.second/manifest.json").exists()
    # Two vendors may lie in one folder: the mapping tells them apart.
    shutil.copy(other / "vendor.parquet", own / "vendor.parquet")
    mapping = ("--mapping", str(project / "other.yaml"))
    assert quant(project, "import", str(own), "--second", *arguments, *mapping).code == 0


def test_a_second_import_belongs_to_a_sleeve(project: Path, other: Path) -> None:
    assert project.exists()
    answer = quant(project, "import", str(other), "--second", "--check")
    assert answer.code != 0
    assert "--second without a sleeve" in answer.err.replace("\n", " ")


def test_the_doctor_says_whose_bars_nobody_confirms(project: Path, other: Path) -> None:
    def noted() -> list[str]:
        lines = quant(project, "doctor", "--json").json()
        what = "data instruments/second_bars"
        return [line["detail"] for line in lines if line["what"] == what]

    assert noted() == ["no second source is named: no bar is compared with anything"]
    both_imported(project, other)
    assert noted() == []
