"""A sleeve that takes snapshots, from the vendor's page to the screener of its session."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from quant_platform.lakehouse.lake import Lake
from quant_platform.sources.tradingview.client import Timing
from quant_platform.sources.tradingview.store import SnapshotStore
from quant_platform.sources.tradingview.taking import take_snapshot
from quant_platform_tests.laws.documented import (
    check_contract,
    check_definitions,
    check_knowledge_time,
)
from quant_platform_tests.laws.point_in_time import check_no_clock_is_read
from quant_platform_tests.small_project import SmallProject
from quant_platform_tests.sources.tradingview.vendor import Vendor, fund

HISTORY, WALK, LAST = date(2023, 2, 1), date(2023, 3, 6), date(2023, 3, 10)
NIGHT, NEXT = date(2023, 3, 8), date(2023, 3, 9)
TABLES = ("etfs/screener", "etfs/candidates")
SNAPSHOT, SCREENER, SECURITIES = "etfs/snapshot", "etfs/screener", "etfs/securities"


def project(folder: Path, vendor: Vendor, *, routed: bool = True) -> SmallProject:
    live = {"screener": "tradingview"} if routed else {}
    return SmallProject.create(
        folder,
        tables=TABLES,
        platform__history_start=HISTORY,
        platform__walk_forward_start=WALK,
        platform__tradingview__base_url=vendor.address,
        platform__tradingview__least_share=0.5,
        sleeves__etfs__sources={"bars": "simulated"} | live,
    )


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Take closes of the embedded market on the night, by symbol."""
    with Vendor({}).serve() as vendor:
        made = project(tmp_path_factory.mktemp("market"), vendor, routed=False)
        try:
            made.fill(HISTORY, LAST)
            rows = made.lake.scan(SCREENER, [NIGHT]).collect()
            return dict(rows.select("symbol", "close").iter_rows())
        finally:
            made.close()


@pytest.fixture
def vendor(market: dict[str, float]) -> Iterator[Vendor]:
    """Serve a vendor that lacks one of them, has another close of one, and one more fund."""
    known = {symbol: fund(close, RSI=77.0, Perf__1M=3.0) for symbol, close in market.items()}
    lacking, other = sorted(known)[:2]
    del known[lacking]
    known[other]["close"] *= 2
    with Vendor(known | {"AMEX:ELSEWHERE": fund()}).serve() as serving:
        yield serving


def take(made: SmallProject, night: date = NIGHT, hour: int = 23) -> None:
    moment = datetime.combine(night, datetime.min.time(), tzinfo=UTC) + timedelta(hours=hour)
    calendar = made.stage(SCREENER).calendar
    timing = Timing(lambda: moment, lambda _seconds: None, lambda: 0.0)
    take_snapshot(made.graph.settings, "etfs", calendar, timing)


def origins(lake: Lake) -> dict[date, set[tuple[str, str | None]]]:
    rows = lake.scan(SCREENER).select("session", "actual", "fallback").collect()
    return {
        day[0]: set(part.select("actual", "fallback").rows())
        for day, part in rows.partition_by("session", as_dict=True).items()
    }


def test_a_graph_with_snapshots_is_documented_and_clean(tmp_path: Path, vendor: Vendor) -> None:
    made = project(tmp_path, vendor)
    made.close()
    check_definitions(made.graph)
    check_no_clock_is_read(made.graph)
    contract = made.stage(SNAPSHOT).contract
    check_contract(SNAPSHOT, contract)
    check_knowledge_time(SNAPSHOT, contract)


def test_the_session_of_the_snapshot_has_its_values(tmp_path: Path, vendor: Vendor) -> None:
    made = project(tmp_path, vendor)
    try:
        take(made)
        made.fill(HISTORY, LAST)
        lake = made.lake
        told = lake.scan(SNAPSHOT, [NIGHT]).collect()
        assert told.height == len(vendor.securities)
        assert told.filter(symbol="AMEX:ELSEWHERE")["security_id"].to_list() == [None]
        assert told["security_id"].null_count() == 1
        kept = next(SnapshotStore.of(lake.root, "etfs").kept())
        assert set(told["payload"]) == {kept.content_hash}

        by_day = origins(lake)
        assert by_day.pop(NIGHT) == {
            ("tradingview", None),
            ("features", "not_in_it"),
            ("features", "other_close"),
        }
        assert set().union(*by_day.values()) == {("features", "no_snapshot")}
        rows = lake.scan(SCREENER, [NIGHT]).filter(actual="tradingview").collect()
        assert set(rows["RSI"]) == {77.0}
        assert rows["Perf.1M"].to_list() == pytest.approx([0.03] * rows.height)
        outcome = lake.checks(SNAPSHOT).filter(session=NIGHT, rule="unknown_share")
        assert outcome["value"].to_list() == [1 / told.height]
    finally:
        made.close()


def test_a_range_and_single_sessions_say_the_same_and_a_late_snapshot_nothing(
    tmp_path: Path, vendor: Vendor
) -> None:
    made = project(tmp_path / "days", vendor)
    whole = project(tmp_path / "range", vendor)
    try:
        for each in (made, whole):
            take(each)
        made.fill(HISTORY, NIGHT - timedelta(days=1))
        made.fill(NIGHT, NIGHT)
        # What is taken the evening after belongs there: the night stays as it was.
        take(made, NEXT)
        made.fill(NEXT, NEXT)
        take(whole, NEXT)
        whole.fill(HISTORY, NEXT)
        for table in (SNAPSHOT, SCREENER):
            assert made.hashes(table) == whole.hashes(table)
        taken = [day for day, said in origins(whole.lake).items() if ("tradingview", None) in said]
        assert sorted(taken) == [NIGHT, NEXT]
    finally:
        made.close()
        whole.close()


def test_a_garbled_snapshot_is_none(tmp_path: Path, vendor: Vendor) -> None:
    for told in list(vendor.securities.values())[::2]:
        told["RSI"] = 300.0
    made = project(tmp_path, vendor)
    try:
        take(made)
        made.fill(HISTORY, LAST)
        assert made.lake.entries(SNAPSHOT)[NIGHT].verdict == "blocked"
        assert made.lake.scan(f"quarantine/{SNAPSHOT}", [NIGHT]).collect().height
        assert origins(made.lake)[NIGHT] == {("features", "no_snapshot")}
    finally:
        made.close()


def test_a_sleeve_without_the_route_has_no_such_table(tmp_path: Path, vendor: Vendor) -> None:
    made = project(tmp_path, vendor, routed=False)
    try:
        assert SNAPSHOT not in {stage.table for stage in made.graph.stages}
        made.fill(HISTORY, WALK)
        rows = made.lake.scan(SCREENER).select("requested", "actual", "fallback").unique().collect()
        assert rows.rows() == [("features", "features", None)]
        assert vendor.asked == []
    finally:
        made.close()


def test_taking_the_route_leaves_the_data_of_the_sleeve_as_they_are(
    tmp_path: Path, vendor: Vendor
) -> None:
    plain = project(tmp_path, vendor, routed=False)
    plain.close()
    routed = project(tmp_path, vendor)
    routed.close()
    for table in (SECURITIES, "etfs/bars"):
        assert plain.stage(table).config_hash == routed.stage(table).config_hash
    assert plain.stage(SCREENER).config_hash != routed.stage(SCREENER).config_hash
