"""The shipped scanners on the embedded market, through the real stages from the source on."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

import polars as pl
import pytest

from quant_platform.scanners.engine import RESTING
from quant_platform.scanners.judgement import LIMIT
from quant_platform_tests.scanners.chain import (
    CALENDARS,
    LAST,
    SCANNERS,
    Tables,
    market,
    scanned,
    screened,
    span,
)

YEAR = (date(2022, 6, 1), LAST)
"""The first sessions on which 60 sessions of history are known, and a year of them."""

sleeves = pytest.mark.parametrize("sleeve", SCANNERS)


@lru_cache(maxsize=3)
def year(sleeve: str) -> Tables:
    """Scan the year of a sleeve."""
    return scanned(market(sleeve), span(CALENDARS[sleeve], *YEAR), SCANNERS[sleeve])


def everything(tables: Tables, sleeve: str, first: date, last: date) -> dict[str, pl.DataFrame]:
    """Make screener, scans and candidates of a range from the tables below them."""
    wanted = span(CALENDARS[sleeve], first, last)
    made = {"screener": screened(tables, wanted)}
    return made | dict(scanned({**tables, **made}, wanted, SCANNERS[sleeve]))


@sleeves
def test_each_scanner_finds_something_on_most_sessions_and_rejects_something(sleeve: str) -> None:
    sessions = CALENDARS[sleeve].between(*YEAR)
    # A session whose bars all came late has no row in the screener, and nothing can be said of it.
    screened_on = pl.col("session").is_between(*YEAR)
    known = market(sleeve)["screener"].filter(screened_on)["session"].n_unique()
    assert len(sessions) - 2 < known <= len(sessions)
    for name, made in year(sleeve).items():
        if name == "candidates":
            continue
        daily = made.group_by("session").agg(
            found=pl.col("passed").sum(), rejected=pl.col("passed").not_().sum()
        )
        # Ratings of coins are known after 200 days only, and a falling market has no trend.
        least = 0.4 if sleeve == "crypto" else 0.8
        assert daily.filter(pl.col("found") > 0).height > least * len(sessions), name
        assert daily.filter(pl.col("rejected") > 0).height == known, name


@sleeves
def test_each_rule_rejects_something_within_the_year_and_not_everything(sleeve: str) -> None:
    for name, made in year(sleeve).items():
        if name == "candidates":
            continue
        asked = made.select(pl.col("passes").explode().struct.unnest())
        # Half as many funds as are shipped: equity alone does not reach the limit.
        spared = [*RESTING, *([LIMIT] if name == "scan_etf_equity_momentum" else [])]
        rules = asked.filter(pl.col("rule").is_in(spared).not_()).group_by("rule")
        for rule, share in rules.agg(pl.col("passed").mean()).iter_rows():
            assert 0 < share < 1, (name, rule)


@sleeves
def test_candidates_are_what_passed(sleeve: str) -> None:
    made = year(sleeve)
    pairs = {
        (*key, name)
        for name in SCANNERS[sleeve]
        for key in made[f"scan_{name}"].filter("passed").select("session", "security_id").rows()
    }
    united = made["candidates"].select("session", "security_id", "scanners").explode("scanners")
    assert set(united.rows()) == pairs
    assert len(pairs) == united.height > made["candidates"].height


@sleeves
def test_a_range_has_the_bytes_of_its_days(sleeve: str) -> None:
    """Around the late session of each sleeve's 2022, where vintages matter."""
    tables = market(sleeve)
    late = tables["bars"].filter(pl.col("knowledge_session") > pl.col("session"))
    worst = late.group_by("session").len().sort("len", "session")["session"][-1]
    sessions = CALENDARS[sleeve].between(worst - timedelta(days=4), worst + timedelta(days=8))
    whole = everything(tables, sleeve, sessions[0], sessions[-1])
    days = [everything(tables, sleeve, day, day) for day in sessions]
    for name, frame in whole.items():
        assert pl.concat([day[name] for day in days]).equals(frame), name
        assert frame.height, name


@sleeves
def test_what_is_known_later_changes_nothing(sleeve: str) -> None:
    tables = market(sleeve)
    session = CALENDARS[sleeve].between(date(2023, 3, 1), LAST)[0]
    expected = everything(tables, sleeve, session, session)
    spoilt = {}
    for name, frame in tables.items():
        partition = "session" if "knowledge_session" not in frame.columns else "knowledge_session"
        numbers = [column for column, dtype in frame.schema.items() if dtype.is_float()]
        later = pl.col(partition) > session
        spoilt[name] = frame.with_columns(
            pl.when(later).then(pl.col(column) * 0.5).otherwise(column).alias(column)
            for column in numbers
        )
    first, last = (CALENDARS[sleeve].offset(session, n) for n in (-3, 3))
    told = spoilt["securities"]
    gone = told.unique("security_id").with_columns(
        knowledge_session=pl.lit(CALENDARS[sleeve].offset(session, 1)), delisted_on=first
    )
    spoilt["securities"] = pl.concat([told, gone])
    made = everything(spoilt, sleeve, first, last)
    for name, frame in expected.items():
        assert made[name].filter(pl.col("session") == session).equals(frame), name
        assert frame.height, name
    after = made["screener"].filter(pl.col("session") > session)
    assert after.is_empty(), "the news that came later had its effect later"


@sleeves
def test_who_is_screened_is_listed_as_the_securities_say(sleeve: str) -> None:
    """Listings and delistings of the embedded market enter and leave on their session."""
    tables = market(sleeve)
    screener = tables["screener"]
    seen = screener.group_by("security_id").agg(
        first=pl.col("session").min(), last=pl.col("session").max()
    )
    told = (
        tables["securities"]
        .group_by("security_id")
        .agg(pl.col("listed_on").first(), pl.col("delisted_on").max())
    )
    both = seen.join(told, on="security_id")
    assert both.height == seen.height
    assert (both["first"] >= both["listed_on"]).all()
    left = both.filter(pl.col("delisted_on") <= LAST)
    assert (left["last"] < left["delisted_on"]).all()
    assert left.height + both.filter(pl.col("listed_on") > date(2022, 1, 3)).height
