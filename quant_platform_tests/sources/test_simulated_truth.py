"""What the truth table says was planted is what the source delivers, and nothing else is."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path

import polars as pl
import pytest

import quant_platform
from quant_platform.calendars import SessionCalendar
from quant_platform.sources.simulated.truth import planted_effects, planted_events
from quant_platform_tests.sources.markets import CASES, CLEAN, CRYPTO, DIRTY, NYSE

FIRST, LAST = date(2016, 1, 4), date(2026, 6, 30)
MIDNIGHT = datetime(2026, 7, 1, 1, 30, tzinfo=UTC)
KEY = ["security_id", "session"]
LIVING = {"listing", "delisting", "split", "rename", "reuse", "detached"}
"""Events of a market without dirt."""
cases = pytest.mark.parametrize(("calendar", "sleeve"), CASES, ids=[s for _, s in CASES])


@lru_cache(maxsize=8)
def delivered(calendar: SessionCalendar, sleeve: str) -> pl.DataFrame:
    bars = DIRTY.bars(calendar, sleeve, calendar.between(FIRST, LAST))
    return bars.with_columns(calendar.knowledge_sessions(bars["known_at"]))


@lru_cache(maxsize=8)
def clean(calendar: SessionCalendar, sleeve: str) -> pl.DataFrame:
    return CLEAN.bars(calendar, sleeve, calendar.between(FIRST, LAST))


def planted(calendar: SessionCalendar, sleeve: str, event: str) -> pl.DataFrame:
    """Return the events that the delivered range covers wholly, corrections included."""
    inside = pl.col("session").is_between(FIRST, calendar.offset(calendar.latest(MIDNIGHT), -5))
    events = planted_events(DIRTY, calendar, sleeve).filter(inside, pl.col("event") == event)
    assert events.height > 0
    return events


def sessions_after(calendar: SessionCalendar, events: pl.DataFrame) -> set[int]:
    """Return how many sessions pass between an event and its becoming known."""
    ordinal = dict(calendar.frame().select("session", "ordinal").iter_rows())
    pairs = events.select("session", "knowledge_session").iter_rows()
    return {ordinal[known] - ordinal[session] for session, known in pairs}


@cases
def test_a_missing_bar_never_arrives(calendar: SessionCalendar, sleeve: str) -> None:
    missing = planted(calendar, sleeve, "missing")
    assert missing["knowledge_session"].null_count() == missing.height
    assert missing.join(delivered(calendar, sleeve), on=KEY, how="semi").is_empty()


@cases
def test_a_late_bar_arrives_once_and_with_the_session_after(
    calendar: SessionCalendar, sleeve: str
) -> None:
    late = planted(calendar, sleeve, "late")
    rows = late.join(delivered(calendar, sleeve), on=KEY, suffix="_seen")
    assert rows.height == late.height
    assert rows["knowledge_session"].to_list() == rows["knowledge_session_seen"].to_list()
    assert sessions_after(calendar, late) == {1}
    assert set(rows["known_at_basis"]) == {"observed"}


@cases
@pytest.mark.parametrize(("event", "on_time"), [("late_session", 0), ("part_late_session", 2 / 3)])
def test_a_late_session_arrives_with_the_next(
    calendar: SessionCalendar, sleeve: str, event: str, on_time: float
) -> None:
    events = planted(calendar, sleeve, event)
    assert sessions_after(calendar, events) == {1}
    rows = events.drop("security_id").join(
        delivered(calendar, sleeve), on="session", suffix="_seen"
    )
    shares = rows.group_by("session").agg(
        on_time=(pl.col("knowledge_session_seen") == pl.col("session")).mean(),
        late=(pl.col("knowledge_session_seen") == pl.col("knowledge_session")).mean(),
    )
    assert shares.height == events.height
    assert shares["on_time"].to_list() == pytest.approx([on_time] * events.height, abs=0.15)
    assert (shares["late"] > 0.9 - on_time - 0.1).all()


@cases
def test_a_correction_replaces_a_wrong_close_three_sessions_later(
    calendar: SessionCalendar, sleeve: str
) -> None:
    events = planted(calendar, sleeve, "correction")
    assert sessions_after(calendar, events) == {3}
    versions = (
        events.join(delivered(calendar, sleeve), on=KEY, suffix="_seen")
        .join(clean(calendar, sleeve).select(*KEY, right="close"), on=KEY)
        .sort(*KEY, "known_at")
    )
    first = versions.unique(KEY, keep="first", maintain_order=True)
    second = versions.unique(KEY, keep="last", maintain_order=True)
    assert versions.height == 2 * events.height
    assert first["knowledge_session_seen"].to_list() == first["session"].to_list()
    assert second["knowledge_session_seen"].to_list() == second["knowledge_session"].to_list()
    assert (first["close"] != first["right"]).all()
    assert (second["close"] == second["right"]).all()
    assert set(second["known_at_basis"]) == {"observed"}
    # The wrong bar passes for a real one: only the correction tells.
    assert (first["low"] <= first["close"]).all()
    assert (first["high"] >= first["close"]).all()


@cases
def test_an_impossible_bar_breaks_the_contract(calendar: SessionCalendar, sleeve: str) -> None:
    events = planted(calendar, sleeve, "impossible")
    rows = events.join(delivered(calendar, sleeve), on=KEY)
    assert rows.height == events.height
    crossed, negative = rows["high"] < rows["low"], rows["low"] <= 0
    assert (crossed | negative).all()
    assert crossed.any()
    assert negative.any()


@cases
def test_a_duplicate_arrives_twice_in_all_columns(calendar: SessionCalendar, sleeve: str) -> None:
    events = planted(calendar, sleeve, "duplicate")
    rows = events.join(delivered(calendar, sleeve), on=KEY)
    assert rows.height == 2 * events.height
    assert rows.is_duplicated().all()


def test_a_closed_print_is_dated_on_no_session() -> None:
    events = planted(NYSE, "instruments", "closed_print")
    rows = events.join(delivered(NYSE, "instruments"), on=KEY, suffix="_seen")
    assert rows.height == events.height
    assert not any(NYSE.contains(session) for session in rows["session"])
    assert rows["knowledge_session"].to_list() == rows["knowledge_session_seen"].to_list()
    assert (
        planted_events(DIRTY, CRYPTO, "crypto").filter(pl.col("event") == "closed_print").is_empty()
    )


@cases
def test_listings_and_delistings_are_those_of_the_source(
    calendar: SessionCalendar, sleeve: str
) -> None:
    securities = DIRTY.securities(calendar, sleeve, calendar.between(date(2015, 1, 2), LAST))
    events = planted_events(DIRTY, calendar, sleeve).filter(pl.col("session") <= LAST)
    for event, day, rows in (
        ("listing", "listed_on", securities.unique("security_id", keep="first")),
        ("delisting", "delisted_on", securities.filter(pl.col("delisted_on").is_not_null())),
    ):
        truth = events.filter(pl.col("event") == event)
        assert truth.height > 0
        assert set(truth.select(KEY).rows()) == set(rows.select("security_id", day).rows())


@cases
@pytest.mark.parametrize("event", ["split", "delisting"])
def test_splits_and_delistings_are_the_sources_actions(
    calendar: SessionCalendar, sleeve: str, event: str
) -> None:
    actions = DIRTY.actions(calendar, sleeve, calendar.between(date(2015, 1, 2), LAST))
    kinds = ["delisting", "merger"] if event == "delisting" else [event]
    rows = actions.filter(pl.col("kind").cast(pl.String).is_in(kinds))
    rows = rows.with_columns(knowledge_session=calendar.knowledge_sessions(rows["known_at"]))
    # A merger is known before its last day, and the truth names that day.
    if event == "delisting":
        rows = rows.filter(pl.col("session") <= LAST)
    key = KEY if event == "delisting" else [*KEY, "knowledge_session"]
    truth = planted_events(DIRTY, calendar, sleeve).filter(
        pl.col("event") == event, pl.col("knowledge_session") <= LAST
    )
    assert (truth.height > 0) == (event != "split" or sleeve != "crypto")
    assert set(truth.select(key).rows()) == set(rows.select(key).rows())


@cases
def test_nothing_else_is_unusual(calendar: SessionCalendar, sleeve: str) -> None:
    """Rows that the truth does not name are those of the clean market."""
    spoilt = planted_events(DIRTY, calendar, sleeve).filter(~pl.col("event").is_in(sorted(LIVING)))
    late = spoilt.filter(pl.col("security_id").is_null())["session"].implode()
    usual = (
        delivered(calendar, sleeve)
        .join(spoilt, on=KEY, how="anti")
        .filter(~pl.col("session").is_in(late))
        .drop("knowledge_session")
    )
    original = clean(calendar, sleeve)
    assert usual.height > 0.9 * original.height
    assert usual.join(original, on=original.columns, how="anti").is_empty()


@cases
def test_dirt_comes_at_the_given_rates(calendar: SessionCalendar, sleeve: str) -> None:
    bars = clean(calendar, sleeve).height
    events = planted_events(DIRTY, calendar, sleeve).filter(
        pl.col("session").is_between(FIRST, LAST)
    )
    counts = dict(events.group_by("event").len().iter_rows())
    names = ("missing", "late", "correction", "impossible", "duplicate", "bad_print")
    for event, rate in zip(names, DIRTY.dirt.rates, strict=False):
        assert counts[event] / bars == pytest.approx(rate, rel=0.4)


@cases
def test_a_clean_market_has_only_a_living_universe(calendar: SessionCalendar, sleeve: str) -> None:
    events = set(planted_events(CLEAN, calendar, sleeve)["event"])
    assert {"listing", "delisting"} <= events <= LIVING
    assert ("split" in events) == (sleeve != "crypto")
    assert ("detached" in events) == (sleeve == "crypto")


@cases
def test_an_untraded_bar_repeats_the_close_before(calendar: SessionCalendar, sleeve: str) -> None:
    events = planted(calendar, sleeve, "untraded")
    rows = events.join(delivered(calendar, sleeve), on=KEY)
    assert (rows["volume"] == 0).mean() > 0.99
    quiet = rows.filter(pl.col("open") == pl.col("close"))
    assert quiet.height > 0.98 * rows.height
    # Some are alone, and some names are stale for a week or two.
    ordinals = events.join(calendar.frame().select("session", "ordinal"), on="session")
    runs = ordinals.sort("security_id", "ordinal").with_columns(
        run=(pl.col("ordinal").diff() != 1).fill_null(True).cum_sum().over("security_id")
    )
    lengths = runs.group_by("security_id", "run").len()["len"]
    assert lengths.min() == 1
    assert lengths.max() >= 5


@cases
def test_a_bad_print_is_never_corrected(calendar: SessionCalendar, sleeve: str) -> None:
    events = planted(calendar, sleeve, "bad_print")
    rows = events.join(delivered(calendar, sleeve), on=KEY).join(
        clean(calendar, sleeve).select(*KEY, right="close"), on=KEY
    )
    assert rows.height == events.height
    wrong = (rows["close"] / rows["right"]).log().abs()
    assert wrong.min() > 0.15
    assert (rows["low"] <= rows["close"]).all()
    assert (rows["high"] >= rows["close"]).all()


def test_the_effects_are_told() -> None:
    told = planted_effects(DIRTY, "instruments")
    assert set(told["effect"]) == {"momentum", "reversal", "lead_lag", "learnable"}
    pairs = told.drop_nulls("leader")
    assert pairs.height == 4
    assert pairs.row(0)[2:] == ("instruments-0003", "instruments-0004")


def test_no_module_of_the_platform_reads_the_truth() -> None:
    package = Path(quant_platform.__file__).parent
    readers = [
        path.name
        for path in package.rglob("*.py")
        if "validation" not in path.parts and path.name != "simulated.truth.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom) and "simulated.truth" in ast.unparse(node)
    ]
    assert readers == []
