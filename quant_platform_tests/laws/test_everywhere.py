"""A leak planted in each table of the shipped graph, and each fault, is caught where it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from quant_platform.lakehouse.windows import SessionRange
from quant_platform.orchestration.stage import Computed, Frames, Stage
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.conftest import CHAIN
from quant_platform_tests.laws.everywhere import (
    LAW,
    TRIALS,
    check_caught,
    telling_sessions,
)
from quant_platform_tests.laws.gates import FAULTS, Fault, check_fault
from quant_platform_tests.laws.workshop import Recipe, Situation, Workshop

STAGES = Recipe(CHAIN).graph(Path()).stages
_LAST = {stage.contract.kind: stage.table for stage in STAGES}
TABLES = [
    pytest.param(
        stage.table, marks=[] if _LAST[stage.contract.kind] == stage.table else pytest.mark.slow
    )
    for stage in STAGES
]
"""Found in the graph: a table that is added is tried. Twins of other sleeves are slow."""


@pytest.mark.parametrize("table", TABLES)
def test_a_leak_is_caught(table: str, chain: Workshop, request: pytest.FixtureRequest) -> None:
    try:
        telling_sessions(chain, chain.stage(table))
        workshop = chain
    except LawBroken:
        # Some tables tell nothing new in months: the regime, listings.
        workshop = request.getfixturevalue("filled")
    for trial in TRIALS.values():
        check_caught(workshop, table, trial)


def test_a_leak_that_no_law_catches_is_told(chain: Workshop) -> None:
    def honest(
        stage: Stage, _situation: Situation, frames: Frames, wanted: SessionRange
    ) -> Computed:
        return stage.function(frames, stage.settings, wanted)

    harmless = replace(TRIALS["tomorrow's rows"], leak=honest)
    with pytest.raises(LawBroken) as caught:
        check_caught(chain, "meta/weights", harmless)
    assert (caught.value.law, caught.value.table) == (LAW, "meta/weights")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_fires_its_gate(fault: Fault, chain: Workshop) -> None:
    day = telling_sessions(chain, chain.stage(fault.table))[1]
    check_fault(chain, fault, day)
