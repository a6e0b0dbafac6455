"""After superseded events are gone every question about the latest is answered as before.

The history of the equality tests (ranges, a failure and its re-execution, checks, observations,
runless events, a wipe) is played twice, once with the index trimmed after each
chapter. What the two instances tell of the latest must be the same after every second chapter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType
from dagster._core.storage.event_log.base import AssetRecordsFilter
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from quant_platform.orchestration.event_log import BatchedSqliteEventLog
from quant_platform_tests.orchestration.event_log.test_event_log_equality import (
    CHAPTERS,
    CHECKS,
    DAYS,
    KEYS,
    SESSIONS,
    plain,
)
from quant_platform_tests.orchestration.event_log.test_event_log_events import DATA_VERSION

KINDS = [
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
]
PLAYED = CHAPTERS[:-1]
"""All but the deleting of the newest run, which uncovers what lay below it, or nothing any more."""
ASKED_AFTER = PLAYED[1::2]
ASKED = [*DAYS[:6], DAYS[8], DAYS[-1]]
"""The days of which something is told, and one more than those that only ``left`` knows."""
INSTANCE = """
telemetry: {{enabled: false}}
python_logs: {{python_log_level: INFO}}
storage:
  custom:
    module: quant_platform.orchestration.event_log
    class: BatchedSqliteStorage
    config: {{base_dir: {home}}}
"""


def latest(instance: dg.DagsterInstance) -> dict[str, Any]:
    """Ask everything that is asked about the latest of an asset, a partition or a check."""
    log = instance.event_log_storage
    unfinished = log.get_latest_asset_partition_materialization_attempts_without_materializations
    of_assets = {
        key.to_user_string(): {
            "known": instance.has_asset_key(key),
            "materialized": log.get_materialized_partitions(key),
            "latest": instance.get_latest_materialization_event(key),
            "record": instance.get_asset_records([key]),
            "data version": instance.get_latest_data_version_record(key),
            "code version": instance.get_latest_materialization_code_versions([key]),
            "tags of the latest": {
                kind.value: log.get_latest_tags_by_partition(key, kind, [DATA_VERSION])
                for kind in KINDS
            },
            "ids": {
                kind.value: log.get_latest_storage_id_by_partition(key, kind) for kind in KINDS
            },
            "days": [
                (
                    instance.fetch_materializations(
                        AssetRecordsFilter(key, asset_partitions=[day]), limit=1
                    ).records,
                    instance.fetch_observations(
                        AssetRecordsFilter(key, asset_partitions=[day]), limit=1
                    ).records,
                    instance.get_latest_data_version_record(key, partition_key=day),
                    log.get_latest_planned_materialization_info(key, day),
                )
                for day in ASKED
            ],
            "unfinished": unfinished(key),
            "status": instance.get_status_by_partition(key, DAYS, SESSIONS),
            "cache": get_and_update_asset_status_cache_value(instance, key, SESSIONS),
        }
        for key in KEYS
    }
    of_checks = {
        str(check): [
            log.get_asset_check_summary_records([check]),
            log.get_latest_asset_check_execution_by_key([check]),
            log.get_asset_check_execution_history(check, limit=1),
            sorted(map(repr, log.get_asset_check_partition_info([check]))),
        ]
        for check in CHECKS
    }
    return {
        "assets": of_assets,
        "checks": of_checks,
        "all keys": instance.all_asset_keys(),
        "every latest": log.get_latest_materialization_events(KEYS),
        "highest id": log.get_maximum_record_id(),
    }


def played(home: Path, *, trimmed: bool) -> tuple[list[Any], list[int], dg.DagsterInstance]:
    home.mkdir()
    (home / "dagster.yaml").write_text(INSTANCE.format(home=home))
    told, removed = [], []
    instance = dg.DagsterInstance.from_config(str(home))
    log = instance.event_log_storage
    assert isinstance(log, BatchedSqliteEventLog)
    for chapter in PLAYED:
        chapter(instance)
        if trimmed:
            counted, _ = log.trim(dry_run=True)
            removed.append(log.trim()[0])
            assert counted == removed[-1]
        if chapter in ASKED_AFTER:
            told.append(plain(latest(instance), str(home)))
    return told, removed, instance


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("homes")
    told, _, whole = played(folder / "whole", trimmed=False)
    short, removed, trimmed = played(folder / "trimmed", trimmed=True)
    yield told, short, removed, whole, trimmed
    whole.dispose()
    trimmed.dispose()


def test_the_latest_is_answered_as_if_nothing_had_gone(both: Any) -> None:
    told, short, removed, *_ = both
    for chapter, expected, found in zip(ASKED_AFTER, told, short, strict=True):
        for topic, answer in expected.items():
            assert found[topic] == answer, (chapter.__name__, topic)
    assert sum(removed) > 20


def test_of_each_kind_one_event_a_partition_is_left_and_no_tag_without_it(both: Any) -> None:
    log = both[-1].event_log_storage
    with log.index_connection() as index:
        rows = index.execute(SqlEventLogStorageTable.select()).fetchall()
        tags = index.execute(AssetEventTagsTable.select()).fetchall()
        checks = index.execute(AssetCheckExecutionsTable.select()).fetchall()
    looked_at = {check.materialization_event_storage_id for check in checks}
    kinds = {kind.value for kind in KINDS}
    events = [
        (row.dagster_event_type, row.asset_key, row.partition)
        for row in rows
        if row.dagster_event_type in kinds and row.id not in looked_at
    ]
    assert len(events) == len(set(events)) > 20
    assert tags
    assert {tag.event_id for tag in tags} <= {row.id for row in rows}


def test_a_trimmed_index_shrinks_and_goes_on(both: Any) -> None:
    trimmed = both[-1]
    log = trimmed.event_log_storage
    before, highest = plain(latest(trimmed), ""), log.get_maximum_record_id()
    log.compact()
    assert plain(latest(trimmed), "") == before
    trimmed.report_runless_asset_event(dg.AssetMaterialization("bars", partition=DAYS[9]))
    assert log.get_maximum_record_id() == highest + 1
    assert DAYS[9] in log.get_materialized_partitions(dg.AssetKey("bars"))


def test_a_run_that_is_forgotten_takes_its_log_and_leaves_the_others(both: Any) -> None:
    whole = both[3]
    log, (run, *others) = whole.event_log_storage, whole.get_runs()
    sizes = [log.log_size(other.run_id) for other in others]
    assert log.log_size(run.run_id) > 0
    log.forget_run(run.run_id)
    assert log.log_size(run.run_id) == 0
    assert [log.log_size(other.run_id) for other in others] == sizes
    with log.index_connection() as index:
        left = index.execute(SqlEventLogStorageTable.select()).fetchall()
    assert run.run_id not in {row.run_id for row in left}
    assert whole.get_records_for_run(run.run_id).records == []
