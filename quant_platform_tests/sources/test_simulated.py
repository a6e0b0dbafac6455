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
from quant_platform_tests.sources.markets import CASES, CLEAN, CRYPTO, DIRTY, GRACE, NYSE

FIRST, LAST = date(2022, 6, 1), date(2025, 6, 30)
VALUES = ("open", "high", "low", "close", "volume")
cases = pytest.mark.parametrize(("calendar", "sleeve"), CASES, ids=[s for _, s in CASES])


def content(frame: pl.DataFrame) -> tuple[list[tuple[object, ...]], bytes]:
    """Return everything a frame holds, numbers by their bits."""
    return (
        frame.drop(*VALUES, strict=False).rows(),
        frame.select(pl.col(pl.Float64)).to_numpy().tobytes(),
    )


@lru_cache(maxsize=32)
def whole(calendar: SessionCalendar, sleeve: str, source: Source = DIRTY) -> pl.DataFrame:
    return source.bars(calendar, sleeve, calendar.between(FIRST, LAST))


@cases
@given(data=st.data())
@settings(max_examples=12, deadline=None)
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


def actions_of(sleeve: str, kind: str, source: SimulatedSource = CLEAN) -> pl.DataFrame:
    """Return the actions of one kind up to the last day."""
    calendar = {name: calendar for calendar, name in CASES}[sleeve]
    known = calendar.between(date(2015, 1, 2), LAST)
    return source.actions(calendar, sleeve, known).filter(pl.col("kind") == kind)


@cases
def test_actions_do_not_depend_on_range_or_chunks(calendar: SessionCalendar, sleeve: str) -> None:
    asked = calendar.between(date(2019, 3, 1), date(2023, 12, 29))
    whole_range = DIRTY.actions(calendar, sleeve, asked)
    assert set(calendar.knowledge_sessions(whole_range["known_at"])) <= set(asked)
    assert whole_range.height > 2
    for length in (1, 97, 400):
        chunks = [
            DIRTY.actions(calendar, sleeve, asked[at : at + length])
            for at in range(0, len(asked), length)
        ]
        assert content(pl.concat(chunks)) == content(whole_range)


@pytest.mark.parametrize("sleeve", ["instruments", "etfs"])
def test_a_split_is_announced_and_changes_the_units_of_prices_and_volumes(sleeve: str) -> None:
    bars = CLEAN.bars(NYSE, sleeve, NYSE.between(date(2015, 1, 2), LAST))
    cells = bars.select("security_id", "session", "close", "volume").iter_rows()
    of = {(security, session): (close, volume) for security, session, close, volume in cells}
    splits = actions_of(sleeve, "split").filter(pl.col("session") <= LAST)
    assert splits.height > 5
    changes = []
    for row in splits.iter_rows(named=True):
        security, ex, ratio = row["security_id"], row["session"], row["value"]
        assert NYSE.knowledge_session(row["known_at"]) < ex
        before, after = of[security, NYSE.offset(ex, -1)], of[security, ex]
        assert 0.8 < after[0] * ratio / before[0] < 1.25
        changes.append(after[1] / before[1] / ratio)
    # Volume of one day is noisy; that of many is not.
    assert 0.7 < np.median(changes) < 1.4


def test_splits_go_both_ways_and_coins_have_none() -> None:
    ratios = {s: set(actions_of(s, "split")["value"]) for s in ("instruments", "etfs", "crypto")}
    assert ratios["instruments"] == {2.0, 4.0, 0.2}
    assert {2.0, 4.0} <= ratios["etfs"]
    assert ratios["crypto"] == set()
    # A low price is lifted, any other is not; half a year before, at most, was judged.
    prices = CLEAN.bars(NYSE, "instruments", NYSE.between(date(2015, 1, 2), LAST))
    splits = actions_of("instruments", "split").with_columns(
        session=NYSE.knowledge_sessions(actions_of("instruments", "split")["known_at"])
    )
    announced = splits.join(
        prices.select("security_id", "session", "close"), on=["security_id", "session"]
    )
    assert announced.height > 3
    lifted = announced["value"] < 1
    assert announced.filter(lifted)["close"].max() < 45  # type: ignore[operator]
    assert announced.filter(~lifted)["close"].min() > 10  # type: ignore[operator]


@cases
def test_an_end_is_told_and_pays(calendar: SessionCalendar, sleeve: str) -> None:
    known = calendar.between(date(2015, 1, 2), LAST)
    announced = CLEAN.securities(calendar, sleeve, known).drop_nulls("delisted_on")
    paid = pl.concat([actions_of(sleeve, kind) for kind in ("delisting", "merger")])
    key = ["security_id", "session"]
    gone = announced.select("security_id", session="delisted_on")
    assert gone.join(paid, on=key, how="anti").is_empty()
    ends = paid.join(gone, on=key, how="semi")
    last = (
        CLEAN.bars(calendar, sleeve, known)
        .group_by("security_id")
        .agg(pl.col("session").max(), pl.col("close").sort_by("session").last())
    )
    ends = ends.join(last, on="security_id", suffix="_last").with_columns(
        share=pl.col("value") / pl.col("close")
    )
    ends = ends.with_columns(known=calendar.knowledge_sessions(ends["known_at"]))
    assert [calendar.offset(day, 1) for day in ends["session_last"]] == ends["session"].to_list()
    bought = ends.filter(kind="merger")
    assert (bought.height > 1) == (sleeve == "instruments")
    # The deal is known weeks before, and the price stays just below what it pays.
    assert (bought["known"] < bought["session"]).all()
    assert bought["share"].is_between(0.999, 1.03).all()
    assert bought["counterpart"].is_not_null().all()
    failed = ends.filter(kind="delisting")
    assert failed["known"].to_list() == failed["session"].to_list()
    if sleeve == "etfs":
        assert (failed["share"] == 1).all()
    else:
        assert failed["share"].is_between(0.03, 0.55).all()


def test_a_distribution_is_told_before_and_taken_off_the_price() -> None:
    bars = CLEAN.bars(NYSE, "etfs", NYSE.between(date(2015, 1, 2), LAST))
    of = {(s, d): c for s, d, c in bars.select("security_id", "session", "close").iter_rows()}
    paid = actions_of("etfs", "dividend").filter(pl.col("session") <= LAST)
    assert paid.height > 100
    known = NYSE.knowledge_sessions(paid["known_at"])
    assert (known < paid["session"]).all()
    bonds = paid.filter(pl.col("security_id") == "etfs-0008")
    drops, cash = [], []
    for row in bonds.iter_rows(named=True):
        before = of[row["security_id"], NYSE.offset(row["session"], -1)]
        drops.append(1 - of[row["security_id"], row["session"]] / before)
        cash.append(row["value"] / before)
    # A day's noise is of the size of a month's coupon; a hundred of them tell.
    assert len(drops) > 100
    assert np.mean(drops) == pytest.approx(np.mean(cash), abs=0.001)
    assert np.mean(cash) == pytest.approx(0.053 / 12, rel=0.15)


def test_results_are_expected_revised_and_move_the_price() -> None:
    known = NYSE.between(date(2016, 1, 4), LAST)
    told = CLEAN.earnings(NYSE, "instruments", known)
    assert not told.select("security_id", "period", "known_at").is_duplicated().any()
    news = told.with_columns(seen=NYSE.knowledge_sessions(told["known_at"]))
    actual = news.filter(status="actual")
    assert (actual["seen"] >= actual["announced_on"]).all()
    assert actual["actual"].null_count() == 0
    expected = news.filter(status="expected")
    assert (expected["seen"] < expected["announced_on"]).mean() > 0.99  # type: ignore[operator]
    last = expected.unique(["security_id", "period"], keep="last", maintain_order=True)
    both = last.join(actual, on=["security_id", "period"], suffix="_told")
    assert (both["announced_on"] == both["announced_on_told"]).all()
    revisions = expected.group_by("security_id", "period").len().filter(pl.col("len") == 2)
    assert 0.1 < revisions.height / actual.height < 0.3
    # The session that first shows the news moves more than others do.
    bars = CLEAN.bars(NYSE, "instruments", known).sort("security_id", "session")
    moves = bars.select(
        "security_id", "session", move=pl.col("close").log().diff().abs().over("security_id")
    )
    pre = actual.filter(timing="pre").join(
        moves, left_on=["security_id", "announced_on"], right_on=["security_id", "session"]
    )
    assert pre["move"].median() > 1.5 * moves["move"].median()  # type: ignore[operator]


def test_members_come_and_go() -> None:
    stays = CLEAN.membership(NYSE, "instruments", NYSE.between(date(2015, 1, 2), LAST))
    key = ["index", "security_id", "valid_from"]
    assert not stays.select(*key, "known_at").is_duplicated().any()
    over = stays.drop_nulls("valid_to")
    assert over.height > 3
    assert (over["valid_to"] >= over["valid_from"]).all()
    begun = stays.filter(pl.col("valid_to").is_null())
    known = NYSE.knowledge_sessions(begun["known_at"])
    assert (known <= begun["valid_from"]).mean() > 0.6  # type: ignore[operator]
    assert stays["security_id"].n_unique() < 60


def test_funds_say_what_they_hold_and_cost() -> None:
    said = CLEAN.fund_facts(NYSE, "etfs", NYSE.between(date(2015, 1, 2), LAST))
    assert said.null_count().sum_horizontal().item() == 0
    assert (NYSE.knowledge_sessions(said["known_at"]) > said["session"]).all()
    market = said.filter(security_id="etfs-0000")
    assert market.height > 110
    assert market["aum"].median() > 1e10  # type: ignore[operator]
    assert set(said["category"]) >= {"Bond", "Leveraged", "Inverse", "Commodity", "Thematic"}


def test_series_follow_from_the_state_of_the_market() -> None:
    days = NYSE.between(date(2015, 1, 2), LAST)
    told = CLEAN.series(NYSE, "market", days)
    assert set(told["series"]) >= {"VIX", "VIX3M", "HYG", "LQD", "TLT", "GLD", "RF", "Mkt-RF"}
    assert {"SMB", "HML", "RMW", "CMA", "MOM"} <= set(told["series"])
    wide = told.pivot("series", index="session", values="value").sort("session")
    spy = CLEAN.bars(NYSE, "etfs", days).filter(security_id="etfs-0000")
    joined = wide.join(spy.select("session", "close"), on="session").with_columns(
        move=pl.col("close").pct_change(), fear=pl.col("VIX").pct_change()
    )
    # Without the session of a split.
    moves = joined.drop_nulls(["move", "Mkt-RF"]).filter(pl.col("move").abs() < 0.3)
    assert moves.select(pl.corr("move", "Mkt-RF")).item() > 0.98
    assert moves.select(pl.corr("move", "fear")).item() < -0.3
    # Yesterday's VIX tells how wild today is, and the curve falls in quiet times only.
    wild = moves.with_columns(pl.col("VIX").shift(1)).drop_nulls()
    assert wild.select(pl.corr(pl.col("move").abs(), "VIX")).item() > 0.3
    assert moves.filter(pl.col("VIX") < 15).select((pl.col("VIX3M") > pl.col("VIX")).mean()).item()
    factors = told.filter(series="SMB")
    lag = NYSE.knowledge_sessions(factors["known_at"]) - factors["session"]
    assert lag.min() > timedelta(days=20)  # type: ignore[operator]
    at_close = told.filter(series="VIX")
    assert (NYSE.knowledge_sessions(at_close["known_at"]) == at_close["session"]).all()


def test_coins_have_parts() -> None:
    coins = CLEAN.bars(CRYPTO, "crypto", CRYPTO.between(date(2017, 6, 1), date(2019, 6, 1)))
    wide = coins.with_columns(pl.col("symbol").str.split(":").list.last()).pivot(
        "symbol", index="session", values="close"
    )
    assert (wide["BTCUSDT.P"] / wide["BTCUSDT"] - 1).abs().max() < 0.01  # type: ignore[operator]
    assert (wide["USDCUSDT"] - 1).abs().max() < 0.02  # type: ignore[operator]
    gap = (wide["XAUTUSDT"] / wide["PAXGUSDT"] - 1).abs()
    assert gap.head(60).max() < 0.02  # type: ignore[operator]
    assert gap.tail(200).min() > 0.02  # type: ignore[operator]


def test_a_null_market_differs_in_what_is_planted_alone() -> None:
    null = replace(CLEAN, planted=Planted.none())
    days = NYSE.between(FIRST, LAST)
    assert content(null.bars(NYSE, "etfs", days)) == content(CLEAN.bars(NYSE, "etfs", days))
    mine, other = (s.bars(NYSE, "instruments", days) for s in (CLEAN, null))
    assert mine["close"].to_list() != other["close"].to_list()


def idiosyncratic(planted: Planted) -> np.ndarray:  # type: ignore[type-arg]
    """Daily moves of many stocks against their average, securities by sessions."""
    sleeve = SimulatedSleeve("instruments", ("stock",), 160)
    source = replace(CLEAN, sleeves=(sleeve,), planted=planted)
    bars = source.bars(NYSE, "instruments", NYSE.between(date(2016, 1, 4), date(2018, 12, 31)))
    actions = source.actions(NYSE, "instruments", NYSE.sessions)
    busy = actions.filter(pl.col("kind").is_in(["split", "stock_dividend", "spin_off"]))
    calm = bars.join(busy, on="security_id", how="anti")
    wide = calm.with_columns(
        move=pl.col("close").log().diff().over("security_id", order_by="session")
    ).pivot("session", index="security_id", values="move", sort_columns=False)
    wide = wide.sort("security_id").drop("security_id")
    sessions = sorted(wide.columns)[1:]
    moves = wide.select(sessions).drop_nulls().to_numpy()
    return moves - moves.mean(axis=0)


def reversal(moves: np.ndarray) -> float:  # type: ignore[type-arg]
    return float(np.mean(np.sign(moves[:, 1:]) * np.sign(moves[:, :-1])))


def test_what_is_planted_is_there_and_in_the_null_market_is_not() -> None:
    strong, none = (idiosyncratic(p) for p in (Planted(reversal=3.0), Planted.none()))
    assert reversal(strong) < -0.05
    assert abs(reversal(none)) < 0.02
    # Drifts last: what rose in two years rose in the third.
    for moves, low, high in ((idiosyncratic(Planted(momentum=5.0)), 0.25, 1.0), (none, -0.2, 0.2)):
        third = moves.shape[1] // 3
        past, future = moves[:, : 2 * third].sum(axis=1), moves[:, 2 * third :].sum(axis=1)
        assert low < np.corrcoef(past, future)[0, 1] < high


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
        (NYSE, "instruments", date(2024, 7, 3), [97.69, 25.32, 119.37, 78.01]),
        (NYSE, "etfs", date(2015, 1, 2), [205.41, 25.35, 21.96, 126.25]),
        (CRYPTO, "crypto", date(2024, 7, 6), [110140.0, 15548.0, 1723.3, 2.3741]),
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
