"""Whether ledgers and tables of the account tell the same: of each fill, and of each evening.

A ledger says once, in a line that is in force, what the table says in a row. What the table has and
no line tells, what a line tells and the table has not, what is told twice and what is told
otherwise is a difference; values are compared exactly, for both were written from the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from quant_platform.execution import decisions, slippage
from quant_platform.lakehouse.ledgers import LedgerLine


@dataclass(frozen=True)
class Account:
    """A table and the ledger that tells of its rows.

    Parameters
    ----------
    ledger, action
        The ledger, and the action of the lines that tell of the table.
    table
        The table.
    thing
        What a row is.
    identity
        Column that names a row within its session, and its name in the payload; empty where a
        session has one row.
    facts
        Column of the table → name in the payload, for all that must be equal.
    """

    ledger: str
    action: str
    table: str
    thing: str
    identity: str
    facts: Mapping[str, str]


ACCOUNTS = (
    Account(
        slippage.LEDGER,
        slippage.ACTION,
        "execution/fills",
        "fill",
        "fill_id",
        {"side": "side", "quantity": "quantity", "price": "actual_fill_price"},
    ),
    Account(
        decisions.LEDGER,
        decisions.ACTION,
        "execution/execution_ready",
        "evening",
        "",
        {"ready": "ready", "reasons": "reasons", "orders": "orders"},
    ),
)


def differences(account: Account, rows: pl.DataFrame, lines: Iterable[LedgerLine]) -> Iterator[str]:
    """Say each difference between a table and what is in force of its ledger, as a sentence.

    Parameters
    ----------
    account
        The two.
    rows
        All rows of the table that readers get.
    lines
        What is in force of the ledger.
    """
    columns = ["session", *([account.identity] if account.identity else []), *account.facts]
    stored: dict[tuple[str, str], list[Any]] = {}
    for session, *values in rows.select(columns).iter_rows():
        name = str(values.pop(0)) if account.identity else ""
        stored[(session.isoformat(), name)] = values
    told: dict[tuple[str, str], int] = {}
    for line in lines:
        if line.action != account.action or line.record_type != "success":
            continue
        name = str(line.payload[account.identity]) if account.identity else ""
        key = ("" if line.session is None else line.session.isoformat(), name)
        what = " ".join(filter(None, (account.thing, name, "of", key[0])))
        said = [line.payload.get(fact) for fact in account.facts.values()]
        if key in told:
            yield f"lines {told[key]} and {line.seq} of {account.ledger} both tell of {what}"
        elif key not in stored:
            yield f"line {line.seq} of {account.ledger} tells of {what}, which is not stored"
        elif said != stored[key]:
            yield (
                f"line {line.seq} of {account.ledger} says {said} of {what}, and "
                f"{account.table} says {stored[key]}"
            )
        told[key] = line.seq
    for session, name in sorted(stored.keys() - told.keys()):
        what = " ".join(filter(None, (account.thing, name, "of", session)))
        yield f"{what} is stored, and no line of {account.ledger} tells of it"
