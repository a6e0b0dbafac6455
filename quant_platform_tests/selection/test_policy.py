"""Decisions, what is carried between them, and the laws."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import sqrt
from statistics import stdev
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.market.returns import session_returns
from quant_platform.selection.evidence import STANDING
from quant_platform.selection.policy import selection_windows
from quant_platform.settings.returns import ReturnsSettings
from quant_platform_tests.lakehouse.small_lake import SESSIONS, bar, span
from quant_platform_tests.market.actions import action
from quant_platform_tests.selection.naive import (
    PERIODS,
    SETTINGS,
    Rows,
    bars_of,
    figures,
    found,
    path,
    returned,
    run,
    scores,
    table,
)

DAYS = SESSIONS[:16]
GRID = {DAYS[6], DAYS[11]}
NAMES = "abcd"
RETURNS = [one for seed, name in enumerate(NAMES) for one in path(name, DAYS, seed)]


def of(made: pl.DataFrame, session: date) -> dict[str, dict[str, Any]]:
    """Rows of one session by security."""
    rows = made.filter(pl.col("session") == session).to_dicts()
    return {row["security_id"]: row for row in rows}


def selected(made: pl.DataFrame, session: date) -> set[str]:
    return {name for name, row in of(made, session).items() if row["selected"]}


# -- a decision ------------------------------------------------------------------------------------


def test_a_decision_scores_ranks_and_cuts_every_candidate() -> None:
    made = of(run(found(DAYS, NAMES), RETURNS, DAYS, GRID), DAYS[6])
    raw = {}
    for name in NAMES:
        momentum, volatility = figures(RETURNS, name, DAYS[2:7]) or (0.0, 0.0)
        raw[name] = momentum / volatility
        rank = made[name]["rank"]
        assert made[name]["vetoes"] == [
            {
                "rule": "annual_volatility",
                "fired": False,
                "value": pytest.approx(volatility, rel=1e-12),
                "threshold": 2.5,
            },
            {"rule": "delisted", "fired": False, "value": 0.0, "threshold": 0.0},
            {"rule": "top_n", "fired": rank > 2, "value": rank, "threshold": 2.0},
        ]
    assert len(set(raw.values())) == len(NAMES)
    expected = scores(raw)
    best_first = sorted(NAMES, key=lambda name: -expected[name])
    for name, row in made.items():
        rank = best_first.index(name) + 1
        assert row["score"] == pytest.approx(expected[name], rel=1e-14)
        assert (row["rank"], row["decided_on"]) == (rank, DAYS[6])
        assert row["selected"] == (rank <= 2)
        assert row["reason"] == (None if rank <= 2 else "top_n")


def test_identical_scores_are_ranked_by_security() -> None:
    twins = [
        dict(one) | {"security_id": name}
        for name in "dbca"
        for one in RETURNS
        if one["security_id"] == "a"
    ]
    made = of(run(found(DAYS, "dbca"), twins, DAYS, GRID), DAYS[6])
    assert {row["score"] for row in made.values()} == {0.505}
    assert {name: row["rank"] for name, row in made.items()} == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_a_candidate_alone_is_selected_with_the_middle_score() -> None:
    made = of(run(found(DAYS, "b"), RETURNS, DAYS, GRID), DAYS[6])
    assert [(row["score"], row["rank"], row["selected"]) for row in made.values()] == [
        (0.505, 1, True)
    ]


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


# -- vetoes ----------------------------------------------------------------------------------------


def test_a_volatile_candidate_is_vetoed_whatever_its_score_and_leaves_the_others_scores() -> None:
    wild = [returned("w", day, 0.4 if number % 2 else 0.1) for number, day in enumerate(DAYS)]
    made = of(run(found(DAYS, NAMES + "w"), [*RETURNS, *wild], DAYS, GRID), DAYS[6])
    vetoed = made.pop("w")
    assert vetoed["score"] == 1.0
    assert (vetoed["rank"], vetoed["selected"]) == (None, False)
    assert vetoed["reason"] == "annual_volatility"
    assert [asked["rule"] for asked in vetoed["vetoes"]] == ["annual_volatility", "delisted"]
    veto = vetoed["vetoes"][0]
    assert veto["fired"]
    assert veto["value"] > veto["threshold"] == 2.5
    assert sorted(row["rank"] for row in made.values()) == [1, 2, 3, 4]
    lenient = SETTINGS.model_copy(update={"max_annual_volatility": 9.0})
    again = of(
        run(found(DAYS, NAMES + "w"), [*RETURNS, *wild], DAYS, GRID, settings=lenient), DAYS[6]
    )
    assert {name: again[name]["score"] for name in made} == {
        name: row["score"] for name, row in made.items()
    }


def test_volatility_at_the_threshold_is_no_veto() -> None:
    _, volatility = figures(RETURNS, "a", DAYS[2:7]) or (0.0, 0.0)
    for threshold, fired in ((volatility * (1 + 1e-9), False), (volatility * (1 - 1e-9), True)):
        strict = SETTINGS.model_copy(update={"max_annual_volatility": threshold})
        made = of(run(found(DAYS, "a"), RETURNS, DAYS, GRID, settings=strict), DAYS[6])
        assert made["a"]["vetoes"][0]["fired"] == fired


def test_without_evidence_the_veto_fires() -> None:
    """Too young, never moved, unknown to the returns: no figure, no entry."""
    returns = [
        *RETURNS,
        *path("young", DAYS[3:], 1),
        *(returned("still", day, 0.0) for day in DAYS),
        *(returned("steady", day, 0.001) for day in DAYS),
    ]
    names = ["young", "still", "steady", "unknown"]
    candidates = [dict(one) | {"security_id": name} for name in names for one in found(DAYS, "a")]
    made = of(run(candidates, returns, DAYS, GRID), DAYS[6])
    for name in names:
        row = made[name]
        assert row["vetoes"][0] == {
            "rule": "annual_volatility",
            "fired": True,
            "value": None,
            "threshold": 2.5,
        }, name
        assert (row["score"], row["rank"], row["selected"]) == (None, None, False)
        assert row["reason"] == "annual_volatility"
    assert made["unknown"]["vetoes"][1]["fired"]
    later = of(run(candidates, returns, DAYS, GRID), DAYS[11])
    assert {name for name, row in later.items() if row["score"] is not None} == {"young"}


def volatility_of(made: pl.DataFrame, security: str, session: date) -> float | None:
    value: float | None = of(made, session)[security]["vetoes"][0]["value"]
    return value


@pytest.mark.parametrize("lacking", [3, 4])
def test_a_session_without_a_bar_has_the_close_before(lacking: int) -> None:
    bars = [one for one in bars_of(RETURNS) if one["session"] != DAYS[lacking]]
    made = run(found(DAYS, "a"), RETURNS, DAYS, GRID, bars=bars)
    totals = {one["session"]: one["total"] for one in RETURNS if one["security_id"] == "a"}
    values = [totals[day] for day in DAYS[2:7]]
    both = (1 + values[lacking - 2]) * (1 + values[lacking - 1]) - 1
    values[lacking - 2 : lacking] = [0.0, both]
    expected = stdev(values) * sqrt(PERIODS)
    assert volatility_of(made, "a", DAYS[6]) == pytest.approx(expected, rel=1e-9)


def test_the_first_close_may_stand_for_some_sessions_and_no_longer() -> None:
    """Of the second decision, whose first close is that of the sixth session."""
    wide = {DAYS[15]}
    for gone, known in ((STANDING, True), (STANDING + 1, False)):
        lost = DAYS[10 - gone + 1 : 11]
        bars = [one for one in bars_of(RETURNS) if one["session"] not in lost]
        for cuts in ([], [15]):
            made = run(found(DAYS, "a"), RETURNS, DAYS, wide, bars=bars, cuts=cuts)
            assert (volatility_of(made, "a", DAYS[15]) is not None) == known


def test_a_corrected_print_vetoes_nobody_once_the_correction_is_known() -> None:
    """A wrong close two sessions before a decision, corrected at the decision itself."""
    right = bars_of(RETURNS)
    wrong = [
        bar("a", DAYS[9], one["close"] * 3)
        if (one["security_id"], one["session"]) == ("a", DAYS[9])
        else one
        for one in right
    ]
    close = next(o["close"] for o in right if (o["security_id"], o["session"]) == ("a", DAYS[9]))
    corrected = [*wrong, bar("a", DAYS[9], close, late=2)]
    plain = of(run(found(DAYS, NAMES), RETURNS, DAYS, GRID), DAYS[11])
    for cuts in ([], [10], [11], list(range(1, 16))):
        made = run(found(DAYS, NAMES), RETURNS, DAYS, GRID, bars=corrected, cuts=cuts)
        assert of(made, DAYS[11]) == plain
    # The twins: while nobody knows better it is vetoed, and returns would keep the two jumps.
    for bars in (wrong, [*wrong, bar("a", DAYS[9], close, late=3)]):
        believed = of(run(found(DAYS, NAMES), RETURNS, DAYS, GRID, bars=bars), DAYS[11])
        assert believed["a"]["reason"] == "annual_volatility"
    frames = {"bars": table("bars", corrected).lazy(), "actions": table("actions", []).lazy()}
    wanted = span(DAYS[0], DAYS[11], DAYS[0])
    chained = session_returns(frames, ReturnsSettings(), wanted)
    totals = chained.filter(pl.col("security_id") == "a")["total"].to_list()[-5:]
    assert stdev(totals) * sqrt(PERIODS) > SETTINGS.max_annual_volatility


def test_a_split_inside_the_evidence_changes_nothing() -> None:
    after = pl.col("session") >= DAYS[5]
    bars = table("bars", bars_of(RETURNS)).with_columns(
        pl.when(after).then(pl.col(name) / 4).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )
    actions = [action(name, DAYS[5], 4.0) for name in NAMES]
    plain = run(found(DAYS, NAMES), RETURNS, DAYS, GRID)
    made = run(found(DAYS, NAMES), RETURNS, DAYS, GRID, bars=bars.to_dicts(), actions=actions)
    assert made.drop("vetoes").equals(plain.drop("vetoes"))
    for name in NAMES:
        expected = volatility_of(plain, name, DAYS[6])
        assert volatility_of(made, name, DAYS[6]) == pytest.approx(expected, rel=1e-9)
    jumping = run(found(DAYS, NAMES), RETURNS, DAYS, GRID, bars=bars.to_dicts())
    assert of(jumping, DAYS[6])["a"]["reason"] == "annual_volatility"


def test_a_security_delisted_on_the_decision_is_not_selected_and_another_takes_its_place() -> None:
    plain = run(found(DAYS, NAMES), RETURNS, DAYS, GRID)
    best = next(name for name, row in of(plain, DAYS[6]).items() if row["rank"] == 1)
    returns = [
        dict(one) | {"delisted": (one["security_id"], one["session"]) == (best, DAYS[6])}
        for one in RETURNS
    ]
    made = run(found(DAYS, NAMES), returns, DAYS, GRID)
    gone = of(made, DAYS[6])[best]
    assert (gone["selected"], gone["rank"], gone["reason"]) == (False, None, "delisted")
    assert gone["vetoes"][1] == {
        "rule": "delisted",
        "fired": True,
        "value": 1.0,
        "threshold": 0.0,
    }
    assert len(selected(made, DAYS[6])) == SETTINGS.top_n
    assert best not in selected(made, DAYS[6])


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


@settings(deadline=None, max_examples=12)
@given(markets(), st.sets(st.integers(1, 15)))
def test_a_range_is_its_days_wherever_it_is_cut(
    market: tuple[Rows, Rows, set[date]], cuts: set[int]
) -> None:
    candidates, returns, grid = market
    whole = run(candidates, returns, DAYS, grid)
    assert run(candidates, returns, DAYS, grid, cuts=sorted(cuts)).equals(whole)


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
    assert whole["vetoes"][0][0]["value"] is not None


def test_the_window_reaches_what_the_evidence_needs_and_no_further() -> None:
    assert selection_windows(SETTINGS)["bars"].lookback == SETTINGS.lookback_sessions + STANDING
    needed = [one for one in RETURNS if one["session"] >= DAYS[2]]
    short = [one for one in RETURNS if one["session"] >= DAYS[3]]
    made = [of(run(found(DAYS, "a"), rows, DAYS, GRID), DAYS[6])["a"] for rows in (needed, short)]
    assert [row["reason"] for row in made] == [None, "annual_volatility"]
