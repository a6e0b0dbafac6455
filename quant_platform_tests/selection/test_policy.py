"""Decisions, what is carried between them, and the laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from math import sqrt
from statistics import fmean, stdev
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.market.returns import session_returns
from quant_platform.selection.evidence import STANDING, YEAR
from quant_platform.selection.policy import selection_windows
from quant_platform.settings.returns import ReturnsSettings
from quant_platform.settings.risk_features import SleeveBenchmark
from quant_platform.settings.selection import SelectionSettings
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS, bar, span
from quant_platform_tests.market.actions import action
from quant_platform_tests.selection.naive import (
    AROUND,
    PERIODS,
    SETTINGS,
    Rows,
    apart,
    bars_of,
    figures,
    found,
    path,
    product_score,
    returned,
    run,
    standard_moment,
    table,
    tail,
)

HISTORY = SESSIONS[:36]
DAYS = HISTORY[20:]
"""After as many returns as moments and tails need."""
GRID = {DAYS[6], DAYS[11]}
NAMES = "abcd"
RETURNS = [one for seed, name in enumerate(NAMES) for one in path(name, HISTORY, seed)]


RELAXED = SETTINGS.model_copy(update={"winners_floor": 2})
"""Somebody wins although a history of days has no moments."""


def of(made: pl.DataFrame, session: date) -> dict[str, dict[str, Any]]:
    """Rows of one session by security."""
    rows = made.filter(pl.col("session") == session).to_dicts()
    return {row["security_id"]: row for row in rows}


def selected(made: pl.DataFrame, session: date) -> set[str]:
    return {name for name, row in of(made, session).items() if row["selected"]}


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


# -- vetoes ----------------------------------------------------------------------------------------


def vetoes_of(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Vetoes and cuts of a row by rule."""
    return {veto["rule"]: veto for veto in row["vetoes"]}


def limited(**changes: Any) -> SelectionSettings:
    """Return the settings of these tests with other limits of vetoes."""
    vetoes = SETTINGS.vetoes.model_copy(update=changes)
    return SETTINGS.model_copy(update={"vetoes": vetoes})


def test_a_volatile_candidate_is_vetoed_whatever_its_score_and_leaves_the_others_scores() -> None:
    wild = [returned("w", day, 0.4 if number % 2 else 0.1) for number, day in enumerate(HISTORY)]
    lenient = limited(annual_volatility=9.0, roc_above=1e9)
    strict = limited(roc_above=1e9)
    every = found(DAYS, NAMES + "w"), [*RETURNS, *wild], DAYS, GRID
    made = of(run(*every, settings=strict), DAYS[6])
    vetoed = made.pop("w")
    assert vetoed["rank"] == 1
    assert (vetoed["passed"], vetoed["selected"]) == (False, False)
    assert vetoed["reason"] == "annual_volatility"
    veto = vetoes_of(vetoed)["annual_volatility"]
    assert veto["fired"]
    assert veto["value"] > veto["threshold"] == 2.5
    assert "winners_max" not in vetoes_of(vetoed)
    assert sorted(row["rank"] for row in made.values()) == [2, 3, 4, 5]
    again = of(run(*every, settings=lenient), DAYS[6])
    assert again["w"]["selected"]
    assert {name: again[name]["score"] for name in made} == {
        name: row["score"] for name, row in made.items()
    }


def test_volatility_at_the_threshold_is_no_veto() -> None:
    _, volatility = figures(RETURNS, "a", DAYS[2:7]) or (0.0, 0.0)
    for threshold, fired in ((volatility * (1 + 1e-9), False), (volatility * (1 - 1e-9), True)):
        strict = limited(annual_volatility=threshold)
        made = of(run(found(DAYS, "a"), RETURNS, DAYS, GRID, settings=strict), DAYS[6])
        assert vetoes_of(made["a"])["annual_volatility"]["fired"] == fired


@pytest.mark.parametrize(
    ("rule", "features"),
    [
        ("entropy", {"permutation_entropy_place": 0.95}),
        ("entropy", {"permutation_entropy_place": None}),
        ("efficiency", {"efficiency_place": 0.05}),
        ("hurst", {"hurst_place": 0.52}),
        ("hurst", {"hurst_place": 0.48}),
        ("stale", {"zero_volume_20": 6.0}),
        ("stale", {"zero_volume_20": None}),
    ],
)
def test_a_feature_on_the_wrong_side_vetoes_and_so_does_a_missing_one(
    rule: str, features: Mapping[str, float | None]
) -> None:
    made = of(run(found(DAYS, NAMES), RETURNS, DAYS, GRID, features={"a": features}), DAYS[6])
    assert made["a"]["reason"] == rule
    assert not made["a"]["passed"]
    (told,) = features.values()
    value = told if rule != "hurst" or told is None else abs(2 * told - 1)
    assert vetoes_of(made["a"])[rule]["value"] == (value if value is None else pytest.approx(value))
    assert all(row["passed"] for name, row in made.items() if name != "a")


def test_the_random_walk_of_the_benchmark_is_exempt() -> None:
    market = SleeveBenchmark(sleeve="x", security_id="a")
    walks = {name: {"hurst_place": 0.5} for name in "ab"}
    exempt = replace(AROUND, benchmark=market)
    made = of(run(found(DAYS, NAMES), RETURNS, DAYS, GRID, features=walks, around=exempt), DAYS[6])
    assert "hurst" not in vetoes_of(made["a"])
    assert made["a"]["passed"]
    assert made["b"]["reason"] == "hurst"


def test_who_loses_persistently_is_toxic_and_who_gains_is_not() -> None:
    persistent = {name: {"hurst_place": 0.97} for name in NAMES}
    made = of(run(found(DAYS, NAMES), RETURNS, DAYS, GRID, features=persistent), DAYS[6])
    fell = {n for n in NAMES if (figures(RETURNS, n, DAYS[2:7]) or (0.0, 0.0))[0] < 0}
    assert set() < fell < set(NAMES)
    assert {name for name, row in made.items() if row["reason"] == "toxic"} == fell
    assert {vetoes_of(made[name])["toxic"]["value"] for name in set(NAMES) - fell} == {0.0}


def test_the_literal_presets_judge_the_statistic_itself() -> None:
    literal = limited(preset="literal_crypto")
    noisy = {"a": {"permutation_entropy": 0.9995, "permutation_entropy_place": 0.1}}
    made = of(
        run(found(DAYS, NAMES), RETURNS, DAYS, GRID, features=noisy, settings=literal), DAYS[6]
    )
    assert made["a"]["reason"] == "entropy"
    assert vetoes_of(made["a"])["entropy"]["threshold"] == 0.999
    zone = {"a": {"hurst": 0.515, "hurst_place": 0.9}, "b": {"hurst": 0.525, "hurst_place": 0.5}}
    made = of(
        run(found(DAYS, NAMES), RETURNS, DAYS, GRID, features=zone, settings=literal), DAYS[6]
    )
    assert (made["a"]["reason"], made["b"]["passed"]) == ("hurst", True)


def test_predictability_may_be_switched_off() -> None:
    noise = {name: {"permutation_entropy_place": 1.0, "hurst_place": 0.5} for name in NAMES}
    off = limited(predictability=False)
    made = of(run(found(DAYS, NAMES), RETURNS, DAYS, GRID, features=noise, settings=off), DAYS[6])
    assert all(row["passed"] for row in made.values())
    assert not {"entropy", "efficiency", "hurst", "toxic"} & vetoes_of(made["a"]).keys()


def test_the_impact_of_a_year_is_held_against_the_momentum() -> None:
    """A million of what trades a hundred millions, 12.6 times a year there and back."""
    made = of(
        run(found(DAYS, NAMES), RETURNS, DAYS, GRID, settings=limited(eci_hurdle=0.02)), DAYS[6]
    )
    for name in NAMES:
        totals = {o["session"]: o["total"] for o in RETURNS if o["security_id"] == name}
        values = [totals[day] for day in DAYS[2:7]]
        left = fmean(values) * PERIODS - 12.6 * 2 * stdev(values) * sqrt(1e6 / 1e8)
        veto = vetoes_of(made[name])["eci"]
        assert veto["value"] == pytest.approx(left, rel=1e-9)
        assert veto["fired"] == (left < 0.02)
    assert {vetoes_of(row)["eci"]["fired"] for row in made.values()} == {True, False}


def announced(security: str, day: date, known: date) -> dict[str, Any]:
    """Return one expected announcement, as it became known."""
    return {
        "knowledge_session": known,
        "security_id": security,
        "period": "2022Q1",
        "known_at": CALENDAR.close(known),
        "known_at_basis": "observed",
        "announced_on": day,
        "timing": "post",
        "status": "expected",
        "estimate": None,
        "actual": None,
    }


@pytest.mark.parametrize(
    ("away", "known", "fires"),
    [(3, 0, True), (4, 0, False), (0, 0, True), (-1, 0, True), (-2, 0, False), (3, 7, False)],
)
def test_nothing_is_bought_around_an_announcement_that_was_known(
    away: int, known: int, fires: bool
) -> None:
    told = [announced("a", DAYS[6 + away], DAYS[known])]
    made = of(
        run(found(DAYS, NAMES), RETURNS, DAYS, GRID, earnings=table("earnings", told)), DAYS[6]
    )
    assert vetoes_of(made["a"])["earnings_blackout"]["fired"] == fires
    assert made["a"]["announcement_in"] == (away if known == 0 else None)
    assert not vetoes_of(made["b"])["earnings_blackout"]["fired"]


def test_a_revised_announcement_counts_as_revised_from_then_on() -> None:
    told = [announced("a", DAYS[7], DAYS[0]), announced("a", DAYS[13], DAYS[5])]
    made = run(found(DAYS, NAMES), RETURNS, DAYS, GRID, earnings=table("earnings", told))
    assert of(made, DAYS[6])["a"]["announcement_in"] == 7
    assert of(made, DAYS[11])["a"]["reason"] == "earnings_blackout"


def test_where_nobody_tells_announcements_or_ticks_they_are_not_asked() -> None:
    made = of(run(found(DAYS, NAMES), RETURNS, DAYS, GRID), DAYS[6])
    asked = vetoes_of(made["a"])
    assert not {"earnings_blackout", "metadata", "gold_fidelity", "survival"} & asked.keys()


def listed(security: str, tick: float | None, lot: float | None, **more: Any) -> dict[str, Any]:
    """Return the description of a security."""
    return {
        "knowledge_session": DAYS[0],
        "security_id": security,
        "known_at": CALENDAR.close(DAYS[0]),
        "known_at_basis": "observed",
        "symbol": f"NYSE:{security.upper()}",
        "name": security,
        "exchange": "NYSE",
        "asset_class": "etf",
        "listed_on": DAYS[0],
        "tick": tick,
        "lot": lot,
        **more,
    }


def test_who_lacks_tick_or_lot_is_vetoed_where_others_have_them() -> None:
    told = [
        listed("a", 0.01, 1.0),
        listed("b", None, 1.0),
        listed("c", 0.01, None),
        listed("d", None, None),
    ]
    made = of(
        run(found(DAYS, NAMES), RETURNS, DAYS, GRID, securities=table("securities", told)), DAYS[6]
    )
    assert {name: vetoes_of(row)["metadata"]["value"] for name, row in made.items()} == {
        "a": 0.0,
        "b": 1.0,
        "c": 1.0,
        "d": 2.0,
    }
    assert {name for name, row in made.items() if row["reason"] == "metadata"} == set("bcd")


def test_of_one_thing_in_two_wrappings_the_plain_one_wins_whatever_the_scores() -> None:
    twins = apart(found(DAYS, "ab"), {"a": ("silver", 2.0), "b": ("silver", 1.0)})
    shown = {"a": {"adx_14": 80.0}}
    made = of(run(found(DAYS, "ab"), RETURNS, DAYS, GRID, clusters=twins, features=shown), DAYS[6])
    assert made["b"]["selected"]
    assert made["a"]["reason"] == "identity"


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
        assert vetoes_of(row)["annual_volatility"] == {
            "rule": "annual_volatility",
            "fired": True,
            "value": None,
            "threshold": 2.5,
        }, name
        assert (row["score"], row["rank"], row["selected"]) == (None, None, False)
        assert row["reason"] == ("delisted" if name == "unknown" else "annual_volatility")
    later = of(run(candidates, returns, DAYS, GRID), DAYS[11])
    assert {name for name, row in later.items() if row["score"] is not None} == {"young"}


def volatility_of(made: pl.DataFrame, security: str, session: date) -> float | None:
    asked = vetoes_of(of(made, session)[security])
    value: float | None = asked["annual_volatility"]["value"]
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
    assert stdev(totals) * sqrt(PERIODS) > SETTINGS.vetoes.annual_volatility


def test_a_split_inside_the_evidence_changes_nothing() -> None:
    after = pl.col("session") >= DAYS[5]
    bars = table("bars", bars_of(RETURNS)).with_columns(
        pl.when(after).then(pl.col(name) / 4).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )
    actions = [action(name, DAYS[5], 4.0) for name in NAMES]
    plain = run(found(DAYS, NAMES), RETURNS, DAYS, GRID)
    made = run(found(DAYS, NAMES), RETURNS, DAYS, GRID, bars=bars.to_dicts(), actions=actions)
    numbers = ("vetoes", "components", "score")
    assert made.drop(numbers).equals(plain.drop(numbers))
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
    assert (gone["selected"], gone["rank"], gone["reason"]) == (False, 1, "delisted")
    assert gone["vetoes"][0] == {
        "rule": "delisted",
        "fired": True,
        "value": 1.0,
        "threshold": 0.0,
    }
    assert len(selected(made, DAYS[6])) == SETTINGS.winners_max
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
