"""What the embedded market tells besides bars: the same for any request, and felt by the bars."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

import numpy as np
import polars as pl
import pytest

from quant_platform.calendars import SessionCalendar, build_calendar
from quant_platform_tests.sources.markets import (
    CASES,
    CLEAN,
    CRYPTO,
    DIRTY,
    GRACE,
    LAST,
    NYSE,
    actions_of,
    content,
)

cases = pytest.mark.parametrize(("calendar", "sleeve"), CASES, ids=[s for _, s in CASES])
TOLD = [
    *((calendar, sleeve, kind) for calendar, sleeve in CASES for kind in ("securities", "actions")),
    (NYSE, "instruments", "earnings"),
    (NYSE, "instruments", "membership"),
    (NYSE, "etfs", "fund_facts"),
    (NYSE, "market", "series"),
    (CRYPTO, "market", "series"),
]
told = pytest.mark.parametrize(("calendar", "branch", "kind"), TOLD)


@told
def test_what_is_told_does_not_depend_on_range_or_chunks(
    calendar: SessionCalendar, branch: str, kind: str
) -> None:
    ask = partial(getattr(DIRTY, kind), calendar, branch)
    for first, length in ((date(2024, 10, 1), 1), (date(2016, 3, 1), 97), (date(2016, 3, 1), 400)):
        asked = calendar.between(first, date(2025, 12, 31))
        whole_range = ask(asked)
        assert set(calendar.knowledge_sessions(whole_range["known_at"])) <= set(asked)
        chunks = [ask(asked[at : at + length]) for at in range(0, len(asked), length)]
        assert content(pl.concat(chunks)) == content(whole_range)
    assert whole_range.height > 2


@told
def test_what_is_told_does_not_depend_on_the_horizon(
    calendar: SessionCalendar, branch: str, kind: str
) -> None:
    shorter = build_calendar(calendar.code, horizon=date(2025, 6, 30), grace=GRACE)
    days = calendar.between(date(2015, 1, 2), date(2023, 12, 29))
    longer, told = (getattr(DIRTY, kind)(c, branch, days) for c in (calendar, shorter))
    assert content(told) == content(longer)


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
    assert announced.filter(lifted)["close"].max() < 45
    assert announced.filter(~lifted)["close"].min() > 10


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
    assert (expected["seen"] < expected["announced_on"]).mean() > 0.99
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
    assert pre["move"].median() > 1.5 * moves["move"].median()


def test_members_come_and_go() -> None:
    stays = CLEAN.membership(NYSE, "instruments", NYSE.between(date(2015, 1, 2), LAST))
    key = ["index", "security_id", "valid_from"]
    assert not stays.select(*key, "known_at").is_duplicated().any()
    over = stays.drop_nulls("valid_to")
    assert over.height > 3
    assert (over["valid_to"] >= over["valid_from"]).all()
    begun = stays.filter(pl.col("valid_to").is_null())
    known = NYSE.knowledge_sessions(begun["known_at"])
    assert (known <= begun["valid_from"]).mean() > 0.6
    assert stays["security_id"].n_unique() < 60


def test_funds_say_what_they_hold_and_cost() -> None:
    said = CLEAN.fund_facts(NYSE, "etfs", NYSE.between(date(2015, 1, 2), LAST))
    assert said.null_count().sum_horizontal().item() == 0
    assert (NYSE.knowledge_sessions(said["known_at"]) > said["session"]).all()
    market = said.filter(security_id="etfs-0000")
    assert market.height > 110
    assert market["aum"].median() > 1e10
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
    assert lag.min() > timedelta(days=20)
    at_close = told.filter(series="VIX")
    assert (NYSE.knowledge_sessions(at_close["known_at"]) == at_close["session"]).all()


def test_coins_have_parts() -> None:
    coins = CLEAN.bars(CRYPTO, "crypto", CRYPTO.between(date(2017, 6, 1), date(2019, 6, 1)))
    wide = coins.with_columns(pl.col("symbol").str.split(":").list.last()).pivot(
        "symbol", index="session", values="close"
    )
    assert (wide["BTCUSDT.P"] / wide["BTCUSDT"] - 1).abs().max() < 0.01
    assert (wide["USDCUSDT"] - 1).abs().max() < 0.02
    gap = (wide["XAUTUSDT"] / wide["PAXGUSDT"] - 1).abs()
    assert gap.head(60).max() < 0.02
    assert gap.tail(200).min() > 0.02
