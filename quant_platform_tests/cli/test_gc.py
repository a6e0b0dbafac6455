"""``quant gc``: a table for people, JSON for programs, and a lake that is as well as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.cli.command_line import quant
from quant_platform_tests.end_to_end.projects import lay_out

RANGE = ("--from", "2022-01-03", "--to", "2022-01-04")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make one sleeve from four markets, one over the other."""
    lay_out(tmp_path)
    platform = tmp_path / "assets_config" / "platform.yaml"
    text = platform.read_text()
    for seed in (7, 8, 9, 10):
        platform.write_text(text.replace("  seed: 7\n", f"  seed: {seed}\n"))
        answer = quant(tmp_path, "backfill", *RANGE, "--job", "us_daily", "--json")
        assert answer.code == 0, answer.err
    return tmp_path


def test_gc_says_what_went_and_leaves_a_healthy_lake(folder: Path) -> None:
    lake = Lake.open(folder / "lakehouse")
    days = lake.sessions("instruments/bars")
    assert [len(lake.versions("instruments/bars", day)) for day in days] == [4] * len(days)
    planned = quant(folder, "gc", "--dry-run", "--json").json()
    assert planned["dry_run"] is True
    assert planned["superseded"]["count"] > 0
    assert [len(lake.versions("instruments/bars", day)) for day in days] == [4] * len(days)
    shown = quant(folder, "gc", "--dry-run")
    assert "--dry-run" in shown.out
    done = quant(folder, "gc", "--json").json()
    assert done["superseded"] == planned["superseded"]
    assert done["events"]["count"] == planned["events"]["count"] > 0
    assert done["keep"] == 2
    assert [len(lake.versions("instruments/bars", day)) for day in days] == [3] * len(days)
    assert quant(folder, "doctor", "--deep").code == 0
    assert quant(folder, "ledger", "verify").code == 0
    stale = quant(folder, "backfill", *RANGE, "--job", "us_daily", "--json").json()
    assert stale["chunks"] == 0


def test_a_negative_number_of_contents_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path)
    assert quant(tmp_path, "gc", "--keep", "-1").code == 2
