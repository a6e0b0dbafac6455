"""The figures of an evening: what they say, ranges against single days, and what is not there."""

from __future__ import annotations

import math
import statistics
from datetime import date
from functools import cache

import numpy as np
import polars as pl
import pytest

from quant_platform.lakehouse.contracts.daily import SECTIONS
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.portfolio.meta_returns import meta_returns
from quant_platform.reports.figures import daily_figures
from quant_platform.reports.scope import DailyScope, daily_windows
from quant_platform.reports.streams import statistics as stream_statistics
from quant_platform.settings import load_settings
from quant_platform_tests.execution.world import CALENDARS, NYSE, SESSIONS, quiet_world
from quant_platform_tests.reports.evenings import (
    BARE,
    META,
    SCOPE,
    YEAR,
    Tables,
    figure,
    handed,
    report,
    span,
    tables_of,
)

LAST = SESSIONS[-1]


@cache
def inputs() -> Tables:
    return tables_of()


@cache
def whole() -> pl.DataFrame:
    return report(inputs())


def fall(levels: list[float]) -> float:
    """Deepest fall below an earlier level, by comparing all pairs."""
    return min(
        level / before - 1 for place, level in enumerate(levels) for before in levels[: place + 1]
    )


@pytest.mark.parametrize("length", [1, 4])
def test_a_range_has_the_bytes_of_its_parts(length: int) -> None:
    parts = [
        report(inputs(), sessions=SESSIONS[start : start + length])
        for start in range(0, len(SESSIONS), length)
    ]
    assert pl.concat(parts).equals(whole())


def test_a_range_near_the_start_of_history_has_the_bytes_of_its_days() -> None:
    """Windows are cut there, and statistics begin to have enough sessions."""
    days = YEAR[:24]
    made = report(inputs(), BARE, days)
    assert pl.concat([report(inputs(), BARE, [day]) for day in days]).equals(made)
    item = ("profiles", "etfs/hrp", "volatility")
    assert figure(made, days[18], *item)["note"] == "needs 20 returns and has 19"
    assert figure(made, days[19], *item)["value"] is not None


def test_what_is_known_later_changes_nothing() -> None:
    """Every later row is in the frames of the range, doubled or gone."""
    session = SESSIONS[7]
    later = pl.col("session") > session
    changed = {}
    for name, table in inputs().items():
        numbers = [
            column
            for column, dtype in table.schema.items()
            if dtype == pl.Float64 and column not in {"before", "after"}
        ]
        doubled = [
            pl.when(later).then(pl.col(c) * 2).otherwise(pl.col(c)).alias(c) for c in numbers
        ]
        changed[name] = table.with_columns(doubled).filter(~later | (pl.col("session") != LAST))
    made = daily_figures(handed(changed, SCOPE, SESSIONS), SCOPE, span(SESSIONS), CALENDARS)
    kept = pl.col("session") <= session
    assert made.filter(kept).equals(whole().filter(kept))
    assert not made.filter(~kept).equals(whole().filter(~kept))


def test_every_section_is_there_on_every_session() -> None:
    for figures in (whole(), report(inputs(), BARE)):
        for session in SESSIONS:
            there = figures.filter(session=session)["section"].unique().to_list()
            assert set(there) == set(SECTIONS)


def test_returns_are_those_of_the_streams() -> None:
    """The product over the last 21 and 252 sessions, and the day itself, by hand."""
    net = (
        inputs()["returns_etfs"]
        .filter(profile="hrp")
        .filter(pl.col("session") <= LAST)
        .sort("session")["net"]
        .to_list()
    )
    for name, count in (("return_1", 1), ("return_21", 21), ("return_252", 252)):
        expected = math.prod(1 + value for value in net[-count:]) - 1
        assert figure(whole(), LAST, "profiles", "etfs/hrp", name)["value"] == pytest.approx(
            expected, abs=1e-12
        )
    worst = fall([1.0, *(1 + pl.Series(net[-252:])).cum_prod().to_list()])
    assert figure(whole(), LAST, "profiles", "etfs/hrp", "drawdown")["value"] == pytest.approx(
        worst
    )
    assert worst < 0
    deviation = statistics.stdev(net[-252:])
    assert figure(whole(), LAST, "profiles", "etfs/hrp", "volatility")["value"] == pytest.approx(
        deviation * math.sqrt(252)
    )


def test_a_loss_on_the_first_session_is_a_drawdown() -> None:
    said = {one.figure: one for one in stream_statistics(YEAR[:2], np.array([-0.1, 0.05]), 252)}
    assert said["drawdown"].value == pytest.approx(-0.1)
    assert said["return_all"].value == pytest.approx(0.9 * 1.05 - 1)


def test_a_sleeve_on_utc_days_covers_its_weekend_as_the_meta_does() -> None:
    lazy = {name: inputs()[f"returns_{name}"].lazy() for name in CALENDARS}
    joint = meta_returns(lazy, META, span(YEAR), CALENDARS)
    monday = date(2024, 7, 1)
    expected = joint.filter(session=monday, sleeve="crypto", profile="hrp")["net"].item()
    made = figure(whole(), monday, "profiles", "crypto/hrp", "return_1")["value"]
    assert made == pytest.approx(expected, abs=1e-12)


def test_a_day_that_is_lacking_is_told_and_not_zero() -> None:
    """Without its Sunday the coins have no return on Monday; the month leaves that session out."""
    sunday, monday = date(2024, 6, 30), date(2024, 7, 1)
    coins = inputs()["returns_crypto"].filter(pl.col("session") != sunday)
    made = report(inputs() | {"returns_crypto": coins})
    row = figure(made, monday, "profiles", "crypto/hrp", "return_1")
    assert (row["value"], row["note"]) == (None, "no return on this session")
    row = figure(made, LAST, "profiles", "crypto/hrp", "return_21")
    assert row["note"] == "1 of 21 sessions have no return"
    assert row["value"] is not None
    assert figure(whole(), LAST, "profiles", "crypto/hrp", "return_21")["note"] is None


def test_the_account_is_what_positions_say() -> None:
    positions = inputs()["positions"]
    before: float | None = None
    for session in SESSIONS:
        rows = positions.filter(session=session)
        equity = rows["equity"][0]
        assert figure(whole(), session, "equity", "account", "equity")["value"] == equity
        profit = figure(whole(), session, "equity", "account", "profit")["value"]
        day = figure(whole(), session, "equity", "account", "return_1")
        if before is None:
            assert day["note"] == "the account is younger than 1 session"
        else:
            assert profit == pytest.approx(equity - before, abs=1e-6)
            assert day["value"] == pytest.approx(equity / before - 1, abs=1e-12)
        before = equity
    worst = figure(whole(), LAST, "equity", "account", "drawdown")["value"]
    path = positions.filter(item="cash").sort("session")["equity"].to_list()
    assert worst == pytest.approx(fall(path), abs=1e-12)


def test_slippage_is_cost_over_amount_and_positive() -> None:
    fills = inputs()["fills"]
    amount = float((fills["quantity"] * fills["ideal_price"]).sum())
    cost = float((fills["quantity"] * (fills["price"] - fills["ideal_price"]).abs()).sum())
    month = figure(whole(), LAST, "slippage", "all", "mean_21")["value"]
    assert fills.height > 20
    assert month == pytest.approx(cost / amount * 1e4, rel=1e-9)
    assert figure(whole(), LAST, "slippage", "all", "count_21")["value"] == fills.height
    session = fills["session"][0]
    own = fills.filter(session=session)
    assert figure(whole(), session, "fills", "all", "count")["value"] == own.height


def test_the_month_of_slippage_ends_after_21_sessions() -> None:
    """A fill of the first session is in the window of the 21st and not in that of the 22nd."""
    days = NYSE.between(SESSIONS[0], date(2024, 12, 31))
    fill = inputs()["fills"][:1].with_columns(session=pl.lit(days[0]))
    tables = dict(inputs()) | {"fills": fill}
    for name in ("positions", "execution_ready"):
        first = inputs()[name].filter(session=SESSIONS[0])
        tables[name] = pl.concat([first.with_columns(session=pl.lit(day)) for day in days[:23]])
    made = report(tables, SCOPE, days[:23])
    counts = [figure(made, day, "slippage", "all", "count_21")["value"] for day in days[:23]]
    assert counts == [1.0] * 21 + [0.0] * 2


def test_the_top_targets_are_the_largest_and_tell_what_the_overlay_did() -> None:
    tables = tables_of(quiet_world(stock=0.5, fund=0.3, coin=0.1), risk={"name_cap": 0.4})
    made = report(tables, SCOPE.model_copy(update={"top": 2}))
    top = made.filter(session=LAST, section="top_targets", figure="requested")
    assert dict(top.select("item", "value").iter_rows()) == {"stock": 0.5, "fund": 0.3}
    assert set(top["note"]) == {"X:STOCK", "X:FUND"}
    row = figure(made, LAST, "top_targets", "stock", "weight")
    assert (row["value"], row["note"]) == (0.0, "increase blocked: NAME_CAP")
    assert figure(made, LAST, "gates", "NAME_CAP", "blocked_names")["value"] == 1
    # Fund and coin are where they should be but for less than a lot.
    row = figure(made, LAST, "targets", "meta/equal_weight", "unordered")
    assert (row["value"], row["note"]) == (2.0, "LOT 2")
    assert figure(made, LAST, "top_targets", "fund", "weight")["note"] == "no order: LOT"
    total = figure(made, LAST, "targets", "meta/equal_weight", "sum_weight")["value"]
    assert total == pytest.approx(0.4)


def test_a_closed_gate_holds_the_orders_back_and_says_so() -> None:
    tables = tables_of(quiet_world(stock=0.5), gates={"kill_switch": SESSIONS[0]})
    made = report(tables)
    row = figure(made, LAST, "gates", "execution", "ready")
    assert (row["value"], row["note"]) == (0.0, "closed: KILL_SWITCH")
    row = figure(made, LAST, "orders", "buy", "accepted")
    assert (row["value"], row["note"]) == (None, "held back by KILL_SWITCH")
    assert figure(made, LAST, "orders", "buy", "planned")["value"] == 1


def test_orders_that_were_not_handed_over_are_told() -> None:
    without = {name: table for name, table in inputs().items() if name != "orders"}
    planned = inputs()["orders_plan"]["session"].unique().sort()
    made = report(without)
    sides = made.filter(section="orders", figure="accepted", session=planned[-1])
    assert sides["note"].unique().to_list() == [
        "not handed to the broker: not yet, or the evening was missed"
    ]
    assert whole().filter(section="orders", figure="accepted")["value"].null_count() == 0


def test_a_withdrawn_record_is_told_and_the_report_is_made() -> None:
    """A blocked session of an input counts as empty: the bad evening has its report."""
    away = {
        name: inputs()[name].filter(pl.col("session") != LAST)
        for name in ("positions", "reconciliation")
    }
    made = report(inputs() | away)
    note = "the account has no rows tonight: its tables were withdrawn"
    assert figure(made, LAST, "equity", "account", "equity")["note"] == note
    row = figure(made, LAST, "gates", "reconciliation", "mismatches")
    assert row["note"] == "nothing was reconciled, or the record was withdrawn"
    # And the session after one that was withdrawn has nothing to compare itself with.
    gap = SESSIONS[-2]
    away = {"positions": inputs()["positions"].filter(pl.col("session") != gap)}
    row = figure(report(inputs() | away), LAST, "equity", "account", "return_1")
    assert (row["value"], row["note"]) == (None, f"the account has no row on {gap}")


def test_before_the_account_opens_its_sections_say_when() -> None:
    session = NYSE.offset(SESSIONS[0], -1)
    made = report(inputs(), SCOPE, [session])
    note = f"the account opens on {SESSIONS[0]}"
    for section in ("equity", "orders", "fills", "slippage", "gates"):
        rows = made.filter(section=section)
        assert rows["note"].to_list() == [note], section
        assert rows["value"].null_count() == 1


def test_a_project_of_sleeves_alone_has_windows_on_them_alone() -> None:
    assert {window.table for window in daily_windows(BARE).values()} == {
        "reports/gates",
        *(f"{name}/profile_returns" for name in CALENDARS),
    }
    made = report(inputs(), BARE, [LAST])
    notes = made.filter(pl.col("value").is_null())["note"].unique().to_list()
    assert set(notes) == {
        "no account is configured",
        "no meta is configured",
        "no regime is configured",
    }


def test_windows_bound_what_is_read() -> None:
    """Rows outside the windows change nothing: the frames hold exactly what is declared."""
    frames = {name: table.lazy() for name, table in inputs().items()}
    more = daily_figures(frames, SCOPE, span(SESSIONS), CALENDARS)
    assert more.equals(whole())
    wanted = SessionRange(NYSE, (LAST,), YEAR[0])
    first = min(wanted.loaded(daily_windows(SCOPE)["returns_meta"]))
    assert NYSE.ordinal(LAST) - NYSE.ordinal(first) == 252


def test_the_scope_is_taken_out_of_the_shipped_settings() -> None:
    settings = load_settings()
    scope = DailyScope.of(settings)
    assert scope.sleeves.keys() == settings.sleeves.keys()
    assert scope.target == (settings.execution.portfolio, settings.execution.profile)
    assert scope.sessions_per_year == 252
    assert scope.regime
