"""Announcements as of a session: a revision counts from when it was published."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl

from quant_platform.lakehouse.contracts.earnings import EARNINGS
from quant_platform.market.announcements import announcements_as_of
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS

DAYS = SESSIONS[:30]


def told(period: str, known: date, on: date, status: str = "expected", minutes: int = 30) -> Any:
    return {
        "knowledge_session": known,
        "security_id": "a",
        "period": period,
        "announced_on": on,
        "timing": "post",
        "status": status,
        "estimate": 1.0,
        "actual": 1.2 if status == "actual" else None,
        "known_at": CALENDAR.close(known) + timedelta(minutes=minutes),
        "known_at_basis": "observed",
    }


def test_a_revised_day_is_seen_from_its_publication_on() -> None:
    rows = pl.DataFrame(
        [
            told("2023Q2", DAYS[9], DAYS[14], minutes=50),
            told("2023Q2", DAYS[9], DAYS[13], minutes=20),
            told("2023Q2", DAYS[14], DAYS[14], "actual"),
            told("2023Q2", DAYS[1], DAYS[12]),
            told("2023Q3", DAYS[20], DAYS[28]),
        ],
        schema=EARNINGS.empty().schema,
    )
    seen = {day: announcements_as_of(rows, day) for day in DAYS}
    assert seen[DAYS[0]].is_empty()
    assert seen[DAYS[8]]["announced_on"].to_list() == [DAYS[12]]
    assert seen[DAYS[9]]["announced_on"].to_list() == [DAYS[14]]
    assert seen[DAYS[13]]["actual"].to_list() == [None]
    assert seen[DAYS[14]]["status"].to_list() == ["actual"]
    assert seen[DAYS[20]]["period"].to_list() == ["2023Q2", "2023Q3"]
