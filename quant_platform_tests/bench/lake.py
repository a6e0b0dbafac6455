"""``lake``: what the lake's promises cost over bare Polars.

The same rows, 2,520 sessions of 3,000 securities with the thirteen columns of ``features_trend``,
are written twice in chunks of 252: by a bare loop of ``write_parquet`` into one folder per session,
and by the partition store, which sorts, hashes the content, checksums, fsyncs, renames and logs.
Then both trees are read the same way, and a point-in-time read of 200,000 rows is timed.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from quant_platform.calendars import build_calendar
from quant_platform.lakehouse.contracts import contract_of
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import Stamp
from quant_platform.lakehouse.store import Judgement
from quant_platform_tests.bench.report import Bar, BenchResult, python_loop_ms

NAME = "lake"
SESSIONS = 2520
SECURITIES = 3000
CHUNK = 252
TABLE = "bench/features_trend"
REPEATS = 5
AS_OF_LOOKBACK = 66
"""67 sessions of 3,000 rows: 201,000."""


def run() -> BenchResult:
    """Write and scan the same rows through the lake and through bare Polars."""
    calendar = build_calendar("XNYS", horizon=date(2026, 12, 31), grace=timedelta(minutes=90))
    sessions = calendar.between(date(2014, 1, 2), date(2025, 12, 31))[:SESSIONS]
    folder = Path(tempfile.mkdtemp(prefix="bench_lake_"))
    try:
        lake = Lake.create(folder / "lake")
        lake.describe(TABLE, calendar)
        files: list[Path] = []
        bare, stored = [], []
        for start in range(0, SESSIONS, CHUNK):
            chunk = sessions[start : start + CHUNK]
            frame = _rows(chunk, seed=start)
            bare.append(_seconds(partial(_bare_write, folder, chunk, frame)))
            files += [_bare_file(folder, session) for session in chunk]
            stored.append(_seconds(partial(_store, lake, chunk, frame)))
        scans = [
            (_seconds(lambda: _read_files(files)), _seconds(lambda: _read(lake)))
            for _ in range(REPEATS)
        ]
        last = sessions[-1]
        as_of = [_seconds(lambda: _read_as_of(lake, last)) for _ in range(REPEATS)]
        cold = _seconds(lambda: _read_as_of(Lake.open(lake.root), last))
    finally:
        shutil.rmtree(folder)
    return _result(bare, stored, scans, as_of, cold)


def _result(
    bare: list[float],
    stored: list[float],
    scans: list[tuple[float, float]],
    as_of: list[float],
    cold: float,
) -> BenchResult:
    """Medians and ratios; ratios are taken pair by pair, because the machine drifts."""
    write_ratio = statistics.median(s / b for b, s in zip(bare, stored, strict=True))
    scan_ratio = statistics.median(ours / theirs for theirs, ours in scans)
    figures = {
        "write_ms_per_partition": 1000 * statistics.median(stored) / CHUNK,
        "bare_write_ms_per_partition": 1000 * statistics.median(bare) / CHUNK,
        "write_ratio": write_ratio,
        "scan_seconds": statistics.median(ours for _, ours in scans),
        "bare_scan_seconds": statistics.median(theirs for theirs, _ in scans),
        "scan_ratio": scan_ratio,
        "as_of_seconds": statistics.median(as_of),
        "as_of_cold_seconds": cold,
        "python_loop_ms": python_loop_ms(),
    }
    return BenchResult(
        NAME,
        ("what", "bare Polars", "lake", "ratio"),
        (
            (
                f"write, ms per partition of {SECURITIES:,} rows",
                f"{figures['bare_write_ms_per_partition']:.2f}",
                f"{figures['write_ms_per_partition']:.2f}",
                f"{write_ratio:.2f}",
            ),
            (
                f"scan {SESSIONS:,} partitions, s",
                f"{figures['bare_scan_seconds']:.3f}",
                f"{figures['scan_seconds']:.3f}",
                f"{scan_ratio:.2f}",
            ),
            (
                "as-of read of 201,000 rows, s",
                "",
                f"{figures['as_of_seconds']:.3f} (first {cold:.3f})",
                "",
            ),
        ),
        figures,
        {
            "write_ratio": Bar(2.5, "at most"),
            "scan_ratio": Bar(1.5, "at most"),
            "as_of_seconds": Bar(0.1, "at most"),
        },
        ("The lake's write includes sorting, content hash, checksum, fsync, rename and log.",),
    )


def _rows(sessions: Sequence[date], *, seed: int) -> pl.DataFrame:
    """Random rows within the contract, in key order as producers emit them."""
    draw = np.random.default_rng(seed)
    contract = contract_of(TABLE)
    count = len(sessions) * SECURITIES
    securities = pl.Series([f"NYSE:S{number:04d}" for number in range(SECURITIES)])
    columns = {
        "session": pl.Series(np.repeat(np.array(sessions, dtype="datetime64[D]"), SECURITIES)),
        "security_id": pl.concat([securities] * len(sessions)),
        "bars_252": pl.repeat(252, count, dtype=pl.UInt16, eager=True),
        "high_252_distance": pl.Series(-draw.random(count)),
    }
    for name in contract.columns:
        if name not in columns:
            columns[name] = pl.Series(draw.random(count) + 0.1)
    return pl.DataFrame(
        {name: columns[name].cast(column.dtype) for name, column in contract.columns.items()}
    )


def _bare_file(folder: Path, session: date) -> Path:
    return folder / "bare" / f"session={session}" / "part.parquet"


def _bare_write(folder: Path, sessions: Sequence[date], frame: pl.DataFrame) -> None:
    """Write as one would without a lake: one file per session, nothing promised."""
    for number, session in enumerate(sessions):
        path = _bare_file(folder, session)
        path.parent.mkdir(parents=True)
        frame.slice(number * SECURITIES, SECURITIES).write_parquet(path)


def _store(lake: Lake, sessions: Sequence[date], frame: pl.DataFrame) -> None:
    stamp = Stamp("bench", "code", "config", "sha", datetime.now(UTC).isoformat())
    judgements = {session: Judgement("passed", "inputs") for session in sessions}
    lake.store(TABLE).write(frame, judgements, stamp)


def _read_files(files: list[Path]) -> pl.DataFrame:
    return _figures(pl.scan_parquet(files, hive_partitioning=False))


def _read(lake: Lake) -> pl.DataFrame:
    return _figures(lake.scan(TABLE))


def _figures(rows: pl.LazyFrame) -> pl.DataFrame:
    return rows.select(pl.len(), pl.col("sma_20").sum(), pl.col("close").mean()).collect()


def _read_as_of(lake: Lake, session: date) -> pl.DataFrame:
    return lake.as_of(TABLE, session, lookback=AS_OF_LOOKBACK).collect()


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
