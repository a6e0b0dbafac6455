"""Returns against marks found by looking, one security and one session at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from math import prod
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.contracts.returns import RETURNS
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.bars import published_bars
from quant_platform.market.reference import published_actions
from quant_platform.market.returns import returns_windows, session_returns
from quant_platform.settings.returns import ReturnsSettings
from quant_platform_tests.lakehouse.small_lake import bar, bars_frame, span
from quant_platform_tests.market.actions import action, actions_frame
from quant_platform_tests.market.returns_by_looking import DAYS, STALE, Rows, expected
from quant_platform_tests.sources.markets import DIRTY, NYSE

SETTINGS = ReturnsSettings(stale_sessions=STALE)
several = settings(deadline=None, max_examples=15)


def returns(
    bars: Rows,
    actions: Rows = (),
    cuts: Sequence[int] = (),
    days: Sequence[date] = DAYS,
    chosen: ReturnsSettings = SETTINGS,
) -> pl.DataFrame:
    """Compute sessions in one run, or in several that begin at the cuts, as the windows say."""
    windows = returns_windows(chosen)
    published = {"bars": bars_frame(bars), "actions": actions_frame(actions)}
    made = []
    for begin, end in pairwise([0, *sorted(cuts), len(days)]):
        wanted = span(days[begin], days[end - 1], days[0])
        frames = {
            name: frame.filter(
                pl.col("knowledge_session").is_in(wanted.loaded(windows[name]))
            ).lazy()
            for name, frame in published.items()
        }
        made.append(RETURNS.validate("x/returns", session_returns(frames, chosen, wanted)))
    return pl.concat(made)


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two securities: gaps, late bars, corrections, splits and delistings, some known late."""
    bars, actions = [], []
    for security in "ab":
        for number, day in enumerate(DAYS):
            versions = draw(
                st.one_of(
                    st.just([0]),
                    st.just([0]),
                    st.lists(st.integers(0, min(4, 11 - number)), max_size=2, unique=True),
                )
            )
            for late in versions:
                close = float(draw(st.integers(5, 20)))
                row = bar(security, day, close, late=late)
                bars.append(row | {"open": close + 1, "high": close + 1})
        for number in draw(st.sets(st.integers(1, 11), max_size=2)):
            for known in draw(st.sets(st.integers(max(number - 2, 0), 11), min_size=1, max_size=2)):
                ratio = draw(st.sampled_from([2.0, 4.0, 0.2, 3.0]))
                actions.append(action(security, DAYS[number], ratio, known=DAYS[known]))
        if draw(st.integers(0, 2)) == 0:
            number = draw(st.integers(1, 11))
            known_on = DAYS[draw(st.integers(number - 1, 11))]
            value = draw(st.one_of(st.none(), st.integers(0, 9).map(float)))
            kind = draw(st.sampled_from(["delisting", "merger"]))
            actions.append(action(security, DAYS[number], value, kind=kind, known=known_on))
        for number in draw(st.sets(st.integers(1, 11), max_size=2)):
            for known in draw(st.sets(st.integers(max(number - 2, 0), 11), min_size=1, max_size=2)):
                amount = float(draw(st.integers(0, 3)))
                ex = DAYS[number]
                actions.append(action(security, ex, amount, kind="dividend", known=DAYS[known]))
    return bars, actions


@several
@given(markets())
def test_every_row_is_that_of_its_definition(
    market: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    bars, actions = market
    found = {(row["session"], row["security_id"]): row for row in returns(*market).to_dicts()}
    for day in DAYS:
        for security in "ab":
            own = [[r for r in rows if r["security_id"] == security] for rows in (bars, actions)]
            row, wanted = found.pop((day, security), None), expected(own[0], own[1], day)
            assert (row is None) == (wanted is None), (day, security)
            for name, value in (wanted or {}).items():
                assert row is not None
                told = f"{name} of {security} on {day}"
                if isinstance(value, float):
                    assert row[name] == pytest.approx(value, rel=1e-12, abs=1e-12), told
                else:
                    assert row[name] == value, told
    assert not found


@settings(deadline=None, max_examples=12)
@given(markets(), st.sets(st.integers(1, 11)))
def test_a_range_has_the_bytes_of_its_parts(
    market: tuple[list[dict[str, Any]], list[dict[str, Any]]], cuts: set[int]
) -> None:
    whole = returns(*market)
    assert returns(*market, cuts=sorted(cuts)).equals(whole)
    assert returns(*market, cuts=range(1, 12)).equals(whole)


@several
@given(markets(), st.integers(0, 11))
def test_what_is_known_later_changes_nothing(
    market: tuple[list[dict[str, Any]], list[dict[str, Any]]], position: int
) -> None:
    day = DAYS[position]
    known = [[row for row in rows if row["knowledge_session"] <= day] for rows in market]
    spoilt = [
        [
            row | {name: row[name] * 7 for name in ("close", "high", "value") if row.get(name)}
            if row["knowledge_session"] > day
            else row
            for row in rows
        ]
        for rows in market
    ]
    upto = pl.col("session") <= day
    found = returns(*market).filter(upto)
    assert returns(known[0], known[1]).filter(upto).equals(found)
    assert returns(spoilt[0], spoilt[1]).filter(upto).equals(found)


@several
@given(markets())
def test_the_product_of_the_returns_is_the_ratio_of_the_marks(
    market: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    """Per run of rows without a gap, whatever came late, was corrected, was split."""
    made = returns(*market)
    for (_,), own in made.group_by("security_id", maintain_order=True):
        wealth, base = 1.0, None
        for row in own.iter_rows(named=True):
            if base is None:
                base = row["mark"] * row["split"] / (1 + row["price"]) if row["price"] > -1 else 1.0
            wealth *= (1 + row["price"]) / row["split"]
            assert wealth * base == pytest.approx(row["mark"], rel=1e-10)
            if row["delisted"]:
                wealth, base = 1.0, None


# -- cases -----------------------------------------------------------------------------------------


def one(made: pl.DataFrame, day: date) -> dict[str, Any]:
    return made.filter(pl.col("session") == day).row(0, named=True)


def test_a_first_bar_makes_no_row() -> None:
    made = returns([bar("a", day) for day in DAYS[2:]])
    assert made["session"].to_list() == DAYS[3:]


def test_orders_fill_at_the_open_or_at_the_typical_price() -> None:
    prices = {"open": 12.0, "high": 16.0, "low": 8.0, "close": 10.0}
    rows = [bar("a", DAYS[0]), bar("a", DAYS[1]) | prices]
    made = one(returns(rows), DAYS[1])
    assert (made["execution_price"], made["before"]) == (12.0, pytest.approx(0.2))
    assert made["after"] == pytest.approx(10 / 12 - 1)
    typical = ReturnsSettings(stale_sessions=STALE, execution_price="typical")
    made = one(returns(rows, chosen=typical), DAYS[1])
    assert (made["execution_price"], made["total"]) == (11.5, pytest.approx(0.0, abs=1e-12))


def test_a_session_without_a_bar_keeps_the_mark_and_has_no_execution_price() -> None:
    made = returns([bar("a", DAYS[0]), bar("a", DAYS[1], 11.0), bar("a", DAYS[3], 12.0)])
    quiet = one(made, DAYS[2])
    assert (quiet["mark"], quiet["mark_session"]) == (11.0, DAYS[1])
    assert (quiet["execution_price"], quiet["total"], quiet["after"]) == (None, 0.0, 0.0)
    assert one(made, DAYS[3])["total"] == pytest.approx(12 / 11 - 1)


def test_a_split_changes_the_units_and_not_the_return() -> None:
    bars = [bar("a", DAYS[0], 40.0), bar("a", DAYS[1], 44.0), bar("a", DAYS[2], 11.0)]
    made = returns(bars, [action("a", DAYS[2], 4.0)])
    assert made["total"].to_list()[:2] == pytest.approx([0.1, 0.0])
    assert made["split"].to_list()[:3] == [1.0, 4.0, 1.0]
    # Without the action the price has a cliff: what the action is needed for.
    assert one(returns(bars), DAYS[2])["total"] == -0.75


def test_a_split_without_a_bar_divides_the_mark() -> None:
    made = one(returns([bar("a", DAYS[0], 40.0)], [action("a", DAYS[1], 4.0)]), DAYS[1])
    assert (made["mark"], made["total"], made["split"]) == (10.0, 0.0, 4.0)


def test_a_split_that_is_known_late_gives_the_units_back_when_it_is_known() -> None:
    bars = [bar("a", day, 40.0 if day < DAYS[2] else 10.0) for day in DAYS]
    made = returns(bars, [action("a", DAYS[2], 4.0, known=DAYS[4])])
    assert one(made, DAYS[2])["total"] == -0.75
    assert one(made, DAYS[4])["split"] == 4.0
    assert prod(1 + total for total in made["total"]) == pytest.approx(1.0)


def test_a_delisting_pays_and_ends_the_series() -> None:
    bars = [bar("a", day) for day in DAYS[:4]]
    made = returns(bars, [action("a", DAYS[4], 2.5, kind="delisting", known=DAYS[4])])
    assert made["session"].to_list() == DAYS[1:5]
    assert made["delisted"].to_list() == [False] * 3 + [True]
    last = one(made, DAYS[4])
    assert (last["mark"], last["mark_session"], last["total"]) == (2.5, DAYS[4], -0.75)
    assert last["execution_price"] is None
    worthless = returns(bars, [action("a", DAYS[4], 0.0, kind="delisting")])
    assert one(worthless, DAYS[4])["total"] == -1.0


def test_bars_after_a_delisting_are_not_looked_at() -> None:
    gone = action("a", DAYS[4], 9.0, kind="delisting")
    made = returns([bar("a", day) for day in DAYS], [gone])
    assert made["session"].to_list() == DAYS[1:5]
    assert one(made, DAYS[4])["mark"] == 9.0


def test_a_name_that_falls_silent_pays_its_last_close_and_begins_anew() -> None:
    """No holder is left with a name that has no row: the last one says delisted."""
    bars = [bar("a", day, 11.0) for day in (*DAYS[:2], DAYS[8], DAYS[9])]
    made = returns(bars)
    assert made["session"].to_list() == [*DAYS[1:6], *DAYS[9:]]
    assert made["delisted"].to_list()[:5] == [False] * 4 + [True]
    last = one(made, DAYS[5])
    assert (last["mark"], last["mark_session"], last["total"]) == (11.0, DAYS[1], 0.0)


def test_late_news_moves_the_mark_of_the_session_in_which_it_is_known() -> None:
    bars = [bar("a", day) for day in DAYS[:4]] + [bar("a", DAYS[3], 12.0, late=2)]
    made = returns(bars)
    assert one(made, DAYS[4])["total"] == 0.0
    known = one(made, DAYS[5])
    assert (known["mark"], known["mark_session"]) == (12.0, DAYS[3])
    assert (known["total"], known["execution_price"]) == (pytest.approx(0.2), None)


def test_the_symbol_is_that_of_the_last_bar() -> None:
    bars = [bar("a", day) for day in DAYS[:4]]
    renamed = [*bars[:2], *(row | {"symbol": "NYSE:NEW"} for row in bars[2:])]
    made = returns(renamed)
    assert made["symbol"].to_list()[:4] == ["NYSE:A", "NYSE:NEW", "NYSE:NEW", "NYSE:NEW"]


def test_securities_do_not_depend_on_one_another() -> None:
    """A symbol that is taken away takes its rows with it and nothing else."""
    bars = [
        *(bar("a", day, 10.0 + number) for number, day in enumerate(DAYS)),
        *(bar("b", day, 20.0) for day in DAYS[:8]),
        bar("b", DAYS[3], 25.0, late=3),
        *(bar("c", day, 5.0) for day in DAYS[::2]),
    ]
    actions = [
        action("b", DAYS[2], 2.0),
        action("a", DAYS[5], 4.0),
        action("b", DAYS[8], 1.0, kind="delisting"),
    ]
    whole = returns(bars, actions)
    assert set(whole["security_id"]) == {"a", "b", "c"}
    for removed in "abc":
        left = [[row for row in rows if row["security_id"] != removed] for rows in (bars, actions)]
        made = returns(left[0], left[1])
        assert made.equals(whole.filter(pl.col("security_id") != removed))


def test_nothing_published_gives_no_rows() -> None:
    assert returns([]).equals(RETURNS.empty())


# -- the embedded market ---------------------------------------------------------------------------


def test_the_embedded_market_chains_through_its_splits_and_delistings() -> None:
    """Dirt, splits and delistings through the real source; in parts and as a whole."""
    history, chosen = date(2022, 12, 1), ReturnsSettings()
    days = NYSE.between(history, date(2023, 12, 29))
    wanted = SessionRange(NYSE, tuple(days), history)
    # A wrong close that nobody corrects looks like a split that was missed, and is none.
    source = replace(DIRTY, dirt=replace(DIRTY.dirt, bad_print=0.0))
    published = {
        "bars": published_bars(source, "instruments", wanted).rows,
        "actions": published_actions(source, "instruments", wanted).rows,
    }
    whole = session_returns({n: f.lazy() for n, f in published.items()}, chosen, wanted)
    assert RETURNS.validate("x/returns", whole).height > 8000
    assert (whole["split"] != 1).sum() > 2
    assert whole["delisted"].sum() == 2
    # A cliff of a half or three quarters would be a split that was missed.
    alive = whole.filter(~pl.col("delisted"))
    assert min(alive["total"]) > -0.4
    assert max(alive["total"]) < 0.6
    windows = returns_windows(chosen)
    parts = []
    for at in range(0, len(days), 45):
        part = SessionRange(NYSE, tuple(days[at : at + 45]), history)
        frames = {
            name: rows.filter(pl.col("knowledge_session").is_in(part.loaded(windows[name]))).lazy()
            for name, rows in published.items()
        }
        parts.append(session_returns(frames, chosen, part))
    assert pl.concat(parts).equals(whole)


def test_a_dividend_is_paid_to_who_held_before_the_ex_session() -> None:
    bars = [bar("a", DAYS[0], 40.0), bar("a", DAYS[1], 39.5), bar("a", DAYS[2], 39.5)]
    made = returns(bars, [action("a", DAYS[1], 0.5, kind="dividend")])
    paid = one(made, DAYS[1])
    assert (paid["cash"], paid["income"]) == (0.5, 0.0125)
    assert (paid["price"], paid["total"]) == (pytest.approx(-0.0125), pytest.approx(0.0, abs=1e-15))
    assert one(made, DAYS[2])["total"] == 0.0
    # Without the action the price has fallen and nobody was paid: what the action is needed for.
    assert one(returns(bars), DAYS[1])["total"] == pytest.approx(-0.0125)


def test_a_split_and_a_dividend_on_one_day() -> None:
    """(P s + d) / P_-1 - 1 with the cash per old unit: 44 x 2 + 4 over 80."""
    bars = [bar("a", DAYS[0], 80.0), bar("a", DAYS[1], 44.0)]
    actions = [action("a", DAYS[1], 2.0), action("a", DAYS[1], 4.0, kind="special_dividend")]
    assert one(returns(bars, actions), DAYS[1])["total"] == pytest.approx(0.15)


def test_a_stock_dividend_is_a_split() -> None:
    bars = [bar("a", DAYS[0], 21.0), bar("a", DAYS[1], 20.0)]
    made = one(returns(bars, [action("a", DAYS[1], 1.05, kind="stock_dividend")]), DAYS[1])
    assert (made["split"], made["total"]) == (1.05, pytest.approx(0.0, abs=1e-15))


def test_who_leaves_without_terms_is_paid_the_last_price_and_says_so() -> None:
    bars = [bar("a", day, 12.0) for day in DAYS[:4]]
    for kind in ("delisting", "merger"):
        told = one(returns(bars, [action("a", DAYS[4], 15.0, kind=kind)]), DAYS[4])
        assert (told["mark"], told["settlement"]) == (15.0, "terms")
        untold = one(returns(bars, [action("a", DAYS[4], None, kind=kind)]), DAYS[4])
        assert (untold["mark"], untold["settlement"]) == (12.0, "last_price")
        assert untold["delisted"]


def test_a_rename_is_nothing_to_the_return() -> None:
    bars = [bar("a", day, 12.0) for day in DAYS[:4]]
    assert returns(bars, [action("a", DAYS[2], None, kind="rename")]).equals(returns(bars))
