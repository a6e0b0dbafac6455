"""The table of betas: definitions, what was known when, ranges, and where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_platform.features.beta import beta_features, beta_windows
from quant_platform.lakehouse.contracts.features_beta import FACTORS, FEATURES_BETA
from quant_platform.settings import BetaSettings
from quant_platform_tests.lakehouse.small_lake import CALENDAR, span

SESSIONS = CALENDAR.between(date(2019, 1, 2), date(2023, 6, 30))
HISTORY = SESSIONS[0]
ASKED = SESSIONS[1050:1090]
DAY = ASKED[25]
SETTINGS = BetaSettings()
Tables = Mapping[str, pl.DataFrame]


def observed(name: str, session: date, known: date, value: float, hour: int = 23) -> dict[str, Any]:
    moment = datetime(known.year, known.month, known.day, hour, tzinfo=UTC)
    return {
        "series": name,
        "session": session,
        "knowledge_session": known,
        "known_at": moment,
        "value": value,
    }


@cache
def market() -> Tables:
    """Lay out a market whose crises are in its VIX: betas then double; one style turns over."""
    random = np.random.default_rng(4)
    size = len(SESSIONS)
    vix = 18 + np.cumsum(random.normal(0, 0.7, size)) * 0.3 + random.normal(0, 2, size)
    factors = random.normal(0, 0.01, (size, 6))
    free = np.full(size, 1e-4)
    levels = np.array([np.quantile(vix[max(n - 251, 0) : n + 1], 0.75) for n in range(size)])
    spread = random.normal(0, 0.004, (size, 4))
    index = free + factors[:, 0] + random.normal(0, 0.001, size)
    turned = np.where(np.arange(size) < 790, -1.0, 1.0)
    returns = {
        "index": index,
        "steady": free + factors @ [1.2, 0.5, 0, 0, 0, -0.3] + spread[:, 0],
        "crisis": np.where(vix > levels, 2.0, 0.5) * index + spread[:, 1],
        "turned": free + factors[:, 0] + turned * factors[:, 2] + spread[:, 2],
        "young": index + spread[:, 3],
    }
    rows = [
        {"session": day, "security_id": name, "total": float(values[n])}
        for name, values in returns.items()
        for n, day in enumerate(SESSIONS)
        if (name != "young" or n > 1000) and (name != "steady" or n % 97)
    ]
    news = []
    for n, day in enumerate(SESSIONS):
        news.append(observed("VIX", day, day, float(vix[n])))
        month = date(day.year + day.month // 12, day.month % 12 + 1, 25)
        known = next((late for late in SESSIONS[n:] if late >= month), None)
        if known is not None:
            values = zip([*FACTORS.values(), "RF"], [*factors[n], free[n]], strict=True)
            news += [observed(name, day, known, float(value)) for name, value in values]
    # A VIX that came a day late is of no use to its session; a factor is restated once.
    news = [row for row in news if row["series"] != "VIX" or row["session"] != SESSIONS[900]]
    news.append(observed("VIX", SESSIONS[900], SESSIONS[901], 90.0))
    news.append(observed("SMB", SESSIONS[880], ASKED[20], 0.3))
    return {"returns": pl.DataFrame(rows), "series": pl.DataFrame(news)}


def made(sessions: Sequence[date], tables: Tables, *, series: bool = True) -> pl.DataFrame:
    """Compute a range from what its windows hand over, as the IO manager bounds it."""
    wanted = span(sessions[0], sessions[-1], HISTORY)
    frames = {}
    for name, window in beta_windows("", "series" if series else "").items():
        partition = "knowledge_session" if name == "series" else "session"
        loaded = wanted.loaded(window)
        frames[name] = tables[window.table].filter(pl.col(partition).is_in(loaded)).lazy()
    frame = beta_features(frames, SETTINGS, wanted, "index", 0.05)
    return FEATURES_BETA.validate("x/features_beta", frame)


@cache
def whole() -> pl.DataFrame:
    return made(ASKED, market())


def row(security: str, session: date = DAY) -> dict[str, Any]:
    chosen = (pl.col("security_id") == security) & (pl.col("session") == session)
    return whole().row(by_predicate=chosen, named=True)


def returns_of(name: str) -> dict[date, float]:
    own = market()["returns"].filter(pl.col("security_id") == name)
    return dict(zip(own["session"], own["total"], strict=True))


def slope(name: str, days: Sequence[date]) -> float:
    own, index = returns_of(name), returns_of("index")
    both = [(index[day], own[day]) for day in days if day in own]
    return float(np.polyfit(*np.array(both).T, 1)[0])


def kinds() -> tuple[list[date], list[date]]:
    """Sessions of crisis and calm among the last 756, from the definition."""
    rows = market()["series"].filter(
        pl.col("series") == "VIX", pl.col("knowledge_session") == pl.col("session")
    )
    fear = dict(zip(rows["session"], rows["value"], strict=True))
    end = SESSIONS.index(DAY)
    crisis, calm = [], []
    for n in range(end - 755, end + 1):
        values = [fear[day] for day in SESSIONS[n - 251 : n + 1] if day in fear]
        if SESSIONS[n] in fear:
            above = fear[SESSIONS[n]] > np.quantile(values, 0.75)
            (crisis if above else calm).append(SESSIONS[n])
    return crisis, calm


@pytest.mark.parametrize("name", ["index", "steady", "crisis", "turned"])
def test_betas_are_slopes_over_their_sessions(name: str) -> None:
    end = SESSIONS.index(DAY) + 1
    told, (crisis, calm) = row(name), kinds()
    quarters = [slope(name, SESSIONS[end - 63 - back : end - back]) for back in (0, 63, 126, 189)]
    expected = {
        "beta_252": slope(name, SESSIONS[end - 252 : end]),
        "beta_63": quarters[0],
        "beta_stability": 1 / (1 + np.std(quarters, ddof=1)),
        "beta_crisis": slope(name, crisis),
        "beta_normal": slope(name, calm),
    }
    for column, value in expected.items():
        assert told[column] == pytest.approx(value, rel=1e-5), column
    assert told["crisis_sessions"] == sum(day in returns_of(name) for day in crisis)


def test_the_beta_of_crisis_is_told_from_that_of_calm() -> None:
    told = row("crisis")
    assert told["beta_crisis"] == pytest.approx(2.0, abs=0.15)
    assert told["beta_normal"] == pytest.approx(0.5, abs=0.15)


def test_exposures_are_of_the_sessions_whose_factors_were_published() -> None:
    """On the 25th of a month those of the month before; until then those before that."""
    for session in (ASKED[0], DAY):
        told = row("steady", session)
        known = market()["series"].filter(pl.col("knowledge_session") <= session)
        last = known.filter(pl.col("series") == "SMB")["session"].max()
        assert told["factors_through"] == last
        latest = known.sort("known_at").unique(["series", "session"], keep="last")
        table = latest.pivot("series", index="session", values="value").sort("session")
        own = returns_of("steady")
        end = SESSIONS.index(last) + 1
        days = [day for day in SESSIONS[end - 252 : end] if day in own]
        table = table.filter(pl.col("session").is_in(days))
        terms = np.column_stack([np.ones(len(days)), *(table[f] for f in FACTORS.values())])
        excess = np.array([own[day] for day in days]) - table["RF"].to_numpy()
        found = np.linalg.lstsq(terms, excess)[0]
        for number, name in enumerate(FACTORS, 1):
            assert told[f"exposure_{name}"] == pytest.approx(found[number], abs=1e-5)
            assert told[f"error_{name}"] > 0


def test_a_restated_factor_counts_from_its_publication_on() -> None:
    before, after = row("steady", ASKED[19]), row("steady", ASKED[20])
    assert before["exposure_size"] == pytest.approx(0.5, abs=0.15)
    assert abs(after["exposure_size"]) < 0.2


def test_a_style_that_turned_has_drifted_and_a_steady_one_has_not() -> None:
    assert row("turned", ASKED[0])["style_drift"] is True
    assert row("steady", ASKED[0])["style_drift"] is False
    assert row("young", ASKED[0])["style_drift"] is None


def test_too_young_is_nothing() -> None:
    told = row("young")
    for name in ("beta_252", "beta_crisis", "exposure_market", "error_market"):
        assert told[name] is None
    assert told["beta_63"] == pytest.approx(1.0, abs=0.3)


def test_without_the_series_there_are_plain_betas_alone() -> None:
    found = made([DAY], market(), series=False)
    for name in ("beta_crisis", "beta_normal", "exposure_market", "factors_through", "style_drift"):
        assert found[name].null_count() == found.height
    both = ["security_id", "beta_252", "beta_63", "beta_stability"]
    assert found.select(both).equals(whole().filter(pl.col("session") == DAY).select(both))


def test_factors_that_ceased_say_nothing_of_today() -> None:
    """126 sessions after the last of them."""
    ended = pl.col("session") <= SESSIONS[939]
    series = market()["series"].filter(ended | (pl.col("series") == "VIX"))
    found = made(ASKED, {**market(), "series": series})
    known = found.filter(pl.col("factors_through").is_not_null())["session"].unique().sort()
    assert known.to_list() == list(SESSIONS[1050:1066])


@pytest.mark.parametrize("chunk", [1, 7])
def test_a_range_has_the_bytes_of_its_parts(chunk: int) -> None:
    parts = [made(ASKED[start : start + chunk], market()) for start in range(0, len(ASKED), chunk)]
    assert pl.concat(parts).equals(whole())


def spoilt(day: date) -> Tables:
    tables = dict(market())
    for kind, name in (("returns", "total"), ("series", "value")):
        partition = "session" if kind == "returns" else "knowledge_session"
        later = pl.col(partition) > day
        changed = pl.when(later).then(pl.col(name) * 3).otherwise(name).alias(name)
        tables[kind] = tables[kind].with_columns(changed)
    return tables


def test_what_is_known_later_changes_nothing() -> None:
    day = ASKED[12]
    upto = pl.col("session") <= day
    assert made(ASKED, spoilt(day)).filter(upto).equals(whole().filter(upto))
    assert not made(ASKED, spoilt(day)).equals(whole())


def test_a_look_ahead_that_is_planted_is_seen() -> None:
    """Factors taken as known on their own session: what is published later then changes today."""
    day = ASKED[12]

    def leaking(tables: Tables) -> pl.DataFrame:
        at_once = tables["series"].with_columns(knowledge_session="session")
        return made(ASKED, {**tables, "series": at_once}).filter(pl.col("session") <= day)

    assert not leaking(spoilt(day)).equals(leaking(market()))


def test_securities_do_not_depend_on_one_another() -> None:
    chosen = pl.col("security_id").is_in(["steady", "index"])
    some = {**market(), "returns": market()["returns"].filter(chosen)}
    assert made(ASKED, some).equals(whole().filter(chosen))


def test_a_benchmark_of_another_table_is_the_same() -> None:
    wanted = span(ASKED[0], ASKED[-1], HISTORY)
    own = market()["returns"].filter(pl.col("security_id") != "index")
    other = market()["returns"].filter(pl.col("security_id") == "index")
    frames = {
        "returns": own.lazy(),
        "benchmark": other.lazy(),
        "series": market()["series"].lazy(),
    }
    found = beta_features(frames, SETTINGS, wanted, "index", 0.05)
    assert found.equals(whole().filter(pl.col("security_id") != "index"))
