"""Jobs that read nothing of each other, side by side, each in a process.

A run is one thread of Python from end to end, so a second core helps only a second process.

1. The planned chunks are dealt out in *waves*. A job belongs to the wave after the last job whose
   tables it reads; within a wave the jobs know nothing of each other.
2. The longest job of a wave runs in this process. Each other one that is worth the seconds that a
   process takes to start gets one of its own, which builds the same graph from the same settings.
3. A process tells through a pipe which chunk it begins and ends, and at last what it did or what
   stopped it. It stops by itself when that pipe closes: its parent was interrupted, or is gone.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from multiprocessing import get_context
from multiprocessing.connection import Connection

from quant_platform.errors import InstanceError, QuantError
from quant_platform.orchestration.graph import build_graph
from quant_platform.orchestration.instance import open_instance
from quant_platform.orchestration.plan import Chunk
from quant_platform.orchestration.runs import Tally, run_chunks
from quant_platform.orchestration.stage import Stage
from quant_platform.settings import Settings

WORTH_A_PROCESS = 1_000
"""Partitions from which a job gets a process: they take about as long as it takes to start."""

Progress = Callable[[Chunk, bool], None]


def cores() -> int:
    """How many processes this one may keep busy."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Linux alone tells what a process may use.
        return os.cpu_count() or 1


def waves(chunks: Sequence[Chunk], jobs: Mapping[str, Sequence[Stage]]) -> list[list[list[Chunk]]]:
    """Deal chunks out: waves of jobs that read nothing of each other, chunks by job in each."""
    makers = {stage.table: job for job, stages in jobs.items() for stage in stages}
    wave_of: dict[str, int] = {}
    for job, stages in jobs.items():
        read = {makers.get(w.table, job) for stage in stages for w in stage.windows.values()}
        wave_of[job] = max((wave_of[other] + 1 for other in read if other in wave_of), default=0)
    dealt: dict[int, dict[str, list[Chunk]]] = {}
    for chunk in chunks:
        dealt.setdefault(wave_of[chunk.job], {}).setdefault(chunk.job, []).append(chunk)
    return [list(dealt[number].values()) for number in sorted(dealt)]


@dataclass
class Beside:
    """One job in a process of its own.

    Parameters
    ----------
    chunks
        Its chunks.
    pipe
        Our end of the pipe to it.
    tally
        What it did; complete when the block of ``beside`` ends.
    """

    chunks: Sequence[Chunk]
    pipe: Connection
    tally: Tally = field(default_factory=Tally)

    def stop(self) -> None:
        """Have it stop as by Ctrl-C; it may have ended already."""
        with suppress(OSError):
            self.pipe.send(None)


@contextmanager
def beside(chunks: Sequence[Chunk], settings: Settings, progress: Progress) -> Iterator[Beside]:
    """Run the chunks of one job in another process for the length of the block.

    A Ctrl-C in the block or at its end stops that process too, and is what its tally says.

    Parameters
    ----------
    chunks
        The chunks.
    settings
        What the other process builds the graph from.
    progress
        Told before and after each chunk, from a thread.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    running, interrupted = Beside(chunks, ours), False
    asked = [
        _Asked(chunk.job, tuple(s.table for s in chunk.stages), chunk.sessions, chunk.stale)
        for chunk in chunks
    ]
    process = context.Process(target=_work, args=(settings, asked, theirs))
    process.start()
    theirs.close()
    listener = threading.Thread(target=_listen, args=(running, progress))
    listener.start()
    try:
        yield running
        listener.join()
    except KeyboardInterrupt:
        interrupted = True
        running.stop()
    except BaseException:
        running.stop()
        raise
    finally:
        listener.join()
        process.join()
        ours.close()
    running.tally.stopped |= interrupted
    if process.exitcode and running.tally.error is None:
        running.tally.error = InstanceError(
            f"the process of {chunks[0].job} ended with exit code {process.exitcode}",
            expected="a report of what it made",
            mend="look above for what it printed; the same command goes on where it left off",
        )


@dataclass(frozen=True)
class _Asked:
    """A chunk as another process is told of it."""

    job: str
    tables: tuple[str, ...]
    sessions: tuple[date, ...]
    stale: int


def _listen(running: Beside, progress: Progress) -> None:
    """Take in what the other process tells until it has told all."""
    with suppress(EOFError):
        while True:
            told = running.pipe.recv()
            if isinstance(told, Tally):
                running.tally = told
                return
            place, ended = told
            progress(running.chunks[place], ended)


def _work(settings: Settings, asked: Sequence[_Asked], pipe: Connection) -> None:
    """Be the other process."""
    # Not the terminal's Ctrl-C, which would come twice, but the parent's word stops it.
    os.setpgid(0, 0)
    threading.Thread(target=_heed, args=(pipe,), daemon=True).start()
    tally = Tally()
    try:
        graph = build_graph(settings)
        made = {stage.table: stage for stage in graph.stages}
        chunks = [
            Chunk(each.job, tuple(made[t] for t in each.tables), each.sessions, each.stale)
            for each in asked
        ]
        places = {id(chunk): place for place, chunk in enumerate(chunks)}
        with open_instance(settings) as instance:
            run_chunks(
                graph.definitions(tally.count_computing),
                instance,
                chunks,
                tally,
                lambda chunk, ended: pipe.send((places[id(chunk)], ended)),
            )
    except KeyboardInterrupt:
        tally.stopped = True
    except QuantError as error:
        tally.error = error
    # A parent that is gone hears nothing.
    with suppress(OSError):
        pipe.send(tally)


def _heed(pipe: Connection) -> None:
    """Interrupt this process when its parent says so, or is gone."""
    with suppress(EOFError, OSError):
        pipe.recv()
    os.kill(os.getpid(), signal.SIGINT)
