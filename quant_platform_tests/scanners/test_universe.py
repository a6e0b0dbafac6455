"""The universe: listed, members, not stale, large and liquid enough, all as of each session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.scanners.fund_facts import FACTS_SESSIONS
from quant_platform.scanners.universe import (
    FEWEST_BARS,
    session_universe,
    survivors_of,
    universe_gates,
    universe_windows,
)
from quant_platform.scanners.universe_counts import (
    actions_hashes,
    universe_counts,
    universe_counts_windows,
)
from quant_platform.settings.universe import UniverseSettings
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS, bar, bars_frame, span
from quant_platform_tests.scanners.chain import handed
from quant_platform_tests.scanners.test_screener import description, table

DAYS = SESSIONS[:60]
STALE = 5
ALL_KINDS = frozenset({"bars", "securities", "actions", "membership", "fund_facts"})
Rows = Sequence[Mapping[str, Any]]


def known(session: date) -> dict[str, Any]:
    return {
        "knowledge_session": session,
        "known_at": CALENDAR.close(session) + timedelta(minutes=30),
        "known_at_basis": "assumed",
    }


def stay(security: str, told: date, begin: date, end: date | None = None) -> dict[str, Any]:
    named = {"index": "SP500", "security_id": security, "valid_from": begin, "valid_to": end}
    return named | known(told)


def fact(
    security: str, told: date, aum: float | None, session: date | None = None
) -> dict[str, Any]:
    return {"security_id": security, "session": session or told, "aum": aum} | known(told)


def action(security: str, kind: str, session: date, value: float | None = None) -> dict[str, Any]:
    own = {"security_id": security, "kind": kind, "session": session, "value": value}
    return own | known(session)


class Market:
    """Tables of a small market, and its universe by the real function."""

    def __init__(self, bars: Rows, **kinds: Rows) -> None:
        self.tables = {"bars": bars_frame(bars)}
        for kind in ("securities", "actions", "membership", "fund_facts"):
            self.tables[kind] = table(kind, kinds.get(kind, []))

    def universe(
        self,
        settings: UniverseSettings | None = None,
        first: date = DAYS[0],
        last: date = DAYS[-1],
        **parts: Any,
    ) -> pl.DataFrame:
        own, wanted = settings or UniverseSettings(), span(first, last)
        frames = handed(self.tables, universe_windows(own, ALL_KINDS, STALE), wanted)
        made = session_universe(frames, own, wanted, stale_sessions=STALE, **parts)
        return CONTRACTS["universe"].validate("x/universe", made)

    def counts(self, universe: pl.DataFrame, first: date, last: date) -> dict[date, dict[str, int]]:
        wanted, tables = span(first, last), {**self.tables, "universe": universe}
        made = universe_counts(
            handed(tables, universe_counts_windows(), wanted), UniverseSettings(), wanted
        )
        rows = CONTRACTS["universe_counts"].validate("x/universe_counts", made)
        told: dict[date, dict[str, int]] = {}
        assert set(rows["constituency_source"]) == {"listings"}
        for session, what, count in rows.select("session", "what", "count").iter_rows():
            told.setdefault(session, {})[what] = count
        return told


def included(made: pl.DataFrame, security: str) -> list[date]:
    return made.filter("included", security_id=security)["session"].to_list()


def reasons(made: pl.DataFrame, security: str) -> set[str | None]:
    return set(made.filter(security_id=security)["reason"])


def daily(*securities: str, days: Sequence[date] = DAYS, **changes: Any) -> list[dict[str, Any]]:
    return [bar(security, day) | changes for security in securities for day in days]


LISTED = [description(name, DAYS[0]) for name in "ab"]


def test_a_member_is_one_from_when_it_is_known_to_be_and_as_long() -> None:
    told = [
        stay("a", DAYS[3], DAYS[0]),
        # It left on day 8, which was told on day 10.
        stay("a", DAYS[10], DAYS[0], DAYS[8]),
        stay("b", DAYS[2], DAYS[6]),
        stay("b", DAYS[2], DAYS[20], DAYS[22]),
        stay("b", DAYS[7], DAYS[6], DAYS[9]),
    ]
    made = Market(daily("a", "b"), securities=LISTED, membership=told).universe(
        UniverseSettings(index="SP500")
    )
    assert included(made, "a") == list(DAYS[3:10])
    assert included(made, "b") == [*DAYS[6:10], *DAYS[20:23]]
    assert reasons(made, "a") == {None, "index_member"}


def test_another_index_has_other_members() -> None:
    market = Market(daily("a"), securities=LISTED, membership=[stay("a", DAYS[0], DAYS[0])])
    assert not market.universe(UniverseSettings(index="NDX"))["included"].any()


def test_assets_are_those_last_told_and_no_older_than_a_year() -> None:
    days = SESSIONS[:270]
    told = [
        fact("a", days[2], 5e6),
        fact("a", days[5], 2e7),
        # A correction of an old day is no news of today.
        fact("a", days[8], 1e6, session=days[2]),
        fact("a", days[9], None),
    ]
    market = Market(daily("a", "b", days=days), securities=LISTED, fund_facts=told)
    settings = UniverseSettings(min_aum=1e7)
    made = market.universe(settings, last=days[-1])
    assert included(made, "a") == list(days[5 : 5 + 253])
    assert reasons(made, "b") == {"aum"}
    (entry,) = (
        (made.filter(session=days[3], security_id="a")["passes"].explode().struct.unnest())
        .filter(rule="aum")
        .rows()
    )
    assert entry == ("aum", False, 5e6, 1e7)


def test_an_old_fact_that_is_told_today_is_old() -> None:
    nearly = CALENDAR.offset(DAYS[10], -FACTS_SESSIONS)
    told = [
        fact("a", DAYS[0], 2e7, session=DAYS[0] - timedelta(days=3650)),
        fact("b", DAYS[5], 2e7, session=nearly),
    ]
    market = Market(daily("a", "b"), securities=LISTED, fund_facts=told)
    made = market.universe(UniverseSettings(min_aum=1e7))
    assert included(made, "a") == []
    assert included(made, "b") == list(DAYS[5:11])


def test_where_there_are_no_facts_assets_are_not_asked() -> None:
    settings = UniverseSettings(min_aum=1e7)
    assert [gate.name for gate in universe_gates(settings, {"bars"})] == ["stale"]
    assert "fund_facts" not in universe_windows(settings, {"bars"}, STALE)


def test_volume_is_a_mean_of_twenty_sessions_in_units_of_the_session() -> None:
    before, after = daily("a", days=DAYS[:30], volume=300.0), daily("a", days=DAYS[30:], volume=600)
    market = Market(
        [*before, *after],
        securities=LISTED,
        actions=[action("a", "split", DAYS[30], 2.0)],
    )
    made = market.universe(UniverseSettings(min_mean_volume=1.0))
    values = (
        made.filter(security_id="a")
        .select("session", entry="passes")
        .explode("entry")
        .unnest("entry")
        .filter(rule="mean_volume")
    )
    assert values["value"].to_list() == [
        *[None] * (FEWEST_BARS - 1),
        *[300.0] * (30 - FEWEST_BARS + 1),
        *[600.0] * 30,
    ]
    assert included(made, "a")[0] == DAYS[FEWEST_BARS - 1]


def test_who_never_traded_is_stale_and_who_trades_again_is_not() -> None:
    bars = [*daily("a", days=DAYS[:10]), *daily("a", days=DAYS[20:])]
    made = Market(bars, securities=LISTED).universe()
    assert included(made, "a") == [*DAYS[:14], *DAYS[20:]]
    assert reasons(made, "b") == {"stale"}


def test_a_bar_that_comes_late_shows_from_then_on() -> None:
    bars = [*daily("a", days=DAYS[:10]), bar("a", DAYS[13], late=3)]
    made = Market(bars, securities=LISTED).universe()
    assert included(made, "a") == [*DAYS[:14], DAYS[16], DAYS[17]]


def test_a_biased_list_leaves_out_who_will_be_gone() -> None:
    gone = description("b", DAYS[30], delisted_on=DAYS[30])
    market = Market(daily("a", "b"), securities=[*LISTED, gone])
    settings = UniverseSettings(survivorship="biased", survivors_on=DAYS[-1])
    there = span(DAYS[0], DAYS[-1])
    survivors = survivors_of(market.tables["securities"], None, settings, there)
    made = market.universe(settings, survivors=lambda: survivors)
    assert included(made, "a") == list(DAYS)
    assert included(made, "b") == []
    assert reasons(made, "b") == {"survivor"}
    assert settings.constituency_source.endswith("(biased)")
    honest = market.universe()
    assert included(honest, "b") == list(DAYS[:30])
    with pytest.raises(ValueError, match="need one another"):
        UniverseSettings(survivorship="biased")


def test_a_biased_index_is_todays() -> None:
    told = [stay("a", DAYS[0], DAYS[0]), stay("b", DAYS[40], DAYS[40])]
    market = Market(daily("a", "b"), securities=LISTED, membership=told)
    day = span(DAYS[0], DAYS[-1])
    settings = UniverseSettings(index="SP500", survivorship="biased", survivors_on=DAYS[-1])
    tables = market.tables
    assert survivors_of(tables["securities"], tables["membership"], settings, day) == ["a", "b"]


def test_the_hash_tells_which_actions_were_known() -> None:
    some = [action("a", "split", DAYS[10], 2.0)]
    more = [*some, action("b", "dividend", DAYS[20], 0.1)]
    wanted = span(DAYS[0], DAYS[-1])
    few, many = (
        actions_hashes(table("actions", told), wanted)["corporate_actions_hash"]
        for told in (some, more)
    )
    assert few.n_unique() == 2
    assert many.n_unique() == 3
    assert few[:20].equals(many[:20])
    assert (few[20:] != many[20:]).all()


# -- counts ----------------------------------------------------------------------------------------


def test_arrivals_and_departures_are_counted_by_what_became_of_them() -> None:
    names = ("stays", "merges", "fails", "silent", "empty", "renames", "late")
    told = [description(name, DAYS[0]) for name in names if name != "late"]
    told += [
        description("late", DAYS[9], listed_on=DAYS[9]),
        *(
            description(name, DAYS[20], delisted_on=DAYS[20])
            for name in ("merges", "fails", "silent", "empty")
        ),
    ]
    bars = daily(*(name for name in names if name not in {"empty", "late"}), days=DAYS[:20])
    bars += daily("stays", "renames", days=DAYS[20:]) + daily("late", days=DAYS[9:])
    actions = [
        action("merges", "merger", DAYS[20], 30.0),
        action("merges", "delisting", DAYS[20], 30.0),
        action("fails", "delisting", DAYS[20]),
        action("renames", "rename", DAYS[12]),
    ]
    market = Market(bars, securities=told, actions=actions)
    universe = market.universe()
    counts = market.counts(universe, DAYS[0], DAYS[-1])
    assert counts[DAYS[0]] == {"listed": 6, "included": 5, "rejected_stale": 1}
    assert counts[DAYS[9]]["arrived"] == 1
    assert counts[DAYS[12]]["renamed"] == 1
    left = {"merged": 1, "delisted": 1, "unexplained": 1, "never_traded": 1}
    assert counts[DAYS[20]] == {"listed": 3, "included": 3, **left}
    assert counts[DAYS[21]] == {"listed": 3, "included": 3}
    # A day counts alone what it counts in a range.
    for day in (DAYS[0], DAYS[9], DAYS[20]):
        assert market.counts(universe, day, day)[day] == counts[day]


# -- the laws --------------------------------------------------------------------------------------

EVERYTHING = UniverseSettings(index="SP500", min_aum=1e7, min_mean_volume=1.0)


def eventful() -> Market:
    """Late bars, late facts, splits, stays that are revised, a departure."""
    bars = [*daily("a", days=DAYS[:25]), *daily("b")]
    bars += [bar("a", day, late=3) for day in DAYS[25:28]]
    bars += daily("a", days=DAYS[33:])
    told = [*LISTED, description("b", DAYS[50], delisted_on=DAYS[52])]
    return Market(
        bars,
        securities=told,
        actions=[action("b", "split", DAYS[30], 2.0), action("b", "delisting", DAYS[52], 1.0)],
        membership=[
            stay("a", DAYS[0], DAYS[0]),
            stay("b", DAYS[4], DAYS[2]),
            stay("b", DAYS[40], DAYS[2], DAYS[37]),
        ],
        fund_facts=[fact(n, day, 1e7 + 1e6 * k) for n in "ab" for k, day in enumerate(DAYS[::9])]
        + [fact("a", DAYS[20], 1.0, session=DAYS[2])],
    )


@pytest.mark.parametrize("chunk", [1, 7])
def test_a_range_has_the_bytes_of_its_parts(chunk: int) -> None:
    market = eventful()
    whole = market.universe(EVERYTHING)
    assert 0 < whole["included"].sum() < whole.height
    parts = [DAYS[start : start + chunk] for start in range(0, len(DAYS), chunk)]
    assert pl.concat([market.universe(EVERYTHING, part[0], part[-1]) for part in parts]).equals(
        whole
    )


@pytest.mark.parametrize("position", [4, 27, 29, 39, 50])
def test_what_is_known_later_changes_nothing(position: int) -> None:
    market, session = eventful(), DAYS[position]
    expected = market.universe(EVERYTHING, session, session)
    assert expected.height == 2
    for kind, rows in market.tables.items():
        later = pl.col("knowledge_session") > session
        numbers = [name for name, dtype in rows.schema.items() if dtype == pl.Float64]
        market.tables[kind] = rows.with_columns(
            pl.when(later).then(pl.col(name) * 7).otherwise(name).alias(name) for name in numbers
        )
    made = market.universe(EVERYTHING)
    assert made.filter(session=session).equals(expected)
