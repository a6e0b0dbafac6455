"""A meta's weights: bounds, evidence, what is held when there is too little of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

import numpy as np
import polars as pl
import pytest

from quant_platform.lakehouse.contracts.meta import META_RETURNS, META_WEIGHTS
from quant_platform.portfolio.covariance import Evidence
from quant_platform.portfolio.limits import Limits
from quant_platform.portfolio.meta_weights import meta_weights, meta_weights_windows
from quant_platform.portfolio.profiles import decide
from quant_platform.settings.portfolio import MetaBoundSettings, MetaSettings
from quant_platform_tests.portfolio.metas import META, PROFILES, SESSIONS, joined, sleeves
from quant_platform_tests.portfolio.stages import materialise

RETURNS = joined(sleeves())
GRID = (SESSIONS[3], SESSIONS[25], SESSIONS[46], SESSIONS[67], SESSIONS[88])


def weighed(
    returns: pl.DataFrame = RETURNS,
    sessions: Sequence[date] = SESSIONS,
    *,
    settings: MetaSettings = META,
    grid: Collection[date] = GRID,
    chunk: int = 10_000,
) -> pl.DataFrame:
    return materialise(
        lambda frames, wanted: meta_weights(frames, settings, wanted, grid),
        meta_weights_windows(settings),
        {"returns": returns},
        META_WEIGHTS,
        sessions,
        history=SESSIONS[0],
        chunk=chunk,
    )


def at(frame: pl.DataFrame, session: date, profile: str) -> pl.DataFrame:
    return frame.filter((pl.col("session") == session) & (pl.col("profile") == profile))


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_sees_its_own_streams_on_the_last_joint_sessions(profile: str) -> None:
    day = GRID[3]
    own = RETURNS.filter((pl.col("profile") == profile) & (pl.col("session") <= day))
    matrix = (
        own.pivot("sleeve", index="session", values="net")
        .sort("session")
        .tail(META.train)
        .select(META.members)
        .to_numpy()
    )
    found = Evidence.of(np.ascontiguousarray(matrix), META.min_joint)
    expected = decide(profile, found, Limits.alike(3, 0.05, 0.5), META.hrp)
    made = at(weighed(), day, profile)
    assert made["sleeve"].to_list() == ["crypto", "etfs", "stocks"]
    np.testing.assert_array_equal(made["weight"].to_numpy(), expected.weights)
    assert set(made["actual"]) == {expected.actual}
    assert set(made["joint_sessions"]) == {META.train}
    # Other profiles' streams are of no account.
    others = RETURNS.with_columns(
        net=pl.when(pl.col("profile") == profile).then("net").otherwise(pl.col("net") * -5)
    )
    assert at(weighed(others), day, profile).equals(made)


def test_bounds_are_exact() -> None:
    made = weighed()
    decided = made.filter(pl.col("session") == pl.col("decided_on"))
    assert decided["weight"].min() >= 0.05
    assert decided["weight"].max() <= 0.5
    sums = decided.group_by("session", "profile").agg(pl.col("weight").sum())
    assert (sums["weight"] - 1).abs().max() < 1e-9
    # The bounds bind: the quiet sleeve is at its ceiling, and hrp had to be moved there.
    assert 0.5 in at(made, GRID[3], "min_variance")["weight"].to_list()
    assert made["actual"].str.starts_with("hrp+projected:").any()


def test_two_sleeves_under_a_ceiling_of_a_half_are_half_and_half() -> None:
    pair = MetaSettings(name="meta", members=("stocks", "crypto"), train=30, min_joint=20)
    made = weighed(settings=pair)
    assert made["weight"].unique().to_list() == [0.5]


def test_before_there_is_evidence_the_sleeves_share_equally() -> None:
    made = weighed()
    assert made["session"].min() == GRID[0]
    for profile in PROFILES:
        first = at(made, GRID[0], profile)
        assert first["weight"].to_list() == [1 / 3] * 3
        assert set(first["actual"]) == {"equal_weight"}
        assert set(first["requested"]) == {profile}
        # The first session of history has no joint stream.
        assert set(first["joint_sessions"]) == {3}


def test_a_short_window_says_so() -> None:
    made = weighed()
    assert set(at(made, GRID[1], "min_variance")["actual"]) == {"min_variance+rows:25"}
    assert set(at(made, GRID[1], "equal_weight")["actual"]) == {"equal_weight"}


def test_with_too_few_joint_sessions_the_last_weights_are_held() -> None:
    """Streams end: of the sessions up to the second decision eleven are joint."""
    settings = META.model_copy(update={"min_joint": 20})
    made = weighed(
        RETURNS.filter(~pl.col("session").is_between(SESSIONS[12], SESSIONS[99])),
        settings=settings,
        grid=(SESSIONS[5], SESSIONS[60]),
    )
    held, before = at(made, SESSIONS[60], "hrp"), at(made, SESSIONS[59], "hrp")
    assert held["weight"].to_list() == before["weight"].to_list()
    assert set(held["decided_on"]) == {SESSIONS[5]}
    assert set(held["actual"]) == {"held: 11 of 20 joint sessions"}
    assert set(held["joint_sessions"]) == {11}


def test_joint_sessions_are_sought_in_three_times_train() -> None:
    settings = META.model_copy(update={"train": 10, "min_joint": 5})
    window = meta_weights_windows(settings)["returns"]
    assert window.lookback == 29
    day = SESSIONS[60]
    position = SESSIONS.index(day)
    edge = [*SESSIONS[position - 29 : position - 25], day]
    enough = weighed(RETURNS.filter(pl.col("session").is_in(edge)), settings=settings, grid=(day,))
    assert set(at(enough, day, "min_variance")["actual"]) == {"min_variance+rows:5"}
    beyond = [*SESSIONS[position - 30 : position - 26], day]
    lacking = weighed(
        RETURNS.filter(pl.col("session").is_in(beyond)), settings=settings, grid=(day,)
    )
    assert set(at(lacking, day, "min_variance")["actual"]) == {"equal_weight"}
    assert set(at(lacking, day, "min_variance")["joint_sessions"]) == {4}


def test_a_session_that_lacks_a_sleeve_is_not_joint() -> None:
    lacking = (pl.col("session") == SESSIONS[50]) & (pl.col("sleeve") == "etfs")
    made, without = (
        weighed(RETURNS.filter(rule)) for rule in (~lacking, pl.col("session") != SESSIONS[50])
    )
    assert made.equals(without)
    assert not made.equals(weighed())


def test_wider_bounds_leave_more_to_the_method() -> None:
    wide = META.model_copy(update={"bounds": MetaBoundSettings(lower=0.0, upper=1.0)})
    made = at(weighed(settings=wide), GRID[3], "min_variance")
    assert made["weight"].max() > 0.5


@pytest.mark.parametrize("chunk", [1, 11, 40])
def test_a_range_has_the_bytes_of_its_parts(chunk: int) -> None:
    assert weighed(chunk=chunk).equals(weighed())


def test_what_is_known_later_changes_nothing() -> None:
    later = pl.col("session") > GRID[2]
    spoilt = META_RETURNS.validate(
        "meta/returns",
        RETURNS.filter(~later | (pl.col("sleeve") != "etfs")).with_columns(
            before=pl.lit(0.0),
            net=pl.when(later).then(0.3).otherwise("net"),
            after=pl.when(later).then(0.3).otherwise("net"),
        ),
    )
    upto = pl.col("session") <= GRID[2]
    assert weighed(spoilt).filter(upto).equals(weighed().filter(upto))
    assert not weighed(spoilt).equals(weighed())
