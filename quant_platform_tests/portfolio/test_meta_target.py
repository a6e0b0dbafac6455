"""The target portfolio: flattened, attributed, nothing lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache

import polars as pl
import pytest

from quant_platform.calendars import build_calendar
from quant_platform.errors import ConfigError
from quant_platform.lakehouse.contracts.holdings import HOLDINGS
from quant_platform.lakehouse.contracts.meta import META_HOLDINGS, META_TARGET_PORTFOLIO
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.portfolio.holding import hold, holdings_windows
from quant_platform.portfolio.meta_holding import WAIT
from quant_platform.portfolio.meta_target import target_portfolio, target_portfolio_windows
from quant_platform.settings.portfolio import CostSettings
from quant_platform_tests.portfolio.metas import CALENDARS, META, PROFILES, SESSIONS
from quant_platform_tests.portfolio.stages import (
    DAYS,
    GRACE,
    NYSE,
    exactly,
    materialise,
    targets,
    walks,
    without,
)
from quant_platform_tests.portfolio.test_meta_book import held as meta_books
from quant_platform_tests.portfolio.test_meta_weights import GRID, RETURNS, weighed

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


def own_returns() -> dict[str, pl.DataFrame]:
    days = DAYS.between(SESSIONS[0], SESSIONS[-1])
    return {
        "crypto": walks(("btc", "eth"), days, 1),
        "etfs": walks(("bond", "none", "shared"), SESSIONS, 2),
        "stocks": walks(("shared", "steel"), SESSIONS, 3),
    }


def inputs(
    weights: pl.DataFrame = WEIGHTS,
    own: Mapping[str, pl.DataFrame] | None = None,
    *,
    held: Mapping[str, pl.DataFrame] | None = None,
    meta_held: pl.DataFrame | None = None,
) -> dict[str, pl.DataFrame]:
    """Hand over what the windows ask for; by default nothing was bought yet, all is decided."""
    tables = {
        "meta_weights": weights,
        "meta_returns": RETURNS,
        "meta_holdings": META_HOLDINGS.empty() if meta_held is None else meta_held,
    }
    for sleeve, asked in (own or own_weights()).items():
        tables[f"weights_{sleeve}"] = asked
        tables[f"returns_{sleeve}"] = own_returns()[sleeve]
        tables[f"holdings_{sleeve}"] = (held or {}).get(sleeve, HOLDINGS.empty())
    assert set(target_portfolio_windows(META)) == set(tables)
    return tables


def flattened(
    tables: Mapping[str, pl.DataFrame] | None = None,
    sessions: Sequence[date] = SESSIONS,
    *,
    chunk: int = 10_000,
) -> pl.DataFrame:
    windows = target_portfolio_windows(META)
    parts = [META_TARGET_PORTFOLIO.empty()]
    for start in range(0, len(sessions), chunk):
        wanted = SessionRange(NYSE, tuple(sessions[start : start + chunk]), SESSIONS[0])
        frames = {}
        for name, table in (tables or inputs()).items():
            first = wanted.loaded(windows[name])[0]
            frames[name] = table.filter(pl.col("session").is_between(first, wanted.last)).lazy()
        made = target_portfolio(frames, META, wanted, CALENDARS)
        parts.append(META_TARGET_PORTFOLIO.validate("meta/target_portfolio", made))
    return pl.concat(parts)


@cache
def drifting() -> dict[str, pl.DataFrame]:
    """Hand over what sleeves and meta really hold as well, by their own accounts."""
    own, returns = own_weights(), own_returns()
    # The funds' bond leaves the market a month after it was bought.
    returns["etfs"] = without(returns["etfs"], "bond", leaves=SESSIONS[23])
    gone = (pl.col("security_id") == "bond") & (pl.col("session") >= SESSIONS[23])
    own["etfs"] = own["etfs"].filter(~gone)
    held = {
        sleeve: materialise(
            lambda frames, wanted: hold(frames, CostSettings(), wanted),
            holdings_windows(CostSettings()),
            {"weights": own[sleeve], "returns": returns[sleeve]},
            HOLDINGS,
            CALENDARS[sleeve].between(SESSIONS[0], SESSIONS[-1]),
            calendar=CALENDARS[sleeve],
        )
        for sleeve in own
    }
    books = meta_books()
    made = inputs(own=own, held=held, meta_held=books)
    return made | {f"returns_{sleeve}": frame for sleeve, frame in returns.items()}


def bases(made: pl.DataFrame, day: date) -> set[tuple[str, str]]:
    """Say what the weights of a session stand on, the meta's and the sleeve's."""
    parts = made.filter(pl.col("session") == day).explode("contributors").unnest("contributors")
    return set(parts.select("meta_basis", "sleeve_basis").iter_rows())


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
        {
            "sleeve": sleeve,
            "meta_weight": share[sleeve],
            "meta_basis": "decided",
            "sleeve_weight": weight,
            "sleeve_basis": "decided",
        }
        for sleeve, weight in (("etfs", 0.3), ("stocks", 0.5))
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
    assert (both["weight"] - both["expected"]).abs().max() < 1e-9


def test_a_sleeve_whose_targets_ended_contributes_nothing() -> None:
    """Not its last known targets: an empty last session means cash."""
    own = own_weights()
    gone = SESSIONS[30]
    own["crypto"] = own["crypto"].filter(pl.col("session") < gone)
    made = flattened(inputs(own=own))
    left = made.filter(pl.col("security_id") == "btc")["session"].max()
    assert left == SESSIONS[29]


def test_a_decision_is_aimed_at_until_it_is_executed() -> None:
    """The sleeves decided on the third session, the meta on the fourth and the twenty-sixth."""
    made = flattened(drifting())
    meta_first, meta_next = GRID[:2]
    assert meta_first == SESSIONS[3]
    # The sleeves traded on the session on which the meta decides; it has not bought anything yet.
    assert bases(made, meta_first) == {("decided", "held")}
    assert bases(made, SESSIONS[4]) == {("held", "held")}
    assert bases(made, meta_next) == {("decided", "held")}
    day = SESSIONS[20]
    tables = drifting()
    meta = {
        row["sleeve"]: row["weight"]
        for row in tables["meta_holdings"].filter(session=day, profile="hrp").to_dicts()
    }
    expected: dict[str, float] = {}
    for sleeve in ("crypto", "etfs", "stocks"):
        own = tables[f"holdings_{sleeve}"].filter(session=day, profile="hrp")
        for name, weight in own.select("security_id", "weight").iter_rows():
            expected[name] = expected.get(name, 0.0) + meta[sleeve] * weight
    found = made.filter(session=day, profile="hrp")
    assert dict(found.select("security_id", "weight").iter_rows()) == pytest.approx(
        expected, rel=0, abs=1e-12
    )
    assert found.filter(pl.col("security_id") == "btc")["weight"].item() != 0.6 * meta["crypto"]


def test_a_decision_of_the_meta_is_waited_for_as_its_book_waits() -> None:
    """No joint session after the second decision: the book waits a week and gives up."""
    decided = SESSIONS.index(GRID[1])
    gap = SESSIONS[decided + 1 : decided + WAIT + 3]
    returns = RETURNS.filter(~pl.col("session").is_in(gap))
    tables = drifting() | {
        "meta_returns": returns,
        "meta_holdings": meta_books(returns),
    }
    made = flattened(tables)
    waiting = [
        day
        for day in SESSIONS[decided : decided + WAIT + 4]
        if bases(made, day) == {("decided", "held")}
    ]
    assert waiting == SESSIONS[decided : decided + WAIT + 1]
    assert flattened(tables, SESSIONS[decided:][:12], chunk=1).equals(
        made.filter(pl.col("session").is_in(SESSIONS[decided:][:12]))
    )


def test_a_name_that_left_is_no_target_and_its_money_stays_cash() -> None:
    made = flattened(drifting())
    assert made.filter(pl.col("security_id") == "bond")["session"].max() == SESSIONS[22]
    sums = made.filter(profile="hrp").group_by("session").agg(pl.col("weight").sum())
    before, after = (sums.filter(session=SESSIONS[n])["weight"].item() for n in (22, 23))
    assert before - after > 0.1


def test_products_are_preserved_between_decisions() -> None:
    tables = drifting()
    made = flattened(tables)
    parts = made.explode("contributors").unnest("contributors")
    product = pl.col("meta_weight") * pl.col("sleeve_weight")
    whole = parts.group_by("session", "profile").agg(product.sum())
    sums = made.group_by("session", "profile").agg(pl.col("weight").sum())
    both = whole.join(sums, on=["session", "profile"])
    assert (both["weight"] - both["meta_weight"]).abs().max() < 1e-9
    assert sums["weight"].max() <= 1 + 1e-9


def test_the_rows_of_version_one_were_all_decided() -> None:
    fields = ("sleeve", "meta_weight", "sleeve_weight")
    made = flattened()
    old = made.with_columns(
        pl.col("contributors").list.eval(pl.struct(pl.element().struct.field(*fields)))
    )
    assert old.schema != made.schema
    upgrade = META_TARGET_PORTFOLIO.upgrades[1]
    assert upgrade(old.lazy()).collect().equals(made)


def test_a_member_without_a_table_is_refused() -> None:
    wanted = SessionRange(NYSE, (SESSIONS[5],), SESSIONS[0])
    frames = {n: table.lazy() for n, table in inputs().items() if n != "holdings_etfs"}
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
    frames = {n: table.lazy() for n, table in inputs(own=own).items()}
    calendars = {**CALENDARS, "etfs": london}
    made = target_portfolio(frames, META, wanted, calendars)
    assert "bond" in made["security_id"].to_list()
    frames["weights_etfs"] = own["etfs"].filter(pl.col("session") != last).lazy()
    made = target_portfolio(frames, META, wanted, calendars)
    assert "bond" not in made["security_id"].to_list()


@pytest.mark.parametrize("chunk", [1, 13])
def test_a_range_has_the_bytes_of_its_parts(chunk: int) -> None:
    sessions = SESSIONS[:50]
    whole = flattened(drifting(), sessions)
    assert flattened(drifting(), sessions, chunk=chunk).equals(whole)


def test_what_is_known_later_changes_nothing() -> None:
    day = SESSIONS[60]

    def spoilt(table: pl.DataFrame) -> pl.DataFrame:
        if "weight" not in table.columns:
            return table
        later = pl.when(pl.col("session") >= day)
        return table.with_columns(weight=later.then(0.01).otherwise("weight"))

    tables = drifting()
    made = flattened({name: spoilt(table) for name, table in tables.items()})
    before = flattened(tables)
    earlier = pl.col("session") < day
    assert made.filter(earlier).equals(before.filter(earlier))
    assert not made.equals(before)
