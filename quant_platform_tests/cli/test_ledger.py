"""``quant ledger verify``, ``tail`` and ``recover``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from quant_platform.cli.ledger import app
from quant_platform.errors import LedgerError
from quant_platform.lakehouse.ledgers.ledger import Ledger
from quant_platform.lakehouse.ledgers.records import LedgerRecord, RecordType
from quant_platform.settings import load_settings

REPOSITORY = Path(__file__).parents[2]
SESSION = date(2024, 3, 1)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Root of the lake of an empty project."""
    shutil.copytree(REPOSITORY / "assets_config", tmp_path / "assets_config")
    monkeypatch.setenv("QUANT_PROJECT", str(tmp_path))
    return load_settings().lake_root


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def fill(lake: Path, name: str = "orders", kinds: Sequence[RecordType] = ("success",)) -> None:
    records = [
        LedgerRecord(kind, SESSION, f"step-{number}", {"names": ["[red]A"]}, "run-1", "c1")
        for number, kind in enumerate(kinds)
    ]
    Ledger(lake, name, lambda: datetime(2024, 3, 2, 1, tzinfo=UTC)).append_many(records)


def break_line(lake: Path) -> None:
    (file,) = (lake / "ledger" / "orders").glob("*.jsonl")
    file.write_bytes(file.read_bytes().replace(b"run-1", b"run-2", 1))


def test_no_ledger_yet_is_explained(lake: Path) -> None:
    for arguments in (["verify"], ["verify", "--type", "orders"], ["tail", "orders"]):
        result = run(*arguments)
        assert result.exit_code == 0
        assert "yet" in result.output
    assert json.loads(run("verify", "--json").output) == {"whole": True, "ledgers": []}
    assert not lake.exists()


def test_whole_ledgers_are_listed(lake: Path) -> None:
    fill(lake, "orders", ["success"] * 3)
    fill(lake, "fills")
    result = run("verify")
    assert result.exit_code == 0
    rows = [line.split() for line in result.output.splitlines() if line.startswith("│")]
    assert [[cell for cell in row if cell != "│"] for row in rows] == [
        ["orders", "1", "3", "0", "0"],
        ["fills", "1", "1", "0", "0"],
    ]


def test_a_problem_is_one_sentence_and_an_exit_code(lake: Path) -> None:
    fill(lake, "orders", ["success", "intent"])
    fill(lake, "fills")
    break_line(lake)
    result = run("verify")
    assert result.exit_code == LedgerError.exit_code
    sentences = [line for line in result.output.splitlines() if line.startswith("orders: ")]
    assert len(sentences) == 2
    assert (
        sentences[0] == "orders: 2024-03-02.jsonl line 1 was altered: it does not match its hash."
    )
    assert run("verify", "--type", "orders").exit_code == LedgerError.exit_code
    assert run("verify", "--type", "fills").exit_code == 0


def test_problems_as_json(lake: Path) -> None:
    fill(lake)
    break_line(lake)
    result = run("verify", "--json")
    assert result.exit_code == LedgerError.exit_code
    report = json.loads(result.output)
    assert report["whole"] is False
    (found,) = report["ledgers"]
    assert (found["ledger_type"], found["files"], found["lines"]) == ("orders", 1, 1)
    (problem,) = found["problems"]
    assert (problem["kind"], problem["file"], problem["line"]) == (
        "altered",
        "2024-03-02.jsonl",
        1,
    )


def test_removed_files_are_missed(lake: Path) -> None:
    fill(lake)
    (file,) = (lake / "ledger" / "orders").glob("*.jsonl")
    file.unlink()
    result = run("verify")
    assert result.exit_code == LedgerError.exit_code
    assert "missing at the end" in result.output


def test_what_a_crash_left_is_told_without_being_a_problem(lake: Path) -> None:
    fill(lake)
    (file,) = (lake / "ledger" / "orders").glob("*.jsonl")
    with file.open("ab") as stream:
        stream.write(b"{")
    assert run("verify").exit_code == LedgerError.exit_code
    fill(lake, "orders", ["success", "success"])
    result = run("verify")
    assert result.exit_code == 0
    assert "orders: 2024-03-02.jsonl.torn-1 holds what a crash left" in result.output


def test_tail_prints_the_last_lines(lake: Path) -> None:
    fill(lake, "orders", ["success"] * 12)
    shown = run("tail", "orders", "-n", "2").output
    assert "step-11" in shown
    assert "step-10" in shown
    assert "step-9" not in shown
    assert '["[red]A"]' in shown
    assert "step-2" in run("tail", "orders").output
    raw = run("tail", "orders", "-n", "3", "--json").output.splitlines()
    (file,) = (lake / "ledger" / "orders").glob("*.jsonl")
    assert raw == file.read_text(encoding="utf-8").splitlines()[-3:]


def test_tail_shows_what_is_in_force_and_the_trail_all(lake: Path) -> None:
    ledger = Ledger(lake, "orders", lambda: datetime(2024, 3, 2, tzinfo=UTC))
    for price in (1.0, 2.0):
        ledger.append(LedgerRecord("success", None, "place", {"price": price}, "run-1", "a"))
    ledger.append(LedgerRecord("success", date(2024, 3, 1), "place", {}, "run-1", "b"))
    ledger.restate("place", [date(2024, 3, 1)], [], "run-2")
    shown = run("tail", "orders", "--json").output.splitlines()
    assert [json.loads(line)["seq"] for line in shown] == [2]
    trail = run("tail", "orders", "--trail", "--json").output.splitlines()
    assert [json.loads(line)["record_type"] for line in trail] == ["success"] * 3 + ["withdrawn"]


def test_recover_closes_what_a_crash_left_open(lake: Path) -> None:
    fill(lake, "orders", ["intent", "success"])
    fill(lake, "meta", ["intent"])
    assert run("verify").exit_code == LedgerError.exit_code
    result = run("recover", "--type", "orders")
    assert result.exit_code == 0
    assert result.output == "orders: closed the intent of line 1, step-0\n"
    assert "meta: closed" in run("recover").output
    assert run("verify").exit_code == 0
    assert "nothing to recover" in run("recover").output


@pytest.mark.parametrize(
    "arguments", [["verify", "--type", "order"], ["tail", "order"], ["recover", "--type", "order"]]
)
def test_an_unknown_ledger_names_the_near_ones(lake: Path, arguments: list[str]) -> None:
    with pytest.raises(LedgerError, match=r"did you mean orders"):
        run(*arguments)


def test_a_foreign_folder_is_an_error(lake: Path) -> None:
    (lake / "ledger" / "orders.old").mkdir(parents=True)
    with pytest.raises(LedgerError, match=r"orders\.old"):
        run("verify")
