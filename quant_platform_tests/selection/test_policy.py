"""Decisions, what is carried between them, and the laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from math import sqrt
from statistics import fmean, stdev
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.selection.evidence import STANDING, YEAR
from quant_platform.selection.policy import selection_windows
from quant_platform_tests.lakehouse.small_lake import SESSIONS, bar
from quant_platform_tests.market.actions import action
from quant_platform_tests.selection.market import (
    DAYS,
    GRID,
    NAMES,
    RELAXED,
    RETURNS,
    of,
    selected,
    vetoes_of,
)
from quant_platform_tests.selection.naive import (
    AROUND,
    PERIODS,
    SETTINGS,
    Rows,
    bars_of,
    found,
    path,
    product_score,
    returned,
    run,
    standard_moment,
    tail,
)

# -- a decision ------------------------------------------------------------------------------------


def test_a_decision_scores_ranks_and_cuts_every_candidate() -> None:
    made = of(run(found(DAYS, NAMES), RETURNS, DAYS, GRID), DAYS[6])
    components, losses = by_hand(DAYS[:7])
    expected = product_score(components, losses, "momentum")
    best_first = sorted(NAMES, key=lambda name: -expected[name])
    for name, row in made.items():
        rank = best_first.index(name) + 1
        assert row["score"] == pytest.approx(expected[name], rel=1e-9)
        assert (row["rank"], row["decided_on"], row["direction"]) == (rank, DAYS[6], "long")
        assert (row["passed"], row["selected"]) == (True, rank <= 2)
        assert row["admitted"] == ("strict" if rank <= 2 else None)
        assert row["reason"] == (None if rank <= 2 else "winners_max")
        rules = [veto["rule"] for veto in row["vetoes"]]
        assert rules[-3:] == ["identity", "top_n_per_cluster", "winners_max"]
        last = {"rule": "winners_max", "fired": rank > 2, "value": rank, "threshold": 2.0}
        assert row["vetoes"][-1] == last
        assert not any(veto["fired"] for veto in row["vetoes"][:-1])
        told = {part["component"]: part["value"] for part in row["components"]}
        assert told.keys() == components.keys()
        for component, value in told.items():
            own = components[component][name]
            assert value == (None if own is None else pytest.approx(own, rel=1e-9)), component


def by_hand(
    window: Sequence[date],
) -> tuple[dict[str, dict[str, float | None]], dict[str, float]]:
    """Components of the candidates by their definitions, and the size of each one's worst days."""
    components: dict[str, dict[str, float | None]] = {}
    # The first close of history is that of its first session.
    known = [one for one in RETURNS if SESSIONS[0] < one["session"] <= window[-1]]
    every = {name: [o["total"] for o in known if o["security_id"] == name] for name in NAMES}
    skewed = {name: standard_moment(values, 3) for name, values in every.items()}
    best = {name: -tail([-value for value in values]) for name, values in every.items()}
    for name in NAMES:
        totals = {o["session"]: o["total"] for o in RETURNS if o["security_id"] == name}
        values = [totals[day] for day in window[-5:]]
        told: dict[str, float | None] = {
            "momentum": fmean(values) * PERIODS,
            "stability": 1 / (stdev(values) * sqrt(PERIODS)),
            "liquidity": 1e8 / 500e6,
            "antifragility": (between(skewed, name) + between(best, name)) * len(every[name]) / 252,
            "survival": None,
            "efficiency": 0.25,
            "entropy": 1 - 0.875,
            "hurst_clean": abs(2 * 0.75 - 1),
            "adx": 20.0,
            "recommend_all": 0.125,
            "recommend_ma": 0.25,
            "skewness": -abs(skewed[name]),
            "kurtosis": -(standard_moment(every[name], 4) - 3),
            "tail": tail(every[name]),
        }
        for component, value in told.items():
            components.setdefault(component, {})[name] = value
    return components, {name: -tail(values) for name, values in every.items()}


def between(values: Mapping[str, float], name: str) -> float:
    """Place of one between the least and the most."""
    least, most = min(values.values()), max(values.values())
    return (values[name] - least) / (most - least)


def test_identical_scores_are_ranked_by_security() -> None:
    twins = [
        dict(one) | {"security_id": name}
        for name in "dbca"
        for one in RETURNS
        if one["security_id"] == "a"
    ]
    made = of(run(found(DAYS, "dbca"), twins, DAYS, GRID), DAYS[6])
    assert len({row["score"] for row in made.values()}) == 1
    assert {name: row["rank"] for name, row in made.items()} == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_a_candidate_alone_is_selected_and_is_in_the_middle_of_its_ranks() -> None:
    made = of(run(found(DAYS, "b"), RETURNS, DAYS, GRID), DAYS[6])
    assert [(row["rank"], row["selected"]) for row in made.values()] == [(1, True)]
    told = {part["component"]: part["probability"] for part in made["b"]["components"]}
    assert (told["momentum"], told["adx"], told["survival"]) == (0.505, 0.5, 0.5)


def test_a_session_without_candidates_selects_nobody_and_carries_nobody() -> None:
    made = run(found(DAYS[:11], NAMES), RETURNS, DAYS, GRID)
    assert made["session"].unique().sort().to_list() == DAYS[6:11]


@pytest.mark.parametrize("cuts", [[], [11], [12], list(range(1, 16))])
def test_a_session_that_nobody_could_see_decides_nothing(cuts: Sequence[int]) -> None:
    """Every bar of the second decision came late: what is held is carried, and says since when."""
    late = [dict(one) | {"mark_session": DAYS[10]} for one in RETURNS if one["session"] == DAYS[11]]
    others = [one for one in RETURNS if one["session"] != DAYS[11]]
    blind = [one for one in found(DAYS, NAMES) if one["session"] != DAYS[11]]
    made = run(blind, [*others, *late], DAYS, GRID, cuts=cuts)
    assert made["decided_on"].unique().to_list() == [DAYS[6]]
    assert selected(made, DAYS[15]) == selected(made, DAYS[6]) != set()
    # One bar that was seen is a market: then nobody is a candidate, and nobody is held; who was
    # has a row that says why it is not any more.
    seen = [*late[:-1], dict(late[-1]) | {"mark_session": DAYS[11]}]
    (awake,) = {one["security_id"] for one in seen if one["mark_session"] == DAYS[11]}
    made = run(blind, [*others, *seen], DAYS, GRID, cuts=cuts)
    assert made.filter("selected")["session"].max() == DAYS[10]
    ended = of(made, DAYS[11])
    assert set(ended) == selected(made, DAYS[10]) - {awake} != set()
    for row in ended.values():
        assert (row["selected"], row["reason"], row["score"]) == (False, "no_bar", None)
        assert row["vetoes"] == [{"rule": "no_bar", "fired": True, "value": 1.0, "threshold": 0.0}]


def test_who_left_and_came_back_without_a_bar_has_no_row() -> None:
    """Held until it was delisted; what has its key afterwards is another security."""
    held = selected(run(found(DAYS, NAMES), RETURNS, DAYS, GRID), DAYS[6])
    name = min(held)
    gone = [
        dict(one)
        | {
            "delisted": one["session"] == DAYS[8],
            "mark_session": DAYS[10] if one["session"] == DAYS[11] else one["session"],
        }
        if one["security_id"] == name
        else one
        for one in RETURNS
    ]
    candidates = [
        one
        for one in found(DAYS, NAMES)
        if (one["session"], one["security_id"]) != (DAYS[11], name)
    ]
    for cuts in ([], [9], [11]):
        assert name not in of(run(candidates, gone, DAYS, GRID, cuts=cuts), DAYS[11])


def test_nobody_is_selected_before_the_first_rebalance_of_history() -> None:
    assert run(found(DAYS, NAMES), RETURNS, DAYS[:6], GRID).equals(SELECTION.empty())
    assert run(found(DAYS, NAMES), RETURNS, DAYS, set()).equals(SELECTION.empty())


def test_the_symbol_is_that_of_the_decision() -> None:
    renamed = [
        dict(one) | {"symbol": f"NYSE:NEW{number}"} for number, one in enumerate(found(DAYS, "a"))
    ]
    made = run(renamed, RETURNS, DAYS, GRID)
    assert made["symbol"].to_list() == ["NYSE:NEW6"] * 5 + ["NYSE:NEW11"] * 5


# -- between decisions -----------------------------------------------------------------------------


def test_the_selected_are_carried_unchanged_until_the_next_decision() -> None:
    made = run(found(DAYS, NAMES), RETURNS, DAYS, GRID)
    for decided, sessions in ((DAYS[6], DAYS[7:11]), (DAYS[11], DAYS[12:])):
        first = of(made, decided)
        held = {name: row | {"session": None} for name, row in first.items() if row["selected"]}
        for session in sessions:
            carried = {name: row | {"session": None} for name, row in of(made, session).items()}
            assert carried == held
    assert len(of(made, DAYS[6])) == len(NAMES)


def test_a_delisting_inside_the_holding_period_ends_it_there() -> None:
    plain = run(found(DAYS, NAMES), RETURNS, DAYS, GRID)
    gone = min(selected(plain, DAYS[6]))
    kept = selected(plain, DAYS[6]) - {gone}
    returns = [
        dict(one) | {"delisted": one["session"] == DAYS[8] and one["security_id"] == gone}
        for one in RETURNS
        if one["security_id"] != gone or one["session"] <= DAYS[8]
    ]
    candidates = [
        one for one in found(DAYS, NAMES) if one["security_id"] != gone or one["session"] < DAYS[8]
    ]
    for cuts in ([], [8], [9], list(range(1, 16))):
        made = run(candidates, returns, DAYS, GRID, cuts=cuts)
        assert selected(made, DAYS[7]) == {gone} | kept
        for session in DAYS[8:11]:
            assert set(of(made, session)) == kept
        assert gone not in of(made, DAYS[11])


def test_candidates_between_decisions_change_nothing() -> None:
    sparse = [one for one in found(DAYS, NAMES) if one["session"] in GRID]
    assert run(sparse, RETURNS, DAYS, GRID).equals(run(found(DAYS, NAMES), RETURNS, DAYS, GRID))


# -- the laws --------------------------------------------------------------------------------------


@st.composite
def markets(draw: st.DrawFn) -> tuple[Rows, Rows, set[date]]:
    """Draw few values, so that ties are many; gaps, delistings, sessions that nobody saw."""
    values = st.sampled_from([None, 0.0, 0.01, -0.02, 0.03, 0.5])
    returns = []
    unseen = draw(st.sets(st.sampled_from(DAYS), max_size=6))
    for name in NAMES:
        end = draw(st.sampled_from([None, 5, 9, 12]))
        for number, day in enumerate(DAYS):
            total = draw(values)
            if total is not None and (end is None or number <= end):
                late = day in unseen
                returns.append(returned(name, day, total, delisted=number == end, late=late))
    candidates: list[Any] = []
    for day in DAYS:
        candidates += found([day], "".join(draw(st.lists(st.sampled_from(NAMES), unique=True))))
    grid = draw(st.sets(st.sampled_from(DAYS), max_size=6))
    return candidates, returns, grid


@settings(max_examples=12)
@given(markets(), st.sets(st.integers(1, 15)))
def test_a_range_is_its_days_wherever_it_is_cut(
    market: tuple[Rows, Rows, set[date]], cuts: set[int]
) -> None:
    candidates, returns, grid = market
    whole = run(candidates, returns, DAYS, grid, settings=RELAXED)
    parts = run(candidates, returns, DAYS, grid, settings=RELAXED, cuts=sorted(cuts))
    assert parts.equals(whole)


@pytest.mark.parametrize("cuts", [list(range(1, 16)), [5], [6], [7], [3, 11, 12]])
def test_a_range_has_the_bytes_of_its_parts(cuts: Sequence[int]) -> None:
    whole = run(found(DAYS, NAMES), RETURNS, DAYS, GRID)
    assert whole["selected"].sum() == 2 * 10
    assert run(found(DAYS, NAMES), RETURNS, DAYS, GRID, cuts=cuts).equals(whole)


@pytest.mark.parametrize("position", [5, 6, 8, 10, 11])
def test_what_is_known_later_changes_nothing(position: int) -> None:
    session = DAYS[position]
    spoilt = [
        one
        if one["session"] <= session
        else dict(one) | {"total": one["total"] * -7, "delisted": one["security_id"] != "a"}
        for one in RETURNS
    ]
    stranger = path("z", DAYS[position + 1 :], 9)
    news = [bar("a", DAYS[position - back], 1.0, late=back + 1) for back in (0, 2)]
    bars = [*bars_of([*spoilt, *stranger]), *news]
    split = [action("b", DAYS[position - 1], 3.0, known=DAYS[position + 1])]
    candidates = [one for one in found(DAYS, NAMES) if one["session"] <= session]
    candidates += found(DAYS[position + 1 :], "z")
    upto = pl.col("session") <= session
    expected = run(found(DAYS, NAMES), RETURNS, DAYS, GRID).filter(upto)
    made = run(candidates, [*spoilt, *stranger], DAYS, GRID, bars=bars, actions=split)
    assert made.filter(upto).equals(expected)
    upto_it = DAYS[: position + 1]
    alone = run(candidates, [*spoilt, *stranger], upto_it, GRID, bars=bars, actions=split)
    assert alone.equals(expected)


def test_the_figures_do_not_depend_on_who_else_has_returns() -> None:
    """A matrix of one column is added up like a matrix of many: byte for byte."""
    long = SETTINGS.model_copy(update={"lookback_sessions": 60})
    sessions = SESSIONS[:70]
    returns = [one for seed, name in enumerate("abcdefghi") for one in path(name, sessions, seed)]
    grid = {sessions[65]}
    alone = [one for one in returns if one["security_id"] == "a"]
    candidates = found(sessions, "a")
    whole = run(candidates, returns, sessions, grid, settings=long)
    assert run(candidates, alone, sessions, grid, settings=long).equals(whole)
    assert vetoes_of(whole.to_dicts()[0])["annual_volatility"]["value"] is not None


def test_the_window_reaches_what_the_evidence_needs_and_no_further() -> None:
    assert selection_windows(SETTINGS, "x", AROUND)["bars"].lookback == YEAR + STANDING
    needed = [one for one in RETURNS if one["session"] >= DAYS[2]]
    short = [one for one in RETURNS if one["session"] >= DAYS[3]]
    made = [of(run(found(DAYS, "a"), rows, DAYS, GRID), DAYS[6])["a"] for rows in (needed, short)]
    # Five returns make momentum and volatility, and no moments.
    assert [row["reason"] for row in made] == ["kurtosis", "annual_volatility"]
