"""A stage: everything the graph needs to know about one table, and the asset made from it.

A stage names its table, its calendar, the windows on its inputs, the pure function that does the
work, the settings that function is given and the modules that it lives in. From that one object
derive the asset's key, partitions, mappings, code version, contract metadata and checks; nothing is
said twice. The asset body is the adapter between Dagster's partition keys and the function.

Tables that no function could make apart, because each session of one needs the session before of
another, are stages that name the same *book*: they share windows, function and settings, and one
call makes them all. Dagster would see a circle in what they carry from session to session, so those
windows are read for them by the body, through the same IO manager and within the same bounds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.code_version import code_version
from quant_platform.lakehouse.contracts import Contract, contract_of
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.ledgers import LedgerRecord
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.market.hygiene import Ingested
from quant_platform.orchestration.partitions import (
    daily_partitions,
    lookback_mapping,
    other_calendar_mapping,
)
from quant_platform.settings import slice_hash

Frames = Mapping[str, pl.LazyFrame]
Computed = pl.DataFrame | Ingested | Mapping[str, pl.DataFrame]
"""What a function returns; for a book a frame for each kind of table."""
DomainFunction = Callable[[Frames, Any, SessionRange], Computed]

BACKFILL_CHUNK = 252
"""Sessions per run of a backfill: a chunk is resumable, and one year."""
OWNERS = ["team:quant"]
VERDICT = "verdict"
"""Name of each table's check: the verdict of its rules."""


@dataclass(frozen=True)
class Stored:
    """A range that has just been computed, for what is shown and recorded of it.

    Parameters
    ----------
    frames
        The inputs, as the function got them.
    tables
        The new rows by kind of table, without those of blocked sessions.
    wanted
        The sessions that were computed.
    run_id
        Dagster run.
    sessions
        Those of ``wanted`` that were stored; the others lacked an input.
    lake
        The lake that they are stored in.
    """

    frames: Frames
    tables: Mapping[str, pl.DataFrame]
    wanted: SessionRange
    run_id: str
    sessions: tuple[date, ...]
    lake: Lake


@dataclass(frozen=True)
class Told:
    """All that a ledger has to say of one action on the sessions of a range.

    Parameters
    ----------
    action
        The action.
    records
        Its records; what the ledger said of these sessions before and is not among them any more
        is withdrawn.
    """

    action: str
    records: Sequence[LedgerRecord]


Shown = Callable[[Stored], Mapping[str, dg.MetadataValue]]
Recorded = Callable[[Stored], Mapping[str, Told]]


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
    grid
        Rebalance sessions, for a table that decides on them and carries in between.
    job
        Job that runs it; empty for the job of its calendar.
    begins
        First day that has rows; None is the start of history. Sessions before it are empty.
    book
        Name of the call that makes this table together with others; empty for a table on its own.
    shown
        Makes what the UI shows at the last session of a run.
    recorded
        Makes what the ledgers say of a range that has been stored, by type of ledger.
    acts
        The table is what was done at its time. A session that was missed while the chain went on
        stays missed: the plan does not make it up.
    record
        Tables of the record that this one is part of; empty for a table that may be computed again
        at any time. A session of a record that stands is kept, whatever settings, code and the
        other inputs say now.
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
    grid: frozenset[date] = frozenset()
    job: str = ""
    begins: date | None = None
    book: str = ""
    shown: Shown | None = None
    recorded: Recorded | None = None
    acts: bool = False
    record: frozenset[str] = frozenset()

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

    @property
    def kind(self) -> str:
        """Last part of the table's name."""
        return self.table.rpartition("/")[2]

    @property
    def first_day(self) -> date:
        """First day that has rows."""
        return self.history_start if self.begins is None else self.begins

    @property
    def declared(self) -> dict[str, Window]:
        """Windows that Dagster knows of: all but what a book carries from session to session."""
        return {n: w for n, w in self.windows.items() if not (self.book and w.own)}

    @property
    def continued(self) -> dict[str, Window]:
        """Windows on what a session of a record continues: the tables of the record itself."""
        return {n: w for n, w in self.windows.items() if w.table in self.record}

    def range_of(self, sessions: Sequence[date]) -> SessionRange:
        """Range object of requested sessions."""
        return SessionRange(self.calendar, tuple(sessions), self.history_start)


def calls(stages: Sequence[Stage]) -> list[tuple[Stage, ...]]:
    """Group stages by the call that makes them, in their order."""
    groups: dict[str, list[Stage]] = {}
    for stage in stages:
        groups.setdefault(stage.book or stage.table, []).append(stage)
    return [tuple(group) for group in groups.values()]


def resolved(stages: Sequence[Stage]) -> list[Stage]:
    """Tell the windows of every stage what the stages of their inputs say of themselves."""
    made = {stage.table: stage for stage in stages}
    return [
        replace(
            stage,
            windows={
                name: window.on(
                    stage.calendar, made[window.table].calendar, made[window.table].first_day
                )
                if window.table in made
                else window
                for name, window in stage.windows.items()
            },
        )
        for stage in stages
    ]


def input_key(window: Window) -> dg.AssetKey:
    """Asset key of a window's table."""
    return dg.AssetKey(window.table.split("/"))


def stage_asset(stages: Sequence[Stage], make: Callable[..., Any]) -> dg.AssetsDefinition:
    """Make the assets of one call.

    Parameters
    ----------
    stages
        What it makes: one stage, or all stages of a book.
    make
        ``(context, stages, frames)``: yields the result of each table (see
        ``orchestration.making``).
    """
    first = stages[0]

    @dg.multi_asset(
        name=(first.book or first.table).replace("/", "__"),
        outs={stage.kind: _output(stage) for stage in stages},
        ins={
            name: dg.AssetIn(
                key=input_key(window),
                partition_mapping=_mapping(window),
                input_manager_key="lake_io",
                metadata={"consumer": first.table, "window": name},
            )
            for name, window in first.declared.items()
        },
        partitions_def=first.partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(BACKFILL_CHUNK),
        required_resource_keys={"job_lock"},
        check_specs=[
            dg.AssetCheckSpec(
                VERDICT,
                asset=stage.key,
                description="Rules of the contract, judged for every session of the run; the "
                f"outcomes are the table checks/{stage.table}.",
            )
            for stage in stages
        ],
    )
    def body(
        context: dg.AssetExecutionContext, **frames: pl.LazyFrame
    ) -> Iterator[dg.MaterializeResult[Any]]:
        yield from make(context, stages, frames)

    return body


def _output(stage: Stage) -> dg.AssetOut:
    """Describe one table to Dagster."""
    return dg.AssetOut(
        key=stage.key,
        io_manager_key="lake_io",
        code_version=f"{stage.code_version}-{stage.config_hash[:8]}",
        description=stage.description,
        group_name=stage.group,
        kinds={"polars", "parquet"},
        owners=OWNERS,
        tags={"calendar": stage.calendar.code.lower().replace("/", "-")},
        metadata=_definition_metadata(stage),
    )


def _mapping(window: Window) -> dg.TimeWindowPartitionMapping:
    """Partition mapping that says to Dagster what a window says to the IO manager."""
    if window.calendar is not None:
        return other_calendar_mapping(window.lookback)
    return lookback_mapping(window.lookback, self_dependent=window.own)


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
        window.table: (
            "all sessions up to it"
            if window.lookback >= ALL_HISTORY
            else f"{window.lookback} sessions back"
        )
        + (", before the range" if window.own else "")
        for window in stage.windows.values()
    }
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "quant/grain": contract.grain,
        "quant/columns": list(contract.columns),
        "quant/schema_version": contract.version,
        "quant/windows": windows,
    }
