"""The UI's job backfill of the 45-asset chain over 783 sessions, through webserver and daemon.

1. Ours: the mutation of the job's partitions page, four chunks of 252 sessions at most, the first
   of which sleeps ten seconds before it does anything; each link stores a hash that continues the
   session before. The hashes are compared with one in-process range run of the same sessions.
2. Stock storage, the same way, on the first 63 sessions only (the whole takes it most of an hour),
   without the sleep; the sum of its run durations is scaled by the number of sessions. Run
   monitoring is off for it: stock needs minutes to announce a run, and would be timed out.

Run durations count from the start of a run to its end, without the sleep. Wall clock, from the
click to the final status, has the start of each run's process in it and is only reported.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from quant_platform_tests.bench import eventlog_location as location
from quant_platform_tests.bench.eventlog_chain import CHAIN_LENGTH, sessions
from quant_platform_tests.bench.eventlog_daemon import backfill_through_the_ui, hashes_in_process
from quant_platform_tests.bench.report import Bar, BenchResult, python_loop_ms

NAME = "uibackfill"

SESSIONS = 783
STOCK_SESSIONS = 63
FIRST_CHUNK_SLEEPS = 10.0


def run() -> BenchResult:
    """Backfill on ours and on stock, compare and report."""
    keys = sessions().get_partition_keys()[:SESSIONS]
    slow_first = {location.DELAY: str(FIRST_CHUNK_SLEEPS)}
    with tempfile.TemporaryDirectory(prefix="uibackfill-") as name:
        folder = Path(name)
        ours = backfill_through_the_ui(folder / "ours", keys, settings=slow_first)
        expected = hashes_in_process(folder / "in-process", keys)
        stock = backfill_through_the_ui(
            folder / "stock", keys[:STOCK_SESSIONS], without=["storage", "run_monitoring"]
        )
    own_seconds = ours.run_seconds - FIRST_CHUNK_SLEEPS
    stock_seconds = stock.run_seconds * SESSIONS / STOCK_SESSIONS
    figures = {
        "status": ours.status,
        "stock_status": stock.status,
        "runs": len(ours.runs),
        "in_order": ours.in_order,
        "hashes_equal": ours.hashes == expected,
        "run_seconds": own_seconds,
        "stock_run_seconds_scaled": stock_seconds,
        "run_seconds_share_of_stock": own_seconds / stock_seconds,
        "run_ms_per_partition_asset": 1000 * own_seconds / (SESSIONS * CHAIN_LENGTH),
        "wall_seconds": ours.wall_seconds,
        "stock_wall_seconds": stock.wall_seconds,
        "sessions": SESSIONS,
        "stock_sessions": STOCK_SESSIONS,
        "python_loop_ms": round(python_loop_ms()),
    }
    return BenchResult(
        name=NAME,
        columns=["storage", "sessions", "runs", "sum of runs, s", "wall clock, s"],
        rows=[
            [
                "batched",
                str(SESSIONS),
                str(len(ours.runs)),
                f"{own_seconds:.1f}",
                f"{ours.wall_seconds:.1f}",
            ],
            [
                "stock",
                str(STOCK_SESSIONS),
                str(len(stock.runs)),
                f"{stock.run_seconds:.1f} ({stock_seconds:.0f} scaled to {SESSIONS})",
                f"{stock.wall_seconds:.1f}",
            ],
        ],
        figures=figures,
        bars={
            "status": Bar("COMPLETED_SUCCESS", "is"),
            "stock_status": Bar("COMPLETED_SUCCESS", "is"),
            "in_order": Bar(True, "is"),
            "hashes_equal": Bar(True, "is"),
            "run_seconds_share_of_stock": Bar(1 / 3, "at most"),
        },
        notes=[
            f"The first chunk slept {FIRST_CHUNK_SLEEPS:.0f} s, which are in the wall clock only."
        ],
    )
