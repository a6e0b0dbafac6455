"""Everything at once on one lake and one instance: no lock error, nothing lost."""

from __future__ import annotations

import json
import multiprocessing
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from quant_platform.cli.main import invoke
from quant_platform.lakehouse.health import examine
from quant_platform.lakehouse.lake import Lake, utc_now
from quant_platform.lakehouse.ledgers.ledger import Ledger
from quant_platform.orchestration.graph import build_graph
from quant_platform.orchestration.instance import open_instance
from quant_platform.settings import load_settings
from quant_platform_tests.end_to_end.companions import (
    LEDGER,
    append_records,
    ask_until,
    quant,
    record,
)
from quant_platform_tests.end_to_end.killed_runs import Hashes, problems
from quant_platform_tests.end_to_end.projects import environment, lay_out, start
from quant_platform_tests.small_project import SmallProject

FIRST, MIDDLE, LAST = date(2022, 1, 3), date(2022, 1, 7), date(2022, 1, 26)
RECORDS = 40
PATIENCE = 300.0
BACKFILL = ("backfill", "--from", str(FIRST), "--to", str(LAST), "--chunk", "7", "--json")


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["quant_platform_tests.end_to_end.warm_server"])
    return context


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out a project with a few sessions and a ledger, so that every view is there."""
    folder = tmp_path / "project"
    lay_out(folder, sleeves=("instruments", "crypto"))
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    assert invoke(["backfill", "--from", str(FIRST), "--to", str(MIDDLE), "--json"]) == 0
    Ledger(folder / "lakehouse", LEDGER, utc_now).append(record("first", 0))
    return folder


@contextmanager
def companions(processes: ForkServerContext, project: Path) -> Iterator[Callable[..., BaseProcess]]:
    """Start processes that are ended, by their id, whatever happens."""
    started: list[BaseProcess] = []

    def begin(target: Callable[..., None], *arguments: object) -> BaseProcess:
        process = processes.Process(target=target, args=arguments)
        process.start()
        started.append(process)
        return process

    try:
        yield begin
    finally:
        for process in started:
            if process.is_alive():
                process.kill()
            process.join()


def expected_hashes(folder: Path) -> Hashes:
    """Hashes of an undisturbed lake of the same range."""
    ends = [
        *(
            f"{sleeve}/{kind}"
            for sleeve in ("crypto", "instruments")
            for kind in ("profile_returns", "quality", "universe_counts")
        ),
        *("instruments/earnings", "instruments/membership", "market/series"),
    ]
    undisturbed = SmallProject.create(folder, tables=ends)
    undisturbed.fill(FIRST, LAST)
    found = {
        table: {str(day): content for day, content in undisturbed.hashes(table).items()}
        for table in undisturbed.lake.tables()
    }
    undisturbed.close()
    return found


def assert_nothing_lost(project: Path, expected: Hashes, writers: list[str]) -> None:
    """Look at the ledger, the lake and the instance after everybody has ended."""
    report = Ledger(project / "lakehouse", LEDGER, utc_now).verify()
    assert report.problems == ()
    assert report.lines == 1 + RECORDS * len(writers)
    lines = Ledger(project / "lakehouse", LEDGER, utc_now).lines()
    said = [(line.payload["writer"], line.payload["number"]) for line in lines]
    assert sorted(said) == sorted(
        [("first", 0), *((writer, number) for writer in writers for number in range(RECORDS))]
    )
    settings = load_settings()
    with open_instance(settings) as instance:
        graph = build_graph(settings)
        whole = SmallProject(settings, graph, Lake.open(settings.lake_root), instance)
        assert list(problems(whole, expected)) == []
        statuses = {run.status for run in instance.get_runs()}
        assert statuses == {DagsterRunStatus.SUCCESS}
    for table in whole.lake.tables():
        assert list(examine(whole.lake, table, deep=True)) == []


@pytest.mark.slow
def test_backfills_writers_and_queries_at_once(
    project: Path,
    processes: ForkServerContext,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    lake = project / "lakehouse"
    stop, answers = processes.Event(), tmp_path / "asked"
    with companions(processes, project) as begin:
        asking = begin(ask_until, lake, stop, answers)
        working = [
            begin(append_records, lake, "one", RECORDS),
            begin(append_records, lake, "two", RECORDS),
            # The second of the same job waits for the lock of the first, run by run.
            begin(quant, project, *BACKFILL, "--job", "us_daily"),
            begin(quant, project, *BACKFILL, "--job", "us_daily"),
            begin(quant, project, *BACKFILL, "--job", "crypto_daily"),
        ]
        for process in working:
            process.join(PATIENCE)
        stop.set()
        asking.join(PATIENCE)
        told = capfd.readouterr().err
        assert [process.exitcode for process in (asking, *working)] == [0] * 6, told
    assert "locked" not in told
    assert "Traceback" not in told
    assert int(answers.read_text()) >= 5
    assert_nothing_lost(project, expected_hashes(tmp_path / "undisturbed"), ["one", "two"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask_webserver(port: int, query: str) -> dict[str, object]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        told: dict[str, object] = json.loads(answer.read())
    assert "errors" not in told, told
    return told


def wait_for_webserver(port: int, server: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert server.poll() is None, server.communicate()
        assert time.monotonic() < deadline
        try:
            ask_webserver(port, "{ version }")
        except OSError:
            time.sleep(0.5)
        else:
            return


def stopped(process: subprocess.Popen[str]) -> tuple[int, str]:
    """End a server as its user would, and return its exit code and what it said."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return process.returncode, out + err


@pytest.mark.slow
def test_the_webserver_and_the_daemon_as_well(
    project: Path,
    processes: ForkServerContext,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    port, lake = free_port(), project / "lakehouse"
    location = ("-m", "quant_platform.definitions")
    address = ("-h", "127.0.0.1", "-p", str(port))
    server = start(project, "dagster_webserver", *location, *address)
    daemon = start(project, "dagster._daemon", "run", *location)
    stop, answers = processes.Event(), tmp_path / "asked"
    try:
        wait_for_webserver(port, server)
        with companions(processes, project) as begin:
            asking = begin(ask_until, lake, stop, answers)
            working = [
                begin(append_records, lake, "one", RECORDS),
                begin(append_records, lake, "two", RECORDS),
                begin(quant, project, *BACKFILL),
            ]
            while any(process.is_alive() for process in working):
                ask_webserver(port, "{ runsOrError { __typename ... on Runs { count } } }")
                ask_webserver(port, "{ assetsOrError { __typename } }")
                assert server.poll() is None
                assert daemon.poll() is None
                time.sleep(0.2)
            stop.set()
            asking.join(PATIENCE)
            told = capfd.readouterr().err
            assert [process.exitcode for process in (asking, *working)] == [0] * 4, told
        answer = ask_webserver(port, "{ runsOrError { ... on Runs { count } } }")
    finally:
        ended = [stopped(server), stopped(daemon)]
    with open_instance(load_settings()) as instance:
        assert answer == {"data": {"runsOrError": {"count": instance.get_runs_count()}}}
    assert [code for code, _said in ended] == [0, 0], ended
    for said in (told, *(said for _code, said in ended)):
        assert "database is locked" not in said
        assert "Traceback" not in said
    assert_nothing_lost(project, expected_hashes(tmp_path / "undisturbed"), ["one", "two"])
