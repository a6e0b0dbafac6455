"""Who wins: cuts, stages of the relaxation, and what none of them goes past."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from quant_platform.selection.veto import relaxed
from quant_platform.selection.winners import chosen, most_of_cluster
from quant_platform.settings.selection import SelectionSettings
from quant_platform.settings.vetoes import PRESETS

SCHEMA = {
    "security_id": pl.String,
    "cluster": pl.UInt32,
    "direction": pl.String,
    "identity": pl.String,
    "geared": pl.Float64,
    "most": pl.Int64,
    "score": pl.Float64,
    "passed": pl.Boolean,
    "barred": pl.Boolean,
    "passed_relaxed": pl.Boolean,
    "heard": pl.Boolean,
}


def candidate(name: str, cluster: int = 1, **changed: Any) -> dict[str, Any]:
    """Return one that no veto stopped, on its own identity."""
    plain = {
        "security_id": name,
        "cluster": cluster,
        "direction": "long",
        "identity": name,
        "geared": 0.0,
        "most": 2,
        "score": 1.0,
        "passed": True,
        "barred": False,
        "heard": True,
    }
    made = plain | changed
    return made | {"passed_relaxed": changed.get("passed_relaxed", made["passed"])}


def won(*candidates: dict[str, Any], floor: int = 0, most: int = 25) -> dict[str, str]:
    """Winners by name with their stage; candidates are given best first."""
    settings = SelectionSettings(winners_max=most, winners_floor=floor)
    made = chosen(pl.DataFrame(list(candidates), schema=SCHEMA), settings)
    return dict(made.drop_nulls("admitted").select("security_id", "admitted").iter_rows())


VETOED = {"passed": False}


def test_each_cluster_and_direction_has_its_best() -> None:
    found = won(
        candidate("a"),
        candidate("b"),
        candidate("c"),
        candidate("d", direction="short"),
        candidate("e", 2),
    )
    assert found == dict.fromkeys("abde", "strict")


def test_the_plain_member_of_an_identity_wins_whatever_its_score_and_cluster() -> None:
    twins = {"identity": "silver"}
    found = won(candidate("twice", **twins, geared=1.0), candidate("plain", 2, **twins))
    assert found == {"plain": "strict"}
    alike = won(candidate("better", **twins), candidate("worse", 2, **twins))
    assert alike == {"better": "strict"}


def test_a_plain_member_that_was_vetoed_does_not_stand_in_the_way() -> None:
    twins = {"identity": "silver"}
    found = won(candidate("twice", **twins, geared=1.0), candidate("plain", **twins, **VETOED))
    assert found == {"twice": "strict"}


def test_no_more_win_than_may() -> None:
    assert won(*(candidate(n, i) for i, n in enumerate("abc", 1)), most=2, floor=0) == {
        "a": "strict",
        "b": "strict",
    }


def test_a_floor_of_nothing_never_relaxes() -> None:
    assert won(candidate("a", **VETOED), candidate("b", 2)) == {"b": "strict"}


def test_the_stages_come_in_their_order_and_stop_at_the_floor() -> None:
    every = (
        candidate("noise", 3, **VETOED, heard=False),
        candidate("vetoed", 1, **VETOED),
        candidate("strict", 1),
        candidate("softer", 2, **VETOED, passed_relaxed=True),
        candidate("empty", 4, **VETOED),
        candidate("barred", 5, **VETOED, barred=True),
    )
    stages = [
        {"strict": "strict"},
        {"softer": "relaxed"},
        {"empty": "representative"},
        {"noise": "fill"},
        {"vetoed": "fill"},
    ]
    expected: dict[str, str] = {}
    for floor, added in enumerate(stages, start=1):
        expected |= added
        assert won(*every, floor=floor) == expected
    assert won(*every, floor=6) == expected


def test_who_passed_and_was_cut_fills_before_who_was_vetoed() -> None:
    found = won(candidate("vetoed", 1, **VETOED), *(candidate(name, 1) for name in "abc"), floor=3)
    assert found == {"a": "strict", "b": "strict", "c": "fill"}


def test_no_stage_takes_an_identity_twice() -> None:
    gold = {"identity": "gold"}
    found = won(
        candidate("a", 1, **gold),
        candidate("b", 2, **gold, **VETOED, passed_relaxed=True),
        candidate("c", 3, **gold, **VETOED),
        floor=3,
    )
    assert found == {"a": "strict"}


@pytest.mark.parametrize("softly", [True, False], ids=["relaxed", "representative"])
def test_no_twin_takes_the_place_of_a_plain_one_that_was_cut(softly: bool) -> None:
    """An inverse fund is in another cluster than its plain one, in which there is room."""
    silver = {"identity": "silver"}
    inverse = candidate("inverse", 2, passed=False, passed_relaxed=softly, geared=2.0, **silver)
    strict = candidate("a"), candidate("b")
    found = won(*strict, inverse, candidate("plain", **silver), floor=3)
    assert found == {"a": "strict", "b": "strict", "plain": "fill"}
    stage = "relaxed" if softly else "representative"
    for vetoed in ([], [candidate("plain", **silver, **VETOED)]):
        assert won(*strict, inverse, *vetoed, floor=3)["inverse"] == stage


def test_a_relaxed_winner_still_counts_in_its_cluster() -> None:
    soft = {"passed": False, "passed_relaxed": True}
    found = won(
        candidate("a"), candidate("b", **soft), candidate("c", **soft), candidate("d", 2), floor=4
    )
    assert found == {"a": "strict", "b": "relaxed", "d": "strict", "c": "fill"}


@pytest.mark.parametrize(
    ("correlation", "expected"), [(None, 3), (0.9, 1), (0.6, 2), (0.3, 3), (1.0, 1)]
)
def test_a_cluster_that_moves_together_has_fewer_winners(
    correlation: float | None, expected: int
) -> None:
    """max(1, round(3 (1 - rho) + 0.5)), by hand."""
    assert most_of_cluster(correlation, SelectionSettings()) == expected
    still = SelectionSettings(dynamic_selection=False)
    assert most_of_cluster(correlation, still) == 3


def test_limits_relax_as_chapter_04_says() -> None:
    softer = relaxed(PRESETS["calibrated"])
    assert (softer.entropy, softer.efficiency, softer.hurst) == pytest.approx((0.95, 0.05, 0.05))
    literal = relaxed(PRESETS["literal_tradfi"])
    assert (literal.entropy, literal.efficiency) == pytest.approx((1.14, 0.08))
