"""The instance on a real Postgres server: the answers of stock storage, the bytes of the embedded.

Slow, and skipped where the extra ``postgres`` or the server's programs are not installed.
"""

from __future__ import annotations

import json
import multiprocessing
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.schema import (
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)

from quant_platform.errors import InstanceError
from quant_platform.orchestration.event_log import EVENT_BATCH_SIZE
from quant_platform_tests.orchestration.event_log.test_event_log_equality import (
    CHAPTERS,
    answers,
    plain,
)
from quant_platform_tests.orchestration.event_log.test_event_log_events import materialized
from quant_platform_tests.postgres_server import postgres_programs, postgres_server
from quant_platform_tests.small_project import SmallProject

pytest.importorskip("dagster_postgres", reason="the extra 'postgres' is not installed")
PROGRAMS = postgres_programs()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAMS is None, reason="initdb of Postgres is not installed"),
]

FIRST, LAST = date(2022, 1, 3), date(2022, 2, 4)
COMMON = "telemetry: {enabled: false}\npython_logs: {python_log_level: INFO}\n"
STOCK = "storage:\n  postgres:\n    postgres_url: {env: QUANT_POSTGRES_URL}\n"
OURS = """
storage:
  custom:
    module: quant_platform.orchestration.event_log.postgres
    class: BatchedPostgresStorage
    config: {postgres_url: {env: QUANT_POSTGRES_URL}}
"""
WRITERS, PARTITIONS_EACH = 4, 500


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    assert PROGRAMS is not None
    with postgres_server(PROGRAMS) as url:
        monkeypatch.setenv("QUANT_POSTGRES_URL", url)
        monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
        yield url


def opened(home: Path, storage: str) -> dg.DagsterInstance:
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(COMMON + storage)
    return dg.DagsterInstance.from_config(str(home))


def test_a_chain_makes_the_bytes_of_the_embedded_instance(url: str, tmp_path: Path) -> None:
    told: dict[str, Any] = {}
    for name in ("dagster.yaml", "dagster.postgres.yaml"):
        project = SmallProject.create(
            tmp_path / name, tables=["instruments/features_state"], instance=name
        )
        project.fill(FIRST, LAST, chunk=10)
        stages, log = project.graph.stages, project.instance.event_log_storage
        graph = project.graph.definitions().resolve_asset_graph()
        told[name] = {
            "hashes": {stage.table: project.hashes(stage.table) for stage in stages},
            "materialised": {
                stage.table: project.instance.get_materialized_partitions(stage.key)
                for stage in stages
            },
            "checks": {
                key: record.status
                for key, record in log.get_latest_asset_check_execution_by_key(
                    sorted(graph.get_check_keys_for_assets({stage.key for stage in stages}))
                ).items()
            },
            "runs": [run.status for run in project.instance.get_runs()],
            "current": project.fill(FIRST, LAST).chunks,
        }
        project.close()
    assert told["dagster.postgres.yaml"] == told["dagster.yaml"]
    assert all(len(made) > 20 for made in told["dagster.yaml"]["materialised"].values())
    assert told["dagster.yaml"]["current"] == []


def _plain(answer: object, home: Path) -> Any:
    """Blank the ids of asset keys too: each upsert uses up one, and a batch has fewer."""
    text = json.dumps(plain(answer, str(home)))
    return json.loads(re.sub(r"AssetRecord\(storage_id=\d+", "AssetRecord(storage_id=<id>", text))


def test_every_query_answers_as_stock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    assert PROGRAMS is not None
    for name, storage, batch in (("stock", STOCK, 0), ("ours", OURS, EVENT_BATCH_SIZE)):
        with postgres_server(PROGRAMS) as url:
            monkeypatch.setenv("QUANT_POSTGRES_URL", url)
            monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", str(batch))
            with opened(tmp_path / name, storage) as instance:
                told[name] = []
                for chapter in CHAPTERS:
                    chapter(instance)
                    told[name].append(_plain(answers(instance), tmp_path / name))
    for chapter, stock, ours in zip(CHAPTERS, told["stock"], told["ours"], strict=True):
        for topic, expected in stock.items():
            assert ours[topic] == expected, (chapter.__name__, topic)


def _write(home: Path, writer: int) -> None:
    keys = [["shared"], [f"own_{writer}"]]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for start in range(0, PARTITIONS_EACH, 100):
            instance.event_log_storage.store_event_batch(
                [
                    materialized(key, f"{writer}-{number}", run_id="", step=None)
                    for number in range(start, start + 100)
                    for key in (keys if writer % 2 else keys[::-1])
                ]
            )


def test_four_processes_at_once_put_every_tag_on_its_own_event(url: str, tmp_path: Path) -> None:
    opened(tmp_path / "home", OURS).dispose()
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=_write, args=(tmp_path / "home", number))
        for number in range(WRITERS)
    ]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
    assert [process.exitcode for process in writers] == [0] * WRITERS
    with (
        opened(tmp_path / "home", OURS) as instance,
        instance.event_log_storage.index_connection() as connection,
    ):
        events = connection.execute(SqlEventLogStorageTable.select()).fetchall()
        tags = connection.execute(AssetEventTagsTable.select()).fetchall()
        keys = connection.execute(AssetKeyTable.select()).fetchall()
    assert len(events) == 2 * WRITERS * PARTITIONS_EACH
    owner = {event.id: event.asset_key for event in events}
    assert tags
    assert all(owner[tag.event_id] == tag.asset_key for tag in tags)
    assert len({(event.asset_key, event.partition) for event in events}) == len(events)
    assert len(keys) == 1 + WRITERS


@pytest.mark.parametrize("scheme", ["postgresql://", "postgres://", "postgresql+psycopg://", ""])
def test_an_address_without_the_driver_is_refused_and_not_shown(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quant_platform.orchestration.event_log.postgres import BatchedPostgresStorage

    with pytest.raises(InstanceError, match=r"begins with postgresql\+psycopg2://") as told:
        BatchedPostgresStorage(f"{scheme}user:secret@host/database")
    assert "secret" not in str(told.value)
