"""The IO manager: hands an asset lazy frames bounded to its windows, and stores what it made.

What belongs here: the way between Dagster's contexts and the lake, for single partitions and for
ranges alike. What does not: what is read (``lakehouse.windows``) and how it is judged
(``orchestration.making``).

Reading: an input's rows are those of the sessions that the stage's window loads, and of no other;
an asset has no other way to read. A file that is not what was written stops the step. Writing: the
whole range goes to the partition store at once, the rejected rows to the quarantine, and each
partition's row count, content hash and verdict to its materialisation event.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.execution.context.metadata_logging import (
    AssetMetadataHandle,
    OutputMetadataAccumulator,
)

from quant_platform.lakehouse.contracts import contract_of
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.store import Judgement, WriteReport
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.orchestration.failures import typed_failures
from quant_platform.orchestration.made import Made
from quant_platform.orchestration.stage import Stage


class LakeIOManager(dg.IOManager):
    """Reads and writes the tables of the stages it knows.

    Parameters
    ----------
    lake
        The lake.
    stages
        Stages by table.
    """

    def __init__(self, lake: Lake, stages: Mapping[str, Stage]) -> None:
        self.lake = lake
        self.stages = stages

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        """Rows of an input's window for the sessions that the step makes."""
        meaning = context.definition_metadata or {}
        stage = self.stages[str(meaning["consumer"])]
        window = stage.windows[str(meaning["window"])]
        with typed_failures():
            wanted = stage.range_of(requested_sessions(context.step_context, stage))
            return self.read(window, wanted)

    def read(self, window: Window, wanted: SessionRange) -> pl.LazyFrame:
        """Rows of a window for the sessions of a range, after a look at the bytes of its files."""
        present = self.lake.present(window.table, wanted.loaded(window))
        if not present:
            # The lake may not know the table yet: a chain begins before its own table is there.
            return contract_of(window.table).empty().lazy()
        self.lake.verify(window.table, present)
        return self.lake.scan(window.table, present)

    def handle_output(self, context: dg.OutputContext, obj: Made) -> None:
        """Store a made range and say what it holds."""
        with typed_failures():
            report = self.store(obj)
        _evaluate(context, obj)
        _tell(context, obj, report)

    def store(self, made: Made) -> WriteReport:
        """Store a made range and the rows that it rejected."""
        # The rejected rows first: once the table has its sessions nobody asks for them again.
        self._quarantine(made)
        self.lake.describe(made.stage.table, made.stage.calendar)
        return self.lake.store(made.stage.table).write(made.frame, made.judgements, made.stamp)

    def _quarantine(self, made: Made) -> None:
        """File the rejected rows; sessions that had some before and have none now become empty."""
        if made.rejected is None:
            return
        table = f"quarantine/{made.stage.table}"
        before = self.lake.log(table).latest()
        rejecting = set(made.rejected["knowledge_session"].unique())
        sessions = sorted(day for day in made.judgements if day in rejecting or day in before)
        if before or sessions:
            self.lake.describe(table, made.stage.calendar)
        if sessions:
            self.lake.store(table).write(
                made.rejected,
                {day: Judgement("passed", made.judgements[day].input_hash) for day in sessions},
                made.stamp,
            )


def requested_sessions(context: Any, stage: Stage) -> list[date]:
    """Sessions that a step was asked to make.

    Parameters
    ----------
    context
        A Dagster context with a ``partition_key_range``, the same for one session and for many.
    stage
        Stage of the step.
    """
    asked = context.partition_key_range
    first, last = date.fromisoformat(asked.start), date.fromisoformat(asked.end)
    return stage.calendar.between(first, last)


def _evaluate(context: dg.OutputContext, made: Made) -> None:
    """Report the evaluations of single sessions as events of this run.

    Dagster keeps one runless evaluation per check and partition, and refuses the second.
    """
    step = context.step_context
    for evaluation in made.partition_evaluations():
        event = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
            event_specific_data=evaluation,
            job_name=step.job_name,
        )
        step.instance.report_dagster_event(event, run_id=step.run_id)


def _tell(context: dg.OutputContext, made: Made, report: WriteReport) -> None:
    """Attach each partition's facts to its event, and what there is to look at to the last one.

    Dagster's own ``add_asset_metadata`` copies everything said so far at each call, which makes a
    range of 2,520 sessions quadratic; the accumulator is therefore filled in one step.
    """
    step, stage = context.step_context, made.stage
    last = max(report.entries, default=None)
    facts: dict[Any, dict[str, Any]] = {
        AssetMetadataHandle(asset_key=stage.key, partition_key=session.isoformat()): {
            "dagster/partition_row_count": dg.MetadataValue.int(entry.rows),
            "content_hash": dg.MetadataValue.text(entry.content_hash[:16]),
            "verdict": dg.MetadataValue.text(entry.verdict),
            **(made.shown if session == last else {}),
        }
        for session, entry in report.entries.items()
    }
    step._metadata_accumulator = OutputMetadataAccumulator(
        per_output_metadata={**step._metadata_accumulator.per_output_metadata, **facts}
    )
    context.log.info(
        f"{stage.table}: {len(report.written)} partitions written, {len(report.confirmed)} "
        f"confirmed, {len(report.unchanged)} unchanged"
    )
