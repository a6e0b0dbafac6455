"""The laws on a sleeve whose bars are compared with those of a second source.

The second source is the embedded market itself, of the same seed and with more dirt: what it tells
of a bar is right, wrong, late, corrected later, or nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest

from quant_platform.sources import Dirt, SimulatedSource
from quant_platform_tests.laws import deliveries
from quant_platform_tests.laws.conftest import SMALL_FIRST, SMALL_LAST, small_recipe
from quant_platform_tests.laws.deliveries import AlteredDelivery, Delivery
from quant_platform_tests.laws.documented import (
    check_contract,
    check_definitions,
    check_knowledge_time,
)
from quant_platform_tests.laws.everywhere import TRIALS, check_caught
from quant_platform_tests.laws.garbage import garbage_twin
from quant_platform_tests.laws.nothing_lost import check_rows_conserved
from quant_platform_tests.laws.point_in_time import (
    check_another_future,
    check_clocks,
    check_isolation,
    check_no_clock_is_read,
    check_outlasting,
    check_truncation,
)
from quant_platform_tests.laws.ranges import (
    check_beginning,
    check_made_over_again,
    check_range_equals_chunks,
    check_securities_apart,
)
from quant_platform_tests.laws.test_point_in_time import later_clock
from quant_platform_tests.laws.workshop import Workshop

SECOND, QUALITY, BARS = (f"instruments/{kind}" for kind in ("second_bars", "quality", "bars"))
DAY = date(2022, 4, 5)
WEEK = (date(2022, 3, 28), date(2022, 4, 5))
"""Around a session that arrives late as a whole, in both sources."""
LATE = date(2022, 3, 31)
"""When it arrives."""
BAD_DAY = date(2022, 3, 23)
DIRT = Dirt(missing=0.03, late=0.05, corrected=0.05, impossible=0.02, bad_print=0.02)


def dearer(delivery: Delivery) -> pl.DataFrame:
    """Tell other prices than the market had."""
    return delivery.rows.with_columns(pl.col("open", "high", "low", "close") * 1.01)


def second() -> AlteredDelivery:
    source = next(s.source for s in small_recipe().sleeves if s.sleeve.name == "instruments")
    assert isinstance(source, SimulatedSource)
    return AlteredDelivery(replace(source, dirt=DIRT), dearer, [LATE])


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    recipe = replace(small_recipe(), seconds={"instruments": second()})
    workshop = Workshop.open(tmp_path_factory.mktemp("compared"), recipe)
    workshop.make_all(SMALL_FIRST, SMALL_LAST)
    return workshop


def flags(workshop: Workshop) -> pl.DataFrame:
    return (
        workshop.lake.scan(QUALITY)
        .filter(pl.col("flag").is_in(["mismatch", "uncompared"]))
        .collect()
    )


def test_there_is_something_to_judge(compared: Workshop) -> None:
    told = flags(compared).group_by("flag").agg(pl.len(), pl.col("sessions_ago").max())
    found = {flag: (rows, ago) for flag, rows, ago in told.iter_rows()}
    assert found["mismatch"][0] > 5
    assert found["uncompared"][0] > 5
    # A bar of the second source that came later was compared then.
    assert found["mismatch"][1] > 0


def test_definitions_and_contract(compared: Workshop) -> None:
    check_definitions(compared.graph)
    check_no_clock_is_read(compared.graph)
    check_contract(SECOND, compared.stage(SECOND).contract)
    check_knowledge_time(SECOND, compared.stage(SECOND).contract)


def test_point_in_time(compared: Workshop, tmp_path_factory: pytest.TempPathFactory) -> None:
    check_truncation(compared, SMALL_FIRST, [WEEK[0] + timedelta(days=2), DAY])
    check_outlasting(compared, DAY - timedelta(days=4), DAY, DAY + timedelta(days=3))
    check_another_future(compared, DAY, ago=3, ahead=7)
    twin = garbage_twin(compared.lake, compared.tables, tmp_path_factory.mktemp("garbage"))
    check_isolation(compared, twin, DAY, DAY)
    check_clocks(compared, DAY, DAY, [later_clock])


def test_a_range_is_its_days(compared: Workshop) -> None:
    check_range_equals_chunks(compared, [WEEK], chunks=[1, 3])
    check_beginning(compared, *(WEEK[0], DAY, DAY + timedelta(days=2)))
    check_made_over_again(compared, [WEEK])
    check_securities_apart(compared, WEEK)


def test_nothing_is_lost(compared: Workshop) -> None:
    check_rows_conserved(compared, SMALL_FIRST, SMALL_LAST)


@pytest.mark.parametrize("table", [SECOND, QUALITY])
def test_a_leak_is_caught(table: str, compared: Workshop) -> None:
    for trial in TRIALS.values():
        check_caught(compared, table, trial)


def test_nothing_but_quality_depends_on_the_second_source(
    compared: Workshop, small: Workshop
) -> None:
    alone = {stage.table: stage for stage in small.stages}
    for stage in compared.stages:
        reads = {window.table for window in stage.windows.values()}
        assert (SECOND in reads) == (stage.table == QUALITY)
        if stage.table not in (SECOND, QUALITY):
            assert stage.config_hash == alone[stage.table].config_hash
            stored, plain = (lake.entries(stage.table) for lake in (compared.lake, small.lake))
            assert {d: e.content_hash for d, e in stored.items()} == {
                d: e.content_hash for d, e in plain.items()
            }
    own, plain = (flags(compared), flags(small))
    assert own.height
    assert not plain.height
    others = pl.col("flag").is_in(["mismatch", "uncompared"]).not_()
    rows = [w.lake.scan(QUALITY).filter(others).collect() for w in (compared, small)]
    assert rows[0].equals(rows[1])


def test_a_garbled_second_source_confirms_nothing_and_stops_nothing(
    compared: Workshop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    garbled = AlteredDelivery(second(), deliveries.garbled, [BAD_DAY])
    strict = {"platform__checks__rejected_share": 0.25}
    recipe = replace(small_recipe(more=strict), seconds={"instruments": garbled})
    workshop = Workshop.open(tmp_path_factory.mktemp("garbled"), recipe)
    workshop.make_all(SMALL_FIRST, BAD_DAY)
    lake = workshop.lake
    blocked = {
        s.table for s in workshop.stages if lake.entries(s.table)[BAD_DAY].verdict == "blocked"
    }
    assert blocked == {SECOND}
    came = lake.scan(BARS, [BAD_DAY]).collect()
    told = flags(workshop).filter(session=BAD_DAY)
    assert came.height
    assert set(told["flag"]) == {"uncompared"}
    assert set(came["security_id"]) == set(told["security_id"])
