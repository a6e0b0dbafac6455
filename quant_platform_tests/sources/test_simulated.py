"""The embedded market: the same rows for any request, honest bars, a living universe."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.calendars import SessionCalendar, build_calendar
from quant_platform.errors import CalendarError, ConfigError, SourceError
from quant_platform.settings import load_settings
from quant_platform.sources import (
    ACTION_SCHEMA,
    BAR_SCHEMA,
    SECURITY_SCHEMA,
    Dirt,
    Planted,
    SimulatedSleeve,
    SimulatedSource,
    Source,
    build_source,
)
from quant_platform.sources.simulated.market import simulate
from quant_platform_tests.sources.markets import (
    CASES,
    CLEAN,
    CRYPTO,
    DIRTY,
    FIRST,
    GRACE,
    LAST,
    NYSE,
    VALUES,
    actions_of,
    content,
)

cases = pytest.mark.parametrize(("calendar", "sleeve"), CASES, ids=[s for _, s in CASES])


@lru_cache(maxsize=32)
def whole(calendar: SessionCalendar, sleeve: str, source: Source = DIRTY) -> pl.DataFrame:
    return source.bars(calendar, sleeve, calendar.between(FIRST, LAST))


@cases
@given(data=st.data())
@settings(max_examples=12)
def test_rows_do_not_depend_on_range_or_chunks(
    calendar: SessionCalendar, sleeve: str, data: st.DataObject
) -> None:
    known = calendar.between(FIRST, LAST)
    first = data.draw(st.integers(0, len(known) - 1))
    last = data.draw(st.integers(first, min(first + 200, len(known) - 1)))
    asked = known[first : last + 1]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(asked)), max_size=6)) | {0, len(asked)})
    if data.draw(st.booleans()):
        simulate.cache_clear()
    chunks = [DIRTY.bars(calendar, sleeve, asked[a:b]) for a, b in pairwise(cuts)]
    expected = whole(calendar, sleeve).filter(
        calendar.knowledge_sessions(whole(calendar, sleeve)["known_at"]).is_in(asked)
    )
    assert content(pl.concat(chunks)) == content(expected)


@cases
def test_rows_do_not_depend_on_the_horizon(calendar: SessionCalendar, sleeve: str) -> None:
    nearer = build_calendar(calendar.code, horizon=date(2026, 12, 31), grace=GRACE)
    assert content(whole(nearer, sleeve)) == content(whole(calendar, sleeve))
    asked = calendar.between(date(2015, 1, 2), LAST)
    assert content(DIRTY.securities(nearer, sleeve, asked)) == content(
        DIRTY.securities(calendar, sleeve, asked)
    )
    assert content(DIRTY.actions(nearer, sleeve, asked)) == content(
        DIRTY.actions(calendar, sleeve, asked)
    )


def test_rows_do_not_depend_on_other_securities_or_sleeves() -> None:
    larger = replace(DIRTY, sleeves=(SimulatedSleeve("instruments", ("stock",), 75),))
    bars = whole(NYSE, "instruments", larger)
    original = set(whole(NYSE, "instruments")["security_id"])
    assert len(set(bars["security_id"])) > len(original)
    assert content(bars.filter(pl.col("security_id").is_in(original))) == content(
        whole(NYSE, "instruments")
    )
    known = NYSE.between(date(2015, 1, 2), LAST)
    actions = larger.actions(NYSE, "instruments", known)
    listed = DIRTY.securities(NYSE, "instruments", known)["security_id"].unique()
    assert content(actions.filter(pl.col("security_id").is_in(listed.implode()))) == content(
        DIRTY.actions(NYSE, "instruments", known)
    )


def test_another_seed_is_another_market() -> None:
    other = whole(NYSE, "instruments", replace(CLEAN, seed=8))
    joined = other.join(
        whole(NYSE, "instruments", CLEAN), on=["security_id", "session"], suffix="_here"
    )
    assert (joined["close"] == joined["close_here"]).sum() < 0.01 * joined.height


def test_a_closure_changes_nothing_that_was_known_before_it() -> None:
    closure = date(2024, 3, 14)
    closed = build_calendar(
        "XNYS", horizon=date(2027, 12, 31), grace=GRACE, extra_holidays=[closure]
    )
    before = NYSE.between(FIRST, date(2024, 3, 13))
    assert content(DIRTY.bars(closed, "instruments", before)) == content(
        DIRTY.bars(NYSE, "instruments", before)
    )
    # What was to happen on that very session moves to the next one.
    planned, moved = (
        DIRTY.actions(c, "instruments", before).filter(pl.col("session") < closure)
        for c in (NYSE, closed)
    )
    assert planned.height > 100
    assert content(moved) == content(planned)
    after = CLEAN.bars(closed, "instruments", closed.between(closure, date(2024, 4, 1)))
    assert closure not in set(after["session"])


@cases
def test_rows_have_the_schema_and_the_order_of_the_protocol(
    calendar: SessionCalendar, sleeve: str
) -> None:
    bars = whole(calendar, sleeve)
    assert bars.schema == BAR_SCHEMA
    assert bars.null_count().sum_horizontal().item() == 0
    order = bars.select("known_at", "session", "security_id")
    assert order.equals(order.sort("known_at", "session", "security_id"))
    assert DIRTY.bars(calendar, sleeve, []).schema == BAR_SCHEMA
    listings = DIRTY.securities(calendar, sleeve, calendar.between(FIRST, LAST))
    assert listings.schema == SECURITY_SCHEMA
    assert DIRTY.securities(calendar, sleeve, []).schema == SECURITY_SCHEMA
    actions = DIRTY.actions(calendar, sleeve, calendar.between(FIRST, LAST))
    assert actions.schema == ACTION_SCHEMA
    order = actions.select("known_at", "session", "security_id")
    assert order.equals(order.sort("known_at", "session", "security_id"))
    assert DIRTY.actions(calendar, sleeve, []).schema == ACTION_SCHEMA


@cases
def test_every_row_became_known_in_a_session_that_was_asked_for(
    calendar: SessionCalendar, sleeve: str
) -> None:
    asked = calendar.between(date(2023, 1, 3), date(2023, 6, 30))
    bars = DIRTY.bars(calendar, sleeve, asked)
    assert set(calendar.knowledge_sessions(bars["known_at"])) <= set(asked)
    before = calendar.cutoff(calendar.offset(asked[0], -1))
    assert min(bars["known_at"]) > before
    assert max(bars["known_at"]) <= calendar.cutoff(asked[-1])
    # A bar is never known before its session has closed.
    on_sessions = bars.filter(pl.col("session").is_in(calendar.sessions))
    closes = [calendar.close(session) for session in on_sessions["session"]]
    assert (on_sessions["known_at"] >= pl.Series(closes, dtype=BAR_SCHEMA["known_at"])).all()


def test_a_lag_beyond_the_grace_belongs_to_the_next_session() -> None:
    slow = replace(CLEAN, lag=timedelta(hours=6))
    friday, monday = date(2023, 3, 3), date(2023, 3, 6)
    assert set(slow.bars(NYSE, "instruments", [monday])["session"]) == {friday}


@cases
def test_a_clean_market_has_one_consistent_bar_per_security_and_session(
    calendar: SessionCalendar, sleeve: str
) -> None:
    bars = whole(calendar, sleeve, CLEAN)
    assert not bars.select("security_id", "session").is_duplicated().any()
    assert set(bars["session"]) <= set(calendar.sessions)
    assert (bars["low"] <= bars.select(pl.min_horizontal("open", "close"))["open"]).all()
    assert (bars["high"] >= bars.select(pl.max_horizontal("open", "close"))["open"]).all()
    assert bars.select(pl.min_horizontal(VALUES).min()).item() > 0
    assert set(bars["known_at_basis"]) == {"assumed"}
    # Nothing is missing between a security's first and last bar.
    lives = bars.group_by("security_id").agg(
        pl.len(), first=pl.col("session").min(), last=pl.col("session").max()
    )
    for row in lives.iter_rows(named=True):
        assert row["len"] == len(calendar.between(row["first"], row["last"]))


def test_prices_are_quoted_as_their_market_quotes_them() -> None:
    stocks = whole(NYSE, "instruments", CLEAN)
    cents = stocks["close"].to_numpy() * 100
    assert np.abs(cents - np.rint(cents)).max() < 1e-6
    assert (stocks["volume"] == stocks["volume"].round()).all()
    coins = whole(CRYPTO, "crypto", CLEAN)
    assert all(float(f"{price:.5g}") == price for price in coins["close"])
    assert min(coins["close"]) < 1
    assert max(coins["close"]) > 1_000


def test_returns_have_fat_tails_and_a_common_factor() -> None:
    returns = (
        whole(NYSE, "instruments", CLEAN)
        .sort("security_id", "session")
        .with_columns(pl.col("close").log().diff().over("security_id").alias("move"))
        .drop_nulls("move")
    )
    kurtosis, spread = returns.select(
        pl.col("move").kurtosis().alias("kurtosis"), pl.col("move").std().alias("std")
    ).row(0)
    assert kurtosis > 1
    assert 0.01 < spread < 0.05
    wide = returns.pivot("security_id", index="session", values="move").drop("session")
    full = wide.select(column for column in wide if column.null_count() == 0)
    correlation = np.corrcoef(full.to_numpy().T)
    assert 0.1 < np.median(correlation) < 0.8
    quiet = returns.group_by("session").agg(pl.col("move").mean()).select(pl.col("move").std())
    assert quiet.item() < spread


@cases
def test_the_universe_lives(calendar: SessionCalendar, sleeve: str) -> None:
    listings = CLEAN.securities(calendar, sleeve, calendar.between(date(2015, 1, 2), LAST))
    assert (listings["listed_on"] > date(2016, 1, 1)).any()
    announced = listings.filter(pl.col("delisted_on").is_not_null())
    assert announced.height > 0
    # A listing, a delisting, and between them at most one new name.
    assert (listings.group_by("security_id").len()["len"] <= 3).all()
    # A delisting is known on its day, and not before.
    assert calendar.knowledge_sessions(announced["known_at"]).to_list() == (
        announced["delisted_on"].to_list()
    )
    first = listings.unique("security_id", keep="first", maintain_order=True)
    assert calendar.knowledge_sessions(first["known_at"]).to_list() == first["listed_on"].to_list()


def test_a_symbol_is_one_security_in_each_session_and_several_over_time() -> None:
    bars = CLEAN.bars(NYSE, "instruments", NYSE.between(date(2015, 1, 2), LAST))
    assert not bars.select("symbol", "session").is_duplicated().any()
    everything = [c.between(date(2015, 1, 2), LAST) for c, _ in CASES]
    listings = [CLEAN.securities(c, s, a) for (c, s), a in zip(CASES, everything, strict=True)]
    names = pl.concat(listings).select("symbol", "security_id").unique()
    assert names["symbol"].is_duplicated().any()
    # One security through its renames, whose new name its bars carry from the day on.
    renames = actions_of("instruments", "rename").filter(pl.col("session") <= LAST)
    assert renames.height > 1
    for row in renames.iter_rows(named=True):
        own = bars.filter(pl.col("security_id") == row["security_id"])
        after = own.filter(pl.col("session") >= row["session"])
        before = own.filter(pl.col("session") < row["session"])
        assert set(after["symbol"]) == {row["counterpart"]}
        assert row["counterpart"] not in set(before["symbol"])


def test_bars_lie_within_the_listing() -> None:
    bars = (
        whole(NYSE, "instruments", CLEAN)
        .group_by("security_id")
        .agg(first=pl.col("session").min(), last=pl.col("session").max())
    )
    listings = (
        CLEAN.securities(NYSE, "instruments", NYSE.between(date(2015, 1, 2), LAST))
        .group_by("security_id")
        .agg(pl.col("listed_on").first(), pl.col("delisted_on").max())
    )
    joined = bars.join(listings, on="security_id", how="left")
    first = max(FIRST, NYSE.between(FIRST, LAST)[0])
    assert (
        joined["first"] == joined.select(pl.max_horizontal("listed_on", first))["listed_on"]
    ).all()
    before = {day: NYSE.offset(day, -1) for day in joined["delisted_on"].drop_nulls()}
    last = pl.col("delisted_on").replace(before).fill_null(NYSE.between(FIRST, LAST)[-1])
    assert (joined["last"] == joined.select(last)["delisted_on"]).all()


@pytest.mark.parametrize("sleeve", ["instruments", "etfs"])
def test_the_shipped_market_of_2023_has_a_split_and_a_delisting(sleeve: str) -> None:
    """The year that a first run shows; sixty symbols as shipped."""
    shipped = replace(CLEAN, sleeves=tuple(replace(s, symbols=60) for s in CLEAN.sleeves))
    for kinds in (("split",), ("delisting", "merger")):
        seen = pl.concat([actions_of(sleeve, kind, shipped)["session"] for kind in kinds])
        assert seen.is_between(date(2023, 1, 3), date(2023, 12, 29)).any(), kinds


@pytest.mark.parametrize(
    ("calendar", "sleeve", "day", "closes"),
    [
        (NYSE, "instruments", date(2024, 7, 3), [86.06, 22.13, 146.8, 68.84]),
        (NYSE, "etfs", date(2015, 1, 2), [205.43, 25.29, 21.96, 126.26]),
        (CRYPTO, "crypto", date(2024, 7, 6), [106680.0, 15848.0, 1414.7, 2.9766]),
    ],
)
def test_the_numbers_are_the_same_everywhere(
    calendar: SessionCalendar, sleeve: str, day: date, closes: list[float]
) -> None:
    """Prices written down: another machine or library must give the same market."""
    assert CLEAN.bars(calendar, sleeve, [day])["close"].head(4).to_list() == closes


def test_the_settings_describe_the_market() -> None:
    project = Path(__file__).parents[2]
    described = load_settings(project, environ={})
    source = build_source("simulated", described)
    assert isinstance(source, SimulatedSource)
    assert source == SimulatedSource.from_settings(described)
    assert {sleeve.name for sleeve in source.sleeves} == set(described.sleeves)
    assert source.dirt == Dirt(**described.platform.embedded_market.dirt.model_dump())
    assert source.planted == Planted()
    nothing = load_settings(
        project, overrides={"platform.embedded_market.null_market": True}, environ={}
    )
    assert SimulatedSource.from_settings(nothing).planted == Planted.none()
    session = NYSE.latest(datetime(2024, 7, 9, tzinfo=UTC))
    assert source.bars(NYSE, "instruments", [session]).height > 30
    assert source.kinds == {
        "bars",
        "securities",
        "actions",
        "earnings",
        "membership",
        "fund_facts",
        "series",
    }
    with pytest.raises(SourceError, match="simulated"):
        build_source("oracle", described)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(SourceError, match="instruments, etfs, crypto"):
        DIRTY.bars(NYSE, "bonds", [date(2023, 3, 3)])
    with pytest.raises(CalendarError, match="not a session"):
        DIRTY.bars(NYSE, "instruments", [date(2023, 3, 4)])
    with pytest.raises(SourceError, match="2015-01-02"):
        DIRTY.bars(NYSE, "instruments", [date(2014, 12, 31)])
    assert DIRTY.securities(NYSE, "instruments", [date(2014, 12, 31)]).is_empty()
    assert DIRTY.actions(NYSE, "instruments", [date(2014, 12, 31)]).is_empty()
    with pytest.raises(ConfigError, match="future"):
        SimulatedSleeve("futures", ("future",), 3)
    with pytest.raises(ConfigError, match="rates"):
        Dirt(missing=0.9, late=0.2)
