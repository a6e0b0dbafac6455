"""``scans``: what twenty scanners cost over 2,520 sessions of 3,000 stocks, in one pass.

The screener is drawn at random, a year's chunk at a time; drawing it is not counted. The scanners
are the shipped ones of stocks, taken in turns, of which one looks at 3,000 names and the others at
300. Processor time (user and system) is held against the bar of chapter 10 of the specification,
60 seconds on two idle cores, since another process does not lengthen it.
"""

from __future__ import annotations

import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from quant_platform_tests.bench.report import Bar, BenchResult, python_loop_ms

NAME = "scans"
SESSIONS, STOCKS, SCANNERS, CHUNK = 2520, 3000, 20, 252
START = date(2015, 1, 2)
_WIDE = "avwap_swing"


def run() -> BenchResult:
    """Scan ten years in chunks of a backfill."""
    from quant_platform.calendars import build_calendar
    from quant_platform.lakehouse.windows import SessionRange
    from quant_platform.scanners.engine import scan_all
    from quant_platform.settings import load_settings

    calendar = build_calendar("XNYS", horizon=date(2026, 12, 31), grace=timedelta(minutes=90))
    sessions = list(calendar.between(START, date(2026, 12, 31))[:SESSIONS])
    shipped = load_settings(Path(__file__).parents[2], environ={}).scanners
    stocks = [s for s in shipped.values() if s.asset_class == "stock" and s.name != _WIDE]
    scanners = [shipped[_WIDE], *(stocks[n % len(stocks)] for n in range(SCANNERS - 1))]
    seconds = processor = rows = 0.0
    for start in range(0, SESSIONS, CHUNK):
        part = sessions[start : start + CHUNK]
        frames = {"screener": _drawn(part, start).lazy()}
        wanted = SessionRange(calendar, tuple(part), START)
        began, used = time.perf_counter(), time.process_time()
        made = scan_all(frames, scanners, wanted)
        seconds += time.perf_counter() - began
        processor += time.process_time() - used
        rows += sum(frame.height for frame in made)
    figures = {
        "rows": rows,
        "seconds": seconds,
        "processor_seconds": processor,
        "python_loop_ms": python_loop_ms(),
    }
    return BenchResult(
        NAME,
        ("scanners", "rows kept", "wall s", "processor s"),
        [(str(SCANNERS), f"{rows:,.0f}", f"{seconds:.1f}", f"{processor:.1f}")],
        figures,
        {"processor_seconds": Bar(120, "at most")},
        [
            f"{STOCKS:,} stocks over {SESSIONS:,} sessions; the bar is 60 seconds of two cores. "
            "Contracts, hashes and files are not counted.",
        ],
    )


def _drawn(sessions: list[date], seed: int) -> pl.DataFrame:
    """Draw the screener of some sessions."""
    from quant_platform.lakehouse.contracts.screener import SCREENER
    from quant_platform.settings.screener_fields import FIELDS

    random = np.random.default_rng(seed)
    count = STOCKS * len(sessions)
    names = [f"s{number:05}" for number in range(STOCKS)]
    columns: dict[str, pl.Series | pl.Expr] = {
        "session": pl.Series(sessions).gather(np.repeat(np.arange(len(sessions)), STOCKS)),
        "security_id": pl.Series(names * len(sessions)),
        "symbol": pl.Series([f"NYSE:{name.upper()}" for name in names] * len(sessions)),
    }
    texts = {"exchange": "NYSE", "type": "stock", "sector": "Energy"}
    for name, field in FIELDS.items():
        if field.kind == "text":
            columns[name] = pl.lit(texts.get(name), dtype=pl.String)
        elif field.unit in ("money", "units"):
            columns[name] = pl.Series(np.exp(random.normal(16, 2, count)))
        elif field.unit == "price":
            columns[name] = pl.Series(np.exp(random.normal(3, 0.1, count)))
        elif field.unit == "0..100":
            columns[name] = pl.Series(random.uniform(0, 100, count))
        else:
            columns[name] = pl.Series(random.normal(0.05, 0.1, count))
    columns |= {"requested": pl.lit("features"), "actual": pl.lit("features")}
    columns |= {"fallback": pl.lit(None, pl.String), "asset_class": pl.lit("stock")}
    made = pl.DataFrame({"session": columns.pop("session")}).with_columns(**columns)
    return made.select(pl.col(name).cast(c.dtype) for name, c in SCREENER.columns.items())
