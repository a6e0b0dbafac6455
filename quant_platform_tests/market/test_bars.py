"""Bars from a source: what a source that breaks its promise is told, and what it may do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import CalendarError, SourceError
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.market.bars import published_bars
from quant_platform.sources.protocol import ACTION_SCHEMA, BAR_SCHEMA, SECURITY_SCHEMA
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS, bar, span

DAYS = SESSIONS[:3]


@dataclass(frozen=True)
class OneTable:
    """A source that delivers one table, whatever is asked."""

    frame: pl.DataFrame
    name: str = "one_table"
    kinds: frozenset[str] = frozenset({"bars"})

    def bars(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self.frame

    def securities(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return pl.DataFrame(schema=SECURITY_SCHEMA)

    def actions(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return pl.DataFrame(schema=ACTION_SCHEMA)


def rows(*more: dict[str, Any]) -> pl.DataFrame:
    """Return one bar per day as a source delivers it, and more."""
    bars = [*(bar("a", day) for day in DAYS), *more]
    return pl.DataFrame([{name: row[name] for name in BAR_SCHEMA} for row in bars], BAR_SCHEMA)


def test_bars_of_the_asked_sessions_are_kept_in_the_contracts_columns() -> None:
    found = published_bars(OneTable(rows()), "instruments", span(DAYS[0], DAYS[2]))
    assert found.rows.schema == BARS.empty().schema
    assert found.rows["knowledge_session"].to_list() == DAYS
    assert found.rejected.height == 0


def test_columns_beyond_the_contract_are_left_out() -> None:
    found = published_bars(
        OneTable(rows().with_columns(surplus=1)), "instruments", span(DAYS[0], DAYS[2])
    )
    assert found.rows.columns == list(BARS.columns)


def test_a_source_may_deliver_nothing() -> None:
    found = published_bars(OneTable(rows().head(0)), "instruments", span(DAYS[0], DAYS[2]))
    assert (found.rows.height, found.rejected.height) == (0, 0)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda frame: frame.drop("close", "volume"), "without close, volume"),
        (lambda frame: frame.with_columns(pl.col("volume").cast(pl.Int64)), "'volume' as Int64"),
        (lambda frame: frame.with_columns(pl.col("session").cast(pl.String)), "'session' as Str"),
        (
            lambda frame: frame.with_columns(pl.col("known_at").dt.replace_time_zone(None)),
            "'known_at' as Datetime",
        ),
        (
            lambda frame: frame.with_columns(
                known_at=pl.when(pl.col("session") > DAYS[0]).then("known_at")
            ),
            "1 rows without known_at",
        ),
    ],
)
def test_a_source_that_breaks_its_promise_is_told_in_a_sentence(
    spoil: Callable[[pl.DataFrame], pl.DataFrame], said: str
) -> None:
    with pytest.raises(SourceError, match=said) as told:
        published_bars(OneTable(spoil(rows())), "instruments", span(DAYS[0], DAYS[2]))
    assert "one_table" in str(told.value)


@pytest.mark.parametrize(
    ("first", "last"),
    [(DAYS[1], DAYS[2]), (DAYS[0], DAYS[1])],
    ids=["known before the range", "known after it"],
)
@pytest.mark.parametrize("close", [10.0, -1.0], ids=["kept", "rejected"])
def test_a_row_known_outside_the_asked_sessions_is_refused(
    first: date, last: date, close: float
) -> None:
    frame = rows().with_columns(close=pl.lit(close), low=pl.lit(close), high=pl.lit(abs(close)))
    with pytest.raises(SourceError, match="1 rows known in"):
        published_bars(OneTable(frame), "instruments", span(first, last))


def test_a_late_row_about_an_earlier_session_belongs_to_the_range_it_became_known_in() -> None:
    late = rows(bar("b", DAYS[0], late=2)).filter(pl.col("security_id") == "b")
    found = published_bars(OneTable(late), "instruments", span(DAYS[2], DAYS[2]))
    assert found.rows.select("session", "knowledge_session").row(0) == (DAYS[0], DAYS[2])
    with pytest.raises(SourceError):
        published_bars(OneTable(late), "instruments", span(DAYS[0], DAYS[1]))


def test_a_row_from_beyond_the_calendar_is_a_sentence() -> None:
    far = CALENDAR.cutoff(CALENDAR.sessions[-1]) + timedelta(days=9)
    frame = rows().with_columns(known_at=pl.lit(far).dt.cast_time_unit("us"))
    with pytest.raises(CalendarError, match="after the horizon"):
        published_bars(OneTable(frame), "instruments", span(DAYS[0], DAYS[2]))
