"""What a ledger says of itself: what a crash left, and what no longer holds."""

from __future__ import annotations

import hashlib

from quant_platform.lakehouse.ledgers.records import (
    CheckedRecord,
    LedgerLine,
    LedgerRecord,
    checked,
)


def recovery(intent: LedgerLine, run_id: str) -> CheckedRecord:
    """Close an intent that has no outcome.

    Parameters
    ----------
    intent
        Line of the intent.
    run_id
        The run that closes it.
    """
    payload = {"intent": intent.seq, "intent_run_id": intent.run_id}
    session, action, content = intent.session, intent.action, intent.content_hash
    return checked(LedgerRecord("recovered", session, action, payload, run_id, content))


def withdrawal(line: LedgerLine, run_id: str) -> CheckedRecord:
    """Take back a line whose session no longer holds it.

    Parameters
    ----------
    line
        The line.
    run_id
        The run that made the session again.
    """
    payload = {"withdrawn": line.seq, "reason": "its session was made again without it"}
    return checked(
        LedgerRecord("withdrawn", line.session, line.action, payload, run_id, line.content_hash)
    )


def torn_line(aside: str, torn: bytes) -> CheckedRecord:
    """Say that a crash left a part of a line, which was set aside.

    Parameters
    ----------
    aside
        Name of the file that keeps it.
    torn
        What was left.
    """
    digest = hashlib.sha256(aside.encode() + b"\n" + torn).hexdigest()
    payload = {"set_aside": aside, "bytes": len(torn)}
    return checked(LedgerRecord("recovered", None, "torn_line", payload, "recovery", digest))
