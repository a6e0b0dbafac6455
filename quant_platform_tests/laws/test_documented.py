"""Law 5 on the shipped graph, and on contracts and assets that say too little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import dataframely as dy
import pytest

from quant_platform.lakehouse import contracts
from quant_platform.lakehouse.contracts import CONTRACTS, contract_of
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND, FeaturesTrend
from quant_platform.orchestration.graph import Graph
from quant_platform.orchestration.stage import Stage
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.documented import (
    check_contract,
    check_definitions,
    check_knowledge_time,
)
from quant_platform_tests.laws.workshop import Recipe, Situation

TABLE = "instruments/features_trend"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return Recipe().graph(tmp_path_factory.mktemp("graph"))


def test_contracts_of_the_graph(graph: Graph) -> None:
    for stage in graph.stages:
        check_contract(stage.table, stage.contract)
        if stage.contract.external:
            check_knowledge_time(stage.table, stage.contract)
            quarantine = f"quarantine/{stage.table}"
            check_contract(quarantine, contract_of(quarantine))


def test_every_contract_has_a_table(graph: Graph) -> None:
    """A contract that nothing in the graph keeps would be covered by no law.

    No shipped sleeve asks a vendor or has a second source: ``snapshot`` and ``second_bars`` are
    held to the laws where one does, in ``orchestration/test_snapshots.py`` and in
    ``test_second_source.py``.
    """
    kept = {stage.contract.kind for stage in graph.stages} | {"quarantine"}
    assert kept | {"snapshot", "second_bars"} == set(CONTRACTS)


def test_definitions(graph: Graph) -> None:
    check_definitions(graph)


class Undocumented(FeaturesTrend):
    extra = dy.Float32(nullable=True)


class Unitless(FeaturesTrend):
    extra = dy.Float32(nullable=True, min=0, description="Something of the security. Null before.")


class Unsigned(FeaturesTrend):
    extra = dy.Float64(description="Distance from the average, fraction.")


class Silent(FeaturesTrend):
    extra = dy.Float32(nullable=True, min=0, description="Mean close of the quarter, price.")


class Unwarmed(FeaturesTrend):
    extra = dy.Float32(nullable=True, min=0, description="Mean price. Null before 63 sessions.")


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (Undocumented, "column extra is described by ''"),
        (Unitless, "column extra states no unit"),
        (Unsigned, "column extra has no bound"),
        (Silent, "column extra is nullable and does not say when"),
        (Unwarmed, "column extra is null at first"),
    ],
)
def test_a_column_that_says_too_little_is_caught(
    schema: type[dy.Schema], found: str, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_less = replace(FEATURES_TREND, schema=schema)
    monkeypatch.setitem(contracts.CONTRACTS, "features_trend", told_less)
    with pytest.raises(LawBroken) as caught:
        test_contracts_of_the_graph(graph)
    assert caught.value.table.endswith("/features_trend")
    assert found in str(caught.value)


def test_data_from_outside_without_knowledge_time_is_caught() -> None:
    timeless = replace(FEATURES_TREND, external=True)
    with pytest.raises(LawBroken, match="known_at is not in its key"):
        check_knowledge_time(TABLE, timeless)


def test_an_asset_without_a_description_is_caught(tmp_path: Path) -> None:
    def plant(stages: list[Stage], _situation: Situation) -> list[Stage]:
        return [replace(stage, description="Trend.") for stage in stages]

    with pytest.raises(LawBroken, match="it lacks description"):
        check_definitions(Recipe(plant=plant).graph(tmp_path))


def test_an_asset_beside_the_stages_is_caught(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.asset(
        key=["instruments", "smuggled"],
        partitions_def=graph.stages[0].partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(252),
        kinds={"polars"},
        owners=["team:quant"],
        group_name="features",
        code_version="1",
        description="A table that no stage declares and no law would see.",
    )
    def smuggled() -> None: ...

    honest: Callable[[Graph], dg.Definitions] = Graph.definitions
    monkeypatch.setattr(
        Graph,
        "definitions",
        lambda self: dg.Definitions.merge(honest(self), dg.Definitions(assets=[smuggled])),
    )
    with pytest.raises(LawBroken, match="instruments/smuggled: an asset without a stage"):
        check_definitions(graph)
