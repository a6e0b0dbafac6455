"""Every veto fires on who it is for, and on nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from math import sqrt
from statistics import fmean, stdev
from typing import Any

import polars as pl
import pytest

from quant_platform.market.returns import session_returns
from quant_platform.selection.evidence import STANDING
from quant_platform.settings.returns import ReturnsSettings
from quant_platform.settings.risk_features import SleeveBenchmark
from quant_platform.settings.selection import SelectionSettings
from quant_platform_tests.lakehouse.small_lake import CALENDAR, bar, span
from quant_platform_tests.market.actions import action
from quant_platform_tests.selection.market import (
    DAYS,
    GRID,
    HISTORY,
    NAMES,
    RETURNS,
    of,
    selected,
    vetoes_of,
)
from quant_platform_tests.selection.naive import (
    AROUND,
    PERIODS,
    SETTINGS,
    apart,
    bars_of,
    figures,
    found,
    path,
    returned,
    run,
    table,
)


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
