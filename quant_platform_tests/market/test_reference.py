"""Listings and actions from a source: the first session of history holds what came before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.lakehouse.contracts.actions import ACTIONS
from quant_platform.lakehouse.contracts.securities import SECURITIES
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.hygiene import Ingested
from quant_platform.market.reference import published_actions, published_securities
from quant_platform.sources.protocol import ACTION_SCHEMA, SECURITY_SCHEMA, Source
from quant_platform_tests.market.actions import action
from quant_platform_tests.sources.markets import CASES, DIRTY, NYSE

HISTORY = date(2022, 1, 3)
Published = Callable[[Source, str, SessionRange], Ingested]
KINDS = [(published_securities, SECURITIES), (published_actions, ACTIONS)]
kinds = pytest.mark.parametrize(("published", "contract"), KINDS, ids=["securities", "actions"])
cases = pytest.mark.parametrize(("calendar", "sleeve"), CASES, ids=[s for _, s in CASES])


def span(calendar: SessionCalendar, first: date, last: date) -> SessionRange:
    return SessionRange(calendar, tuple(calendar.between(first, last)), HISTORY)


@cases
@kinds
def test_rows_keep_the_contract_and_none_is_rejected(
    calendar: SessionCalendar, sleeve: str, published: Published, contract: Any
) -> None:
    found = published(DIRTY, sleeve, span(calendar, HISTORY, date(2023, 12, 29)))
    assert found.rejected.height == 0
    assert contract.validate(f"{sleeve}/{contract.kind}", found.rows).height > 5
    assert found.rows["knowledge_session"].min() == HISTORY


@cases
@kinds
def test_the_first_session_of_history_holds_all_that_was_known_before(
    calendar: SessionCalendar, sleeve: str, published: Published, contract: Any
) -> None:
    first = published(DIRTY, sleeve, span(calendar, HISTORY, HISTORY)).rows
    everything = getattr(DIRTY, contract.kind)(
        calendar, sleeve, calendar.between(date(2015, 1, 2), HISTORY)
    )
    assert first["known_at"].to_list() == everything["known_at"].to_list()
    assert min(first["known_at"]) < calendar.cutoff(date(2018, 1, 2))
    assert set(first["knowledge_session"]) == {HISTORY}
    # A later session holds its own news alone.
    later = published(DIRTY, sleeve, span(calendar, date(2022, 1, 4), date(2023, 12, 29))).rows
    own = calendar.knowledge_sessions(later["known_at"])
    assert later["knowledge_session"].to_list() == own.to_list()
    assert later.height > 0 or sleeve == "etfs"


@cases
@kinds
@pytest.mark.parametrize("length", [1, 100])
def test_a_range_has_the_rows_of_its_parts(
    calendar: SessionCalendar, sleeve: str, published: Published, contract: Any, length: int
) -> None:
    wanted = span(calendar, HISTORY, calendar.offset(HISTORY, 40 if length == 1 else 350))
    days = wanted.sessions
    chunks = [
        published(DIRTY, sleeve, span(calendar, days[at], days[min(at + length, len(days)) - 1]))
        for at in range(0, len(days), length)
    ]
    whole = published(DIRTY, sleeve, wanted).rows
    assert pl.concat([chunk.rows for chunk in chunks]).equals(whole)


@dataclass(frozen=True)
class Given:
    """A source that delivers what it is given, whatever is asked."""

    frame: pl.DataFrame
    name: str = "given"
    kinds: frozenset[str] = frozenset({"actions", "securities"})

    def bars(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        raise NotImplementedError

    def securities(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self.frame

    def actions(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self.frame


def delivered(*rows: dict[str, Any]) -> Given:
    return Given(
        pl.DataFrame([{name: row[name] for name in ACTION_SCHEMA} for row in rows], ACTION_SCHEMA)
    )


DAY = date(2024, 3, 5)
WANTED = span(NYSE, DAY, DAY)


def test_an_ex_session_that_is_none_is_rejected() -> None:
    sunday = action("a", date(2024, 3, 8), 2.0, known=DAY) | {"session": date(2024, 3, 10)}
    good = action("b", date(2024, 3, 8), 2.0, known=DAY)
    found = published_actions(delivered(sunday, good), "x", WANTED)
    assert found.rows["security_id"].to_list() == ["b"]
    assert found.rejected["rule"].to_list() == ["session_in_calendar"]
    assert '"session":"2024-03-10"' in found.rejected["raw"][0]


@pytest.mark.parametrize(
    ("spoilt", "rule"),
    [
        ({"value": 0.0}, "a_split_has_a_ratio"),
        ({"value": -2.0}, "a_split_has_a_ratio, value|min"),
        ({"kind": "delisting", "value": -0.01}, "value|min"),
        ({"security_id": ""}, "security_id|min_length"),
    ],
)
def test_an_impossible_action_is_rejected(spoilt: dict[str, Any], rule: str) -> None:
    row = action("a", date(2024, 3, 8), 2.0, known=DAY) | spoilt
    found = published_actions(delivered(row), "x", WANTED)
    assert found.rows.height == 0
    assert sorted(found.rejected["rule"][0].split(", ")) == sorted(rule.split(", "))


def test_a_worthless_delisting_is_an_action() -> None:
    row = action("a", date(2024, 3, 8), 0.0, kind="delisting", known=DAY)
    assert published_actions(delivered(row), "x", WANTED).rows["value"].to_list() == [0.0]


@kinds
def test_what_was_known_outside_the_range_is_refused(published: Published, contract: Any) -> None:
    days = NYSE.between(date(2024, 1, 2), date(2024, 6, 28))
    everything = getattr(DIRTY, contract.kind)(NYSE, "instruments", days)
    assert everything.height > 0
    known = NYSE.knowledge_sessions(everything["known_at"])
    for lateness in (-1, 1):
        day = NYSE.offset(known[0], lateness)
        with pytest.raises(SourceError, match="known between the cutoffs"):
            published(Given(everything.head(1)), "instruments", span(NYSE, day, day))
    # Before history there is no such thing as too early.
    early = everything.head(1).with_columns(pl.col("known_at") - timedelta(days=2000))
    first = published(Given(early), "instruments", span(NYSE, HISTORY, HISTORY))
    assert first.rows.height + first.rejected.height == 1


def test_a_listing_twice_in_all_columns_is_kept_once() -> None:
    row = DIRTY.securities(NYSE, "instruments", NYSE.between(HISTORY, date(2023, 1, 3))).head(1)
    day = NYSE.knowledge_sessions(row["known_at"])[0]
    found = published_securities(Given(pl.concat([row, row])), "x", span(NYSE, day, day))
    assert found.rows.height == 1
    assert found.rejected["rule"].to_list() == ["repeated_row"]
    assert row.schema == SECURITY_SCHEMA
    wrong = row.with_columns(pl.col("listed_on").cast(pl.String))
    with pytest.raises(SourceError, match="'listed_on' as String"):
        published_securities(Given(wrong), "x", span(NYSE, day, day))
