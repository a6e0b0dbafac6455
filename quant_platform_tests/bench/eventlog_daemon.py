"""A real webserver and a real daemon in a temporary Dagster home, driven as the UI drives them.

1. The instance file is the shipped one (for stock: without its storage block).
2. ``dagster-webserver`` and ``dagster-daemon`` start on their own, as processes of this one.
3. The backfill of a whole job is launched with the mutation that the job's partitions page sends,
   by partition set, and polled until it is over.
4. The runs, their chunks and their times are read from the instance.
5. Both processes are stopped, by interrupt first, so that they stop their code servers.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_START_TAG

from quant_platform_tests.bench import eventlog_location as location
from quant_platform_tests.bench.eventlog_chain import (
    environment,
    run_range,
    temporary_instance,
    write_instance,
)

MODULE = location.__name__
BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"
START_SECONDS = 180
_LOCATION = """
{ workspaceOrError { ... on Workspace { locationEntries {
    locationOrLoadError { __typename ... on PythonError { message } }
} } } }
"""
_LAUNCH = """
mutation LaunchPartitionBackfill($backfillParams: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfillParams) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_STATUS = """
query Status($backfillId: String!) {
  partitionBackfillOrError(backfillId: $backfillId) {
    ... on PartitionBackfill { status }
  }
}
"""


@dataclass(frozen=True)
class ChunkRun:
    """One run of a backfill: its first session, and when it started and ended (UNIX seconds)."""

    first_session: str
    start: float
    end: float


@dataclass(frozen=True)
class BackfillOutcome:
    """What a backfill through webserver and daemon did.

    Parameters
    ----------
    status
        Final status that the UI shows.
    wall_seconds
        From the mutation until the status was final.
    runs
        The runs in the order in which they started.
    hashes
        Link → session → hash.
    """

    status: str
    wall_seconds: float
    runs: Sequence[ChunkRun]
    hashes: Mapping[str, Mapping[str, str]]

    @property
    def in_order(self) -> bool:
        """Whether every chunk started after the one before it in time had ended."""
        firsts = [run.first_session for run in self.runs]
        apart = all(a.end <= b.start for a, b in zip(self.runs, self.runs[1:], strict=False))
        return firsts == sorted(firsts) and apart

    @property
    def run_seconds(self) -> float:
        """Sum of the durations of the runs."""
        return sum(run.end - run.start for run in self.runs)


def backfill_through_the_ui(
    folder: Path,
    keys: Sequence[str],
    *,
    without: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    timeout_seconds: float = 3600,
) -> BackfillOutcome:
    """Backfill the chain over the given sessions and wait for the end.

    Parameters
    ----------
    folder
        An empty folder for the Dagster home, the hashes and the output of the processes.
    keys
        Sessions to backfill.
    without
        Settings to drop from the shipped instance file: ``storage`` is stock storage,
        ``concurrency`` lets the chunks of a backfill overtake each other.
    settings
        Environment of the code location.
    timeout_seconds
        When to give up.
    """
    home, hashes = folder / "home", folder / "hashes"
    home.mkdir(parents=True)
    hashes.mkdir()
    write_instance(home, without=without)
    inherited = {name: os.environ[name] for name in os.environ if name != BATCH_SIZE}
    own = {"DAGSTER_HOME": str(home), location.FOLDER: str(hashes)}
    variables = {**inherited, **own, **(settings or {})}
    port = _free_port()
    with ExitStack() as processes:
        web = ["dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-m", MODULE]
        processes.enter_context(_process(folder / "webserver.log", web, variables))
        daemon = ["dagster._daemon", "run", "-m", MODULE]
        processes.enter_context(_process(folder / "daemon.log", daemon, variables))
        url = f"http://127.0.0.1:{port}/graphql"
        _wait_for_location(url)
        start = time.time()
        backfill_id = _launch(url, keys)
        status = _wait_for_the_end(url, backfill_id, timeout_seconds)
        wall_seconds = time.time() - start
    return BackfillOutcome(
        status, wall_seconds, _runs(home, backfill_id), location.stored_hashes(hashes)
    )


def _launch(url: str, keys: Sequence[str]) -> str:
    repository = {"repositoryLocationName": MODULE, "repositoryName": "__repository__"}
    selector = {"partitionSetName": "chain_partition_set", "repositorySelector": repository}
    answer = _ask(
        url, _LAUNCH, {"backfillParams": {"selector": selector, "partitionNames": list(keys)}}
    )["launchPartitionBackfill"]
    if answer["__typename"] != "LaunchBackfillSuccess":
        raise RuntimeError(f"the webserver refused the backfill: {answer}")
    return str(answer["backfillId"])


def _wait_for_the_end(url: str, backfill_id: str, timeout_seconds: float) -> str:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        answer = _ask(url, _STATUS, {"backfillId": backfill_id})["partitionBackfillOrError"]
        if answer["status"] not in {"REQUESTED", "CANCELING", "FAILING"}:
            return str(answer["status"])
        time.sleep(1)
    raise TimeoutError(f"the backfill was not over after {timeout_seconds} s")


def _wait_for_location(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.5)
        try:
            entries = _ask(url, _LOCATION, {})["workspaceOrError"]["locationEntries"]
        except (urllib.error.URLError, ConnectionError):
            continue
        loaded = [entry["locationOrLoadError"] for entry in entries]
        if loaded and loaded[0]:
            if loaded[0]["__typename"] == "PythonError":
                raise RuntimeError(f"the code location does not load: {loaded[0]['message']}")
            return
    raise TimeoutError(f"no code location at {url} after {START_SECONDS} s")


def _ask(url: str, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        answer = json.loads(response.read())
    if "errors" in answer:
        raise RuntimeError(f"GraphQL: {answer['errors']}")
    return dict(answer["data"])


def _runs(home: Path, backfill_id: str) -> list[ChunkRun]:
    of_backfill = dg.RunsFilter(tags={"dagster/backfill": backfill_id})
    with (
        environment(DAGSTER_HOME=str(home)),
        dg.DagsterInstance.from_config(str(home)) as instance,
    ):
        runs = [
            ChunkRun(
                record.dagster_run.tags[ASSET_PARTITION_RANGE_START_TAG],
                record.start_time or 0.0,
                record.end_time or 0.0,
            )
            for record in instance.get_run_records(of_backfill)
        ]
    return sorted(runs, key=lambda run: run.start)


def hashes_in_process(
    folder: Path, keys: Sequence[str], settings: Mapping[str, str] | None = None
) -> dict[str, dict[str, str]]:
    """Run the same sessions as one range in this process, and return link → session → hash."""
    folder.mkdir(parents=True)
    variables = {location.FOLDER: str(folder), **(settings or {}), location.DELAY: "0"}
    with environment(**variables), temporary_instance() as instance:
        run_range(location.chain().resolve_job_def("chain"), instance, keys)
    return location.stored_hashes(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _process(
    log: Path, module_and_arguments: Sequence[str], settings: Mapping[str, str]
) -> Iterator[None]:
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module_and_arguments],
            env=dict(settings),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(stop)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            continue
