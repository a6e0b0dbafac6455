"""The register in the documentation is the graph that is shipped."""

from __future__ import annotations

from quant_platform.orchestration.graph import build_graph
from quant_platform.orchestration.register import ASSETS, TABLES, asset_register, table_reference
from quant_platform.settings import load_settings
from quant_platform_tests.small_project import REPOSITORY


def test_the_committed_reference_is_the_generated_one() -> None:
    graph = build_graph(load_settings(REPOSITORY, environ={}))
    assert (REPOSITORY / ASSETS).read_text() == asset_register(graph), "run make reference"
    assert (REPOSITORY / TABLES).read_text() == table_reference(), "run make reference"


def test_every_asset_of_the_graph_is_registered() -> None:
    graph = build_graph(load_settings(REPOSITORY, environ={}))
    register = (REPOSITORY / ASSETS).read_text()
    assert [s.table for s in graph.stages if f"| `{s.table}` |" not in register] == []
    assert "| `instruments/no_such_table` |" not in register
