"""``quant snapshot`` against a vendor on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quant_platform.cli import snapshot
from quant_platform.sources.tradingview.store import SnapshotStore
from quant_platform_tests.cli.command_line import quant
from quant_platform_tests.end_to_end.projects import lay_out
from quant_platform_tests.sources.tradingview.vendor import Vendor, fund

SCANNER = "etf_equity_momentum"


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    held = {f"AMEX:F{n}": fund(traded=1e9 - n, Perf__1M=n, RSI=55.0) for n in range(30)}
    with Vendor(held).serve() as serving:
        monkeypatch.setenv("QUANT_PLATFORM__TRADINGVIEW__BASE_URL", serving.address)
        monkeypatch.setenv("QUANT_PLATFORM__TRADINGVIEW__PAUSE_SECONDS", "0.0")
        monkeypatch.setenv(
            "QUANT_SLEEVES__ETFS__SOURCES", "{bars: simulated, screener: tradingview}"
        )
        yield serving


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    lay_out(folder, sleeves=("etfs",))
    return folder


def test_a_snapshot_is_taken_kept_and_counted(
    project: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "utc_now", lambda: datetime(2024, 5, 2, 23, tzinfo=UTC))
    answer = quant(project, "snapshot", "--sleeve", "etfs", "--json")
    assert answer.code == 0, answer.err
    told = answer.json()
    assert (told["session"], told["rows"], told["announced"]) == ("2024-05-02", 30, 30)
    kept = next(SnapshotStore.of(project / "lakehouse", "etfs").kept())
    assert told["content_hash"] == kept.content_hash
    shown = quant(project, "snapshot", "--sleeve", "etfs")
    assert "2024-05-02" in shown.out


def test_unknown_symbols_are_counted_and_named(
    project: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = quant(project, "backfill", "--from", "2022-01-03", "--to", "2022-01-04", "--json")
    assert made.code == 0, made.err
    vendor.securities["AMEX:SPY"] = fund()
    monkeypatch.setattr(snapshot, "utc_now", lambda: datetime(2022, 1, 4, 23, tzinfo=UTC))
    told = quant(project, "snapshot", "--sleeve", "etfs", "--json").json()
    assert (told["rows"], told["securities"], told["unknown_symbols"]) == (31, 1, 30)
    assert len(told["unknown_for_instance"]) == 5


def test_at_noon_it_says_when(
    project: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "utc_now", lambda: datetime(2024, 5, 2, 16, tzinfo=UTC))
    answer = quant(project, "snapshot", "--sleeve", "etfs")
    assert answer.code == 9
    assert "a time from 2024-05-02 20:20" in answer.err
    assert vendor.asked == []


def test_a_scanner_is_asked_and_nothing_kept(project: Path, vendor: Vendor) -> None:
    answer = quant(project, "snapshot", "--scanner", SCANNER, "--json")
    assert answer.code == 0, answer.err
    told = answer.json()
    assert told["rows"] == told["announced"] > 0
    assert told["first"][0] == "AMEX:F29"
    assert not (project / "lakehouse" / "_snapshots").exists()


@pytest.mark.parametrize(
    "arguments", [(), ("--sleeve", "etfs", "--scanner", SCANNER), ("--scanner", "nobody")]
)
def test_what_is_not_said_is_refused(
    project: Path, vendor: Vendor, arguments: tuple[str, ...]
) -> None:
    assert quant(project, "snapshot", *arguments).code == 2
    assert vendor.asked == []


def test_without_an_address_it_says_which_setting(
    project: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUANT_PLATFORM__TRADINGVIEW__BASE_URL")
    answer = quant(project, "snapshot", "--scanner", SCANNER)
    assert answer.code == 9
    assert "platform.tradingview.base_url" in answer.err
