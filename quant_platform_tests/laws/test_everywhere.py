"""A leak planted in each table of the shipped graph, and each fault, is caught where it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain as one_after_another
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
    last_telling,
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
    # Some tables tell nothing new in months: the regime, listings, most of all those of coins.
    made = one_after_another([chain], _longer(request))
    workshop = next((one for one in made if _tells(one, table)), None)
    assert workshop is not None, f"no session of {table} tells anything new"
    for trial in TRIALS.values():
        check_caught(workshop, table, trial)


def _longer(request: pytest.FixtureRequest) -> Iterator[Workshop]:
    for name in ("filled", "crowded"):
        yield request.getfixturevalue(name)


def _tells(workshop: Workshop, table: str) -> bool:
    return table in workshop.tables and any(
        True for _ in telling_sessions(workshop, workshop.stage(table))
    )


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
    day = last_telling(chain, chain.stage(fault.table))
    check_fault(chain, fault, day)
