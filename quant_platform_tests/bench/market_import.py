"""``market_import``: what it costs to take in somebody's own history of 3.1 million bars.

The point-in-time set of real bars is imported whole, as ``quant import`` does it, report included;
then its next session arrives in a file of its own. Each is done in a fresh process. Without the set
(``QUANT_REAL_DATA``) there is nothing to measure, and the benchmark says so. The bars are those of
chapter 02 of the specification, on wall clock, so run it on a machine that does nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from quant_platform_tests.bench.child import measured
from quant_platform_tests.bench.report import Bar, BenchResult, python_loop_ms
from quant_platform_tests.known_answers.data import REAL_DATA, SHARED

NAME = "market_import"
SET = "us_pit_2015_2017"
LAST = date(2017, 3, 31)
MAPPING = Path(__file__).resolve().parents[2] / "docs/how-to/mappings/us_listings.yaml"


def run() -> BenchResult:
    """Import all sessions but the last, and then the last, in a process of its own each."""
    data = Path(os.environ.get(REAL_DATA, SHARED / "data"))
    columns = ("imported", "bars", "wall s", "processor s", "peak GiB")
    if not (data / SET / "prices.parquet").is_file():
        note = f"the set {SET} is not here; {REAL_DATA} names its folder"
        return BenchResult(NAME, columns, [], {}, {}, [note])
    with tempfile.TemporaryDirectory() as aside:
        folder, lake = Path(aside) / "in", Path(aside) / "lake"
        _lay_out(data, folder, pl.col("date") < LAST, "earlier")
        whole = measured(child, str(folder), str(lake))
        _lay_out(data, folder, pl.col("date") == LAST, "last")
        single = measured(child, str(folder), str(lake))
    rows = [
        (
            name,
            f"{made['rows']:,.0f}",
            f"{made['seconds']:.1f}",
            f"{made['processor']:.1f}",
            f"{made['peak_gib']:.2f}",
        )
        for name, made in (("the whole set", whole), ("one more session", single))
    ]
    figures = {
        "rows": whole["rows"],
        "seconds": whole["seconds"],
        "processor_seconds": whole["processor"],
        "peak_gib": whole["peak_gib"],
        "one_more_session_seconds": single["seconds"],
        "one_more_session_processor_seconds": single["processor"],
        "python_loop_ms": python_loop_ms(),
    }
    bars = {"seconds": Bar(30, "at most"), "one_more_session_seconds": Bar(2, "at most")}
    note = "Reading, converting, the report and what is written; starting Python is not counted."
    return BenchResult(NAME, columns, rows, figures, bars, [note])


def _lay_out(data: Path, folder: Path, which: pl.Expr, name: str) -> None:
    """Put the rows of some days beside links to everything else of the set."""
    own = folder / SET
    own.mkdir(parents=True, exist_ok=True)
    bars = pl.read_parquet(data / SET / "prices.parquet").filter(which)
    bars.write_parquet(own / f"prices_{name}.parquet")
    for file in ("listings.parquet", "implied_actions.parquet"):
        if not (own / file).exists():
            (own / file).symlink_to(data / SET / file)
    for other in ("membership", "earnings"):
        if not (folder / other).exists():
            (folder / other).symlink_to(data / other)
    told = MAPPING.read_text(encoding="utf-8")
    (folder / "mapping.yaml").write_text(told.replace("/prices.parquet", "/prices_*.parquet"))


def child(folder: str, lake: str) -> None:
    """Import a folder with its report, and print what it cost."""
    import resource

    from quant_platform.calendars import build_calendar
    from quant_platform.market.import_report import report_of
    from quant_platform.settings.hygiene import HygieneSettings
    from quant_platform.sources.files import FolderReader, ImportStore, read_mapping

    calendar = build_calendar("XNYS", horizon=date(2026, 12, 31), grace=timedelta(minutes=90))
    began, used = time.perf_counter(), time.process_time()
    mapping = read_mapping(Path(folder) / "mapping.yaml")
    reader = FolderReader(Path(folder), mapping, calendar, {"bars": 30})
    store = ImportStore.of(Path(lake), "own")
    before = store.manifest()
    prepared = store.prepare(reader, before)
    report = report_of(prepared, calendar, HygieneSettings(), before)
    if report.refusals:
        raise SystemExit(str(report.refusals))
    store.commit(prepared, datetime.now(UTC))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "rows": prepared.new_rows,
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - used,
        "peak_gib": usage.ru_maxrss / 1024**2,
    }
    sys.stdout.write(json.dumps(figures) + "\n")
