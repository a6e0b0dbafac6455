"""The register in the documentation is the graph that is shipped."""

from __future__ import annotations

import re

import pytest

from quant_platform.orchestration.graph import Graph, build_graph
from quant_platform.orchestration.register import ASSETS, TABLES, asset_register, table_reference
from quant_platform.settings import load_settings
from quant_platform_tests.small_project import REPOSITORY


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_graph(load_settings(REPOSITORY, environ={}))


def cells(text: str) -> dict[str, list[str]]:
    """Read the register: the cells of each asset after its name."""
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", text, re.MULTILINE)
    assert len({table for table, _ in rows}) == len(rows)
    return {table: rest.split(" | ") for table, rest in rows}


def test_the_committed_reference_is_the_generated_one(graph: Graph) -> None:
    assert (REPOSITORY / ASSETS).read_text() == asset_register(graph), "run make reference"
    assert (REPOSITORY / TABLES).read_text() == table_reference(), "run make reference"


def test_every_asset_of_the_graph_is_registered(graph: Graph) -> None:
    register = cells((REPOSITORY / ASSETS).read_text())
    assert list(register) == [stage.table for made in graph.jobs.values() for stage in made]
    for stage in graph.stages:
        grain, key, first_day, *_ = register[stage.table]
        assert grain == stage.contract.grain
        assert key == ", ".join(stage.contract.key)
        assert first_day == stage.first_day.isoformat()


@pytest.mark.parametrize(
    ("table", "inputs"),
    [
        ("instruments/bars", "source"),
        ("instruments/features_trend", "`instruments/bars` −252 … 0"),
        ("instruments/features_trend", "`instruments/actions` all … 0"),
        ("instruments/features_state", "`instruments/features_state` −22 … −1, own"),
        ("instruments/weights", "`instruments/weights` −1, own"),
        ("meta/returns", "`crypto/profile_returns` −1 … 0, in days of 24/7, blocked is empty"),
        ("meta/returns", "`etfs/profile_returns` −1 … 0, blocked is empty"),
        ("execution/fills", "`execution/orders` −1, carried, optional"),
        ("execution/fills", "`execution/positions` −1, carried"),
        ("execution/positions", "as `execution/fills`"),
        ("reports/daily", "`execution/orders` 0, optional"),
        ("reports/daily", "`meta/weights` 0, blocked is empty"),
    ],
)
def test_inputs_are_told_as_they_are(graph: Graph, table: str, inputs: str) -> None:
    assert inputs in cells(asset_register(graph))[table][3].split("<br>")


def test_what_is_special_about_a_table_is_told(graph: Graph) -> None:
    told = {table: row[4:] for table, row in cells(asset_register(graph)).items()}
    assert told["instruments/bars"] == ["", ""]
    assert told["crypto/selection"] == ["decides on the grid", ""]
    assert told["execution/positions"] == ["book `execution/book`", "`reports/daily`"]
    assert told["execution/broker_state"] == ["book `execution/book`", ""]
    assert told["execution/orders"] == ["act", "`reports/daily`"]
