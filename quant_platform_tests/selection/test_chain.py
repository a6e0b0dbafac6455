"""Selection behind the real producers: from the simulated source to the decisions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

import polars as pl
import pytest

from quant_platform.calendars import rebalance_grid
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.market.returns import session_returns
from quant_platform.selection.evidence import STANDING
from quant_platform.selection.policy import select, selection_windows
from quant_platform.settings.returns import ReturnsSettings
from quant_platform.settings.selection import SelectionSettings
from quant_platform_tests.scanners.chain import (
    CALENDARS,
    HISTORY,
    LAST,
    SCANNERS,
    Tables,
    handed,
    market,
    scanned,
    span,
)
from quant_platform_tests.selection.naive import PERIODS
from quant_platform_tests.sources.markets import NYSE

GRID = frozenset(rebalance_grid(NYSE, date(2015, 1, 2), 21))
SETTINGS = SelectionSettings()
sleeves = pytest.mark.parametrize("sleeve", SCANNERS)


@lru_cache(maxsize=3)
def before_selection(sleeve: str) -> Tables:
    """Run a sleeve up to its candidates, over all its history."""
    tables = market(sleeve)
    found = scanned(tables, span(CALENDARS[sleeve], HISTORY, LAST), SCANNERS[sleeve])
    return {**tables, **found}


def decided(
    sleeve: str,
    tables: Tables,
    settings: SelectionSettings = SETTINGS,
    cuts: Sequence[date] = (),
    grid: Collection[date] = GRID,
) -> pl.DataFrame:
    """Select over all of history, in one run or in several that begin at the cuts."""
    calendar = CALENDARS[sleeve]
    own = CONTRACTS["selection"].empty()
    bounds = [HISTORY, *cuts, calendar.between(HISTORY, LAST)[-1] + timedelta(days=1)]
    for first, after in pairwise(bounds):
        wanted = span(calendar, first, after - timedelta(days=1))
        frames = handed({**tables, "selection": own}, selection_windows(settings), wanted)
        made = select(frames, settings, wanted, grid, PERIODS)
        own = pl.concat([own, CONTRACTS["selection"].validate("x/selection", made)])
    return own


def decisions(made: pl.DataFrame) -> pl.DataFrame:
    return made.filter(pl.col("session") == pl.col("decided_on"))


def fired(made: pl.DataFrame, rule: str) -> pl.DataFrame:
    """Rows in which a veto fired, with its value."""
    asked = decisions(made).explode("vetoes").unnest("vetoes")
    return asked.filter(pl.col("fired"), pl.col("rule") == rule)


@sleeves
def test_each_rebalance_with_evidence_selects_and_it_is_carried(sleeve: str) -> None:
    made = decided(sleeve, before_selection(sleeve))
    grid = [day for day in CALENDARS[sleeve].between(HISTORY, LAST) if day in GRID]
    chosen = (
        decisions(made)
        .group_by("session")
        .agg(pl.col("selected").sum(), ranked=pl.col("rank").count())
    )
    assert (chosen["selected"] == chosen["ranked"].clip(upper_bound=SETTINGS.top_n)).all()
    assert chosen["selected"].max() == SETTINGS.top_n
    # Sixty sessions of returns are known from the fourth rebalance of history on. Crypto has one
    # after it in which everything fell and no scanner found anything: then nothing is held.
    empty = set(grid[4:]) - set(chosen.filter(pl.col("selected") > 0)["session"])
    asked = set(before_selection(sleeve)["candidates"]["session"])
    assert empty == set(grid[4:]) - asked
    assert len(empty) == (sleeve == "crypto")
    for day, after in pairwise([*grid[4:], LAST + timedelta(days=1)]):
        period = CALENDARS[sleeve].between(day, after - timedelta(days=1))
        held = made.filter("selected", pl.col("session").is_in(period))["session"]
        assert held.unique().sort().to_list() == ([] if day in empty else period)
    assert decisions(made).filter(pl.col("selected").not_())["reason"].null_count() == 0


@sleeves
def test_every_row_says_which_rule_decided_with_value_and_threshold(sleeve: str) -> None:
    made = decided(sleeve, before_selection(sleeve))
    for row in made.iter_rows(named=True):
        fired = [veto["rule"] for veto in row["vetoes"] if veto["fired"]]
        assert row["reason"] == (fired[0] if fired else None)
        assert row["selected"] == (not fired)
        assert all(veto["threshold"] is not None for veto in row["vetoes"])
    assert "top_n" in set(made["reason"])


@sleeves
def test_the_veto_fires_on_who_has_too_little_history(sleeve: str) -> None:
    """Half a year is asked for, so that candidates of every sleeve lack some of it."""
    tables = before_selection(sleeve)
    long = SETTINGS.model_copy(update={"lookback_sessions": 126})
    made = fired(decided(sleeve, tables, long), "annual_volatility")
    assert made.height
    assert made["value"].null_count() == made.height
    assert not made["selected"].any()
    for session, security in made.select("session", "security_id").iter_rows():
        first = CALENDARS[sleeve].between(HISTORY, session)[:-126][-1 - STANDING :]
        own = pl.col("security_id") == security, pl.col("session").is_in(first)
        known = tables["bars"].filter(*own, pl.col("knowledge_session") <= session)
        assert known.is_empty()


@sleeves
def test_the_veto_fires_on_who_moves_too_much(sleeve: str) -> None:
    """The embedded market is calm: at the shipped 250 % nothing fires, at half its range some."""
    tables = before_selection(sleeve)
    calm = decisions(decided(sleeve, tables)).explode("vetoes").unnest("vetoes")
    values = calm.filter(pl.col("rule") == "annual_volatility")["value"].drop_nulls()
    assert values.len() > 100
    middle = float(values.median())  # type: ignore[arg-type]
    strict = SETTINGS.model_copy(update={"max_annual_volatility": middle})
    vetoed = fired(decided(sleeve, tables, strict), "annual_volatility").drop_nulls("value")
    assert 0.2 < vetoed.height / values.len() < 0.8
    assert (vetoed["value"] > middle).all()
    assert set(vetoed["reason"]) == {"annual_volatility"}
    assert not vetoed["selected"].any()


def told_gone(sleeve: str, security: str, session: date) -> Mapping[str, pl.DataFrame]:
    """Publish a delisting of a security and make the returns of that market anew."""
    tables = before_selection(sleeve)
    close = NYSE.close(session)
    news = pl.DataFrame(
        {
            "knowledge_session": [session],
            "security_id": [security],
            "session": [session],
            "kind": ["delisting"],
            "known_at": [close],
            "known_at_basis": ["observed"],
            "value": [1.0],
            "counterpart": [None],
        },
        schema=CONTRACTS["actions"].empty().schema,
    )
    frames = {
        "bars": tables["bars"].lazy(),
        "actions": pl.concat([tables["actions"], news]).lazy(),
    }
    wanted = span(CALENDARS[sleeve], HISTORY, LAST)
    return {**tables, "returns": session_returns(frames, ReturnsSettings(), wanted)}


@pytest.mark.parametrize("days_held", [0, 1, 9, 20])
def test_a_delisting_ends_the_holding_on_its_session(days_held: int) -> None:
    plain = decided("instruments", before_selection("instruments"))
    start = sorted(decisions(plain)["session"].unique())[8]
    best = plain.filter(pl.col("session") == start, pl.col("rank") == 1)["security_id"].item()
    gone = NYSE.offset(start, days_held)
    made = decided("instruments", told_gone("instruments", best, gone))
    period = pl.col("session").is_between(start, NYSE.offset(start, 20))
    held = made.filter("selected", period, pl.col("security_id") == best)["session"].to_list()
    assert held == NYSE.between(start, gone)[:-1]
    same = pl.col("security_id") != best
    if days_held:
        assert made.filter(period, same).equals(plain.filter(period, same))
    else:
        assert fired(made, "delisted")["security_id"].unique().to_list() == [best]
        assert made.filter(pl.col("session") == start)["selected"].sum() == SETTINGS.top_n


@pytest.mark.parametrize("sleeve", ["instruments", "crypto"])
def test_a_rebalance_whose_bars_all_came_late_decides_nothing(sleeve: str) -> None:
    """The embedded market delivers whole sessions late; those of the funds lie before May."""
    tables, calendar = before_selection(sleeve), CALENDARS[sleeve]
    seen = set(tables["screener"]["session"])
    blind = next(day for day in calendar.between(date(2022, 5, 2), LAST) if day not in seen)
    candidates = set(tables["candidates"].filter(pl.col("session") < blind)["session"])
    before = max(day for day in candidates if day <= calendar.offset(blind, -9))
    made = decided(sleeve, tables, grid={before, blind})
    assert made["decided_on"].unique().to_list() == [before]
    held = made.filter(pl.col("session") == blind)
    assert held.height
    assert held["security_id"].is_in(made.filter(pl.col("session") == before)["security_id"]).all()
    assert decided(sleeve, tables, cuts=[blind], grid={before, blind}).equals(made)


@sleeves
def test_a_range_has_the_bytes_of_its_parts(sleeve: str) -> None:
    tables = before_selection(sleeve)
    whole = decided(sleeve, tables)
    calendar = CALENDARS[sleeve]
    grid = [day for day in calendar.between(HISTORY, LAST) if day in GRID]
    week = [calendar.offset(grid[6], n) for n in range(-3, 4)]
    for cuts in (
        week,
        [grid[9]],
        [calendar.offset(grid[9], 1)],
        calendar.between(HISTORY, LAST)[63::63],
    ):
        assert decided(sleeve, tables, cuts=cuts).equals(whole)


@sleeves
def test_what_is_known_later_changes_nothing(sleeve: str) -> None:
    tables = before_selection(sleeve)
    grid = [day for day in CALENDARS[sleeve].between(HISTORY, LAST) if day in GRID]
    upto = pl.col("session") <= grid[8]
    spoilt = {
        "returns": tables["returns"].with_columns(
            total=pl.when(upto).then("total").otherwise(-0.5),
            delisted=pl.col("delisted") | upto.not_(),
        ),
        "bars": tables["bars"].with_columns(
            close=pl.when(pl.col("knowledge_session") <= grid[8]).then("close").otherwise(1.0)
        ),
        "candidates": tables["candidates"].filter(upto),
    }
    expected = decided(sleeve, tables).filter(upto)
    assert decided(sleeve, {**tables, **spoilt}).filter(upto).equals(expected)
    assert expected.filter(pl.col("session") == grid[8])["selected"].any()
