"""Ledger against table: each way in which the two can differ is one sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_platform.execution.accounting import ACCOUNTS, Account, differences
from quant_platform.lakehouse.ledgers import Ledger, LedgerRecord
from quant_platform.lakehouse.ledgers.canonical import text_hash

FILLS, EVENINGS = ACCOUNTS
SESSION, LATER = date(2024, 3, 1), date(2024, 3, 4)


def payload(name: str, **changes: Any) -> dict[str, Any]:
    plain = {"fill_id": name, "side": "buy", "quantity": 2.0, "actual_fill_price": 10.1}
    return plain | changes


def line(account: Account, session: date, name: str, said: dict[str, Any]) -> LedgerRecord:
    return LedgerRecord("success", session, account.action, said, "run-1", text_hash(name))


def rows(*fills: tuple[date, str, str, float, float]) -> pl.DataFrame:
    names = ["session", "fill_id", "side", "quantity", "price"]
    return pl.DataFrame(list(fills), schema=names, orient="row")


TWO = rows((SESSION, "a", "buy", 2.0, 10.1), (LATER, "b", "buy", 2.0, 10.1))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path, FILLS.ledger, lambda: datetime(2024, 3, 5, tzinfo=UTC))
    made.append_many(
        [line(FILLS, SESSION, "a", payload("a")), line(FILLS, LATER, "b", payload("b"))]
    )
    return made


def test_what_tells_the_same_does_not_differ(ledger: Ledger) -> None:
    assert list(differences(FILLS, TWO, ledger.in_force())) == []


def test_a_fill_that_nobody_tells_of_is_found(ledger: Ledger) -> None:
    more = pl.concat([TWO, rows((LATER, "c", "sell", 1.0, 3.0))])
    assert list(differences(FILLS, more, ledger.in_force())) == [
        f"fill c of {LATER} is stored, and no line of EXECUTION_SLIPPAGE tells of it"
    ]


def test_a_line_of_a_fill_that_is_not_stored_is_found(ledger: Ledger) -> None:
    (sentence,) = differences(FILLS, TWO.head(1), ledger.in_force())
    assert sentence == (
        f"line 2 of EXECUTION_SLIPPAGE tells of fill b of {LATER}, which is not stored"
    )


@pytest.mark.parametrize(
    "change", [{"quantity": 3.0}, {"actual_fill_price": 10.100000001}, {"side": "sell"}]
)
def test_a_line_that_says_something_else_is_found(ledger: Ledger, change: dict[str, Any]) -> None:
    ledger.append(line(FILLS, SESSION, "a", payload("a", **change)))
    (sentence,) = differences(FILLS, TWO, ledger.in_force())
    assert sentence.startswith("line 3 of EXECUTION_SLIPPAGE says ")


def test_a_fill_that_is_told_twice_is_found(ledger: Ledger) -> None:
    ledger.append(line(FILLS, SESSION, "another name of a", payload("a")))
    (sentence,) = differences(FILLS, TWO, ledger.in_force())
    assert sentence == f"lines 1 and 3 of EXECUTION_SLIPPAGE both tell of fill a of {SESSION}"


def withdraw(ledger: Ledger) -> None:
    ledger.restate(FILLS.action, [LATER], [], "run-2")


def other_action(ledger: Ledger) -> None:
    ledger.append(LedgerRecord("success", SESSION, "another", {"fill_id": "z"}, "run-1"))


@pytest.mark.parametrize(("change", "kept"), [(withdraw, 1), (other_action, 2)])
def test_what_is_withdrawn_or_about_another_action_does_not_count(
    ledger: Ledger, change: Callable[[Ledger], None], kept: int
) -> None:
    change(ledger)
    assert list(differences(FILLS, TWO.head(kept), ledger.in_force())) == []


def test_evenings_are_compared_by_their_session(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, EVENINGS.ledger, lambda: datetime(2024, 3, 5, tzinfo=UTC))
    said = {"ready": False, "reasons": ["GROSS"], "orders": 3}
    ledger.append(line(EVENINGS, SESSION, "evening", said))
    table = pl.DataFrame({"session": [SESSION]} | {name: [value] for name, value in said.items()})
    assert list(differences(EVENINGS, table, ledger.in_force())) == []
    opened = table.with_columns(ready=pl.lit(value=True))
    assert len(list(differences(EVENINGS, opened, ledger.in_force()))) == 1
