"""Ctrl-C in the middle of a backfill: a sentence, a canceled run, and a rerun that completes."""

from __future__ import annotations

import signal
import subprocess
import time
from datetime import date
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from quant_platform.cli.main import invoke
from quant_platform.lakehouse.lake import Lake
from quant_platform.orchestration.graph import Graph
from quant_platform.orchestration.instance import open_instance
from quant_platform.orchestration.stage import Stage
from quant_platform.settings import load_settings
from quant_platform_tests.end_to_end.projects import environment, lay_out, start
from quant_platform_tests.small_project import SmallProject

FIRST, LAST = date(2022, 1, 3), date(2022, 2, 15)
BACKFILL = ("backfill", "--from", str(FIRST), "--to", str(LAST))
TABLES = ("instruments/bars", "instruments/features_trend", "instruments/features_state")
PATIENCE = 120.0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    lay_out(folder)
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    return folder


def wait_for(process: subprocess.Popen[str], found: Path, pattern: str) -> None:
    """Wait until a process has made a file."""
    deadline = time.monotonic() + PATIENCE
    while not any(found.glob(pattern)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"no {pattern} in {found}"
        time.sleep(0.01)


def test_ctrl_c_stops_cleanly_and_a_rerun_completes(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    process = start(project, "quant_platform.cli", *BACKFILL)
    # The bars are being stored: the features of the same run are still to come.
    wait_for(process, project / "lakehouse", f"{TABLES[0]}/v1/*/part.parquet")
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err.strip() == "Stopped; the same command goes on where it left off."

    lake = Lake.open(project / "lakehouse")
    sessions = lake.calendar(TABLES[0]).between(FIRST, LAST)
    assert not all(lake.sessions(table) == sessions for table in TABLES)
    with open_instance(load_settings()) as instance:
        assert [run.status for run in instance.get_runs()] == [DagsterRunStatus.CANCELED]

    assert invoke([*BACKFILL, "--json"]) == 0
    undisturbed = SmallProject.create(tmp_path / "undisturbed", tables=TABLES)
    undisturbed.fill(FIRST, LAST, jobs=["us_daily"])
    for table in TABLES:
        made = {day: entry.content_hash for day, entry in lake.entries(table).items()}
        assert made == undisturbed.hashes(table)
    undisturbed.close()
    assert invoke([*BACKFILL]) == 0
    assert "Everything is current" in capfd.readouterr().out


def test_ctrl_c_outside_of_a_run_is_a_sentence_as_well(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_self: Graph) -> dict[str, list[Stage]]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Graph, "jobs", property(interrupted))
    capfd.readouterr()
    assert invoke([*BACKFILL]) == 130
    assert capfd.readouterr().err.strip() == "Stopped."
