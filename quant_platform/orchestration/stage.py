"""A stage: everything the graph needs to know about one table, and the asset made from it.

A stage names its table, its calendar, the windows on its inputs, the pure function that does the
work, the settings that function is given and the modules that it lives in. From that one object
derive the asset's key, partitions, mappings, code version, contract metadata and checks; nothing is
said twice. The asset body is the adapter between Dagster's partition keys and the function.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.code_version import code_version
from quant_platform.lakehouse.contracts import Contract, contract_of
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.market.hygiene import Ingested
from quant_platform.orchestration.partitions import daily_partitions, lookback_mapping
from quant_platform.settings import slice_hash

Frames = Mapping[str, pl.LazyFrame]
DomainFunction = Callable[[Frames, Any, SessionRange], pl.DataFrame | Ingested]

BACKFILL_CHUNK = 252
"""Sessions per run of a backfill: a chunk is resumable, and one year."""
OWNERS = ["team:quant"]
VERDICT = "verdict"
"""Name of each table's check: the verdict of its rules."""


@dataclass(frozen=True)
class Stage:
    """One table of the graph.

    Parameters
    ----------
    table
        ``<branch>/<kind>``; also the asset key.
    calendar
        Calendar whose sessions partition it.
    history_start
        First day of the lake's history.
    function
        ``(frames, settings, range) -> frame``.
    settings
        Settings that the function is given, and nothing else that it depends on.
    modules
        Modules whose code decides the numbers.
    description
        What the reader of the graph is told.
    group
        Group in the UI: the stage of the chain.
    windows
        Windows on the inputs, by the name under which the function gets them.
    thresholds
        Settings that replace the thresholds of the contract's rules.
    identity
        What else decides the output: the name and settings of a source, for example.
    """

    table: str
    calendar: SessionCalendar
    history_start: date
    function: DomainFunction
    settings: Any
    modules: tuple[str, ...]
    description: str
    group: str
    windows: Mapping[str, Window] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> dg.AssetKey:
        """Asset key."""
        return dg.AssetKey(self.table.split("/"))

    @property
    def contract(self) -> Contract:
        """Contract of the table."""
        return contract_of(self.table)

    @property
    def partitions(self) -> dg.DailyPartitionsDefinition:
        """Partitions definition, shared by every table of the calendar."""
        return daily_partitions(self.calendar, self.history_start)

    @property
    def code_version(self) -> str:
        """Hash of the code that decides the numbers, the contract's module included."""
        contract = self.contract.schema.__module__
        return code_version(tuple(sorted({*self.modules, contract})))

    @property
    def config_hash(self) -> str:
        """Hash of the settings that decide the numbers and the verdicts."""
        return slice_hash(self.settings, dict(self.thresholds), dict(self.identity))

    def range_of(self, sessions: list[date]) -> SessionRange:
        """Range object of requested sessions."""
        return SessionRange(self.calendar, tuple(sessions), self.history_start)


def input_key(window: Window) -> dg.AssetKey:
    """Asset key of a window's table."""
    return dg.AssetKey(window.table.split("/"))


def stage_asset(stage: Stage, make: Callable[..., Any]) -> dg.AssetsDefinition:
    """Make the asset of a stage.

    Parameters
    ----------
    stage
        What to make.
    make
        ``(context, stage, frames) -> Made``: runs the function and judges its result
        (see ``orchestration.making``).
    """

    @dg.asset(
        key=stage.key,
        ins={
            name: dg.AssetIn(
                key=input_key(window),
                partition_mapping=lookback_mapping(
                    window.lookback, block=window.block, self_dependent=window.own
                ),
                metadata={"consumer": stage.table, "window": name},
            )
            for name, window in stage.windows.items()
        },
        partitions_def=stage.partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(BACKFILL_CHUNK),
        io_manager_key="lake_io",
        required_resource_keys={"job_lock"},
        code_version=f"{stage.code_version}-{stage.config_hash[:8]}",
        description=stage.description,
        group_name=stage.group,
        kinds={"polars", "parquet"},
        owners=OWNERS,
        tags={"calendar": stage.calendar.code.lower().replace("/", "-")},
        metadata=_definition_metadata(stage),
        check_specs=[
            dg.AssetCheckSpec(
                VERDICT,
                asset=stage.key,
                description="Rules of the contract, judged for every session of the run; the "
                f"outcomes are the table checks/{stage.table}.",
            )
        ],
        output_required=True,
    )
    def body(
        context: dg.AssetExecutionContext, **frames: pl.LazyFrame
    ) -> Iterator[dg.MaterializeResult[Any]]:
        made = make(context, stage, frames)
        yield dg.MaterializeResult(value=made, check_results=[made.check_result()])

    return body


def _definition_metadata(stage: Stage) -> dict[str, Any]:
    """Describe the table once, on the definition: grain, columns, windows."""
    contract = stage.contract
    columns = [
        dg.TableColumn(
            name,
            type=str(column.dtype),
            description=column.description,
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for name, column in contract.columns.items()
    ]
    windows = {
        window.table: f"{window.lookback} sessions back"
        + (", before the range" if window.own else "")
        + (f", in blocks of {window.block}" if window.block else "")
        for window in stage.windows.values()
    }
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "quant/grain": contract.grain,
        "quant/columns": list(contract.columns),
        "quant/schema_version": contract.version,
        "quant/windows": windows,
    }
