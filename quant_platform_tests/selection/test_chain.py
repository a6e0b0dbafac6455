"""Selection behind the real producers: from the simulated source to the decisions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

import polars as pl
import pytest

from quant_platform.calendars import rebalance_grid
from quant_platform.features.liquidity import liquidity_features
from quant_platform.features.standardised import predictability_features
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.market.returns import session_returns
from quant_platform.selection.cluster_table import cluster_candidates, cluster_windows
from quant_platform.selection.evidence import STANDING
from quant_platform.selection.ingestion import Around
from quant_platform.selection.policy import select, selection_windows
from quant_platform.selection.veto import CUTS, NO_BAR, VETOES
from quant_platform.settings.clusters import ClusterSettings
from quant_platform.settings.returns import ReturnsSettings
from quant_platform.settings.risk_features import SleeveBenchmark
from quant_platform.settings.selection import SelectionSettings
from quant_platform_tests.scanners.chain import (
    CALENDARS,
    HISTORY,
    LAST,
    SCANNERS,
    TREND,
    Tables,
    handed,
    market,
    scanned,
    span,
)
from quant_platform_tests.sources.markets import NYSE

GRID = frozenset(rebalance_grid(NYSE, date(2015, 1, 2), 21))
BENCHMARKS = {"instruments": None, "etfs": "etfs-0000", "crypto": "crypto-0000"}
SETTINGS = SelectionSettings()
sleeves = pytest.mark.parametrize("sleeve", SCANNERS)
FIRST = 13
"""Rebalance of history from which predictability is known, and with it every veto."""


def around(sleeve: str) -> Around:
    """Year and benchmark of a sleeve; that of stocks is a fund of another sleeve."""
    key = BENCHMARKS[sleeve]
    return Around(
        365 if sleeve == "crypto" else 252,
        252 / 21,
        None if key is None else SleeveBenchmark(sleeve=sleeve, security_id=key),
    )


@lru_cache(maxsize=3)
def before_selection(sleeve: str) -> Tables:
    """Run a sleeve up to its candidates, over all its history."""
    tables, wanted = market(sleeve), span(CALENDARS[sleeve], HISTORY, LAST)
    bars = {name: tables[name].lazy() for name in ("bars", "actions")}
    state = {"state": tables["features_state"].lazy()}
    described = {
        "features_liquidity": liquidity_features(bars, TREND, wanted),
        "features_predictability": predictability_features(bars | state, TREND, wanted, GRID),
    }
    found = {**tables, **described, **scanned(tables, wanted, SCANNERS[sleeve])}
    windows, one_bet = cluster_windows(ClusterSettings()), ClusterSettings()
    clusters = cluster_candidates(handed(found, windows, wanted), one_bet, wanted, GRID)
    return {**found, "clusters": clusters}


def decided(
    sleeve: str,
    tables: Tables,
    settings: SelectionSettings = SETTINGS,
    cuts: Sequence[date] = (),
    grid: Collection[date] = GRID,
) -> pl.DataFrame:
    """Select over all of history, in one run or in several that begin at the cuts."""
    calendar, beside = CALENDARS[sleeve], around(sleeve)
    own = CONTRACTS["selection"].empty()
    bounds = [HISTORY, *cuts, calendar.between(HISTORY, LAST)[-1] + timedelta(days=1)]
    windows = {
        name: replace(window, table=window.table.removeprefix(f"{sleeve}/"))
        for name, window in selection_windows(
            settings, sleeve, beside, earnings="earnings" in tables
        ).items()
    }
    for first, after in pairwise(bounds):
        wanted = span(calendar, first, after - timedelta(days=1))
        frames = handed({**tables, "selection": own}, windows, wanted)
        made = select(frames, settings, wanted, grid=grid, around=beside)
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
    seen = before_selection(sleeve)["candidates"]
    many = (
        decisions(made)
        .group_by("session")
        .agg(pl.col("selected").sum(), open_to=pl.col("score").count())
    )
    assert (many["selected"] <= many["open_to"]).all()
    # Below the floor winners are filled up; above it stands who passed everything.
    strict = decisions(made).filter("selected", pl.col("admitted") == "strict")
    passed = strict["session"].value_counts(name="strict")
    beyond = many.filter(pl.col("selected") > SETTINGS.winners_floor).join(passed, on="session")
    assert (beyond["selected"] == beyond["strict"]).all()
    assert many["selected"].max() >= SETTINGS.winners_floor
    # Sixty sessions of returns are known from the fourth rebalance of history on.
    empty = set(grid[4:]) - set(many.filter(pl.col("selected") > 0)["session"])
    assert empty <= set(grid[4:]) - set(seen["session"])
    for day, after in pairwise([*grid[4:], LAST + timedelta(days=1)]):
        period = CALENDARS[sleeve].between(day, after - timedelta(days=1))
        held = made.filter("selected", pl.col("session").is_in(period))["session"]
        assert held.unique().sort().to_list() == ([] if day in empty else period)
    assert decisions(made).filter(pl.col("selected").not_())["reason"].null_count() == 0


@sleeves
def test_every_row_says_which_rule_decided_with_value_and_threshold(sleeve: str) -> None:
    made = decided(sleeve, before_selection(sleeve))
    cuts = {gate.name for gate in CUTS} | {NO_BAR.name}
    for row in made.iter_rows(named=True):
        stopped = [veto["rule"] for veto in row["vetoes"] if veto["fired"]]
        assert row["passed"] == (not set(stopped) - cuts and row["reason"] != NO_BAR.name)
        assert row["reason"] == (None if row["selected"] else stopped[0])
        assert (row["admitted"] == "strict") <= (not stopped)
        assert all(veto["threshold"] is not None for veto in row["vetoes"])
    stages = set(made.filter("selected")["admitted"])
    assert stages == {"strict", "relaxed", "representative", "fill"}


@sleeves
def test_a_winner_past_a_veto_did_not_pass_and_went_past_no_final_one(sleeve: str) -> None:
    made = decisions(decided(sleeve, before_selection(sleeve)))
    final = {veto.name for veto in VETOES if veto.final}
    past = made.filter("selected", pl.col("passed").not_())
    assert past.height
    assert "strict" not in set(past["admitted"])
    asked = past.explode("vetoes").unnest("vetoes").filter("fired")
    assert not final & set(asked["rule"])
    strict = SETTINGS.model_copy(update={"winners_floor": 0})
    alone = decisions(decided(sleeve, before_selection(sleeve), strict))
    assert set(alone.filter("selected")["admitted"]) == {"strict"}
    assert alone.filter("selected", pl.col("passed").not_()).is_empty()
    both = ["session", "security_id"]
    assert (
        alone.filter("selected")
        .select(both)
        .equals(made.filter(pl.col("admitted") == "strict").select(both))
    )


CHOICES = {veto.name for veto in VETOES if veto.duty == "choice"}


@sleeves
def test_each_choice_fires_on_some_and_not_on_all(sleeve: str) -> None:
    """In the shipped preset, once predictability is known; on each market what it can tell."""
    tables = before_selection(sleeve)
    grid = sorted(day for day in GRID if day >= HISTORY)
    late = decisions(decided(sleeve, tables)).filter(pl.col("session") >= grid[FIRST])
    asked = late.explode("vetoes").unnest("vetoes")
    rates = dict(asked.group_by("rule").agg(pl.col("fired").mean()).iter_rows())
    never = {name for name in CHOICES & rates.keys() if rates[name] == 0}
    assert never <= RESTS[sleeve]
    assert all(rates[name] < 1 for name in CHOICES & rates.keys())
    assert {"entropy", "efficiency", "hurst", "momentum", "eci", "toxic"} <= rates.keys()


RESTS = {
    # Stocks are held against a fund of another sleeve, which this chain does not make.
    "instruments": set(),
    # Funds that a scanner of rising months finds do not fall by a tenth in three.
    "etfs": {"momentum", "toxic", "survival", "efficiency"},
    "crypto": {"momentum", "toxic", "survival"},
}
"""Vetoes that need not fire on candidates of a sleeve within these few rebalances."""


YEAR = 252


@sleeves
def test_the_veto_fires_on_who_has_too_little_history(sleeve: str) -> None:
    """A year is asked for, so that candidates of every sleeve lack some of it."""
    tables = before_selection(sleeve)
    long = SETTINGS.model_copy(update={"lookback_sessions": YEAR})
    made = fired(decided(sleeve, tables, long), "annual_volatility")
    assert made.height
    lacking = made.filter(pl.col("value").is_null())
    assert lacking.height
    assert not made["selected"].any()
    for session, security in lacking.select("session", "security_id").iter_rows():
        first = CALENDARS[sleeve].between(HISTORY, session)[-YEAR - 1 - STANDING :]
        own = pl.col("security_id") == security, pl.col("session").is_in(first)
        known = tables["bars"].filter(*own, pl.col("knowledge_session") <= session)
        days = sorted({*known["session"], session})
        gaps = [len(CALENDARS[sleeve].between(a, b)) - 2 for a, b in pairwise(days)]
        begun = len(CALENDARS[sleeve].between(days[0], session)) - 1 >= YEAR
        assert not begun or max(gaps) > STANDING or len(first) <= YEAR


@sleeves
def test_the_veto_fires_on_who_moves_too_much(sleeve: str) -> None:
    """The embedded market is calm: at the shipped 250 % few are vetoed, at half its range some."""
    tables = before_selection(sleeve)
    calm = decisions(decided(sleeve, tables)).explode("vetoes").unnest("vetoes")
    values = calm.filter(pl.col("rule") == "annual_volatility")["value"].drop_nulls()
    assert values.len() > 100
    middle = float(values.median())
    vetoes = SETTINGS.vetoes.model_copy(update={"annual_volatility": middle})
    strict = SETTINGS.model_copy(update={"vetoes": vetoes})
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
    won = plain.filter(pl.col("session") == start, "selected").sort("rank")
    best = won["security_id"][0]
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
