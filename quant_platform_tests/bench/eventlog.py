"""Milliseconds per partition: the batched event log against stock SQLite storage.

1. Ours: 2,520 sessions in chunks of 252, one trivial asset (three repeats) and the chain of 45
   (two repeats), each repeat in a fresh instance.
2. Stock takes twenty to forty milliseconds per partition-asset (an hour for the whole chain), so it
   runs the first chunk of one asset and the first quarter (63 sessions) of the chain. The ratio is
   taken on that same range, which ours runs too, in the same process.
3. Equality: a history of nine chapters on both storages, every query of the instance compared, and
   four processes that store 2,016 partitions each at once, every row verified. These are the tests'
   own functions.

The backfill through webserver and daemon is the benchmark ``uibackfill``.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from quant_platform.orchestration.stage import BACKFILL_CHUNK
from quant_platform_tests.bench.eventlog_chain import (
    CHAIN_LENGTH,
    chain_job,
    run_range,
    sessions,
    temporary_instance,
)
from quant_platform_tests.bench.report import Bar, BenchResult, python_loop_ms
from quant_platform_tests.orchestration.event_log.test_event_log_equality import play_both
from quant_platform_tests.orchestration.event_log.test_event_log_processes import verify, write

NAME = "eventlog"

SESSIONS = 2520
QUARTER = 63
WRITERS, PARTITIONS_EACH = 4, 2016


def run() -> BenchResult:
    """Measure, compare and report."""
    loop_before = python_loop_ms()
    keys = sessions().get_partition_keys()[:SESSIONS]
    single, chain = chain_job(1), chain_job(CHAIN_LENGTH)
    one_asset = [_chunks(single, keys, 1) for _ in range(3)]
    whole_chain = [_chunks(chain, keys, CHAIN_LENGTH) for _ in range(2)]
    first, quarter = keys[:BACKFILL_CHUNK], keys[:QUARTER]
    one_asset_same = _range(single, first, 1, stock=False)
    one_asset_stock = _range(single, first, 1, stock=True)
    chain_same = _range(chain, quarter, CHAIN_LENGTH, stock=False)
    chain_stock = _range(chain, quarter, CHAIN_LENGTH, stock=True)
    figures = {
        "one_asset_ms": _median(one_asset),
        "one_asset_repeats_ms": [round(statistics.median(repeat), 4) for repeat in one_asset],
        "chain_ms": _median(whole_chain),
        "chain_repeats_ms": [round(statistics.median(repeat), 4) for repeat in whole_chain],
        "one_asset_stock_ms": one_asset_stock,
        "one_asset_same_range_ms": one_asset_same,
        "chain_stock_ms": chain_stock,
        "chain_same_range_ms": chain_same,
        "one_asset_ratio": one_asset_stock / one_asset_same,
        "chain_ratio": chain_stock / chain_same,
        "queries_equal": _queries_equal(),
        "four_processes_hold": _four_processes_hold(),
        "python_loop_ms": [round(loop_before), round(python_loop_ms())],
        "sessions": len(keys),
        "see_also": ["uibackfill"],
    }
    return BenchResult(
        name=NAME,
        columns=["job", "sessions", "median ms", "stock ms (range)", "times faster, same range"],
        rows=[
            _row("one trivial asset", figures, "one_asset", f"first {BACKFILL_CHUNK}"),
            _row(f"chain of {CHAIN_LENGTH}", figures, "chain", f"first {QUARTER}"),
        ],
        figures=figures,
        bars={
            "one_asset_ms": Bar(1.3, "at most"),
            "chain_ms": Bar(0.9, "at most"),
            "one_asset_ratio": Bar(10, "at least"),
            "chain_ratio": Bar(10, "at least"),
            "queries_equal": Bar(True, "is"),
            "four_processes_hold": Bar(True, "is"),
        },
        notes=[
            "Milliseconds are per partition and asset, the median over the chunks of 252 sessions.",
            "A fixed loop of Python took "
            f"{figures['python_loop_ms']} ms before and after; a desktop of 2024 takes about 60.",
            "The backfill through webserver and daemon is measured by the benchmark uibackfill.",
        ],
    )


def _row(title: str, figures: dict[str, object], prefix: str, stock_range: str) -> list[str]:
    return [
        title,
        str(figures["sessions"]),
        f"{figures[f'{prefix}_ms']:.3f}",
        f"{figures[f'{prefix}_stock_ms']:.1f} ({stock_range})",
        f"{figures[f'{prefix}_ratio']:.1f}",
    ]


def _chunks(job: dg.JobDefinition, keys: Sequence[str], assets: int) -> list[float]:
    """Run all sessions chunk by chunk in a fresh instance; milliseconds of each chunk."""
    with temporary_instance() as instance:
        return [
            _timed(job, instance, keys[start : start + BACKFILL_CHUNK], assets)
            for start in range(0, len(keys), BACKFILL_CHUNK)
        ]


def _range(job: dg.JobDefinition, keys: Sequence[str], assets: int, *, stock: bool) -> float:
    with temporary_instance(stock=stock) as instance:
        return _timed(job, instance, keys, assets)


def _timed(
    job: dg.JobDefinition, instance: dg.DagsterInstance, keys: Sequence[str], assets: int
) -> float:
    start = time.perf_counter()
    run_range(job, instance, keys)
    return 1000 * (time.perf_counter() - start) / (len(keys) * assets)


def _median(repeats: Sequence[Sequence[float]]) -> float:
    return statistics.median(ms for repeat in repeats for ms in repeat)


def _queries_equal() -> bool:
    with tempfile.TemporaryDirectory(prefix="eventlog-") as folder:
        told = play_both(Path(folder))
    return told["stock"] == told["batched"]


def _four_processes_hold() -> bool:
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="eventlog-") as name:
        folder = Path(name)
        writers = [
            context.Process(target=write, args=(folder, writer, PARTITIONS_EACH))
            for writer in range(WRITERS)
        ]
        for process in writers:
            process.start()
        for process in writers:
            process.join()
        if any(process.exitcode for process in writers):
            return False
        try:
            verify(folder, WRITERS, PARTITIONS_EACH)
        except AssertionError:
            return False
    return True
