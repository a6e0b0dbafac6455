"""``quant doctor``: a healthy project is well, and each thing that is not is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from dagster import DagsterRun, DagsterRunStatus

from quant_platform.execution import slippage
from quant_platform.lakehouse.lake import Lake, utc_now
from quant_platform.lakehouse.ledgers import Ledger, LedgerRecord
from quant_platform.orchestration.instance import PROCESS_TAG
from quant_platform_tests.cli.command_line import Answer, instance_of, quant
from quant_platform_tests.end_to_end.projects import lay_out

DAY = date(2022, 1, 5)
BARS = "instruments/bars"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill one sleeve of a project that the tests copy."""
    folder = tmp_path_factory.mktemp("filled")
    lay_out(folder)
    answer = quant(folder, "backfill", "--from", "2022-01-03", "--to", "2022-01-07", "--json")
    assert answer.code == 0
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "project")
    return tmp_path / "project"


def wrong(answer: Answer) -> dict[str, str]:
    """Find what a doctor's JSON calls wrong."""
    found = {line["what"]: line["detail"] for line in answer.json() if line["state"] == "wrong"}
    assert answer.code == (1 if found else 0)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted((folder / "lakehouse").rglob("*"))
        if path.is_file()
    }


def test_a_healthy_project_is_well(folder: Path) -> None:
    before = files(folder)
    for options in ([], ["--deep"]):
        assert wrong(quant(folder, "doctor", "--json", *options)) == {}
    states = {line["what"]: line["state"] for line in quant(folder, "doctor", "--json").json()}
    for what in (
        "environment",
        "settings",
        "lake",
        "instance",
        f"table {BARS}",
        f"files of {BARS}",
    ):
        assert states[what] == "ok", what
    assert files(folder) == before


def test_a_person_is_told_the_same(folder: Path) -> None:
    answer = quant(folder, "doctor")
    assert answer.code == 0
    assert "5 sessions match the log" in answer.out
    assert "wrong" not in answer.out


def test_a_project_that_was_never_run_is_well(tmp_path: Path) -> None:
    lay_out(tmp_path)
    answer = quant(tmp_path, "doctor", "--json")
    assert wrong(answer) == {}
    notes = {
        line["what"]
        for line in answer.json()
        if line["state"] == "note" and not line["what"].startswith("data ")
    }
    assert notes == {"lake"}
    assert not (tmp_path / "lakehouse").exists()


def test_settings_that_cannot_be_used_end_the_examination(folder: Path) -> None:
    (folder / "assets_config" / "platform.yaml").write_text("nonsense: [")
    answer = quant(folder, "doctor", "--json")
    assert list(wrong(answer)) == ["settings"]
    assert [line["what"] for line in answer.json()] == ["environment", "settings"]


def test_a_missing_instance_is_wrong(folder: Path) -> None:
    (folder / "dagster_home" / "dagster.yaml").unlink()
    assert "there is no dagster.yaml" in wrong(quant(folder, "doctor", "--json"))["instance"]


def test_a_file_where_the_lake_should_be_is_wrong(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / "lakehouse").write_text("not a folder")
    assert "lake" in wrong(quant(tmp_path, "doctor", "--json"))


def _delete(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "said", "deep"),
    [
        (_delete, "is gone", False),
        (_cut, "is not what was written", False),
        (_flip, "changed", True),
    ],
)
def test_damage_is_named_and_mended_by_a_backfill(
    folder: Path, spoil: Callable[[Path], None], said: str, deep: bool
) -> None:
    path = Lake.open(folder / "lakehouse").layout(BARS).part(DAY)
    spoil(path)
    options = ["--deep"] if deep else []
    found = wrong(quant(folder, "doctor", "--json", *options))
    assert list(found) == [f"files of {BARS} {DAY}"]
    assert said in found[f"files of {BARS} {DAY}"]
    assert str(path) in found[f"files of {BARS} {DAY}"]
    path.unlink(missing_ok=True)
    mend = quant(folder, "backfill", "--from", str(DAY), "--to", str(DAY), "--json")
    assert mend.code == 0
    assert wrong(quant(folder, "doctor", "--json", "--deep")) == {}


def test_a_line_of_a_fill_that_is_not_stored_is_wrong(folder: Path) -> None:
    ledger = Ledger(folder / "lakehouse", slippage.LEDGER, utc_now)
    said = {"fill_id": "f1", "side": "buy", "quantity": 1.0, "actual_fill_price": 2.0}
    ledger.append(LedgerRecord("success", DAY, slippage.ACTION, said, "run"))
    told = wrong(quant(folder, "doctor", "--json"))
    assert list(told) == [f"ledger {slippage.LEDGER}"]
    assert f"fill f1 of {DAY}, which is not stored" in told[f"ledger {slippage.LEDGER}"]
    ledger.restate(slippage.ACTION, [DAY], [], "run")
    assert wrong(quant(folder, "doctor", "--json")) == {}


def test_many_findings_are_cut(folder: Path) -> None:
    layout = Lake.open(folder / "lakehouse").layout(BARS)
    for path in layout.files():
        path.unlink()
    for session in ("2022-01-10", "2022-01-11", "2022-01-12"):
        stray = layout.part(date.fromisoformat(session))
        stray.parent.mkdir(parents=True)
        stray.write_bytes(b"x")
    found = wrong(quant(folder, "doctor", "--json"))
    assert "and 3 more" in found[f"files of {BARS}"]


def test_a_lost_log_is_wrong_and_repaired_from_the_footers(folder: Path) -> None:
    lake = Lake.open(folder / "lakehouse")
    before = lake.entries(BARS)
    lake.layout(BARS).log.unlink()
    assert "in no log" in wrong(quant(folder, "doctor", "--json"))[f"files of {BARS}"]
    repaired = quant(folder, "doctor", "--repair", "--json")
    assert wrong(repaired) == {}
    notes = [line["detail"] for line in repaired.json() if line["what"] == f"log of {BARS}"]
    assert notes == ["5 entries taken from footers"]
    assert Lake.open(folder / "lakehouse").entries(BARS) == before
    assert quant(folder, "doctor", "--repair", "--json").code == 0


def test_an_interrupted_write_is_wrong_until_it_is_completed(folder: Path) -> None:
    pending = Lake.open(folder / "lakehouse").layout(BARS).pending
    pending.write_text(str(DAY))
    assert "interrupted" in wrong(quant(folder, "doctor", "--json"))[f"files of {BARS}"]
    assert wrong(quant(folder, "doctor", "--repair", "--json")) == {}
    assert not pending.exists()


def test_a_log_that_is_none_is_wrong_and_hides_no_other_table(folder: Path) -> None:
    lake = Lake.open(folder / "lakehouse")
    lake.layout(BARS).log.write_text("garbage\n")
    found = wrong(quant(folder, "doctor", "--json"))
    assert list(found) == [f"files of {BARS}"]
    assert "line 1 of" in found[f"files of {BARS}"]
    assert list(wrong(quant(folder, "doctor", "--repair", "--json"))) == [f"files of {BARS}"]


def test_dead_runs_are_marked_when_repairing(folder: Path) -> None:
    run = DagsterRun(
        job_name="us_daily", status=DagsterRunStatus.STARTED, tags={PROCESS_TAG: "999999999:1"}
    )
    with instance_of(folder) as instance:
        instance.add_run(run)
    told = {line["what"]: line["detail"] for line in quant(folder, "doctor", "--json").json()}
    assert "dead runs" not in told["instance"]
    repaired = quant(folder, "doctor", "--repair", "--json").json()
    assert "1 dead runs marked" in {line["what"]: line["detail"] for line in repaired}["instance"]
