"""Whose symbols a vendor's are, as known at the session."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from quant_platform.lakehouse.contracts.snapshot import SNAPSHOT
from quant_platform.market.snapshot import identified
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS

DAY = SESSIONS[20]


def told(security: str, symbol: str, known: date, **own: Any) -> dict[str, Any]:
    """One published description."""
    return {
        "knowledge_session": known,
        "security_id": security,
        "symbol": symbol,
        "listed_on": SESSIONS[0],
        "delisted_on": None,
        "known_at": CALENDAR.close(known),
    } | own


def bearers(*securities: dict[str, Any], session: date = DAY) -> list[str | None]:
    schema = {"listed_on": pl.Date, "delisted_on": pl.Date}
    rows = pl.DataFrame({"symbol": ["NYSE:A", "NYSE:B", "NYSE:NEW"]})
    found = identified(rows, pl.DataFrame(list(securities), schema_overrides=schema), session)
    assert found["symbol"].to_list() == rows["symbol"].to_list()
    return found["security_id"].to_list()


def test_a_symbol_is_who_bears_it_and_an_unknown_one_is_nobodys() -> None:
    first = SESSIONS[0]
    assert bearers(told("a", "NYSE:A", first), told("b", "NYSE:B", first)) == ["a", "b", None]


def test_a_new_name_counts_from_when_it_is_known() -> None:
    renamed = [told("a", "NYSE:A", SESSIONS[0]), told("a", "NYSE:NEW", DAY)]
    assert bearers(*renamed) == [None, None, "a"]
    assert bearers(*renamed, session=SESSIONS[19]) == ["a", None, None]


def test_a_symbol_that_is_used_again_is_the_listed_one() -> None:
    gone = told("a", "NYSE:A", SESSIONS[0], delisted_on=SESSIONS[10])
    again = told("c", "NYSE:A", SESSIONS[12], listed_on=SESSIONS[14])
    assert bearers(gone, again)[0] == "c"
    assert bearers(gone, again, session=SESSIONS[13])[0] is None


def test_two_bearers_are_none() -> None:
    assert bearers(told("a", "NYSE:A", SESSIONS[0]), told("b", "NYSE:A", SESSIONS[0]))[0] is None


def test_impossible_values_break_the_contract() -> None:
    good = dict.fromkeys(SNAPSHOT.columns) | {
        "knowledge_session": DAY,
        "session": DAY,
        "symbol": "NYSE:A",
        "known_at": CALENDAR.close(DAY),
        "known_at_basis": "observed",
        "payload": "0" * 64,
        "close": 10.0,
    }
    bad = [{"RSI": 101.0}, {"close": 0.0}, {"Perf.1M": -1.5}, {"Recommend.All": 2.0}]
    rows = [good, *(good | values | {"symbol": f"NYSE:{n}"} for n, values in enumerate(bad))]
    kept, rejected = SNAPSHOT.quarantine(pl.DataFrame(rows, schema=SNAPSHOT.empty().schema))
    assert (kept.height, rejected.height) == (1, len(bad))
