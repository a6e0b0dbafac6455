"""What holds for every family of finite windows: ranges, late news, securities apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_platform.features.avwap import AVWAP, avwap_features, avwap_windows
from quant_platform.features.family import Family
from quant_platform.features.finite import finite_features, finite_windows
from quant_platform.features.liquidity import LIQUIDITY, liquidity_features, liquidity_windows
from quant_platform.features.rolling import Matrix
from quant_platform.features.state import advance_state
from quant_platform.features.trend import TREND, trend_features, trend_windows
from quant_platform.features.volatility import (
    volatility_family,
    volatility_features,
    volatility_windows,
)
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings import StateSettings, TrendSettings, VolatilitySettings
from quant_platform_tests.features.naive import corrected, frame_of, walk
from quant_platform_tests.lakehouse.small_lake import CALENDAR, span
from quant_platform_tests.market.actions import action, actions_frame

SESSIONS = CALENDAR.between(date(2021, 9, 1), date(2023, 6, 30))
HISTORY = SESSIONS[0]
SETTINGS = TrendSettings()
ASKED = SESSIONS[400:430]
Frames = Mapping[str, pl.LazyFrame]


@dataclass(frozen=True)
class Table:
    """A family as its stage calls it."""

    kind: str
    windows: Callable[[], dict[str, Window]]
    function: Callable[[Frames, TrendSettings, SessionRange], pl.DataFrame]


VOLATILITY = partial(volatility_features, composite=VolatilitySettings(), periods_per_year=252)
TABLES = [
    pytest.param(Table(kind, windows, function), id=kind)
    for kind, windows, function in (
        ("features_trend", trend_windows, trend_features),
        ("features_avwap", avwap_windows, avwap_features),
        ("features_liquidity", liquidity_windows, liquidity_features),
        ("features_volatility", volatility_windows, VOLATILITY),
    )
]


@cache
def market() -> Mapping[str, pl.DataFrame]:
    """Publish three securities: one whole, one that is split, one with gaps and late news."""
    whole, parted = walk("whole", SESSIONS, 1), walk("parted", SESSIONS, 2)
    news = [row for number, row in enumerate(walk("news", SESSIONS, 3)) if number % 29 != 5]
    news += [corrected(news[390], 1.3, 3), corrected(news[395], 0.8, 9)]
    bars = frame_of([*whole, *parted, *news])
    actions = actions_frame([action("parted", SESSIONS[410], 4.0)])
    tables = {"bars": bars, "actions": actions}
    wanted = span(SESSIONS[0], ASKED[-1], HISTORY)
    nothing = {"state": CONTRACTS["features_state"].empty().lazy()}
    frames = {name: frame.lazy() for name, frame in tables.items()}
    tables["features_state"] = advance_state(frames | nothing, StateSettings(), wanted)
    frames["state"] = tables["features_state"].lazy()
    tables["features_trend"] = trend_features(frames, SETTINGS, wanted)
    return tables


def made(table: Table, sessions: Sequence[date], tables: Mapping[str, Any]) -> pl.DataFrame:
    """Compute a range from what its windows hand over, as the IO manager bounds it."""
    wanted, frames = span(sessions[0], sessions[-1], HISTORY), {}
    for name, window in table.windows().items():
        rows = tables[window.table]
        partition = CONTRACTS[window.table].partition
        frames[name] = rows.filter(pl.col(partition).is_in(wanted.loaded(window))).lazy()
    frame = table.function(frames, SETTINGS, wanted)
    return CONTRACTS[table.kind].validate(f"x/{table.kind}", frame)


@pytest.mark.parametrize("table", TABLES)
def test_a_range_has_the_bytes_of_its_parts(table: Table) -> None:
    whole = made(table, ASKED, market())
    assert whole.height > 2 * len(ASKED)
    for chunk in (1, 7):
        parts = [
            made(table, ASKED[start : start + chunk], market())
            for start in range(0, len(ASKED), chunk)
        ]
        assert pl.concat(parts).equals(whole)


@pytest.mark.parametrize("table", TABLES)
def test_what_is_known_later_changes_nothing(table: Table) -> None:
    day = ASKED[12]
    spoilt = dict(market())
    for kind, rows in spoilt.items():
        numbers = [name for name, dtype in rows.schema.items() if dtype.is_float()]
        later = pl.col(CONTRACTS[kind].partition) > day
        spoilt[kind] = rows.with_columns(
            pl.when(later).then(pl.col(name) * 3).otherwise(name).alias(name) for name in numbers
        )
    upto = pl.col("session") <= day
    honest = made(table, ASKED, market())
    assert made(table, ASKED, spoilt).filter(upto).equals(honest.filter(upto))
    assert not made(table, ASKED, spoilt).equals(honest)


def centred(values: Matrix) -> Matrix:
    """Take the next session's value, as a centred window or a join shifted the wrong way does."""
    return np.concatenate([values[1:], values[-1:]])


def normalised(values: Matrix) -> Matrix:
    """Divide by the mean over everything that was asked for."""
    return np.asarray(values / np.nanmean(values))


@pytest.mark.parametrize("leak", [centred, normalised])
@pytest.mark.parametrize(
    ("family", "stem"),
    [
        (TREND, "roc"),
        (AVWAP, "r2"),
        (LIQUIDITY, "adv_money"),
        (volatility_family(VolatilitySettings(), 252), "parkinson"),
    ],
)
def test_a_planted_look_ahead_makes_ranges_differ(
    family: Family, stem: str, leak: Callable[[Matrix], Matrix]
) -> None:
    honest = family.written[stem]
    leaking = Family(family.contract, reads=family.reads, looks_at=family.looks_at)
    for function in family.written.values():
        leaking.column(function)
    leaking.written[stem] = lambda *context: leak(honest(*context))
    table = Table(
        family.contract.kind,
        lambda: finite_windows(leaking),
        lambda frames, settings, wanted: finite_features(leaking, frames, settings, wanted),
    )
    whole = made(table, ASKED[:5], market())
    parts = pl.concat([made(table, [session], market()) for session in ASKED[:5]])
    column = next(name for name in family.contract.columns if name.startswith(stem))
    assert not parts.select(column).equals(whole.select(column))
    assert parts.drop(column).equals(whole.drop(column))


@pytest.mark.parametrize("table", TABLES)
def test_securities_do_not_depend_on_one_another(table: Table) -> None:
    chosen = pl.col("security_id").is_in(["news", "parted"])
    some = {kind: rows.filter(chosen) for kind, rows in market().items()}
    assert made(table, ASKED, some).equals(made(table, ASKED, market()).filter(chosen))


@pytest.mark.parametrize("table", TABLES)
def test_a_split_reaches_its_own_security_alone(table: Table) -> None:
    """The bars of ``parted`` do not jump: what changes is what the split makes of them."""
    without = dict(market()) | {"actions": actions_frame([])}
    before = pl.col("session") < SESSIONS[410]
    with_split, plain = (made(table, ASKED, tables) for tables in (market(), without))
    assert with_split.filter(before).equals(plain.filter(before))
    apart = with_split.filter(~before, pl.col("security_id") == "parted")
    assert not apart.equals(plain.filter(~before, pl.col("security_id") == "parted"))
    others = pl.col("security_id") != "parted"
    assert with_split.filter(others).equals(plain.filter(others))
