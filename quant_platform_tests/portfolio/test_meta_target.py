"""The target portfolio: flattened, attributed, nothing lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl
import pytest

from quant_platform.calendars import build_calendar
from quant_platform.errors import ConfigError
from quant_platform.lakehouse.contracts.meta import META_TARGET_PORTFOLIO
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.portfolio.meta_target import target_portfolio, target_portfolio_windows
from quant_platform_tests.portfolio.metas import CALENDARS, META, PROFILES, SESSIONS
from quant_platform_tests.portfolio.stages import DAYS, GRACE, NYSE, exactly, targets
from quant_platform_tests.portfolio.test_meta_weights import GRID, weighed

WEIGHTS = weighed()


def own_weights() -> dict[str, pl.DataFrame]:
    """Weights of the sleeves' own names; the stocks share one with the etfs, and keep cash."""
    days = DAYS.between(SESSIONS[0], SESSIONS[-1])
    made = {}
    for sleeve, sessions, names in (
        ("crypto", days, {"btc": 0.6, "eth": 0.4}),
        ("etfs", SESSIONS, {"shared": 0.3, "bond": 0.7, "none": 0.0}),
        ("stocks", SESSIONS, {"shared": 0.5, "steel": 0.25}),
    ):
        made[sleeve] = pl.concat(
            targets({SESSIONS[2]: names}, sessions, profile) for profile in PROFILES
        )
    return made


def flattened(
    weights: pl.DataFrame = WEIGHTS,
    sessions: Sequence[date] = SESSIONS,
    *,
    own: Mapping[str, pl.DataFrame] | None = None,
    chunk: int = 10_000,
) -> pl.DataFrame:
    tables = {"meta_weights": weights, **(own or own_weights())}
    parts = [META_TARGET_PORTFOLIO.empty()]
    assert set(target_portfolio_windows(META)) == set(tables)
    for start in range(0, len(sessions), chunk):
        wanted = SessionRange(NYSE, tuple(sessions[start : start + chunk]), SESSIONS[0])
        first = SESSIONS[max(SESSIONS.index(wanted.first) - 1, 0)]
        frames = {
            name: table.filter(pl.col("session").is_between(first, wanted.last)).lazy()
            for name, table in tables.items()
        }
        made = target_portfolio(frames, META, wanted, CALENDARS)
        parts.append(META_TARGET_PORTFOLIO.validate("meta/target_portfolio", made))
    return pl.concat(parts)


def test_targets_are_flattened_and_attributed() -> None:
    day = GRID[1]
    made = flattened().filter((pl.col("session") == day) & (pl.col("profile") == "min_variance"))
    share = {
        row["sleeve"]: row["weight"]
        for row in WEIGHTS.filter(
            (pl.col("session") == day) & (pl.col("profile") == "min_variance")
        ).to_dicts()
    }
    rows = {row["security_id"]: row for row in made.to_dicts()}
    assert set(rows) == {"bond", "btc", "eth", "shared", "steel"}
    assert rows["btc"]["weight"] == share["crypto"] * 0.6
    both = rows["shared"]
    assert both["weight"] == exactly(0.3 * share["etfs"] + 0.5 * share["stocks"])
    assert both["contributors"] == [
        {"sleeve": "etfs", "meta_weight": share["etfs"], "sleeve_weight": 0.3},
        {"sleeve": "stocks", "meta_weight": share["stocks"], "sleeve_weight": 0.5},
    ]
    assert both["symbol"] == "NYSE:SHARED"


def test_the_sum_is_preserved_and_cash_stays_cash() -> None:
    made = flattened()
    sums = made.group_by("session", "profile").agg(pl.col("weight").sum())
    share = WEIGHTS.filter(pl.col("sleeve") == "stocks").select(
        "session", "profile", expected=1 - pl.col("weight") * 0.25
    )
    both = share.join(sums, on=["session", "profile"])
    assert both.height == share.height
    assert (both["weight"] - both["expected"]).abs().max() < 1e-9  # type: ignore[operator]


def test_a_sleeve_whose_targets_ended_contributes_nothing() -> None:
    """Not its last known targets: an empty last session means cash."""
    own = own_weights()
    gone = SESSIONS[30]
    own["crypto"] = own["crypto"].filter(pl.col("session") < gone)
    made = flattened(own=own)
    left = made.filter(pl.col("security_id") == "btc")["session"].max()
    assert left == SESSIONS[29]


def test_a_member_without_a_table_is_refused() -> None:
    wanted = SessionRange(NYSE, (SESSIONS[5],), SESSIONS[0])
    frames = {"meta_weights": WEIGHTS.lazy()} | {
        name: table.lazy() for name, table in own_weights().items() if name != "etfs"
    }
    with pytest.raises(ConfigError, match="member etfs without a calendar or without a table"):
        target_portfolio(frames, META, wanted, CALENDARS)


def test_a_closed_exchange_counts_as_of_its_last_session() -> None:
    """A sleeve in London on the NYSE session of Boxing-Day-like holidays: 6 May 2024."""
    london = build_calendar("XLON", horizon=date(2024, 12, 31), grace=GRACE)
    closed, last = date(2024, 5, 6), date(2024, 5, 3)
    assert not london.contains(closed)
    assert NYSE.contains(closed)
    own = own_weights()
    own["etfs"] = own["etfs"].filter(pl.col("session") != closed)
    wanted = SessionRange(NYSE, (closed,), SESSIONS[0])
    frames = {"meta_weights": WEIGHTS.lazy()} | {n: table.lazy() for n, table in own.items()}
    calendars = {**CALENDARS, "etfs": london}
    made = target_portfolio(frames, META, wanted, calendars)
    assert "bond" in made["security_id"].to_list()
    own["etfs"] = own["etfs"].filter(pl.col("session") != last)
    frames["etfs"] = own["etfs"].lazy()
    made = target_portfolio(frames, META, wanted, calendars)
    assert "bond" not in made["security_id"].to_list()


@pytest.mark.parametrize("chunk", [1, 13])
def test_a_range_has_the_bytes_of_its_parts(chunk: int) -> None:
    sessions = SESSIONS[:50]
    assert flattened(sessions=sessions, chunk=chunk).equals(flattened(sessions=sessions))


def test_what_is_known_later_changes_nothing() -> None:
    day = SESSIONS[60]

    def spoilt(table: pl.DataFrame) -> pl.DataFrame:
        later = pl.when(pl.col("session") >= day)
        return table.with_columns(weight=later.then(0.01).otherwise("weight"))

    own = {name: spoilt(table) for name, table in own_weights().items()}
    made, before = flattened(spoilt(WEIGHTS), own=own), flattened()
    earlier = pl.col("session") < day
    assert made.filter(earlier).equals(before.filter(earlier))
    assert not made.equals(before)
