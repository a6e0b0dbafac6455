"""Law 1 on the shipped graph, and on graphs that look ahead."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.inputs import input_hashes
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.orchestration import making
from quant_platform_tests.laws import moments, planted, point_in_time
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.conftest import FIRST, LAST, SMALL_FIRST, filled_small, small_recipe
from quant_platform_tests.laws.garbage import garbage_twin
from quant_platform_tests.laws.point_in_time import (
    check_another_future,
    check_clocks,
    check_isolation,
    check_no_clock_is_read,
    check_truncation,
)
from quant_platform_tests.laws.workshop import Plant, Workshop

LEAKY = "instruments/features_trend"
DAY = date(2022, 4, 5)
LATE = date(2022, 3, 30)
"""Session that arrives as a whole on the next one."""


def later_clock() -> datetime:
    return datetime(2031, 5, 1, 3, tzinfo=UTC)


def nyse(workshop: Workshop) -> SessionCalendar:
    return next(s.calendar for s in workshop.stages if s.calendar.code == "XNYS")


def days_of(workshop: Workshop) -> dict[str, list[date]]:
    events = moments.truth(workshop.recipe.sleeves, FIRST, LAST)
    return moments.event_days(events, nyse(workshop))


def test_the_market_has_every_kind_of_event(filled: Workshop) -> None:
    assert set(days_of(filled)) >= moments.EVENTS


def test_truncation(filled: Workshop) -> None:
    around = days_of(filled)
    check_truncation(filled, FIRST, sorted({around["delisting"][-1], around["correction"][-1]}))


@pytest.mark.slow
def test_truncation_on_many_days(filled: Workshop) -> None:
    grid = filled.graph.settings.platform.rebalance
    around = days_of(filled)
    days = {day for event in moments.DECISIVE for day in around[event]}
    days |= {around[event][-1] for event in moments.EVENTS - moments.DECISIVE}
    days |= {
        moments.rebalance_day(nyse(filled), grid.anchor, grid.step, LAST),
        moments.eve_of_a_long_weekend(nyse(filled), LAST),
    }
    check_truncation(filled, FIRST, sorted(days))


@pytest.mark.parametrize(
    "event",
    [
        "listing",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("correction", "delisting")),
    ],
)
def test_another_future(filled: Workshop, event: str) -> None:
    check_another_future(filled, days_of(filled)[event][0], ago=1, ahead=5)


def test_isolation(filled: Workshop, garbage: Lake) -> None:
    check_isolation(filled, garbage, LAST, LAST)


def test_an_honest_short_history_keeps_the_law(
    small: Workshop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The short history is no law-breaker by itself: what follows is caught for its leak."""
    check_truncation(small, SMALL_FIRST, [LATE, DAY])
    check_another_future(small, DAY, ago=3, ahead=7)
    twin = garbage_twin(small.lake, small.tables, tmp_path_factory.mktemp("garbage"))
    check_isolation(small, twin, DAY, DAY)
    check_clocks(small, DAY, DAY, [later_clock])


def test_truncation_catches_a_shift_of_the_wrong_sign(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    leaking = filled_small(tmp_path_factory, planted.TOMORROW)
    with pytest.raises(LawBroken) as caught:
        check_truncation(leaking, SMALL_FIRST, [DAY])
    require(caught.value, point_in_time.TRUNCATION, DAY)


def test_truncation_catches_hindsight(tmp_path_factory: pytest.TempPathFactory) -> None:
    leaking = filled_small(tmp_path_factory, planted.HINDSIGHT)
    with pytest.raises(LawBroken, match="other rows, content") as caught:
        check_truncation(leaking, SMALL_FIRST, [LATE])
    assert (caught.value.table, caught.value.session) == (LEAKY, LATE)


def test_another_future_catches_a_mean_over_the_range(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    leaking = filled_small(tmp_path_factory, planted.DEMEANED)
    with pytest.raises(LawBroken) as caught:
        check_another_future(leaking, DAY, ago=3, ahead=7)
    require(caught.value, point_in_time.FUTURE, DAY - timedelta(days=1))


def test_another_future_must_be_another(small: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point_in_time, "AlteredSource", lambda source, **_when: source)
    with pytest.raises(LawBroken, match="changed nothing"):
        check_another_future(small, DAY, ago=3, ahead=7)


@pytest.mark.parametrize("plant", [planted.WHOLE_TREE, planted.OWN_ROWS])
def test_isolation_catches(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> None:
    leaking = filled_small(tmp_path_factory, plant)
    twin = garbage_twin(leaking.lake, leaking.tables, tmp_path_factory.mktemp("garbage"))
    with pytest.raises(LawBroken) as caught:
        check_isolation(leaking, twin, DAY, DAY)
    require(caught.value, point_in_time.ISOLATION, DAY)


def test_isolation_requires_that_what_is_read_is_hashed(
    small: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def forgetful(
        lake: Lake,
        windows: Mapping[str, Window],
        wanted: SessionRange,
        own_content: Mapping[str, Mapping[date, str]] | None = None,
        grid: Collection[date] = (),
    ) -> dict[date, str]:
        nearest = {name: replace(window, lookback=1) for name, window in windows.items()}
        return input_hashes(lake, nearest, wanted, own_content, grid)

    monkeypatch.setattr(making, "input_hashes", forgetful)
    monkeypatch.setattr(point_in_time, "input_hashes", forgetful)
    forgetting = filled_small(tmp_path_factory)
    twin = garbage_twin(small.lake, small.tables, tmp_path_factory.mktemp("garbage"))
    with pytest.raises(LawBroken, match="its input hash ignores instruments/bars of 2022-03"):
        check_isolation(forgetting, twin, DAY, DAY)


def test_two_wall_clocks_catch_an_age(tmp_path_factory: pytest.TempPathFactory) -> None:
    leaking = filled_small(tmp_path_factory, planted.AGED)
    with pytest.raises(LawBroken) as caught:
        check_clocks(leaking, DAY, DAY, [later_clock])
    require(caught.value, point_in_time.CLOCKS, DAY)


def test_a_module_that_reads_the_wall_clock_is_caught(tmp_path: Path) -> None:
    graph = small_recipe(planted.IMPURE_MODULE).graph(tmp_path)
    with pytest.raises(LawBroken, match=r"lakehouse\.\w+, line \d+, reads the wall clock"):
        check_no_clock_is_read(graph)


def require(broken: LawBroken, law: str, session: date) -> None:
    """Require that a law was broken by the leaking table, from a session on, in its rows."""
    assert (broken.law, broken.table, broken.session) == (law, LEAKY, session)
    assert "column close" in str(broken)
