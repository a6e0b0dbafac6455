"""Law 4 on the contracts of the shipped graph."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from quant_platform.lakehouse import contracts
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE
from quant_platform.lakehouse.rules import none_lost, row_count
from quant_platform.orchestration.graph import Graph
from quant_platform_tests.laws import rows
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.gates import (
    HONEST,
    SCENARIOS,
    START,
    Scenario,
    check_gates,
    check_quiet,
    require_scenarios,
)
from quant_platform_tests.laws.rows import check_row_rules

BRANCH = "instruments"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return HONEST.graph(tmp_path_factory.mktemp("graph"))


def test_every_rule_has_a_scenario(graph: Graph) -> None:
    require_scenarios(stage.contract for stage in graph.stages)


def test_no_gate_fires_on_an_honest_history(tmp_path: Path) -> None:
    check_quiet(tmp_path, HONEST, BRANCH)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_gates_fire(scenario: Scenario, tmp_path: Path) -> None:
    check_gates(tmp_path, scenario, HONEST, BRANCH)


def test_every_row_rule_rejects(graph: Graph, tmp_path: Path) -> None:
    kinds = {stage.contract.kind: stage for stage in graph.stages if stage.contract.external}
    for stage in kinds.values():
        check_row_rules(tmp_path / stage.table, HONEST, stage, START)


def test_a_rule_without_a_scenario_is_caught(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    stricter = replace(
        FEATURES_STATE, rules=(row_count(), replace(none_lost(), name="none_gained"))
    )
    monkeypatch.setitem(contracts.CONTRACTS, "features_state", stricter)
    with pytest.raises(LawBroken, match="features_state: no scenario makes its rule 'none_gained'"):
        test_every_rule_has_a_scenario(graph)


def test_a_rule_that_cannot_fire_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blind = replace(row_count(), value=row_count().value.fill_null(1).clip(1, None))
    monkeypatch.setitem(contracts.CONTRACTS, "bars", replace(BARS, rules=(blind,)))
    with pytest.raises(
        LawBroken, match="instruments/bars of 2022-04-11: rule 'row_count' fired never"
    ):
        check_gates(tmp_path, SCENARIOS[0], HONEST, BRANCH)


def test_a_rule_that_fires_on_an_honest_delivery_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nervous = replace(row_count(), value=row_count().value - 1)
    monkeypatch.setitem(contracts.CONTRACTS, "bars", replace(BARS, rules=(nervous,)))
    with pytest.raises(LawBroken, match="nothing had happened"):
        check_quiet(
            tmp_path, HONEST, BRANCH, [replace(SCENARIOS[1], last=START + timedelta(days=7))]
        )


def test_a_row_rule_without_a_bad_value_is_caught(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {name: values for name, values in rows.OWN.items() if name != "low_is_lowest"}
    monkeypatch.setattr(rows, "OWN", known)
    with pytest.raises(LawBroken, match="breaks its rule 'low_is_lowest'"):
        test_every_row_rule_rejects(graph, tmp_path)


def test_a_row_rule_that_rejects_nothing_is_caught(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmless = {**rows.OWN, "low_is_lowest": {"low": pl.col("low")}}
    monkeypatch.setattr(rows, "OWN", harmless)
    with pytest.raises(LawBroken, match="'low_is_lowest' was filed under nothing"):
        test_every_row_rule_rejects(graph, tmp_path)
