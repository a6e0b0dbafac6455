"""Whatever happened, the batched instance answers every query as stock storage does.

1. The same history (ranges, single sessions, several assets of one step, checks, observations, a
   failing step and its re-execution, runless events, a wipe, a deleted run) is played on two
   instances that differ in nothing but their storage.
2. At two points of it every query that an instance offers is asked of both. Only what cannot be
   equal is blanked: wall-clock times, durations, random ids and the home folder. Storage ids are
   compared as they are, because a batch is given the very ids that stock would have given.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey, DagsterEventType
from dagster._core.execution.api import ReexecutionOptions
from dagster._core.storage.event_log.base import AssetRecordsFilter, EventRecordsFilter
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from quant_platform.orchestration.event_log import EVENT_BATCH_SIZE
from quant_platform_tests.orchestration.event_log.test_event_log_events import (
    DATA_VERSION,
    materialized,
)

SESSIONS = dg.DailyPartitionsDefinition(
    start_date="2024-01-02",
    end_date="2024-01-20",
    timezone="UTC",
    exclusions=["0 0 * * 0,6"],
)
DAYS = SESSIONS.get_partition_keys()
LOOK_BACK = dg.TimeWindowPartitionMapping(start_offset=-2)
CARRIED = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)


# --- the history -------------------------------------------------------------------------------


@dg.multi_asset(
    specs=[
        dg.AssetSpec("left", partitions_def=SESSIONS, code_version="1"),
        dg.AssetSpec("right", partitions_def=SESSIONS, code_version="1", deps=["left"]),
    ]
)
def both_sides() -> Iterator[dg.MaterializeResult]:
    yield dg.MaterializeResult(asset_key="left", metadata={"rows": 2})
    yield dg.MaterializeResult(asset_key="right", data_version=dg.DataVersion("seven"))


@dg.asset(
    partitions_def=SESSIONS,
    code_version="1",
    deps=[dg.AssetDep("left", partition_mapping=LOOK_BACK)],
)
def bars(context: dg.AssetExecutionContext) -> None:
    for day in context.partition_keys:
        context.add_asset_metadata({"rows": len(day), "hash": day}, partition_key=day)
        context.log_event(dg.AssetObservation("vendor", partition=day, metadata={"seen": True}))


@dg.asset(
    partitions_def=SESSIONS,
    code_version="2",
    deps=[
        dg.AssetDep("bars", partition_mapping=LOOK_BACK),
        dg.AssetDep("carried", partition_mapping=CARRIED),
    ],
    check_specs=[dg.AssetCheckSpec("sane", asset="carried")],
)
def carried(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    first = context.partition_keys[0] == DAYS[0]
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=first)])


@dg.asset_check(asset=bars, partitions_def=SESSIONS)
def covered(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"share": 1.0})


@dg.asset(partitions_def=SESSIONS, code_version="1", deps=[carried])
def fragile(context: dg.AssetExecutionContext) -> None:
    mended = Path(context.instance.root_directory) / "mended"
    if not mended.exists() and DAYS[5] in context.partition_keys:
        raise dg.Failure("the source is down")


@dg.asset(partitions_def=SESSIONS, code_version="1", deps=[fragile, "right"])
def after(context: dg.AssetExecutionContext) -> None: ...


DEFINITIONS = dg.Definitions(
    assets=[both_sides, bars, carried, fragile, after],
    asset_checks=[covered],
    jobs=[dg.define_asset_job("history", executor_def=dg.in_process_executor)],
)
KEYS = [
    AssetKey(name) for name in ("left", "right", "bars", "carried", "fragile", "after", "vendor")
]
CHECKS = [
    dg.AssetCheckKey(AssetKey("carried"), "sane"),
    dg.AssetCheckKey(AssetKey("bars"), "covered"),
]


def history() -> dg.JobDefinition:
    return DEFINITIONS.resolve_job_def("history")


def _run(instance: dg.DagsterInstance, first: str, last: str) -> str:
    partition = (
        {"dagster/partition": first}
        if first == last
        else {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
    )
    return (
        history().execute_in_process(instance=instance, tags=partition, raise_on_error=False).run_id
    )


def _range(instance: dg.DagsterInstance) -> None:
    _run(instance, DAYS[0], DAYS[2])


def _single(instance: dg.DagsterInstance) -> None:
    _run(instance, DAYS[3], DAYS[3])


def _some_assets(instance: dg.DagsterInstance) -> None:
    dg.materialize(
        [both_sides, bars],
        instance=instance,
        selection=["bars"],
        tags={ASSET_PARTITION_RANGE_START_TAG: DAYS[0], ASSET_PARTITION_RANGE_END_TAG: DAYS[2]},
    )


def _failure(instance: dg.DagsterInstance) -> None:
    _run(instance, DAYS[4], DAYS[5])


def _reexecution(instance: dg.DagsterInstance) -> None:
    (Path(instance.root_directory) / "mended").touch()
    (broken,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    from_failure = ReexecutionOptions.from_failure(broken.run_id, instance)
    result = dg.execute_job(
        dg.reconstructable(history),
        instance=instance,
        reexecution_options=from_failure,
        tags=broken.tags,
    )
    assert result.success


def _runless(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("bars", partition=DAYS[8]))
    instance.report_runless_asset_event(dg.AssetObservation("vendor", partition=DAYS[8]))
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(asset_key=AssetKey("carried"), check_name="sane", passed=True)
    )
    instance.event_log_storage.store_event_batch(
        [materialized(["left"], day, run_id="", step=None) for day in DAYS[8:]]
    )


def _wipe(instance: dg.DagsterInstance) -> None:
    instance.wipe_assets([AssetKey("carried"), AssetKey("after")])
    with pytest.raises(NotImplementedError):
        instance.wipe_asset_partitions(AssetKey("bars"), DAYS[:2])


def _after_wipe(instance: dg.DagsterInstance) -> None:
    _run(instance, DAYS[2], DAYS[3])


def _deleted_run(instance: dg.DagsterInstance) -> None:
    instance.delete_run(instance.get_runs()[0].run_id)


CHAPTERS: Sequence[Callable[[dg.DagsterInstance], None]] = [
    _range,
    _single,
    _some_assets,
    _failure,
    _reexecution,
    _runless,
    _wipe,
    _after_wipe,
    _deleted_run,
]


#: Stock storage takes seconds to answer everything, so it is not asked after each chapter.
ASKED_AFTER = (_runless, _deleted_run)
Told = dict[str, dict[str, Any]]


# --- the queries -------------------------------------------------------------------------------


def answers(instance: dg.DagsterInstance) -> dict[str, Any]:
    """Ask everything that an instance can be asked about events."""
    log = instance.event_log_storage
    unfinished = log.get_latest_asset_partition_materialization_attempts_without_materializations
    kinds = [
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_OBSERVATION,
        DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    ]
    runs = sorted(
        instance.get_runs(), key=lambda run: instance.get_run_stats(run.run_id).start_time or 0
    )
    of_assets = {
        key.to_user_string(): {
            "known": instance.has_asset_key(key),
            "materialized": log.get_materialized_partitions(key),
            "materialized after": log.get_materialized_partitions(key, after_cursor=40),
            "latest": instance.get_latest_materialization_event(key),
            "record": instance.get_asset_records([key]),
            "code version": instance.get_latest_materialization_code_versions([key]),
            "data version": instance.get_latest_data_version_record(key),
            "materializations": instance.fetch_materializations(key, limit=1000),
            "page": instance.fetch_materializations(key, limit=3, ascending=True),
            "of one day": instance.fetch_materializations(
                AssetRecordsFilter(key, asset_partitions=[DAYS[1]]), limit=9
            ),
            "observations": instance.fetch_observations(key, limit=1000),
            "tags": sorted(map(repr, instance.get_event_tags_for_asset(key))),
            "filtered tags": instance.get_event_tags_for_asset(key, {DATA_VERSION: "seven"}),
            "latest ids": {
                kind.value: log.get_latest_storage_id_by_partition(key, kind) for kind in kinds
            },
            "latest tags": {
                kind.value: log.get_latest_tags_by_partition(key, kind, [DATA_VERSION])
                for kind in kinds
            },
            "summaries": [log.get_asset_event_summary_records(kind, key) for kind in kinds],
            "planned": [
                log.get_latest_planned_materialization_info(key),
                log.get_latest_planned_materialization_info(key, DAYS[3]),
                log.get_event_records(
                    EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION_PLANNED, key)
                ),
            ],
            "unfinished": unfinished(key),
            "changed data versions": log.get_updated_data_version_partitions(key, DAYS, 60),
            "status": instance.get_status_by_partition(key, DAYS, SESSIONS),
        }
        for key in KEYS
    }
    of_checks = {
        str(check): {
            "history": log.get_asset_check_execution_history(check, limit=100),
            "summary": log.get_asset_check_summary_records([check]),
            "latest": log.get_latest_asset_check_execution_by_key([check]),
            "partitions": sorted(map(repr, log.get_asset_check_partition_info([check]))),
        }
        for check in CHECKS
    }
    of_runs = {
        f"run {number}": {
            "status": run.status,
            "records": instance.get_records_for_run(run.run_id),
            "page": log.get_records_for_run(run.run_id, limit=5, ascending=False),
            "stats": instance.get_run_stats(run.run_id),
            "steps": instance.get_run_step_stats(run.run_id),
            "assets": log.get_asset_partitions_for_run(run.run_id),
        }
        for number, run in enumerate(runs)
    }
    return {
        "assets": of_assets,
        "checks": of_checks,
        "runs": of_runs,
        "all keys": instance.all_asset_keys(),
        "keys with prefix": instance.get_asset_keys(prefix=["b"], limit=2),
        "every record": log.get_asset_records(),
        "every latest": log.get_latest_materialization_events(KEYS),
        "latest ids": log.get_latest_materialization_storage_ids(KEYS),
        "highest id": log.get_maximum_record_id(),
        "status changes": instance.fetch_run_status_changes(DagsterEventType.RUN_SUCCESS, limit=99),
        "by type": [
            log.get_event_records(EventRecordsFilter(kind), limit=500)
            for kind in (
                *kinds,
                DagsterEventType.ASSET_CHECK_EVALUATION,
                DagsterEventType.STEP_FAILURE,
            )
        ],
    }


_UNEQUAL = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b\d{10}\.\d+\b|\b\d{10}\b"), "<time>"),
    (re.compile(r"(time|timestamp|duration_ms)=\d[\d.e+-]*"), r"\1=<time>"),
    (re.compile(r"file_key='\w+'"), "file_key=<random>"),
    (re.compile(r"datetime\.datetime\([^)]*\)"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)?\s?(ms|s)\b"), "<duration>"),
)


def plain(answer: object, home: str) -> Any:
    """Turn an answer into text that two instances must agree on."""
    if isinstance(answer, Mapping):
        return {repr(key): plain(value, home) for key, value in sorted(answer.items(), key=repr)}
    if isinstance(answer, Set):
        return sorted(plain(item, home) for item in answer)
    if isinstance(answer, list):
        return [plain(item, home) for item in answer]
    text = repr(answer).replace(home, "<home>")
    for pattern, blank in _UNEQUAL:
        text = pattern.sub(blank, text)
    return text


# --- the comparison ----------------------------------------------------------------------------

_BATCHED = """
storage:
  custom:
    module: quant_platform.orchestration.event_log
    class: BatchedSqliteStorage
    config: {{base_dir: {home}}}
"""
_COMMON = "telemetry: {enabled: false}\npython_logs: {python_log_level: INFO}\n"


def _play(home: Path, storage: str, batch_size: int) -> Told:
    home.mkdir()
    (home / "dagster.yaml").write_text(_COMMON + storage.format(home=home))
    told = {}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_EVENT_BATCH_SIZE", str(batch_size))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            for chapter in CHAPTERS:
                chapter(instance)
                if chapter in ASKED_AFTER:
                    told[chapter.__name__] = plain(answers(instance), str(home))
    return told


def play_both(folder: Path) -> dict[str, Told]:
    """Play the history on stock storage and on ours, and return what each of them told."""
    return {
        "stock": _play(folder / "stock", "", 0),
        "batched": _play(folder / "batched", _BATCHED, EVENT_BATCH_SIZE),
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return play_both(tmp_path_factory.mktemp("homes"))


@pytest.mark.parametrize("chapter", [chapter.__name__ for chapter in ASKED_AFTER])
def test_every_query_answers_as_stock(chapter: str, told: dict[str, Told]) -> None:
    stock, batched = told["stock"][chapter], told["batched"][chapter]
    for topic, expected in stock.items():
        assert batched[topic] == expected, topic


def test_the_history_is_rich_enough_to_tell(told: dict[str, Told]) -> None:
    before, after = (told["stock"][chapter.__name__] for chapter in ASKED_AFTER)
    carried_before, carried_after = (asked["'assets'"]["'carried'"] for asked in (before, after))
    assert len(carried_before["'materialized'"]) == 6
    assert carried_after["'materialized'"] == []
    assert "FAILED" in str(before["'checks'"])
    assert before["'checks'"] != after["'checks'"]
    assert len(before["'runs'"]) == 5
