"""The table of forecasts: ranges, warm starts, late news, and what stands in where nothing fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_platform.features.garch import garch_features, garch_windows
from quant_platform.features.garch_fit import fit
from quant_platform.features.state import advance_state
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.lakehouse.contracts.features_garch import FEATURES_GARCH
from quant_platform.settings import GarchSettings, StateSettings
from quant_platform_tests.features.naive import corrected, frame_of, walk
from quant_platform_tests.lakehouse.small_lake import CALENDAR, span
from quant_platform_tests.market.actions import action, actions_frame

SESSIONS = CALENDAR.between(date(2021, 9, 1), date(2023, 6, 30))
HISTORY = SESSIONS[0]
SETTINGS = GarchSettings(lookback=300, least_returns=120)
GRID = frozenset(SESSIONS[300::20])
ASKED = SESSIONS[335:365]
FIRST, SECOND = SESSIONS[340], SESSIONS[360]
Tables = Mapping[str, pl.DataFrame]


@cache
def market() -> Tables:
    """Publish candidates: whole, split, of gaps and late news, too young, and one that rests."""
    news = [row for number, row in enumerate(walk("news", SESSIONS, 3)) if number % 29 != 5]
    news += [corrected(news[310], 1.3, 3), corrected(news[318], 0.8, 25)]
    rests = [
        row | dict.fromkeys(("open", "high", "low", "close"), 5.0)
        for row in walk("rests", SESSIONS, 4)
    ]
    bars = frame_of(
        [
            *walk("whole", SESSIONS, 1),
            *walk("parted", SESSIONS, 2),
            *news,
            *walk("young", SESSIONS[250:], 5),
            *walk("newborn", SESSIONS[335:], 6),
            *rests,
        ]
    )
    tables = {"bars": bars, "actions": actions_frame([action("parted", SESSIONS[350], 4.0)])}
    wanted = span(SESSIONS[0], ASKED[-1], HISTORY)
    frames = {name: frame.lazy() for name, frame in tables.items()}
    nothing = {"state": CONTRACTS["features_state"].empty().lazy()}
    tables["features_state"] = advance_state(frames | nothing, StateSettings(), wanted)
    names = ["newborn", "news", "parted", "rests", "whole", "young"]
    tables["candidates"] = pl.DataFrame(
        {"session": [day for day in ASKED for _ in names], "security_id": names * len(ASKED)}
    )
    return tables


def made(
    sessions: Sequence[date],
    tables: Tables,
    before: pl.DataFrame | None = None,
    settings: GarchSettings = SETTINGS,
) -> pl.DataFrame:
    """Compute a range from what its windows hand over, as the IO manager bounds it."""
    wanted = span(sessions[0], sessions[-1], HISTORY)
    own = FEATURES_GARCH.empty() if before is None else before
    frames = {}
    for name, window in garch_windows(settings, CALENDAR, GRID).items():
        rows = {**tables, "features_garch": own}[window.table]
        partition = (
            "session" if window.table == "candidates" else (CONTRACTS[window.table].partition)
        )
        frames[name] = rows.filter(pl.col(partition).is_in(wanted.loaded(window))).lazy()
    frame = garch_features(frames, settings, wanted, GRID, 252)
    return FEATURES_GARCH.validate("x/features_garch", frame)


@cache
def whole() -> pl.DataFrame:
    return made(ASKED, market())


def row(frame: pl.DataFrame, security: str, session: date = SECOND) -> dict[str, Any]:
    return frame.row(
        by_predicate=(pl.col("security_id") == security) & (pl.col("session") == session),
        named=True,
    )


def test_rows_are_of_candidates_on_rebalance_sessions() -> None:
    assert whole()["session"].unique().sort().to_list() == [FIRST, SECOND]
    assert whole().height == 12


@pytest.mark.parametrize("chunk", [1, 7])
def test_a_range_has_the_bytes_of_its_parts(chunk: int) -> None:
    parts = FEATURES_GARCH.empty()
    for start in range(0, len(ASKED), chunk):
        parts = parts.vstack(made(ASKED[start : start + chunk], market(), parts))
    assert parts.equals(whole())


def test_the_second_session_starts_from_the_estimates_of_the_first() -> None:
    """They are carried, so without the first session's rows the last bits or steps differ."""
    cold = made(ASKED[20:], market())
    warm = whole().filter(pl.col("session") == SECOND)
    assert not cold.equals(warm)
    for name in ("whole", "parted", "news"):
        assert row(cold, name)["volatility_next"] == pytest.approx(
            row(warm, name)["volatility_next"], rel=0.02
        )


def test_a_forecast_is_that_of_the_returns_in_the_window() -> None:
    bars = market()["bars"].filter(pl.col("security_id") == "whole").sort("session")
    closes = bars.filter(pl.col("session") <= FIRST)["close"].to_numpy()[-301:]
    found = fit(np.log(closes[1:] / closes[:-1])[:, None], np.array([300]))
    told = row(whole(), "whole", FIRST)
    assert (told["requested"], told["actual"], told["reason"]) == ("garch", "garch", None)
    assert (told["returns"], told["converged"]) == (300, True)
    assert told["beta"] == found.beta.item()
    year = np.sqrt(252)
    assert told["volatility_next"] == pytest.approx(np.sqrt(found.next_variance[0]) * year)
    assert told["volatility_ahead"] == pytest.approx(np.sqrt(found.mean_variance(21)[0]) * year)


@pytest.mark.parametrize(
    ("security", "actual", "reason"),
    [
        ("young", "ewma", "too_few_returns"),
        ("rests", "ewma", "no_movement"),
        ("newborn", "none", "too_few_returns"),
    ],
)
def test_what_cannot_be_fitted_says_what_stands_in(security: str, actual: str, reason: str) -> None:
    told = row(whole(), security, FIRST)
    assert (told["requested"], told["actual"], told["reason"]) == ("garch", actual, reason)
    assert told["converged"] is None
    assert told["omega"] is None
    state = market()["features_state"].filter(pl.col("session") == FIRST)
    ewma = row(state, security, FIRST)["ewma_volatility"]
    if actual == "none":
        assert told["volatility_next"] is told["volatility_ahead"] is ewma is None
    else:
        assert told["volatility_next"] == pytest.approx(ewma * np.sqrt(252))
        assert told["volatility_ahead"] == told["volatility_next"]


def test_a_fit_that_does_not_converge_is_never_stored_as_one() -> None:
    told = row(
        made([FIRST], market(), settings=SETTINGS.model_copy(update={"iterations": 1})),
        "whole",
        FIRST,
    )
    assert (told["actual"], told["reason"], told["converged"]) == ("ewma", "not_converged", False)
    assert told["mu"] is told["omega"] is told["log_likelihood"] is None
    assert told["iterations"] == 1


def test_what_is_known_later_changes_nothing() -> None:
    spoilt = dict(market())
    for kind in ("bars", "features_state", "actions"):
        frame = spoilt[kind]
        later = pl.col(CONTRACTS[kind].partition) > FIRST
        numbers = [name for name, dtype in frame.schema.items() if dtype.is_float()]
        spoilt[kind] = frame.with_columns(
            pl.when(later).then(pl.col(name) * 3).otherwise(name).alias(name) for name in numbers
        )
    upto = pl.col("session") <= FIRST
    assert made(ASKED, spoilt).filter(upto).equals(whole().filter(upto))
    assert not made(ASKED, spoilt).equals(whole())


def test_a_look_ahead_that_is_planted_is_seen() -> None:
    """The last version of every bar as if it had always been known: the past then changes."""
    news = market()["bars"].sort("known_at").unique(["security_id", "session"], keep="last")
    hindsight = news.with_columns(knowledge_session="session")
    leaking = made([FIRST], {**market(), "bars": hindsight})
    honest = whole().filter(pl.col("session") == FIRST)
    apart = pl.col("security_id") == "news"
    assert not leaking.filter(apart).equals(honest.filter(apart))
    assert leaking.filter(~apart).equals(honest.filter(~apart))


def test_candidates_do_not_depend_on_one_another() -> None:
    chosen = pl.col("security_id").is_in(["news", "parted"])
    some = {name: rows.filter(chosen) for name, rows in market().items()}
    assert made(ASKED, some).equals(whole().filter(chosen))


def test_the_table_looks_back_at_itself_to_the_rebalance_session_before() -> None:
    window = garch_windows(SETTINGS, CALENDAR, GRID)["before"]
    assert window.own
    assert window.lookback == 20
