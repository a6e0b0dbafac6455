"""From events to database rows, fast for events that differ only in partition, time and metadata.

Dagster serialises an event field by field, recursively, in Python: 0.2 to 0.3 ms each, more than
everything else that storing it costs. In a batch nearly all of it repeats. So the text is composed:

1. A *frame* is Dagster's own serialisation of an event (or of its data) with marks in place of the
   few fields that vary, cut at the marks.
2. An event whose other fields all equal those of the event before it fits the same frame; its
   varying fields are serialised and put into the gaps. Otherwise a new frame is cut.
3. Entries of metadata that are a text or a whole number have frames too, by their label.
4. Data of any other kind, of events and of metadata, is serialised by Dagster.

Serialising is compositional (the text of a field does not depend on its neighbours), so the result
is character for character what ``serialize_value`` gives; the tests hold the two against each
other. Frames live as long as one batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from operator import itemgetter
from typing import Any, NamedTuple

from dagster._core.definitions.events import AssetKey, AssetMaterialization
from dagster._core.definitions.metadata import IntMetadataValue, MetadataValue, TextMetadataValue
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    StepMaterializationData,
)
from dagster._core.events.log import EventLogEntry
from dagster._serdes import pack_value, serialize_value


class EventRow(NamedTuple):
    """One row of the event table, in the order and the form in which SQLite stores it."""

    run_id: str
    event: str
    dagster_event_type: str
    timestamp: str
    step_key: str | None
    asset_key: str | None
    partition: str | None


#: Marks cannot occur in a real event: a job, an asset or a partition cannot hold a NUL.
_DATA_MARK, _TIME_MARK, _PARTITION_MARK = "\x00data", "\x00time", "\x00partition"
_DATA_GAP, _TIME_GAP, _PARTITION_GAP = map(json.dumps, (_DATA_MARK, _TIME_MARK, _PARTITION_MARK))
_METADATA_GAP = '"metadata_entries": []'
_TEXT_MARK, _NUMBER_MARK = "\x00text", 7_777_777_777_777_777


def _all_but(fields: Sequence[str], *varying: str) -> itemgetter[Any]:
    return itemgetter(*(index for index, name in enumerate(fields) if name not in varying))


_ENTRY_REST = _all_but(EventLogEntry._fields, "timestamp", "dagster_event")
_EVENT_REST = _all_but(DagsterEvent._fields, "event_specific_data")
_MATERIALIZATION_REST = _all_but(AssetMaterialization._fields, "partition", "metadata")
_PLANNED_REST = _all_but(AssetMaterializationPlannedData._fields, "partition")


class BatchEvent(NamedTuple):
    """One event of a batch with everything that storing it needs, worked out once."""

    entry: EventLogEntry
    tags: Mapping[str, str]
    row: EventRow


def plan_each_partition(entry: EventLogEntry) -> list[EventLogEntry]:
    """Turn the plan of a whole range into the plans of its partitions.

    Dagster makes one event of a range for a storage that says it understands that, and one event
    per partition otherwise. The latter is what is stored here, and what every query expects; but to
    take the range from Dagster and to multiply it here costs a tenth of having Dagster do it.
    """
    data = entry.dagster_event.event_specific_data if entry.dagster_event else None
    if not isinstance(data, AssetMaterializationPlannedData) or data.partitions_subset is None:
        return [entry]
    event = entry.get_dagster_event()
    return [
        entry._replace(dagster_event=event._replace(event_specific_data=plan))
        for partition in data.partitions_subset.get_partition_keys()
        for plan in (data._replace(partition=partition, partitions_subset=None),)
    ]


def read_batch(entries: Sequence[EventLogEntry]) -> list[BatchEvent]:
    """Work out the rows of a batch, in its order."""
    serializer = _BatchSerializer()
    key_texts: dict[AssetKey, str] = {}
    return [_read(entry, serializer, key_texts) for entry in entries]


def _read(
    entry: EventLogEntry, serializer: _BatchSerializer, key_texts: dict[AssetKey, str]
) -> BatchEvent:
    event = entry.get_dagster_event()
    data = event.event_specific_data
    tags: Mapping[str, str] = {}
    if isinstance(data, StepMaterializationData):
        asset_key: AssetKey | None = data.materialization.asset_key
        partition, tags = data.materialization.partition, data.materialization.tags or {}
    elif isinstance(data, AssetMaterializationPlannedData):
        asset_key, partition = data.asset_key, data.partition
    else:
        asset_key, partition = event.asset_key, event.partition
        if isinstance(data, AssetObservationData):
            tags = data.asset_observation.tags
    key_text = None
    if asset_key is not None:
        key_text = key_texts.get(asset_key) or key_texts.setdefault(
            asset_key, asset_key.to_string()
        )
    return BatchEvent(
        entry,
        tags,
        EventRow(
            run_id=entry.run_id,
            event=serializer.text(entry),
            dagster_event_type=event.event_type_value,
            timestamp=_stored_time(entry.timestamp),
            step_key=event.step_key,
            asset_key=key_text,
            partition=partition or None,
        ),
    )


def _stored_time(timestamp: float) -> str:
    """Write a time as SQLAlchemy stores it in SQLite: UTC without a zone."""
    naive = datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None)
    return naive.isoformat(sep=" ", timespec="microseconds")


class _BatchSerializer:
    """Serialises events one after another and keeps the frames of the one before."""

    def __init__(self) -> None:
        self._entry_rest: object = None
        self._entry_frame: list[str] = []
        self._data_rest: object = None
        self._data_frame: list[str] = []
        self._entry_frames: dict[tuple[str, type], list[str]] = {}

    def text(self, entry: EventLogEntry) -> str:
        event = entry.get_dagster_event()
        rest = _ENTRY_REST(entry), _EVENT_REST(event)
        if rest != self._entry_rest:
            marked_event = event._replace(event_specific_data=_as_any(_DATA_MARK))
            marked = entry._replace(timestamp=_as_any(_TIME_MARK), dagster_event=marked_event)
            self._entry_frame = _cut(serialize_value(marked), _DATA_GAP, _TIME_GAP)
            self._entry_rest = rest
        before_data, before_time, after = self._entry_frame
        data = self._data_text(event.event_specific_data)
        return f"{before_data}{data}{before_time}{float.__repr__(entry.timestamp)}{after}"

    def _data_text(self, data: Any) -> str:
        if isinstance(data, StepMaterializationData):
            return self._materialization_text(data)
        if isinstance(data, AssetMaterializationPlannedData):
            return self._planned_text(data)
        return serialize_value(data)

    def _materialization_text(self, data: StepMaterializationData) -> str:
        materialization = data.materialization
        rest = data.asset_lineage, _MATERIALIZATION_REST(materialization)
        if rest != self._data_rest:
            marked = materialization._replace(partition=_PARTITION_MARK, metadata={})
            text = serialize_value(data._replace(materialization=marked))
            self._data_frame = _cut(text, _METADATA_GAP, _PARTITION_GAP)
            self._data_rest = rest
        before_metadata, before_partition, after = self._data_frame
        metadata = self._metadata_text(materialization)
        partition = _text_or_null(materialization.partition)
        return f"{before_metadata}{metadata}{before_partition}{partition}{after}"

    def _metadata_text(self, materialization: AssetMaterialization) -> str:
        entries = [
            self._metadata_entry(label, value, materialization)
            for label, value in materialization.metadata.items()
        ]
        return f'"metadata_entries": [{", ".join(entries)}]'

    def _metadata_entry(
        self, label: str, value: MetadataValue[Any], materialization: AssetMaterialization
    ) -> str:
        """Write one entry; ``materialization`` is any, for Dagster to pack the entry in."""
        mark: MetadataValue[Any]
        if type(value) is TextMetadataValue and value.text is not None:
            gap, mark = encode_basestring_ascii(value.text), TextMetadataValue(_TEXT_MARK)
        elif type(value) is IntMetadataValue and type(value.value) is int:
            gap, mark = repr(value.value), IntMetadataValue(_NUMBER_MARK)
        else:
            alone = materialization._replace(metadata={label: value})
            return json.dumps(_packed_metadata(alone)[0], sort_keys=True)
        frame = self._entry_frames.get((label, type(value)))
        if frame is None:
            marked = materialization._replace(metadata={label: mark})
            text = json.dumps(_packed_metadata(marked)[0], sort_keys=True)
            frame = _cut(text, json.dumps(mark.value))
            self._entry_frames[label, type(value)] = frame
        before, after = frame
        return f"{before}{gap}{after}"

    def _planned_text(self, data: AssetMaterializationPlannedData) -> str:
        rest = _PLANNED_REST(data)
        if rest != self._data_rest:
            text = serialize_value(data._replace(partition=_PARTITION_MARK))
            self._data_frame = _cut(text, _PARTITION_GAP)
            self._data_rest = rest
        before, after = self._data_frame
        return f"{before}{_text_or_null(data.partition)}{after}"


def _cut(text: str, *gaps: str) -> list[str]:
    pieces = []
    for gap in gaps:
        piece, _, text = text.partition(gap)
        pieces.append(piece)
    return [*pieces, text]


def _packed_metadata(materialization: AssetMaterialization) -> list[Any]:
    """Have Dagster pack metadata, which it does as part of a materialisation only."""
    nothing_else = materialization._replace(asset_key=_as_any(None), tags=None)
    packed: Any = pack_value(nothing_else)
    return list(packed["metadata_entries"])


def _text_or_null(value: str | None) -> str:
    return "null" if value is None else encode_basestring_ascii(value)


def _as_any(value: object) -> Any:
    return value
