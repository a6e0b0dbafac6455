"""The closing summary of a run: what it counts is what readers get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.cli.command_line import quant
from quant_platform_tests.end_to_end.projects import lay_out

RANGE = ("backfill", "--from", "2022-01-03", "--to", "2022-01-07", "--json")


def test_withdrawn_rows_are_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    assert quant(tmp_path, *RANGE).code == 0
    # A closure that is declared later withdraws what the lake holds of the day.
    closed = json.dumps({"XNYS": ["2022-01-06"]})
    monkeypatch.setenv("QUANT_PLATFORM__EXTRA_HOLIDAYS", closed)
    answer = quant(tmp_path, *RANGE)
    assert answer.code == 0, answer.err
    told = {row["table"]: row for row in answer.json()["tables"]}
    lake = Lake.open(tmp_path / "lakehouse")
    assert told["instruments/bars"]["blocked"] == 1
    for table in ("instruments/bars", "instruments/features_trend"):
        assert told[table]["rows"] == lake.scan(table).collect().height
