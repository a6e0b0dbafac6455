"""``market``: what the embedded market costs to generate at benchmark size.

3,000 stocks over 2,520 sessions with the shipped dirt, and then one more session, each in a fresh
process: a nightly run starts cold. Wall clock, processor time (user and system) and the largest
resident memory are measured; the bars are those of chapter 02 of the specification, on wall clock,
so run it on a machine that does nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import date, timedelta

from quant_platform_tests.bench.child import measured
from quant_platform_tests.bench.report import Bar, BenchResult, python_loop_ms

NAME = "market"
SESSIONS = 2520
STOCKS = 3000


def run() -> BenchResult:
    """Generate ten years, and one session, in a process of its own each."""
    whole, single = (measured(child, count) for count in (SESSIONS, 1))
    figures = {
        "rows": whole["rows"],
        "seconds": whole["seconds"],
        "processor_seconds": whole["processor"],
        "peak_gib": whole["peak_gib"],
        "one_more_session_seconds": single["seconds"],
        "one_more_session_processor_seconds": single["processor"],
        "python_loop_ms": python_loop_ms(),
    }
    rows: Sequence[Sequence[str]] = [
        (
            name,
            f"{made['rows']:,.0f}",
            f"{made['seconds']:.1f}",
            f"{made['processor']:.1f}",
            f"{made['peak_gib']:.2f}",
        )
        for name, made in ((f"{SESSIONS:,} sessions", whole), ("one session", single))
    ]
    return BenchResult(
        NAME,
        ("generated", "bars", "wall s", "processor s", "peak GiB"),
        rows,
        figures,
        {
            "seconds": Bar(15, "at most"),
            "peak_gib": Bar(4, "at most"),
            "one_more_session_seconds": Bar(2, "at most"),
        },
        [f"{STOCKS:,} stocks with the shipped dirt; starting Python and imports are not counted."],
    )


def child(count: int) -> None:
    """Generate the last ``count`` of the benchmark's sessions, and print what it cost."""
    import resource

    from quant_platform.calendars import build_calendar
    from quant_platform.settings.platform import DirtSettings
    from quant_platform.sources import Dirt, SimulatedSleeve, SimulatedSource

    calendar = build_calendar("XNYS", horizon=date(2026, 12, 31), grace=timedelta(minutes=90))
    source = SimulatedSource(
        seed=7,
        start=date(2015, 1, 2),
        sleeves=(SimulatedSleeve("instruments", ("stock",), STOCKS),),
        dirt=Dirt(**DirtSettings().model_dump()),
        lag=timedelta(minutes=30),
    )
    sessions = calendar.between(date(2015, 1, 2), date(2026, 12, 31))[:SESSIONS][-count:]
    began, used = time.perf_counter(), time.process_time()
    bars = source.bars(calendar, "instruments", sessions)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "rows": bars.height,
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - used,
        "peak_gib": usage.ru_maxrss / 1024**2,
    }
    sys.stdout.write(json.dumps(figures) + "\n")
