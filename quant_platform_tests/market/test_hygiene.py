"""Hygiene: every delivered row is kept or set aside with its reason, none is changed or lost."""

from __future__ import annotations

import json
import math
from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.quarantine import QUARANTINE
from quant_platform.market.hygiene import Ingested, ingest
from quant_platform.sources.protocol import BAR_SCHEMA
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS

DAY, NEXT = SESSIONS[3], SESSIONS[4]
SATURDAY = date(2024, 1, 6)
NOT_FINITE = {"NaN": math.nan, "inf": math.inf, "-inf": -math.inf}


def delivered(**changes: Any) -> dict[str, Any]:
    """Return one row as a source delivers it."""
    row = {
        "symbol": "NYSE:AAA",
        "security_id": "a",
        "session": DAY,
        "open": 10.0,
        "high": 12.0,
        "low": 9.0,
        "close": 11.0,
        "volume": 100.0,
        "known_at": CALENDAR.close(DAY) + timedelta(minutes=30),
        "known_at_basis": "assumed",
    }
    return row | changes


def sort_out(*rows: dict[str, Any]) -> Ingested:
    return ingest(pl.DataFrame(rows, schema=BAR_SCHEMA), BARS, CALENDAR)


def rules(ingested: Ingested) -> list[str]:
    return sorted(ingested.rejected["rule"])


def raw_rows(ingested: Ingested) -> list[dict[str, Any]]:
    """Read the rejected rows back into what was delivered."""
    rows = []
    for text in ingested.rejected["raw"]:
        row = json.loads(text)
        if row["session"] is not None:
            row["session"] = date.fromisoformat(row["session"])
        row["known_at"] = datetime.fromisoformat(row["known_at"])
        for name in ("open", "high", "low", "close", "volume"):
            row[name] = NOT_FINITE.get(row[name], row[name]) if row[name] is not None else None
        rows.append(row)
    return rows


def countable(row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Make rows comparable that hold NaN and null."""
    return tuple(sorted((name, str(value)) for name, value in row.items()))


def test_a_good_row_is_kept_as_it_came_with_its_knowledge_session() -> None:
    found = sort_out(delivered())
    assert found.rejected.height == 0
    assert found.rejected.schema == QUARANTINE.empty().schema
    (row,) = found.rows.to_dicts()
    assert row == delivered() | {"knowledge_session": DAY}


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (CALENDAR.cutoff(DAY), DAY),
        (CALENDAR.cutoff(DAY) + timedelta(microseconds=1), NEXT),
        (CALENDAR.cutoff(NEXT), NEXT),
    ],
)
def test_the_knowledge_session_is_the_first_whose_cutoff_is_not_before(
    moment: datetime, expected: date
) -> None:
    found = sort_out(delivered(known_at=moment, known_at_basis="observed"))
    assert found.rows["knowledge_session"].to_list() == [expected]


def test_a_print_on_a_closed_day_is_rejected() -> None:
    found = sort_out(delivered(session=SATURDAY), delivered(session=None), delivered())
    assert rules(found) == ["session_in_calendar"] * 2
    assert found.rows.height == 1


def test_of_rows_alike_in_everything_the_first_is_kept() -> None:
    found = sort_out(delivered(), delivered(), delivered())
    assert rules(found) == ["repeated_row"] * 2
    assert found.rows.height == 1


@pytest.mark.parametrize(
    "difference",
    [{"close": 10.5}, {"volume": 101.0}, {"known_at_basis": "observed"}, {"symbol": "NYSE:BBB"}],
)
def test_two_different_rows_under_one_key_are_both_rejected(difference: dict[str, Any]) -> None:
    found = sort_out(delivered(), delivered(**difference), delivered(security_id="b"))
    assert rules(found) == ["primary_key"] * 2
    assert found.rows["security_id"].to_list() == ["b"]


def test_a_correction_is_no_conflict() -> None:
    later = CALENDAR.close(DAY) + timedelta(minutes=45)
    found = sort_out(delivered(), delivered(close=10.5, known_at=later))
    assert (found.rows.height, found.rejected.height) == (2, 0)


def test_a_bar_of_a_session_that_has_not_ended_is_rejected() -> None:
    """Known at noon of the session before: nobody can know that bar yet."""
    early = CALENDAR.open(DAY)
    found = sort_out(delivered(session=NEXT, known_at=early))
    assert rules(found) == ["session_is_known"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        *(({name: 0.0}, f"{name}|min_exclusive") for name in ("open", "low", "close", "high")),
        *(({name: None}, f"{name}|nullability") for name in ("open", "low", "close", "high")),
        *(({name: math.nan}, f"{name}|nan") for name in ("open", "high", "low", "close", "volume")),
        *(({name: math.inf}, f"{name}|inf") for name in ("open", "high", "low", "close", "volume")),
        ({"volume": -1.0}, "volume|min"),
        ({"volume": None}, "volume|nullability"),
        ({"low": 11.5}, "low_is_lowest"),
        ({"high": 10.5}, "high_is_highest"),
        ({"security_id": None}, "security_id|nullability"),
        ({"security_id": ""}, "security_id|min_length"),
        ({"symbol": None}, "symbol|nullability"),
        ({"symbol": "A"}, "symbol|min_length"),
        ({"known_at_basis": None}, "known_at_basis|nullability"),
    ],
)
def test_each_broken_value_is_rejected_under_its_rule_with_the_row_as_it_came(
    change: dict[str, Any], rule: str
) -> None:
    found = sort_out(delivered(**change), delivered(security_id="good"))
    assert found.rows["security_id"].to_list() == ["good"]
    assert rule in found.rejected["rule"].item().split(", ")
    assert [countable(row) for row in raw_rows(found)] == [countable(delivered(**change))]


def test_zero_volume_is_a_bar() -> None:
    assert sort_out(delivered(volume=0.0)).rows.height == 1


def test_text_that_looks_like_a_field_stays_text() -> None:
    """A symbol may hold quotes, braces and what reads like a null price."""
    symbol = 'NYSE:"close":null,\\"open\\":null}'
    found = sort_out(delivered(symbol=symbol, close=math.nan, open=None, volume=-math.inf))
    (row,) = raw_rows(found)
    assert row["symbol"] == symbol
    assert math.isnan(row["close"])
    assert row["open"] is None
    assert row["volume"] == -math.inf


def test_rejected_rows_are_numbered_within_their_session() -> None:
    late = CALENDAR.close(NEXT)
    found = sort_out(
        *(delivered(security_id=name, close=-1.0) for name in "abc"),
        *(delivered(security_id=name, close=-1.0, known_at=late) for name in "de"),
    )
    numbered = found.rejected.select("knowledge_session", "row").rows()
    assert numbered == [(DAY, 0), (DAY, 1), (DAY, 2), (NEXT, 0), (NEXT, 1)]


def test_nothing_delivered_is_nothing_kept_and_nothing_rejected() -> None:
    found = sort_out()
    assert found.rows.schema == BARS.empty().schema
    assert found.rejected.schema == QUARANTINE.empty().schema


prices = st.sampled_from([10.0, 11.0, 0.1 + 0.2, 1e300, 0.0, -1.0, *NOT_FINITE.values(), None])
deliveries = st.lists(
    st.builds(
        delivered,
        security_id=st.sampled_from(["a", "b", "", None]),
        session=st.sampled_from([DAY, NEXT, SATURDAY, None]),
        close=prices,
        high=prices,
        volume=prices,
        known_at=st.sampled_from([CALENDAR.close(DAY), CALENDAR.cutoff(NEXT)]),
        symbol=st.sampled_from(["NYSE:AAA", 'X"close":null', None]),
    ),
    max_size=15,
)


@settings(max_examples=80)
@given(deliveries)
def test_every_row_is_kept_or_rejected_once_and_unchanged(rows: list[dict[str, Any]]) -> None:
    found = sort_out(*rows)
    kept = [countable(row) for row in found.rows.drop("knowledge_session").to_dicts()]
    rejected = [countable(row) for row in raw_rows(found)]
    assert Counter(kept) + Counter(rejected) == Counter(map(countable, rows))
    BARS.validate("instruments/bars", found.rows)
    QUARANTINE.validate("quarantine/instruments/bars", found.rejected)


@settings(max_examples=40)
@given(deliveries, st.randoms(use_true_random=False))
def test_the_order_of_delivery_changes_nothing(rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    first, second = sort_out(*rows), sort_out(*shuffled)
    assert first.rejected.equals(second.rejected)
    assert first.rows.sort(BARS.key).equals(second.rows.sort(BARS.key))
