"""The text of a batched event is, character for character, what Dagster would have written.

Also the makers of events and the reader of whole databases that the other event log tests use.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from dagster import AssetKey, AssetMaterialization, AssetObservation, DagsterEvent, DagsterEventType
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.definitions.dependency import NodeHandle
from dagster._core.definitions.events import (
    AssetMaterializationFailure,
    AssetMaterializationFailureReason,
    AssetMaterializationFailureType,
)
from dagster._core.events import (
    BATCH_WRITABLE_EVENTS,
    AssetFailedToMaterializeData,
    AssetMaterializationPlannedData,
    AssetObservationData,
    EngineEventData,
    StepMaterializationData,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.plan.handle import StepHandle
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import serialize_value
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.orchestration.event_log import COVERED_EVENTS
from quant_platform.orchestration.event_log.rows import read_batch

FIRST_MOMENT = 1_700_000_000.0
DATA_VERSION = "dagster/data_version"


def entry(
    kind: DagsterEventType,
    data: Any,
    *,
    run_id: str = "run",
    moment: float = FIRST_MOMENT,
    step: str | None = "step",
    message: str = "said",
) -> EventLogEntry:
    """Make one log entry as a step would."""
    node = NodeHandle(name=step, parent=None) if step else None
    event = DagsterEvent(
        event_type_value=kind.value,
        job_name="job",
        step_handle=StepHandle(node_handle=node, key=step) if node else None,
        node_handle=node,
        step_kind_value="COMPUTE" if step else None,
        logging_tags={"run_id": run_id, "step_key": str(step)},
        event_specific_data=data,
        message=message,
        pid=4711,
    )
    return EventLogEntry(
        error_info=None,
        level=10,
        user_message=message,
        run_id=run_id,
        timestamp=moment,
        step_key=step,
        job_name="job",
        dagster_event=event,
    )


def materialized(
    key: Sequence[str], partition: str | None, *, version: str = "1", **how: Any
) -> EventLogEntry:
    """Make a materialisation that carries a data version and two numbers."""
    materialization = AssetMaterialization(
        AssetKey(key),
        partition=partition,
        metadata={"rows": 3, "hash": f"{version}-{partition}"},
        tags={DATA_VERSION: version, "kept/nowhere": "x"},
    )
    data = StepMaterializationData(materialization)
    return entry(DagsterEventType.ASSET_MATERIALIZATION, data, **how)


def observed(key: Sequence[str], partition: str | None, **how: Any) -> EventLogEntry:
    """Make an observation with a data version."""
    observation = AssetObservation(AssetKey(key), partition=partition, tags={DATA_VERSION: "seen"})
    data = AssetObservationData(observation)
    return entry(DagsterEventType.ASSET_OBSERVATION, data, **how)


def planned(key: Sequence[str], partition: str | None, **how: Any) -> EventLogEntry:
    """Make the announcement of a materialisation."""
    data = AssetMaterializationPlannedData(AssetKey(key), partition=partition)
    return entry(DagsterEventType.ASSET_MATERIALIZATION_PLANNED, data, **how)


def check_planned(key: Sequence[str], name: str = "sane", **how: Any) -> EventLogEntry:
    """Make the announcement of an asset check."""
    data = AssetCheckEvaluationPlanned(asset_key=AssetKey(key), check_name=name)
    return entry(DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, data, **how)


def engine_note(**how: Any) -> EventLogEntry:
    """Make an event that no batch covers."""
    return entry(DagsterEventType.ENGINE_EVENT, EngineEventData({}), **how)


def database(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Read every row of every table, without the columns that hold the wall clock."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            name
            for (name,) in connection.execute("select name from sqlite_master where type='table'")
        ]
        content = {}
        for table in tables:
            columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
            kept = ", ".join(
                f'"{name}"'
                for name in columns
                if name not in {"create_timestamp", "migration_completed"}
            )
            content[table] = sorted(
                connection.execute(f"select {kept} from {table}").fetchall(), key=repr
            )
        return content


def databases(folder: Path) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
    """Read the index and every run's shard of an event log, the runless one included."""
    return {path.name: database(path) for path in sorted(folder.glob("*.db"))} | {
        path.name: database(path) for path in sorted(folder.glob(".db"))
    }


def test_the_batch_covers_what_dagster_batches() -> None:
    assert COVERED_EVENTS >= BATCH_WRITABLE_EVENTS


def failed(key: Sequence[str], partition: str | None, **how: Any) -> EventLogEntry:
    """Make the note that an asset was not materialised."""
    failure = AssetMaterializationFailure(
        asset_key=AssetKey(key),
        partition=partition,
        failure_type=AssetMaterializationFailureType.FAILED,
        reason=AssetMaterializationFailureReason.FAILED_TO_MATERIALIZE,
    )
    data = AssetFailedToMaterializeData(failure)
    return entry(DagsterEventType.ASSET_FAILED_TO_MATERIALIZE, data, **how)


_words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)
_keys = st.lists(st.sampled_from(["a", "b", 'quo"te', "ü"]), min_size=1, max_size=2)
_partitions = st.none() | st.dates().map(str) | _words
_how = st.fixed_dictionaries(
    {
        "run_id": st.sampled_from(["", "run", "other"]),
        "moment": st.floats(0, 4e9),
        "step": st.sampled_from([None, "step"]),
        "message": st.sampled_from(["", "said"]) | _words,
    }
)


@st.composite
def _materializations(draw: st.DrawFn) -> EventLogEntry:
    value = st.integers() | st.floats(allow_nan=False) | _words | st.booleans()
    materialization = AssetMaterialization(
        AssetKey(draw(_keys)),
        description=draw(st.none() | _words),
        partition=draw(_partitions),
        metadata=draw(st.dictionaries(st.sampled_from(["rows", "hash", "note"]), value)),
        tags=draw(st.none() | st.dictionaries(st.sampled_from([DATA_VERSION, "user/x"]), _tag)),
    )
    kind = DagsterEventType.ASSET_MATERIALIZATION
    return entry(kind, StepMaterializationData(materialization), **draw(_how))


_tag = st.sampled_from(["1", "2", "v.3"])
_entries = st.one_of(
    _materializations(),
    st.builds(lambda key, part, how: planned(key, part, **how), _keys, _partitions, _how),
    st.builds(lambda key, part, how: observed(key, part, **how), _keys, _partitions, _how),
    st.builds(lambda key, part, how: failed(key, part, **how), _keys, _partitions, _how),
    st.builds(lambda key, how: check_planned(key, **how), _keys, _how),
)


@settings(max_examples=150)
@given(st.lists(_entries, min_size=1, max_size=8))
def test_text_and_row_are_those_of_stock(entries: list[EventLogEntry]) -> None:
    stock_row = SqliteEventLogStorage._event_to_row
    for made, event in zip(read_batch(entries), entries, strict=True):
        assert made.row.event == serialize_value(event)
        expected = stock_row(_TIMES, event)
        stored_time = expected.pop("timestamp").isoformat(sep=" ", timespec="microseconds")
        assert made.row._asdict() == {**expected, "timestamp": stored_time}


class _Times:
    """The one method that stock's row maker asks of its storage."""

    _event_insert_timestamp = SqliteEventLogStorage._event_insert_timestamp


_TIMES: Any = _Times()


def test_a_changed_field_is_not_lost_in_the_frame_of_the_event_before() -> None:
    first = materialized(["a"], "2024-01-02")
    for other in (
        materialized(["a"], "2024-01-02", message="else"),
        materialized(["a"], "2024-01-02", run_id="other"),
        materialized(["a"], "2024-01-02", step="elsewhere"),
        materialized(["b"], "2024-01-02"),
        materialized(["a"], "2024-01-02", version="2"),
        materialized(["a"], "2024-01-03", moment=FIRST_MOMENT + 1),
    ):
        texts = [made.row.event for made in read_batch([first, other, first])]
        assert texts == [serialize_value(event) for event in (first, other, first)]
        assert texts[0] != texts[1]
