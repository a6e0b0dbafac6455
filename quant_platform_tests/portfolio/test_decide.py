"""Target weights: who is weighed from what, what is carried, and what may not be seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl
import pytest

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts.weights import WEIGHTS
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.portfolio.covariance import Evidence
from quant_platform.portfolio.decide import decide_weights, weights_windows
from quant_platform.portfolio.limits import Limits
from quant_platform.portfolio.profiles import decide
from quant_platform.settings.portfolio import ProfilesSettings
from quant_platform_tests.portfolio.stages import (
    DAYS,
    NYSE,
    Run,
    handed,
    materialise,
    selected,
    walks,
    without,
)

SESSIONS = NYSE.between(date(2024, 1, 2), date(2024, 6, 28))
GRID = SESSIONS[70::15]
NAMES = tuple("abcdefgh")
RETURNS = walks(NAMES, SESSIONS, 1)
SETTINGS = ProfilesSettings()
SELECTION = selected(
    {
        GRID[0]: NAMES[:6],
        GRID[1]: NAMES[2:],
        GRID[2]: (),
        GRID[3]: NAMES[1:3],
    },
    refused=["z"],
)


def decided(
    sessions: Sequence[date] = SESSIONS,
    *,
    returns: pl.DataFrame = RETURNS,
    selection: pl.DataFrame = SELECTION,
    settings: ProfilesSettings = SETTINGS,
    grid: Collection[date] = tuple(GRID),
    chunk: int = 10_000,
    calendar: SessionCalendar = NYSE,
    history: date = SESSIONS[0],
    run: Run | None = None,
) -> pl.DataFrame:
    return materialise(
        run or (lambda frames, wanted: decide_weights(frames, settings, wanted, grid)),
        weights_windows(settings),
        {"selection": selection, "returns": returns},
        WEIGHTS,
        sessions,
        calendar=calendar,
        history=history,
        chunk=chunk,
    )


def at(frame: pl.DataFrame, session: date, profile: str) -> pl.DataFrame:
    return frame.filter((pl.col("session") == session) & (pl.col("profile") == profile))


WHOLE = decided()


@pytest.mark.parametrize("profile", SETTINGS.profiles)
def test_a_decision_sees_exactly_the_last_sessions(profile: str) -> None:
    """Sixty returns that end with the session itself, of the selected names and no others."""
    window = SESSIONS[SESSIONS.index(GRID[1]) - 59 : SESSIONS.index(GRID[1]) + 1]
    columns = [
        RETURNS.filter((pl.col("security_id") == name) & pl.col("session").is_in(window))["total"]
        for name in NAMES[2:]
    ]
    matrix = np.stack([column.to_numpy() for column in columns], axis=1)
    assert matrix.shape == (60, 6)
    bounds = Limits.alike(6, 0.0, 0.25)
    expected = decide(profile, Evidence.of(matrix, 40), bounds, SETTINGS.hrp)
    made = at(WHOLE, GRID[1], profile)
    assert made["security_id"].to_list() == list(NAMES[2:])
    np.testing.assert_array_equal(made["weight"].to_numpy(), expected.weights)
    assert made["actual"].unique().to_list() == [expected.actual]
    assert made["requested"].unique().to_list() == [profile]
    assert made["decided_on"].unique().to_list() == [GRID[1]]


def test_targets_are_carried_as_they_are() -> None:
    day = GRID[0]
    later = SESSIONS[SESSIONS.index(day) + 14]
    assert later < GRID[1]
    columns = [name for name in WEIGHTS.columns if name != "session"]
    first, last = (WHOLE.filter(pl.col("session") == d).select(columns) for d in (day, later))
    assert first.equals(last)
    assert first.height == 3 * 6


def test_without_a_selection_there_are_no_targets() -> None:
    sessions = WHOLE["session"].unique().to_list()
    assert min(sessions) == GRID[0]
    none = [day for day in SESSIONS if GRID[2] <= day < GRID[3]]
    assert none
    assert not set(none) & set(sessions)
    assert at(WHOLE, GRID[3], "equal_weight")["weight"].to_list() == [0.5, 0.5]


def test_the_cap_and_the_sum() -> None:
    for (session, profile), part in WHOLE.group_by("session", "profile"):
        assert part["weight"].sum() == pytest.approx(1, abs=1e-12), (session, profile)
        assert part["weight"].to_numpy().max() <= max(0.25, 1 / part.height) + 1e-15
    assert WHOLE["actual"].str.starts_with("hrp+projected:").any()


def test_one_name_gets_everything() -> None:
    made = decided(selection=selected({GRID[0]: ["a"]}))
    assert made.filter(pl.col("session") == GRID[0])["weight"].to_list() == [1.0] * 3


def test_a_name_that_leaves_has_no_target_from_that_session_on() -> None:
    gone = SESSIONS[SESSIONS.index(GRID[0]) + 5]
    made = decided(returns=without(RETURNS, "b", leaves=gone))
    kept = made.filter(pl.col("security_id") == "b")["session"].unique().to_list()
    assert max(day for day in kept if day < GRID[1]) < gone
    assert at(made, gone, "hrp").height == 5
    assert at(made, gone, "hrp")["weight"].sum() < 1
    # On a grid session it is not weighed, although it was selected.
    made = decided(returns=without(RETURNS, "b", leaves=GRID[0]))
    assert at(made, GRID[0], "equal_weight")["security_id"].to_list() == list("acdef")
    assert at(made, GRID[0], "equal_weight")["weight"].sum() == pytest.approx(1)
    alone = decided(
        returns=without(RETURNS, "b", leaves=GRID[0]), selection=selected({GRID[0]: ["b"]})
    )
    assert alone.is_empty()


def test_a_young_name_is_left_out_of_the_risk_profiles_and_says_so() -> None:
    born = SESSIONS[SESSIONS.index(GRID[0]) - 38]
    made = decided(returns=without(RETURNS, "c", since=born))
    young = made.filter((pl.col("session") == GRID[0]) & (pl.col("security_id") == "c"))
    told = {row["profile"]: (row["weight"], row["actual"]) for row in young.to_dicts()}
    left_out = (0.0, "left_out: 39 returns in 60 sessions")
    assert told["hrp"] == told["min_variance"] == left_out
    assert told["equal_weight"] == (1 / 6, "equal_weight")
    assert set(young["requested"]) == set(SETTINGS.profiles)
    others = at(made, GRID[0], "min_variance").filter(pl.col("security_id") != "c")
    assert others["weight"].sum() == pytest.approx(1)
    # With one session more it is in, and the window is as short as its history.
    older = SESSIONS[SESSIONS.index(born) - 1]
    made = decided(returns=without(RETURNS, "c", since=older))
    assert set(at(made, GRID[0], "min_variance")["actual"]) == {"min_variance+rows:40"}


def test_too_few_names_with_returns_for_the_cap_fall_back_to_equal_weight() -> None:
    """Three names of six have returns; three times a quarter is not one."""
    born = SESSIONS[SESSIONS.index(GRID[0]) - 10]
    returns = RETURNS
    for name in "def":
        returns = without(returns, name, since=born)
    made = at(decided(returns=returns), GRID[0], "hrp")
    assert made["weight"].to_list() == [1 / 6] * 6
    assert set(made["actual"]) == {"equal_weight"}
    assert set(made["requested"]) == {"hrp"}


def test_prices_that_never_move_fall_back_to_equal_weight_for_every_name() -> None:
    flat = RETURNS.with_columns(before=pl.lit(0.0), after=pl.lit(0.0), total=pl.lit(0.0))
    made = at(decided(returns=without(flat, "a", since=GRID[0])), GRID[0], "min_variance")
    assert made["weight"].to_list() == [1 / 6] * 6
    assert set(made["actual"]) == {"equal_weight"}


def test_a_crypto_sleeve_decides_on_the_day_of_a_grid_session() -> None:
    """The grid is counted in NYSE sessions, the look-back in the sleeve's own days."""
    days = DAYS.between(SESSIONS[0], SESSIONS[-1])
    returns = walks(NAMES, days, 2)
    friday = next(day for day in GRID if day.isoweekday() == 5)
    made = decided(
        days,
        returns=returns,
        selection=selected({friday: NAMES[:5]}),
        grid=[friday],
        calendar=DAYS,
    )
    assert made["session"].min() == friday
    assert set(made["decided_on"]) == {friday}
    saturday = at(made, DAYS.offset(friday, 1), "hrp")
    assert saturday.height == 5
    window = DAYS.between(DAYS.offset(friday, -59), friday)
    matrix = (
        returns.filter(pl.col("session").is_in(window) & pl.col("security_id").is_in(NAMES[:5]))
        .pivot("security_id", index="session", values="total")
        .sort("session")
        .drop("session")
        .to_numpy()
    )
    found = Evidence.of(np.ascontiguousarray(matrix), 40)
    expected = decide("hrp", found, Limits.alike(5, 0.0, 0.25), SETTINGS.hrp)
    np.testing.assert_array_equal(saturday["weight"].to_numpy(), expected.weights)


@pytest.mark.parametrize("chunk", [1, 8, 50])
def test_a_range_has_the_bytes_of_its_parts(chunk: int) -> None:
    sessions = SESSIONS[65:]
    returns = without(RETURNS, "d", leaves=SESSIONS[80])
    whole = decided(sessions, returns=returns)
    assert decided(sessions, returns=returns, chunk=chunk).equals(whole)


def test_the_order_of_the_rows_changes_nothing() -> None:
    shuffled = {
        "selection": SELECTION.sample(fraction=1, shuffle=True, seed=1),
        "returns": RETURNS.sample(fraction=1, shuffle=True, seed=2),
    }
    assert decided(**shuffled).equals(WHOLE)


def sees_the_future(run: Run | None = None) -> bool:
    """Whether targets of a session move when what comes after it is another story."""
    day = GRID[1]
    later = pl.col("session") > day
    other = RETURNS.with_columns(
        total=pl.when(later).then(pl.col("total") * -3).otherwise("total"),
        delisted=pl.when(later).then(pl.lit(value=True)).otherwise("delisted"),
        before=pl.when(later).then(0.0).otherwise("before"),
        after=pl.when(later).then(pl.col("total") * -3).otherwise("after"),
    )
    other = other.with_columns(after=(1 + pl.col("total")) / (1 + pl.col("before")) - 1)
    selection = SELECTION.with_columns(selected=pl.when(later).then(False).otherwise("selected"))
    upto = pl.col("session") <= day
    plain = decided(run=run).filter(upto)
    return not decided(returns=other, selection=selection, run=run).filter(upto).equals(plain)


def test_what_is_known_later_changes_nothing() -> None:
    assert not sees_the_future()


def test_the_check_catches_a_decision_that_sees_tomorrow() -> None:
    def tomorrow(frames: Mapping[str, pl.LazyFrame], wanted: object) -> pl.DataFrame:
        shifted = pl.col("total").shift(-1).over("security_id", order_by="session")
        returns = frames["returns"].with_columns(total=shifted.fill_null(pl.col("total")))
        return decide_weights({**frames, "returns": returns}, SETTINGS, wanted, GRID)

    assert sees_the_future(tomorrow)


def test_the_window_reaches_what_the_look_back_needs_and_no_further() -> None:
    window = weights_windows(SETTINGS)["returns"]
    wanted = SessionRange(NYSE, (GRID[0],), SESSIONS[0])
    loaded = handed(RETURNS, window, wanted).collect()["session"].unique().sort().to_list()
    assert loaded == SESSIONS[SESSIONS.index(GRID[0]) - 59 : SESSIONS.index(GRID[0]) + 1]
