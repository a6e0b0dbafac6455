"""What tests of a ledger write: one session, one action, a clock that they set."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from quant_platform.lakehouse.ledgers import Ledger
from quant_platform.lakehouse.ledgers.records import LedgerRecord, RecordType

SESSION = date(2024, 3, 1)
START = datetime(2024, 3, 2, 1, 30, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def record(
    content: str | None = "c1",
    record_type: RecordType = "success",
    run_id: str = "run-1",
    **payload: Any,
) -> LedgerRecord:
    """One record of the same session and action."""
    return LedgerRecord(record_type, SESSION, "place", payload, run_id, content)


def assert_whole(ledger: Ledger, lines: int) -> None:
    """Require a ledger of so many lines without a problem."""
    report = ledger.verify()
    assert report.problems == ()
    assert report.lines == lines
