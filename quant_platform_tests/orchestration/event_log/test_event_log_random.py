"""Random sequences of batches, single events, wipes and deletions leave the rows that stock leaves.

Equal rows in equal tables make every query equal. The reference is stock's own code for one event
at a time, running on the kept-open connections (on its own it takes 20 ms an event); one fixed
sequence is played against stock storage as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage, sql_event_log
from dagster._core.storage.event_log.base import EventLogStorage
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.orchestration.event_log import BatchedSqliteEventLog
from quant_platform_tests.orchestration.event_log.test_event_log_events import (
    FIRST_MOMENT,
    check_planned,
    databases,
    engine_note,
    failed,
    materialized,
    observed,
    planned,
)

Operation = tuple[str, Any]


class OneByOne(BatchedSqliteEventLog):
    """Stock's way of storing on our connections."""

    store_event_batch = EventLogStorage.store_event_batch


def rows_after(
    log: SqliteEventLogStorage, operations: Sequence[Operation], patch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Play the operations with a wipe clock of their own, and read all rows.

    Stock leaves the tags of wiped assets behind, under ids that other events may get; only tags of
    an event's own asset are compared, and not by the number of their row.
    """
    clock = count(FIRST_MOMENT + 1000)
    patch.setattr(sql_event_log, "get_current_timestamp", lambda: next(clock))
    for name, argument in operations:
        match name:
            case "batch":
                log.store_event_batch(argument)
            case "event":
                log.store_event(argument)
            case "wipe":
                log.wipe_asset(AssetKey(argument))
            case "delete":
                log.delete_events(argument)
    content = databases(Path(log._base_dir))
    index = content["index.db"]
    owners = {(event[0], event[6]) for event in index["event_logs"]}
    index["asset_event_tags"] = sorted(
        tag[1:] for tag in index["asset_event_tags"] if tag[1:3] in owners
    )
    return content


def empty(log: SqliteEventLogStorage) -> None:
    for run_id in RUNS:
        log.delete_events(run_id)
    log._wipe_index()


RUNS = ["", "run", "other"]
_moments = count()


def _event(maker: Callable[..., EventLogEntry]) -> Callable[..., EventLogEntry]:
    def make(key: str, partition: str | None, run_id: str) -> EventLogEntry:
        where = [] if maker is check_planned else [partition]
        return maker([key], *where, run_id=run_id, moment=FIRST_MOMENT + next(_moments))

    return make


_keys = st.sampled_from("abc")
_runs = st.sampled_from(RUNS)
_partitions = st.sampled_from([None, "2024-01-02", "2024-01-03"])
_events = st.one_of(
    *(
        st.builds(_event(maker), _keys, _partitions, _runs)
        for maker in (planned, materialized, observed, failed, check_planned)
    )
)
_operations = st.one_of(
    st.tuples(st.just("batch"), st.lists(_events, min_size=1, max_size=7)),
    st.tuples(st.just("batch"), st.lists(_events, min_size=2, max_size=7)),
    st.tuples(st.just("event"), _events | st.builds(engine_note, run_id=_runs)),
    st.tuples(st.just("wipe"), _keys),
    st.tuples(st.just("delete"), st.sampled_from(["run", "other"])),
)


def test_any_sequence_leaves_the_rows_of_stock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = BatchedSqliteEventLog(str(tmp_path / "ours"))
    reference = OneByOne(str(tmp_path / "reference"))

    @settings(max_examples=15)
    @given(st.lists(_operations, min_size=1, max_size=6))
    def check(operations: list[Operation]) -> None:
        for log in (ours, reference):
            empty(log)
        expected = rows_after(reference, operations, monkeypatch)
        assert rows_after(ours, operations, monkeypatch) == expected

    check()
    ours.dispose()
    reference.dispose()


def test_a_fixed_sequence_leaves_the_rows_of_true_stock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = ["2024-01-02", "2024-01-03"]
    first = [planned([key], day) for key in "ab" for day in days]
    checks = [check_planned(["a"]), check_planned(["b"], "other")]
    second = [materialized(["a"], day) for day in days]
    operations: list[Operation] = [
        ("batch", [first[0], checks[0], *first[1:], checks[1]]),
        ("event", engine_note()),
        ("batch", [*second, observed(["b"], None), failed(["b"], days[1])]),
        ("batch", [materialized(["c"], day, run_id="") for day in days]),
        ("wipe", "c"),
        (
            "batch",
            [planned(["c"], day, run_id="other", moment=FIRST_MOMENT + 5000) for day in days],
        ),
        ("delete", "other"),
    ]
    ours = BatchedSqliteEventLog(str(tmp_path / "ours"))
    stock = SqliteEventLogStorage(str(tmp_path / "stock"))
    rows = rows_after(ours, operations, monkeypatch)
    assert rows == rows_after(stock, operations, monkeypatch)
    assert len(rows["run.db"]["event_logs"]) == 11
    ours.dispose()
