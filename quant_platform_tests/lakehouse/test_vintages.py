"""Vintages against a naive as-of read of every requested session."""

from __future__ import annotations

from datetime import date
from math import prod
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.vintages import splits_in_effect, vintages
from quant_platform_tests.lakehouse.small_lake import SESSIONS, bar, bars_frame, span
from quant_platform_tests.market.actions import action, actions_frame

DAYS = SESSIONS[:14]
several = settings(max_examples=60)


@st.composite
def published(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Bars of three securities: some on time, some late, some corrected, more than once."""
    versions = draw(
        st.lists(
            st.tuples(
                st.sampled_from("abc"),
                st.integers(0, len(DAYS) - 1),
                st.one_of(st.just(0), st.integers(0, 6)),
                st.integers(0, 3),
            ),
            max_size=60,
            unique=True,
        )
    )
    return [
        bar(security, DAYS[day], 1.0 + number, late=late, minutes=10 + minutes)
        for number, (security, day, late, minutes) in enumerate(versions)
        if day + late < len(DAYS)
    ]


@st.composite
def ranges(draw: st.DrawFn) -> tuple[date, date]:
    first = draw(st.integers(0, len(DAYS) - 1))
    return DAYS[first], DAYS[draw(st.integers(first, len(DAYS) - 1))]


def as_of(rows: list[dict[str, Any]], security: str, session: date) -> dict[date, float]:
    """Return what was known of a security at a session's cutoff, one row after the other."""
    known: dict[date, dict[str, Any]] = {}
    for row in rows:
        if row["security_id"] == security and row["knowledge_session"] <= session:
            former = known.get(row["session"])
            if former is None or former["known_at"] < row["known_at"]:
                known[row["session"]] = row
    return {day: row["close"] for day, row in known.items()}


@several
@given(published(), ranges())
def test_each_session_sees_exactly_what_was_known_at_its_cutoff(
    rows: list[dict[str, Any]], asked: tuple[date, date]
) -> None:
    wanted = span(*asked)
    series = vintages(bars_frame(rows), wanted)
    for security in "abc":
        for session in wanted.sessions:
            mine = series.filter(
                pl.col("security_id") == security,
                pl.lit(session).is_between("vintage_from", "vintage_to"),
            )
            assert mine["vintage_from"].n_unique() <= 1
            seen = mine.filter(pl.col("session") <= session)
            assert dict(zip(seen["session"], seen["close"], strict=True)) == as_of(
                rows, security, session
            )


@several
@given(published(), ranges())
def test_vintages_tile_the_range_and_hold_each_session_once(
    rows: list[dict[str, Any]], asked: tuple[date, date]
) -> None:
    wanted = span(*asked)
    series = vintages(bars_frame(rows), wanted)
    keys = series.select("security_id", "vintage_from", "session")
    assert keys.equals(keys.unique().sort("security_id", "vintage_from", "session"))
    spans = series.select("security_id", "vintage_from", "vintage_to").unique()
    assert spans.select("vintage_from").to_series().is_between(wanted.first, wanted.last).all()
    for security, own in spans.sort("vintage_from").group_by("security_id"):
        covered = [
            session
            for begin, end in own.select("vintage_from", "vintage_to").iter_rows()
            for session in wanted.sessions
            if begin <= session <= end
        ]
        # A vintage in which nothing was known yet has no rows, and none is asked of it.
        silent = [day for day in wanted.sessions if not as_of(rows, str(security[0]), day)]
        assert sorted(covered) == sorted(set(covered))
        assert {*covered, *silent} == set(wanted.sessions)


@several
@given(published(), ranges())
def test_the_order_in_which_rows_come_does_not_matter(
    rows: list[dict[str, Any]], asked: tuple[date, date]
) -> None:
    wanted = span(*asked)
    assert vintages(bars_frame(rows), wanted).equals(vintages(bars_frame(rows[::-1]), wanted))


def test_a_security_without_late_rows_has_one_series() -> None:
    rows = [bar("a", day) for day in DAYS]
    series = vintages(bars_frame(rows), span(DAYS[3], DAYS[9]))
    assert series["vintage_from"].unique().to_list() == [DAYS[3]]
    assert series["vintage_to"].unique().to_list() == [DAYS[9]]


def test_a_correction_starts_a_vintage_of_its_own_security_only() -> None:
    rows = [bar(name, day) for name in "ab" for day in DAYS] + [bar("a", DAYS[2], 99.0, late=3)]
    series = vintages(bars_frame(rows), span(DAYS[0], DAYS[9]))
    starts = series.group_by("security_id").agg(pl.col("vintage_from").unique().sort())
    assert dict(starts.iter_rows()) == {"a": [DAYS[0], DAYS[5]], "b": [DAYS[0]]}
    corrected = series.filter(pl.col("session") == DAYS[2], pl.col("security_id") == "a")
    assert corrected["close"].to_list() == [10.0, 99.0]


def test_nothing_published_gives_no_series() -> None:
    assert vintages(bars_frame([]), span(DAYS[0], DAYS[1])).height == 0


# -- splits ----------------------------------------------------------------------------------------


@st.composite
def splits(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Split two of the securities, known early, late, and in more than one version."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from("ab"),
                st.integers(0, len(DAYS) - 1),
                st.integers(0, len(DAYS) - 1),
                st.sampled_from([2.0, 3.0, 0.2, 7.0]),
            ),
            max_size=6,
            unique_by=lambda split: split[:3],
        )
    )
    return [action(name, DAYS[ex], ratio, known=DAYS[known]) for name, ex, known, ratio in drawn]


def units(actions: list[dict[str, Any]], security: str, session: date, after: date) -> float:
    """Units at a session of one held at an earlier one, by the splits known by then."""
    latest: dict[date, float] = {}
    for row in sorted(actions, key=lambda row: row["known_at"]):
        applies = row["knowledge_session"] <= session and after < row["session"] <= session
        if applies and row["security_id"] == security:
            latest[row["session"]] = row["value"]
    return prod(latest.values())


@several
@given(published(), splits(), ranges())
def test_each_session_sees_prices_in_its_own_units(
    rows: list[dict[str, Any]], actions: list[dict[str, Any]], asked: tuple[date, date]
) -> None:
    wanted = span(*asked)
    known = splits_in_effect(actions_frame(actions))
    series = vintages(bars_frame(rows), wanted, known)
    for security in "abc":
        for session in wanted.sessions:
            seen = series.filter(
                pl.col("security_id") == security,
                pl.lit(session).is_between("vintage_from", "vintage_to"),
                pl.col("session") <= session,
            )
            closes = as_of(rows, security, session)
            assert seen["session"].to_list() == sorted(closes)
            for day, close, high, volume in seen.select(
                "session", "close", "high", "volume"
            ).iter_rows():
                factor = units(actions, security, session, day)
                assert close == pytest.approx(closes[day] / factor, rel=1e-12)
                assert high == close
                assert volume == pytest.approx(100.0 * factor, rel=1e-12)


@several
@given(published(), splits(), ranges())
def test_a_range_over_splits_has_the_bytes_of_its_days(
    rows: list[dict[str, Any]], actions: list[dict[str, Any]], asked: tuple[date, date]
) -> None:
    wanted = span(*asked)
    published_rows = bars_frame(rows)
    known = splits_in_effect(actions_frame(actions))
    whole = vintages(published_rows, wanted, known)
    for session in wanted.sessions:
        earlier = [row for row in actions if row["knowledge_session"] <= session]
        upto = pl.col("session") <= session
        alone = vintages(
            published_rows, span(session, session), splits_in_effect(actions_frame(earlier))
        ).filter(upto)
        inside = pl.lit(session).is_between("vintage_from", "vintage_to")
        drop = pl.exclude("vintage_from", "vintage_to")
        assert whole.filter(inside, upto).select(drop).equals(alone.select(drop))


def test_a_split_takes_effect_when_it_is_known_and_as_a_step_from_its_former_version() -> None:
    actions = [
        action("a", DAYS[4], 2.0),
        action("a", DAYS[4], 6.0, known=DAYS[7]),
        action("b", DAYS[2], 4.0, known=DAYS[0]),
        action("b", DAYS[2], 5.0, known=DAYS[1]),
        action("b", DAYS[9], 0.0, kind="delisting"),
    ]
    found = splits_in_effect(actions_frame(actions))
    assert found.rows() == [
        ("a", DAYS[4], DAYS[4], 2.0, 2.0),
        ("a", DAYS[4], DAYS[7], 6.0, 3.0),
        ("b", DAYS[2], DAYS[2], 5.0, 5.0),
    ]
