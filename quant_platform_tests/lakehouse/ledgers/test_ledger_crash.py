"""Ledgers under kill -9 and under several writers: nothing lost, nothing doubled, nothing unseen.

The writers are real processes, forked by a server that has imported everything once, so that a
test costs its appends and not eight times the imports.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.ledgers.ledger import Ledger
from quant_platform.lakehouse.ledgers.records import LedgerRecord

SESSION = date(2024, 3, 1)
TORN_OR_OPEN = {"torn line", "orphan"}


def clock() -> datetime:
    return datetime.now(UTC)


def outcome(content: str, writer: str) -> LedgerRecord:
    payload = {"text": content * 40, "number": len(content)}
    return LedgerRecord("success", SESSION, "place", payload, writer, content)


def steps(name: str) -> Iterator[list[str]]:
    """Name what a writer records, append by append: one, an action, many, one, and so on."""
    for number in itertools.count():
        size = 30 if number % 3 == 2 else 1
        yield [f"{name}-{number}.{part}" for part in range(size)]


def write(ledger: Ledger, number: int, contents: list[str], writer: str) -> None:
    if number % 3 == 1:
        with ledger.action(SESSION, "place", contents[0], writer, {"step": number}) as action:
            action.succeed(outcome(contents[0], writer).payload)
    else:
        ledger.append_many([outcome(content, writer) for content in contents])


def write_until(root: Path, name: str, limit: int | None, acknowledged: Connection) -> None:
    """Record a writer's steps from the first one on, and acknowledge each."""
    ledger = Ledger(root, "orders", clock)
    for number, contents in enumerate(itertools.islice(steps(name), limit)):
        write(ledger, number, contents, name)
        acknowledged.send(number)
    acknowledged.close()


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class Writer:
    """A process that writes steps, and what it acknowledged."""

    def __init__(
        self,
        processes: multiprocessing.context.ForkServerContext,
        root: Path,
        name: str,
        limit: int | None,
    ) -> None:
        self.acknowledged, sender = processes.Pipe(duplex=False)
        arguments = (root, name, limit, sender)
        self.process = processes.Process(target=write_until, args=arguments, daemon=True)
        self.process.start()
        sender.close()

    def acknowledgements(self) -> Iterator[int]:
        try:
            while True:
                yield self.acknowledged.recv()
        except EOFError:
            self.process.join()


def successes(ledger: Ledger) -> Counter[str]:
    return Counter(line.content_hash for line in ledger.lines() if line.record_type == "success")


@pytest.mark.parametrize("seed", range(8))
def test_a_killed_writer_loses_and_doubles_nothing(
    tmp_path: Path, processes: multiprocessing.context.ForkServerContext, seed: int
) -> None:
    chance = random.Random(seed)
    writer = Writer(processes, tmp_path, "w", None)
    last = -1
    until, pause = chance.randrange(1, 25), chance.uniform(0, 0.012)
    for last in writer.acknowledgements():
        if last == until:
            time.sleep(pause)
            writer.process.kill()
    assert writer.process.exitcode == -9
    assert last >= until

    ledger = Ledger(tmp_path, "orders", clock)
    assert {problem.kind for problem in ledger.verify().problems} <= TORN_OR_OPEN
    done = list(itertools.islice(steps("w"), last + 1))
    held = successes(ledger)
    assert held.keys() >= set(itertools.chain.from_iterable(done))
    assert set(held.values()) == {1}

    rerun = list(itertools.islice(steps("w"), last + 4))
    for number, contents in enumerate(rerun):
        write(ledger, number, contents, "rerun")
    report = ledger.verify()
    assert report.problems == ()
    assert successes(ledger) == Counter(itertools.chain.from_iterable(rerun))
    told = [line.payload["set_aside"] for line in ledger.lines() if line.action == "torn_line"]
    assert tuple(told) == report.set_aside


@pytest.mark.parametrize("count", [2, 4])
def test_writers_at_once_lose_nothing(
    tmp_path: Path, processes: multiprocessing.context.ForkServerContext, count: int
) -> None:
    names = [f"w{number}" for number in range(count)]
    # Two of the writers record the same steps: each of them must stand there once.
    names[1] = names[0]
    writers = [Writer(processes, tmp_path, name, 12) for name in names]
    for writer in writers:
        assert list(writer.acknowledgements()) == list(range(12))
        assert writer.process.exitcode == 0
    ledger = Ledger(tmp_path, "orders", clock)
    kinds = {problem.kind for problem in ledger.verify().problems}
    assert kinds == set()
    expected = {
        content for name in names for many in itertools.islice(steps(name), 12) for content in many
    }
    held = successes(ledger)
    assert held == Counter(expected)
    run_ids = {line.run_id for line in ledger.lines()}
    assert run_ids == set(names)


@given(size=st.integers(1, 40), cut=st.integers(0, 10**6), across_midnight=st.booleans())
@settings(max_examples=40)
def test_an_append_cut_short_anywhere_is_taken_up_again(
    tmp_path_factory: pytest.TempPathFactory, size: int, cut: int, *, across_midnight: bool
) -> None:
    """What is on disk after a crash is some beginning of the bytes of the last append."""
    root = tmp_path_factory.mktemp("lake")
    now = datetime(2024, 3, 2, 23, tzinfo=UTC)
    ledger = Ledger(root, "orders", lambda: now)
    folder = root / "ledger" / "orders"
    ledger.append_many([outcome("kept-1", "run-1"), outcome("kept-2", "run-1")])
    before, head = (folder / "2024-03-02.jsonl").read_bytes(), (folder / "HEAD").read_bytes()
    if across_midnight:
        now = datetime(2024, 3, 3, 1, tzinfo=UTC)
    wanted = [outcome(f"c{number}", "run-1") for number in range(size)]
    ledger.append_many(wanted)
    file = max(folder.glob("*.jsonl"))
    start = 0 if across_midnight else len(before)
    written = file.read_bytes()
    file.write_bytes(written[: start + cut % (len(written) - start + 1)])
    (folder / "HEAD").write_bytes(head)
    torn = not file.read_bytes().endswith(b"\n") and file.stat().st_size > 0

    after = Ledger(root, "orders", lambda: now)
    kinds = [problem.kind for problem in after.verify().problems]
    assert kinds == (["torn line"] if torn else [])
    after.append_many(wanted)

    report = after.verify()
    assert report.problems == ()
    assert len(report.set_aside) == torn
    assert successes(after) == Counter({"kept-1", "kept-2", *(f"c{n}" for n in range(size))})
    assert [line.payload["bytes"] for line in after.lines() if line.action == "torn_line"] == [
        (folder / name).stat().st_size for name in report.set_aside
    ]
