"""What goes on in a project at the same time: each function is the whole of one process."""

from __future__ import annotations

import os
import sys
from datetime import date
from multiprocessing.synchronize import Event
from pathlib import Path

from quant_platform.cli.main import invoke
from quant_platform.lakehouse.catalog import query_catalog
from quant_platform.lakehouse.lake import Lake, utc_now
from quant_platform.lakehouse.ledgers.ledger import Ledger
from quant_platform.lakehouse.ledgers.records import LedgerRecord
from quant_platform_tests.end_to_end.projects import environment

LEDGER = "decisions"
QUERIES = (
    "select count(*) from ledger.decisions",
    "select count(*) from instruments.bars",
    # Names come and go; the latest session does not go back.
    "select coalesce(max(session) - date '2022-01-01', 0) from instruments.features_trend_latest",
    "select count(*) from provenance.instruments_bars",
    "select count(*) from checks.instruments_features_state",
)


def record(writer: str, number: int) -> LedgerRecord:
    """One record of a writer; the first of each has no session, the others have one."""
    session = date(2022, 1, 3) if number else None
    payload = {"writer": writer, "number": number, "words": "abc" * number}
    return LedgerRecord("success", session, f"{writer}-{number}", payload, writer)


def append_records(lake: Path, writer: str, count: int) -> None:
    """Append records one by one, as a run that decides things does."""
    ledger = Ledger(lake, LEDGER, utc_now)
    for number in range(count):
        ledger.append(record(writer, number))


def ask_until(lake: Path, stop: Event, answers: Path) -> None:
    """Ask every query again and again; note each number, and fail if one ever goes back."""
    counts = dict.fromkeys(QUERIES, 0)
    asked = 0
    while not stop.is_set() or asked < len(QUERIES):
        query = QUERIES[asked % len(QUERIES)]
        count = int(query_catalog(Lake.open(lake), query).item())
        if count < counts[query]:
            sys.exit(f"{query}: {count} after {counts[query]}")
        counts[query] = count
        asked += 1
    answers.write_text(str(asked))


def quant(folder: Path, *arguments: str) -> None:
    """Be ``quant`` with these arguments on a project."""
    os.environ.update(environment(folder))
    sys.exit(invoke([*arguments]))
