"""The regimes in Dagster: each on its calendar, drawn in the metadata, told to the ledgers."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from datetime import date

import pytest

from quant_platform.lakehouse.ledgers import Ledger
from quant_platform.orchestration.graph import build_graph
from quant_platform_tests.small_project import SmallProject, small_settings

FIRST, LAST = date(2022, 1, 3), date(2022, 2, 28)
WALK = {"platform__walk_forward_start": "2022-01-18"}
Make = Callable[..., SmallProject]
TABLES = ("market/regime", "crypto/regime")


def ribbon(project: SmallProject, table: str) -> str:
    """Newest picture of a regime."""
    event = project.instance.get_latest_materialization_event(project.stage(table).key)
    assert event is not None
    assert event.asset_materialization is not None
    text = str(event.asset_materialization.metadata["ribbon"].value)
    (picture,) = re.findall(r"base64,([^)]+)\)", text)
    return b64decode(picture).decode()


def days(picture: str) -> str:
    """First day that a picture shows."""
    return re.findall(r"since (\d{4}-\d\d-\d\d)", picture)[0]


@pytest.fixture
def project(small_project: Make) -> SmallProject:
    made = small_project(tables=TABLES, **WALK)
    made.fill(FIRST, LAST)
    return made


def test_each_market_has_a_row_for_every_session_of_its_calendar(project: SmallProject) -> None:
    for table, calendar in zip(TABLES, ("XNYS", "24/7"), strict=True):
        stage = project.stage(table)
        assert stage.calendar.code == calendar
        rows = project.lake.scan(table, project.lake.sessions(table)).collect()
        assert rows["session"].to_list() == stage.calendar.between(stage.first_day, LAST)
        assert rows["benchmark"].n_unique() == 1
    coins = project.lake.scan("crypto/regime", [LAST]).collect().row(0, named=True)
    assert coins["symbol"].endswith("BTCUSDT")
    assert coins["e2_requested"] == "trend,volatility,breadth,drawdown"
    stocks = project.lake.scan("market/regime", [LAST]).collect().row(0, named=True)
    assert stocks["symbol"] == "AMEX:SPY"
    assert stocks["index_actual"] == "VIX"


def test_a_night_is_drawn_with_the_year_before_it(project: SmallProject) -> None:
    """The picture of one session shows what was stored before, and the same as a range did."""
    for table in TABLES:
        whole = ribbon(project, table)
        assert (
            days(whole)
            == project.stage(table).calendar.between(date(2022, 1, 18), LAST)[0].isoformat()
        )
        project.make([table], LAST, LAST)
        assert ribbon(project, table) == whole


def test_the_ledgers_have_a_line_for_each_session_and_market(project: SmallProject) -> None:
    told = {
        (table, day.isoformat())
        for table in TABLES
        for day in project.lake.sessions(table)
        if day >= date(2022, 1, 18)
    }
    benchmarks = {"etfs-0000": "market/regime", "crypto-0000": "crypto/regime"}
    for kind in ("regime_e1", "regime_e2"):
        ledger = Ledger(project.lake.root, kind, project.lake.clock)
        lines = ledger.in_force()
        said = {(benchmarks[line.payload["benchmark"]], str(line.session)) for line in lines}
        assert said == told
        assert len(lines) == len(told)
        project.make(TABLES[:1], LAST, LAST)
        assert len(ledger.in_force()) == len(told)
        assert not ledger.verify().problems


def test_the_model_that_is_read_and_other_markets_are_settings(tmp_path: object) -> None:
    def hashes(**changes: object) -> dict[str, str]:
        graph = build_graph(small_settings(tmp_path, **changes))
        return {s.table: s.config_hash for s in graph.stages if s.contract.kind == "regime"}

    shipped = hashes()
    assert set(shipped) == set(TABLES)
    other = hashes(regimes__model="e2")
    assert all(other[table] != shipped[table] for table in TABLES)
    scaled = hashes(regimes__others__crypto__scale=2.0)
    assert scaled["market/regime"] == shipped["market/regime"]
    assert scaled["crypto/regime"] != shipped["crypto/regime"]
