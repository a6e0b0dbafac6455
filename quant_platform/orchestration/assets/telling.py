"""What stages say to the ledgers, as records whose identity is the thing that they are about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from quant_platform.lakehouse.ledgers import LedgerRecord
from quant_platform.lakehouse.ledgers.canonical import text_hash
from quant_platform.orchestration.stage import Told


def told(action: str, said: Iterable[tuple[date, str, Mapping[str, Any]]], run_id: str) -> Told:
    """Make ledger records of things that were decided or done.

    Telling the same of a thing again is no change; telling something else supersedes; telling
    nothing of it any more withdraws.

    Parameters
    ----------
    action
        What the records are about.
    said
        Session, identity and payload of each.
    run_id
        Dagster run.
    """
    records = [
        LedgerRecord("success", session, action, payload, run_id, text_hash(identity))
        for session, identity, payload in said
    ]
    return Told(action, records)
