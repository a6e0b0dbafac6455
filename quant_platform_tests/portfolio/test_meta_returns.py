"""The streams of a meta: which sessions are joint, and what a weekend is worth."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from quant_platform.errors import ConfigError
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.portfolio.meta_returns import meta_returns, meta_returns_windows
from quant_platform.settings.portfolio import MetaSettings
from quant_platform_tests.portfolio.metas import (
    CALENDARS,
    META,
    PROFILES,
    SESSIONS,
    joined,
    sleeves,
    streams,
)
from quant_platform_tests.portfolio.stages import DAYS, NYSE, exactly

PAIR = MetaSettings(name="meta", members=("stocks", "crypto"), profiles=("equal_weight",))
# Friday 12 January, then the weekend and Martin Luther King's day.
FRIDAY, TUESDAY = date(2024, 1, 12), date(2024, 1, 16)


def test_a_weekend_and_a_holiday_are_compounded_by_hand() -> None:
    """Saturday 10 % in two parts, Sunday -5 %, Monday 2 %, Tuesday 1 %; Friday is not in it."""
    coins = {
        FRIDAY: (0.5, 0.5),
        date(2024, 1, 13): (0.04, 1.1 / 1.04 - 1),
        date(2024, 1, 14): (-0.05, 0.0),
        date(2024, 1, 15): (0.0, 0.02),
        TUESDAY: (0.01, 0.0),
    }
    stocks = {FRIDAY: (0.0, 0.01), TUESDAY: (0.02, -0.01)}
    tables = {"crypto": streams(coins), "stocks": streams(stocks)}
    made = joined(tables, [TUESDAY], settings=PAIR)
    crypto, stock = made.sort("sleeve").to_dicts()
    assert (crypto["sleeve"], crypto["since"]) == ("crypto", date(2024, 1, 13))
    assert crypto["before"] == 0.04
    assert crypto["net"] == exactly(1.1 * 0.95 * 1.02 * 1.01 - 1, 1e-15)
    assert crypto["after"] == exactly(1.1 * 0.95 * 1.02 * 1.01 / 1.04 - 1, 1e-15)
    assert (stock["since"], stock["before"], stock["after"]) == (TUESDAY, 0.02, -0.01)


def test_a_holiday_and_a_half_day_after_it() -> None:
    """Thanksgiving belongs to the half day on Friday, which is a session like any other."""
    wednesday, friday, monday = date(2024, 11, 27), date(2024, 11, 29), date(2024, 12, 2)
    assert NYSE.between(wednesday, monday) == [wednesday, friday, monday]
    days = DAYS.between(date(2024, 11, 27), monday)
    coins = {day: (0.01 * number, 0.001) for number, day in enumerate(days)}
    stocks = {wednesday: (0.0, 0.0), friday: (0.005, 0.002), monday: (0.003, -0.001)}
    tables = {"crypto": streams(coins), "stocks": streams(stocks)}
    made = joined(tables, [friday, monday], settings=PAIR).sort("sleeve", "session").to_dicts()
    assert [row["since"] for row in made] == [
        date(2024, 11, 28),
        date(2024, 11, 30),
        friday,
        monday,
    ]
    half, weekend = (1.01 * 1.02, 1.03 * 1.04 * 1.05)
    assert made[0]["net"] == exactly(half * 1.001**2 - 1, 1e-15)
    assert made[1]["net"] == exactly(weekend * 1.001**3 - 1, 1e-15)
    assert (made[2]["before"], made[2]["after"]) == (0.005, 0.002)


def test_a_session_on_which_a_sleeve_lacks_one_of_its_own_has_no_rows() -> None:
    tables = sleeves()
    sunday, wednesday = date(2024, 1, 14), date(2024, 1, 17)
    lacking = tables | {"crypto": tables["crypto"].filter(pl.col("session") != sunday)}
    assert set(SESSIONS) - set(joined(lacking)["session"]) == {SESSIONS[0], TUESDAY}
    lacking = tables | {"etfs": tables["etfs"].filter(pl.col("session") != wednesday)}
    made = joined(lacking)
    assert set(SESSIONS) - set(made["session"]) == {SESSIONS[0], wednesday}
    # The session after the gap covers its own days and no more.
    thursday = date(2024, 1, 18)
    since = made.filter(pl.col("session") == thursday)["since"].unique().to_list()
    assert since == [thursday]
    day = pl.col("session") == thursday
    assert made.filter(day).equals(joined(tables).filter(day))


def test_the_first_session_of_history_lacks_the_days_before_it() -> None:
    """New Year's Day belongs to the first session's interval; the lake does not have it."""
    assert SESSIONS[0] not in joined(sleeves())["session"].to_list()


def test_a_profile_that_one_sleeve_lacks_has_no_rows_and_the_others_have() -> None:
    tables = sleeves()
    tables["etfs"] = tables["etfs"].filter(pl.col("profile") != "hrp")
    assert joined(tables)["profile"].unique().sort().to_list() == ["equal_weight", "min_variance"]


def test_every_joint_session_has_every_sleeve() -> None:
    made = joined(sleeves())
    assert made.height == (len(SESSIONS) - 1) * len(PROFILES) * 3
    alone = made.filter(pl.col("sleeve") == "stocks").join(
        sleeves()["stocks"], on=["session", "profile"]
    )
    assert (alone["before"] == alone["before_right"]).all()
    assert (alone["after"] == alone["after_right"]).all()


def test_no_session_of_the_coins_is_lost_or_counted_twice() -> None:
    """The product over all joint sessions is the product over all days since the first."""
    tables = sleeves()
    made = joined(tables).filter((pl.col("sleeve") == "crypto") & (pl.col("profile") == "hrp"))
    days = DAYS.between(made["since"].min(), SESSIONS[-1])
    own = tables["crypto"].filter(pl.col("session").is_in(days) & (pl.col("profile") == "hrp"))
    assert (1 + made["net"]).product() == pytest.approx((1 + own["net"]).product(), rel=1e-13)


@pytest.mark.parametrize("chunk", [1, 9])
def test_a_range_has_the_bytes_of_its_parts(chunk: int) -> None:
    tables = sleeves()
    assert joined(tables, chunk=chunk).equals(joined(tables))


def test_what_is_known_later_changes_nothing() -> None:
    tables = sleeves()
    later = pl.col("session") > TUESDAY
    spoilt = {
        name: table.with_columns(
            after=pl.when(later).then(pl.col("after") * 7).otherwise("after"),
        ).filter(~later | (pl.col("session").dt.day() % 2 == 0))
        for name, table in tables.items()
    }
    upto = pl.col("session") <= TUESDAY
    assert joined(spoilt).filter(upto).equals(joined(tables).filter(upto))


def test_a_member_without_a_calendar_is_refused() -> None:
    wanted = SessionRange(NYSE, (SESSIONS[1],), SESSIONS[0])
    frames = {name: table.lazy() for name, table in sleeves().items()}
    with pytest.raises(ConfigError, match="member stocks without a calendar"):
        meta_returns(frames, META, wanted, {"crypto": DAYS, "etfs": NYSE})


def test_windows_reach_over_a_weekend() -> None:
    windows = meta_returns_windows(META)
    assert set(windows) == set(CALENDARS)
    assert {window.lookback for window in windows.values()} == {1}
