"""The body of every asset: from partition keys to stored tables, and what is said of them.

1. The sessions of the step; the rows that a book carries, which Dagster does not hand over.
2. The range is made and judged (``orchestration.making``).
3. Each table goes to the IO manager with its verdict. If sessions lacked an input, the others are
   stored here, because Dagster takes a result for one of all partitions of the step.
4. Ledgers are written of what has been stored, and take back what they said of these sessions and
   what is not so any more. Slippage is an observation: if its ledger cannot be written the step
   says so and goes on, 'quant doctor' finds what it lacks, the next run of the range writes it.
5. If sessions lacked an input, the step fails now, with the others stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import polars as pl

from quant_platform.errors import QuantError
from quant_platform.lakehouse.ledgers import Ledger
from quant_platform.orchestration.failures import typed_failures
from quant_platform.orchestration.io import LakeIOManager, requested_sessions
from quant_platform.orchestration.made import Made
from quant_platform.orchestration.making import make_range, missing_error
from quant_platform.orchestration.stage import Stage, Stored

OBSERVATIONS = frozenset({"EXECUTION_SLIPPAGE"})
"""Ledgers whose failure never fails a trade."""

Body = Callable[
    [dg.AssetExecutionContext, Sequence[Stage], Mapping[str, pl.LazyFrame]],
    Iterator[dg.MaterializeResult[Any]],
]


def body_of(lake_io: LakeIOManager, computed: Callable[[float], None]) -> Body:
    """Return the body of assets whose tables an IO manager reads and writes.

    Parameters
    ----------
    lake_io
        The IO manager.
    computed
        Told the seconds that each call of a domain function took.
    """

    def body(
        context: dg.AssetExecutionContext,
        stages: Sequence[Stage],
        frames: Mapping[str, pl.LazyFrame],
    ) -> Iterator[dg.MaterializeResult[Any]]:
        first = stages[0]
        with typed_failures():
            wanted = first.range_of(requested_sessions(context, first))
            undeclared = first.windows.keys() - first.declared.keys()
            carried = {name: lake_io.read(first.windows[name], wanted) for name in undeclared}
            inputs = {**frames, **carried}
            made = make_range(stages, lake_io.lake, inputs, wanted, context.run_id)
            tables = {each.stage.kind: each.readable for each in made}
            sessions = tuple(made[0].judgements)
            stored = Stored(inputs, tables, wanted, context.run_id, sessions, lake_io.lake)
            made = [_with_pictures(each, stored) for each in made]
            computed(sum(each.computing for each in made))
        partly = bool(made[0].missing)
        for each in () if partly else made:
            yield dg.MaterializeResult(
                asset_key=each.stage.key, value=each, check_results=[each.check_result()]
            )
        with typed_failures():
            for each in made if partly else ():
                _store_partly(context, lake_io, each)
            for stage in stages:
                _record(context, lake_io, stage, stored)
            if partly:
                raise missing_error(first, made[0].missing)

    return body


def _store_partly(context: dg.AssetExecutionContext, lake_io: LakeIOManager, made: Made) -> None:
    """Store what could be made and tell Dagster of it alone.

    A result that is yielded counts for all partitions of the step.
    """
    lake_io.store(made)
    for session in made.judgements:
        context.log_event(dg.AssetMaterialization(made.stage.key, partition=session.isoformat()))


def _with_pictures(made: Made, stored: Stored) -> Made:
    """Draw what the UI shows of a table; its seconds count as those of the function do."""
    if made.stage.shown is None:
        return made
    begun = time.perf_counter()
    shown = made.stage.shown(stored)
    return replace(made, shown=shown, computing=made.computing + time.perf_counter() - begun)


def _record(
    context: dg.AssetExecutionContext, lake_io: LakeIOManager, stage: Stage, stored: Stored
) -> None:
    """Write what the ledgers say of a stored range."""
    if stage.recorded is None:
        return
    for ledger_type, told in stage.recorded(stored).items():
        ledger = Ledger(lake_io.lake.root, ledger_type, lake_io.lake.clock)
        try:
            ledger.restate(told.action, stored.sessions, told.records, stored.run_id)
        except QuantError as error:
            if ledger_type not in OBSERVATIONS:
                raise
            lines = len(told.records)
            context.log.error(f"{lines} lines of {ledger_type} were not written: {error}")
