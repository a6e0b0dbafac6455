"""``qlib14``: fourteen expressions for 800 stocks over 3,400 sessions, beside qlib.

The expressions are of the kinds of qlib's Alpha158: shapes of a bar, means, deviations, extremes,
medians and sums of 5, 20 or 60 sessions, all of which the kernels of the feature store have. Each
side reads the same random market, a hundredth of the bars lacking, from files in its own format,
and ends with one table in memory; what it imports and where it writes is not counted. Ours is a
`Family` like any other, a function and a line of a contract for each expression. The other side is
qlib's ``D.features`` with as many processes as there are cores, its caches on disk off, as they are
by default.

qlib is no part of this project. ``QUANT_QLIB_PYTHON`` names the python of an environment that has
it (``python -m venv folder``, then ``folder/bin/pip install pyqlib==0.9.7``); without it our own
time is all that is told. The bar is on wall clock and on processor time alike.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from quant_platform_tests.bench import _qlib_side
from quant_platform_tests.bench.child import measured
from quant_platform_tests.bench.report import Bar, BenchResult, python_loop_ms

if TYPE_CHECKING:
    from quant_platform.features.family import Family
    from quant_platform.features.finite import Block
    from quant_platform.features.rolling import Matrix

NAME = "qlib14"
VARIABLE = "QUANT_QLIB_PYTHON"
STOCKS, SESSIONS, REPEATS = 800, 3400, 3
START = date(2012, 1, 3)
SEED = 14
FIELDS = ("open", "high", "low", "close", "volume")
_MOVED = "Abs($close/Ref($close,1)-1)*$volume"
EXPRESSIONS = {
    "kmid": "($close-$open)/$open",
    "klen": "($high-$low)/$open",
    "ksft": "(2*$close-$high-$low)/$open",
    "roc_20": "Ref($close,20)/$close",
    "ma_5": "Mean($close,5)/$close",
    "ma_60": "Mean($close,60)/$close",
    "std_20": "Std($close,20)/$close",
    "max_20": "Max($high,20)/$close",
    "min_20": "Min($low,20)/$close",
    "med_20": "Med($close,20)/$close",
    "rsv_20": "($close-Min($low,20))/(Max($high,20)-Min($low,20)+1e-12)",
    "sump_20": "Sum(Greater($close-Ref($close,1),0),20)/(Sum(Abs($close-Ref($close,1)),20)+1e-12)",
    "vma_20": "Mean($volume,20)/($volume+1e-12)",
    "wvma_20": f"Std({_MOVED},20)/(Mean({_MOVED},20)+1e-12)",
}
WARM_UP = {
    **dict.fromkeys(("kmid", "klen", "ksft"), 1),
    "roc_20": 21,
    "ma_5": 5,
    "ma_60": 60,
    "sump_20": 21,
    "wvma_20": 21,
}
"""Sessions of those that are made of more or less than the 20 that are usual here."""


def run() -> BenchResult:
    """Make the table on both sides, in turns, in a process of its own each."""
    python = os.environ.get(VARIABLE, "")
    folder = tempfile.mkdtemp(prefix="bench_qlib14_")
    try:
        generate(Path(folder))
        ours, theirs = [], []
        for _ in range(REPEATS):
            ours.append(measured(make, folder))
            if python:
                theirs.append(_measured_there(python, folder))
        figures = {"cells": ours[0]["cells"], **_median("own", ours)}
        if theirs:
            figures |= _median("qlib", theirs)
            figures |= {
                name: figures[f"qlib_{name}"] / figures[f"own_{name}"]
                for name in ("seconds", "processor_seconds")
            }
            figures["ratio"] = figures.pop("seconds")
            figures["processor_ratio"] = figures.pop("processor_seconds")
            figures |= _apart(Path(folder))
    finally:
        shutil.rmtree(folder)
    figures["python_loop_ms"] = python_loop_ms()
    sides = ("own", "qlib") if theirs else ("own",)
    rows: Sequence[Sequence[str]] = [
        (
            side,
            f"{figures[f'{side}_seconds']:.2f}",
            f"{figures[f'{side}_processor_seconds']:.2f}",
        )
        for side in sides
    ]
    size = f"{len(EXPRESSIONS)} expressions, {STOCKS} stocks, {SESSIONS:,} sessions"
    missing = (
        f"The other side is missing: {VARIABLE} names no python that has pyqlib. "
        "No ratio is told, and no value was compared."
    )
    bars = {
        "ratio": Bar(4, "at least"),
        "processor_ratio": Bar(4, "at least"),
        "furthest_apart": Bar(1e-5, "at most"),
    }
    return BenchResult(
        NAME,
        ("side", "wall s", "processor s"),
        rows,
        figures,
        bars if theirs else {},
        [f"{size}; medians of {REPEATS} runs each.", *([] if theirs else [missing])],
    )


def _median(side: str, made: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians of what one side took."""
    return {
        f"{side}_{name}": statistics.median(one[name] for one in made)
        for name in ("seconds", "processor_seconds")
    }


def _measured_there(python: str, folder: str) -> dict[str, Any]:
    """Run the other side with the python that has it."""
    told = [python, _qlib_side.__file__, folder, json.dumps(list(EXPRESSIONS.values()))]
    done = subprocess.run(told, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _apart(folder: Path) -> dict[str, Any]:
    """Compare the values of both sides where ours has one.

    Ours has none before the warm-up and where bars are lacking; there qlib takes what is there.
    """
    own, other = np.load(folder / "own.npy"), np.load(folder / "qlib.npy")
    there = ~np.isnan(own)
    # A value that the other side lacks is as far away as can be.
    apart = np.nan_to_num(np.abs(own - other) / np.maximum(np.abs(other), 1.0), nan=np.inf)
    furthest = {
        name: float(apart[place][there[place]].max()) for place, name in enumerate(EXPRESSIONS)
    }
    return {
        "compared": int(there.sum()),
        "furthest_apart": max(furthest.values()),
        "furthest": max(furthest, key=lambda name: furthest[name]),
    }


# -- the market ------------------------------------------------------------------------------------


def _sessions() -> tuple[Any, list[date]]:
    from quant_platform.calendars import build_calendar

    calendar = build_calendar("XNYS", horizon=date(2026, 12, 31), grace=timedelta(minutes=90))
    return calendar, list(calendar.between(START, date(2026, 12, 31))[:SESSIONS])


def generate(folder: Path) -> None:
    """Lay out the market: a file of published bars for us, qlib's folder of numbers for qlib."""
    _, sessions = _sessions()
    random = np.random.default_rng(SEED)
    shape = (STOCKS, SESSIONS)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.015, shape), axis=1))
    spread = np.abs(random.normal(0, 0.01, (2, *shape)))
    told = {
        "open": close * (1 + random.normal(0, 0.002, shape)),
        "close": close,
        "volume": np.exp(random.normal(13, 0.5, shape)),
    }
    told["high"] = np.maximum(told["open"], close) * (1 + spread[0])
    told["low"] = np.minimum(told["open"], close) * (1 - spread[1])
    lacking = random.random(shape) < 0.01
    lacking[:, 0] = False
    # qlib keeps four bytes of a number: both sides are given those.
    bars = {name: np.where(lacking, np.nan, told[name]).astype(np.float32) for name in FIELDS}
    _write_for_qlib(folder / "qlib", sessions, bars)
    stock, row = np.nonzero(~lacking)
    days = pl.Series(sessions, dtype=pl.Date).gather(row)
    names = pl.Series([_name(number) for number in range(STOCKS)])
    frame = pl.DataFrame(
        {
            "security_id": names.gather(stock),
            "session": days,
            "knowledge_session": days,
            "known_at": days.cast(pl.Datetime("us", "UTC")) + timedelta(hours=22),
            **{name: values[~lacking].astype(np.float64) for name, values in bars.items()},
        }
    )
    frame.sort("session", "security_id").write_parquet(folder / "bars.parquet")


def _name(number: int) -> str:
    return f"s{number:04d}"


def _write_for_qlib(
    folder: Path, sessions: Sequence[date], bars: Mapping[str, np.ndarray[Any, Any]]
) -> None:
    """Write a calendar, a list of names, and of each field its first day's place and values."""
    for name in ("calendars", "instruments"):
        (folder / name).mkdir(parents=True)
    (folder / "calendars" / "day.txt").write_text("".join(f"{day}\n" for day in sessions))
    span = f"{sessions[0]}\t{sessions[-1]}"
    listed = "".join(f"{_name(number).upper()}\t{span}\n" for number in range(STOCKS))
    (folder / "instruments" / "all.txt").write_text(listed)
    for number in range(STOCKS):
        own = folder / "features" / _name(number)
        own.mkdir(parents=True)
        for field, values in bars.items():
            told = np.concatenate([np.zeros(1, np.float32), values[number]])
            told.astype("<f4").tofile(own / f"{field}.day.bin")


# -- our side --------------------------------------------------------------------------------------


def family() -> Family:
    """Make a family of the expressions: a line of a contract and a function for each."""
    import dataframely as dy

    from quant_platform.features.family import Family
    from quant_platform.lakehouse.contracts.feature import feature
    from quant_platform.lakehouse.contracts.features_liquidity import FEATURES_LIQUIDITY

    lines: dict[str, dy.Column] = {
        "session": dy.Date(primary_key=True),
        "security_id": dy.String(primary_key=True),
    }
    for name, told in EXPRESSIONS.items():
        lines[name] = feature(told, "ratio", WARM_UP.get(name, 20))
    schema = type(dy.Schema)("Expressions", (dy.Schema,), lines)
    made = Family(replace(FEATURES_LIQUIDITY, kind="expressions", schema=schema, rules=()))
    for function in (kmid, klen, ksft, roc, ma, std, max_, min_, med, rsv, sump, vma, wvma):
        made.written[function.__name__.removesuffix("_")] = function
    return made


def kmid(block: Block) -> Matrix:
    """Close over open."""
    return (block.close - block.open) / block.open


def klen(block: Block) -> Matrix:
    """Range over open."""
    return (block.high - block.low) / block.open


def ksft(block: Block) -> Matrix:
    """Where in its range the close is, over open."""
    return (2 * block.close - block.high - block.low) / block.open


def roc(block: Block, length: int) -> Matrix:
    """Close some sessions ago over that of today."""
    from quant_platform.features.rolling import shifted

    return shifted(block.close, length) / block.close


def ma(block: Block, length: int) -> Matrix:
    """Mean close over that of today."""
    from quant_platform.features.rolling import mean

    return mean(block.close, length) / block.close


def std(block: Block, length: int) -> Matrix:
    """Deviation of closes over that of today."""
    from quant_platform.features.rolling import count, variance

    there = count(block.close, length)
    return np.sqrt(variance(block.close, length) * there / (there - 1)) / block.close


def max_(block: Block, length: int) -> Matrix:
    """Highest high over the close."""
    return _highest(block, length) / block.close


def min_(block: Block, length: int) -> Matrix:
    """Lowest low over the close."""
    return _lowest(block, length) / block.close


def _highest(block: Block, length: int) -> Matrix:
    from quant_platform.features.rolling import highest

    return block.shared(f"highest {length}", lambda: highest(block.high, length))


def _lowest(block: Block, length: int) -> Matrix:
    from quant_platform.features.rolling import lowest

    return block.shared(f"lowest {length}", lambda: lowest(block.low, length))


def med(block: Block, length: int) -> Matrix:
    """Middle close over that of today."""
    from quant_platform.features.rolling import median

    asked = len(block.answer(block.close))
    return median(block.close, length, rows=asked) / block.answer(block.close)


def rsv(block: Block, length: int) -> Matrix:
    """Where the close is between the lowest low and the highest high."""
    lowest = _lowest(block, length)
    return (block.close - lowest) / (_highest(block, length) - lowest + 1e-12)


def sump(block: Block, length: int) -> Matrix:
    """Share of what went up in all that moved."""
    from quant_platform.features.rolling import total

    change = block.close - block.before
    return total(np.maximum(change, 0.0), length) / (total(np.abs(change), length) + 1e-12)


def vma(block: Block, length: int) -> Matrix:
    """Mean volume over that of today."""
    from quant_platform.features.rolling import mean

    return mean(block.volume, length) / (block.volume + 1e-12)


def wvma(block: Block, length: int) -> Matrix:
    """Deviation over mean of the volume that moved the price."""
    from quant_platform.features.rolling import deviation, mean

    moved = np.abs(block.close / block.before - 1) * block.volume
    return deviation(moved, length) / (mean(moved, length) + 1e-12)


def make(folder: str) -> None:
    """Make our table, print what it cost, and keep its values for the comparison."""
    from quant_platform.features.finite import finite_features
    from quant_platform.lakehouse.windows import SessionRange
    from quant_platform.settings import TrendSettings

    calendar, sessions = _sessions()
    wanted, own = SessionRange(calendar, tuple(sessions), START), family()
    began, used = time.perf_counter(), time.process_time()
    bars = pl.scan_parquet(Path(folder) / "bars.parquet")
    frame = finite_features(own, {"bars": bars}, TrendSettings(), wanted)
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    place = {day: number for number, day in enumerate(sessions)}
    row = frame["session"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    stock = frame["security_id"].str.slice(1).cast(pl.Int64).to_numpy()
    laid = np.full((len(EXPRESSIONS), STOCKS, SESSIONS), np.nan, np.float32)
    for number, name in enumerate(EXPRESSIONS):
        laid[number, stock, row] = frame[name].fill_null(np.nan).to_numpy()
    np.save(Path(folder) / "own.npy", laid)
    told = {"cells": frame.height, "seconds": seconds, "processor_seconds": processor}
    sys.stdout.write(json.dumps(told) + "\n")
