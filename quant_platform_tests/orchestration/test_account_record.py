"""The account of the evenings is a record, and its ledgers tell what its tables say."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from quant_platform.cli.progress import print_report
from quant_platform.cli.project import Project
from quant_platform.execution.accounting import ACCOUNTS, differences
from quant_platform.lakehouse.ledgers import Ledger, LedgerLine
from quant_platform.orchestration.assets.execution import ACCOUNT
from quant_platform.orchestration.backfill import BackfillReport
from quant_platform.orchestration.plan import plan_chunks
from quant_platform_tests.orchestration.evenings import (
    FILLS,
    FIRST,
    FRIDAY,
    OPENED,
    PORTFOLIO,
    Desk,
    Opened,
)


def content(desk: Desk) -> dict[str, dict[date, str]]:
    """Content hash of every session of the account."""
    return {table: desk.project.hashes(table) for table in sorted(ACCOUNT)}


def ledger(desk: Desk, name: str) -> Ledger:
    return Ledger(desk.project.lake.root, name, desk.clock)


def found(desk: Desk) -> list[str]:
    """Differences between the ledgers and the tables."""
    lake = desk.project.lake
    return [
        sentence
        for account in ACCOUNTS
        for sentence in differences(
            account, lake.scan(account.table).collect(), ledger(desk, account.ledger).in_force()
        )
    ]


def said(
    desk: Desk, report: BackfillReport, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> str:
    """Return what the command line prints of a backfill."""
    project = desk.project
    capsys.readouterr()
    opened = Project(project.settings, project.graph, project.lake, project.instance)
    print_report(opened, report, as_json=as_json)
    return capsys.readouterr().out


def fill_lines(desk: Desk) -> list[LedgerLine]:
    return ledger(desk, "EXECUTION_SLIPPAGE").in_force()


@pytest.mark.parametrize(
    "change",
    [
        {"execution__risk__name_cap": 0.05},
        {"execution__profile": "hrp"},
        {"metas__meta__train": 4},
        {"execution__cash": 5000.0},
    ],
    ids=["limit", "profile", "meta", "cash"],
)
def test_settings_that_changed_later_make_nothing_of_the_account_stale(
    opened: Opened, lived: Path, change: dict[str, Any]
) -> None:
    desk = opened(lived, FRIDAY, **change)
    plan = plan_chunks(desk.project.lake, desk.graph.jobs, FIRST, FRIDAY, chunk=252)
    made = {stage.table for chunk in plan.chunks for stage in chunk.stages}
    assert not made & ACCOUNT
    assert plan.record is not None
    assert plan.record.job == PORTFOLIO
    assert plan.record.kept[-1] == plan.record.last == FRIDAY
    assert plan.record.again == ()


def test_a_backfill_keeps_the_account_and_a_force_simulates_it_again(
    opened: Opened, lived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = opened(lived, FRIDAY, execution__risk__name_cap=0.05)
    before = content(desk)
    assert found(desk) == []
    report = desk.project.fill(FIRST, FRIDAY)
    assert content(desk) == before
    assert report.record is not None
    assert report.record.kept == tuple(
        day for day in sorted(desk.project.lake.sessions(FILLS)) if day >= OPENED
    )
    assert found(desk) == []
    command = f"quant backfill --from {OPENED} --to {FRIDAY} --job {PORTFOLIO} --force"
    told = said(desk, report, capsys, as_json=False)
    sentence = next(line for line in told.splitlines() if "kept as recorded" in line)
    assert sentence.startswith(f"{len(report.record.kept)} sessions of the account ({OPENED} to ")
    assert command in sentence
    assert json.loads(said(desk, report, capsys, as_json=True))["account"] == {
        "kept": len(report.record.kept),
        "simulate_again": command,
        "made_again": 0,
        "cause": None,
    }

    desk.project.fill(OPENED, FRIDAY, jobs=[PORTFOLIO], force=True)
    assert content(desk) != before
    assert found(desk) == []
    after = desk.project.fill(FIRST, FRIDAY)
    assert after.chunks == []
    assert after.record is not None
    assert after.record.kept == ()


def test_fills_that_a_remake_removes_are_withdrawn_and_may_come_back(
    opened: Opened, lived: Path
) -> None:
    told = fill_lines(opened(lived, FRIDAY))
    assert told
    desk = opened(lived, FRIDAY, execution__gates__kill_switch=OPENED)
    # The switch holds orders back and makes nothing of the past again by itself.
    assert desk.project.fill(FIRST, FRIDAY).chunks == []
    desk.project.fill(OPENED, FRIDAY, jobs=[PORTFOLIO], force=True)
    assert desk.project.lake.scan(FILLS).collect().is_empty()
    assert fill_lines(desk) == []
    assert found(desk) == []
    withdrawn = [
        line for line in ledger(desk, "EXECUTION_SLIPPAGE").lines() if line.supersedes is not None
    ]
    assert {line.record_type for line in withdrawn} == {"withdrawn"}
    assert {line.supersedes for line in withdrawn} == {line.seq for line in told}
    assert ledger(desk, "EXECUTION_SLIPPAGE").verify().problems == ()

    released = opened(desk.project.lake.root.parent, FRIDAY)
    released.project.fill(OPENED, FRIDAY, jobs=[PORTFOLIO], force=True)
    assert found(released) == []
    assert {line.payload["fill_id"] for line in fill_lines(released)} >= {
        line.payload["fill_id"] for line in told
    }
    assert ledger(released, "EXECUTION_SLIPPAGE").verify().problems == ()


def test_a_session_that_somebody_makes_again_in_the_ui_is_told_anew(
    opened: Opened, lived: Path
) -> None:
    desk = opened(lived, FRIDAY, execution__risk__name_cap=0.05)
    made = [stage.key for stage in desk.graph.jobs[PORTFOLIO] if stage.table in ACCOUNT]
    sessions = [day for day in sorted(desk.project.lake.sessions(FILLS)) if day >= OPENED]
    assert desk.run(PORTFOLIO, OPENED, None, made).success
    assert found(desk) == []
    # What followed continues other rows now, and is made again with it.
    plan = plan_chunks(desk.project.lake, desk.graph.jobs, FIRST, FRIDAY, chunk=252)
    assert plan.record is not None
    assert (plan.record.kept, plan.record.again) == ((), tuple(sessions[1:]))
    desk.project.fill(FIRST, FRIDAY)
    assert found(desk) == []
    assert desk.project.fill(FIRST, FRIDAY).chunks == []
