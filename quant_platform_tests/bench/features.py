"""``features``: what the feature store costs for 3,000 stocks over 2,520 sessions, and tonight.

The embedded market with the shipped dirt is generated in one process and stored as the lake stores
it, in files of its bars and actions by year. A second process makes every family in the chunks of a
backfill, each from what its windows hand over; predictability decides on 126 rebalance sessions. A
third one makes the last session alone, which is a rebalance session: a nightly run starts cold.
Wall clock, processor time (user and system) and the largest resident memory are measured; the bars
are those of chapter 03 of the specification, on wall clock, so run it on a machine that does
nothing else.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform_tests.bench.child import measured
from quant_platform_tests.bench.report import Bar, BenchResult, python_loop_ms

NAME = "features"
SESSIONS = 2520
STOCKS = 3000
CHUNK = 252
STEP = 20
START = date(2015, 1, 2)
FAMILIES = (
    "features_state",
    "features_trend",
    "features_avwap",
    "features_liquidity",
    "features_predictability",
)
_KEPT = 600
"""Sessions of a made table that later ones may read."""


def run() -> BenchResult:
    """Make ten years, and one session, in a process of its own each."""
    folder = tempfile.mkdtemp(prefix="bench_features_")
    try:
        measured(generate, folder)
        whole, single = measured(history, folder), measured(tonight, folder)
    finally:
        shutil.rmtree(folder)
    figures = {
        "rows": whole["features_trend"]["rows"],
        "seconds": sum(whole[name]["seconds"] for name in FAMILIES),
        "processor_seconds": sum(whole[name]["processor"] for name in FAMILIES),
        "peak_gib": whole["peak_gib"],
        "tonight_seconds": sum(single[name]["seconds"] for name in FAMILIES),
        "tonight_processor_seconds": sum(single[name]["processor"] for name in FAMILIES),
        "python_loop_ms": python_loop_ms(),
    }
    rows: Sequence[Sequence[str]] = [
        (
            name,
            f"{whole[name]['rows']:,.0f}",
            f"{whole[name]['seconds']:.1f}",
            f"{whole[name]['processor']:.1f}",
            f"{single[name]['seconds']:.2f}",
            f"{single[name]['processor']:.2f}",
        )
        for name in FAMILIES
    ]
    return BenchResult(
        NAME,
        ("family", "rows", "wall s", "processor s", "tonight wall s", "tonight processor s"),
        rows,
        figures,
        {
            "seconds": Bar(60, "at most"),
            "peak_gib": Bar(6, "at most"),
            "tonight_seconds": Bar(3, "at most"),
        },
        [
            f"{STOCKS:,} stocks with the shipped dirt over {SESSIONS:,} sessions, in chunks of "
            f"{CHUNK}; reading bars is counted, writing tables is not (see the benchmark lake), "
            "nor is starting Python.",
        ],
    )


def _sessions() -> tuple[Any, list[date]]:
    from quant_platform.calendars import build_calendar

    calendar = build_calendar("XNYS", horizon=date(2026, 12, 31), grace=timedelta(minutes=90))
    return calendar, list(calendar.between(START, date(2026, 12, 31))[:SESSIONS])


def generate(folder: str) -> None:
    """Store the bars and actions of the embedded market."""
    from quant_platform.lakehouse.contracts import CONTRACTS
    from quant_platform.market.hygiene import ingest
    from quant_platform.settings.platform import DirtSettings
    from quant_platform.sources import Dirt, SimulatedSleeve, SimulatedSource

    calendar, sessions = _sessions()
    source = SimulatedSource(
        seed=7,
        start=START,
        sleeves=(SimulatedSleeve("instruments", ("stock",), STOCKS),),
        dirt=Dirt(**DirtSettings().model_dump()),
        lag=timedelta(minutes=30),
    )
    for kind in ("bars", "actions"):
        for start in range(0, SESSIONS, CHUNK):
            told = getattr(source, kind)(calendar, "instruments", sessions[start : start + CHUNK])
            rows = ingest(told, CONTRACTS[kind], calendar).rows
            rows.write_parquet(Path(folder) / f"{kind}_{start:05}.parquet")
    sys.stdout.write("{}\n")


def history(folder: str) -> None:
    """Make every family over the whole history, and print what it cost."""
    import resource

    calendar, sessions = _sessions()
    made: dict[str, pl.DataFrame] = {}
    spent = {name: dict.fromkeys(("rows", "seconds", "processor"), 0.0) for name in FAMILIES}
    for start in range(0, SESSIONS, CHUNK):
        wanted = SessionRange(calendar, tuple(sessions[start : start + CHUNK]), START)
        for name, (windows, function) in _families(sessions).items():
            frame, cost = _made(folder, windows, function, wanted, made)
            for figure, value in cost.items():
                spent[name][figure] += value
            keep = pl.col("session") >= sessions[max(start + CHUNK - _KEPT, 0)]
            earlier = [made[name].filter(keep)] if name in made else []
            if name in ("features_state", "features_trend"):
                made[name] = pl.concat([*earlier, frame])
    for name, frame in made.items():
        # Tonight's table ends with the session before.
        upto = pl.col("session") < sessions[-1] if name == "features_state" else pl.lit(True)
        frame.filter(upto).write_parquet(Path(folder) / f"{name}.parquet")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    sys.stdout.write(json.dumps({**spent, "peak_gib": peak}) + "\n")


def tonight(folder: str) -> None:
    """Make every family for the last session, and print what it cost."""
    calendar, sessions = _sessions()
    wanted = SessionRange(calendar, (sessions[-1],), START)
    state = pl.scan_parquet(Path(folder) / "features_state.parquet")
    made: dict[str, Any] = {"features_state": state}
    spent = {}
    for name, (windows, function) in _families(sessions).items():
        frame, spent[name] = _made(folder, windows, function, wanted, made)
        if name == "features_state":
            made[name] = pl.concat([state, frame.lazy()])
        elif name == "features_trend":
            made[name] = frame
    sys.stdout.write(json.dumps(spent) + "\n")


def _families(sessions: Sequence[date]) -> dict[str, tuple[Mapping[str, Window], Any]]:
    """Windows and function of each family, in the order of their making."""
    from quant_platform.features.avwap import avwap_features, avwap_windows
    from quant_platform.features.liquidity import liquidity_features, liquidity_windows
    from quant_platform.features.standardised import (
        predictability_features,
        predictability_windows,
    )
    from quant_platform.features.state import advance_state, state_windows
    from quant_platform.features.trend import trend_features, trend_windows
    from quant_platform.settings import StateSettings, TrendSettings

    trend, state = TrendSettings(), StateSettings()
    # The last session decides, so that tonight has everything to do.
    grid = frozenset(sessions[STEP - 1 :: STEP])
    predictability = partial(predictability_features, grid=grid)
    return {
        "features_state": (state_windows(state), partial(advance_state, settings=state)),
        **{
            name: (windows, partial(function, settings=trend))
            for name, windows, function in (
                ("features_trend", trend_windows(), trend_features),
                ("features_avwap", avwap_windows(), avwap_features),
                ("features_liquidity", liquidity_windows(), liquidity_features),
                ("features_predictability", predictability_windows(trend), predictability),
            )
        },
    }


def _made(
    folder: str,
    windows: Mapping[str, Window],
    function: Callable[..., pl.DataFrame],
    wanted: SessionRange,
    made: Mapping[str, Any],
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Make one family of a range from what its windows hand over."""
    from quant_platform.lakehouse.contracts import CONTRACTS

    frames = {}
    for name, window in windows.items():
        contract = CONTRACTS[window.table]
        if window.table in made:
            rows = made[window.table].lazy()
        elif window.table in ("bars", "actions"):
            rows = pl.scan_parquet(Path(folder) / f"{window.table}_*.parquet")
        else:
            rows = contract.empty().lazy()
        loaded = wanted.loaded(window)
        inside = pl.col(contract.partition).is_between(loaded[0], loaded[-1]) if loaded else False
        frames[name] = rows.filter(inside)
    began, used = time.perf_counter(), time.process_time()
    frame = function(frames, wanted=wanted)
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    return frame, {"rows": float(frame.height), "seconds": seconds, "processor": processor}
