"""``selection``: what ten years of decisions cost, 126 rebalance sessions of 300 candidates each.

Every security of a random market of 300 is a candidate on every rebalance session, with all
features, its cluster and a benchmark, three years of returns behind it. One call makes the whole
range, as a backfill does in its chunks. Wall clock and processor time are measured; the bar is on
processor time, because others may load the machine.
"""

from __future__ import annotations

import time
from datetime import date, timedelta

import numpy as np
import polars as pl

from quant_platform_tests.bench.report import Bar, BenchResult, python_loop_ms

NAME = "selection"
DECISIONS = 126
STEP = 20
CANDIDATES = 300
START = date(2015, 1, 2)


def run() -> BenchResult:
    """Decide ten years in one call."""
    from quant_platform.calendars import build_calendar
    from quant_platform.lakehouse.contracts import CONTRACTS
    from quant_platform.lakehouse.windows import SessionRange
    from quant_platform.selection.ingestion import Around
    from quant_platform.selection.policy import select
    from quant_platform.settings.risk_features import SleeveBenchmark
    from quant_platform.settings.selection import SelectionSettings

    calendar = build_calendar("XNYS", horizon=date(2026, 12, 31), grace=timedelta(minutes=90))
    sessions = calendar.between(START, date(2026, 12, 31))[: DECISIONS * STEP]
    grid = set(sessions[STEP - 1 :: STEP])
    tables = _market(sessions, sorted(grid))
    frames = {name: tables.get(name, CONTRACTS[name].empty()).lazy() for name in _READ}
    wanted = SessionRange(calendar, tuple(sessions), START)
    around = Around(252, 12.6, SleeveBenchmark(sleeve="x", security_id="s000"))
    wall, processor = time.perf_counter(), time.process_time()
    made = select(
        frames,
        SelectionSettings(),
        wanted,
        grid=grid,
        around=around,
    )
    figures = {
        "rows": made.height,
        "decisions": made.filter(pl.col("session") == pl.col("decided_on"))["session"].n_unique(),
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
        "python_loop_ms": python_loop_ms(),
    }
    return BenchResult(
        NAME,
        ("decisions", "rows", "wall s", "processor s"),
        [
            (
                str(figures["decisions"]),
                f"{made.height:,}",
                f"{figures['seconds']:.1f}",
                f"{figures['processor_seconds']:.1f}",
            )
        ],
        figures,
        {"processor_seconds": Bar(30, "at most"), "decisions": Bar(DECISIONS, "at least")},
        [f"{CANDIDATES} candidates on each session; reading and writing tables is not counted."],
    )


_READ = (
    *("candidates", "clusters", "bars", "actions", "securities", "returns", "selection"),
    *("features_trend", "features_state", "features_liquidity", "features_predictability"),
)


def _market(sessions: list[date], grid: list[date]) -> dict[str, pl.DataFrame]:
    """Draw a market that nobody can tell from noise."""
    random = np.random.default_rng(7)
    names = [f"s{number:03d}" for number in range(CANDIDATES)]
    market = random.normal(0.0003, 0.01, (len(sessions), 1))
    moves = market + random.normal(0.0, 0.01, (len(sessions), CANDIDATES))
    every = pl.DataFrame({"session": sessions}).join(
        pl.DataFrame({"security_id": names}), how="cross"
    )
    closes = 100 * np.cumprod(1 + moves, axis=0)
    bars = every.with_columns(
        close=pl.Series(closes.ravel()),
        knowledge_session="session",
        known_at=pl.col("session").cast(pl.Datetime("us", "UTC")),
    )
    returns = every.with_columns(
        total=pl.Series(moves.ravel()), delisted=pl.lit(value=False), mark_session="session"
    )
    found = every.filter(pl.col("session").is_in(grid))
    described = {
        "features_trend": ("recommend_all", "recommend_ma"),
        "features_state": ("adx_14",),
        "features_liquidity": ("adv_money_20",),
        "features_predictability": (
            *("permutation_entropy", "permutation_entropy_place"),
            *("efficiency", "efficiency_place", "hurst", "hurst_place"),
        ),
    }
    tables = {
        kind: found.with_columns(
            pl.Series(name, random.uniform(0.2, 0.8, found.height)) for name in columns
        )
        for kind, columns in described.items()
    }
    liquid = tables["features_liquidity"].with_columns(
        pl.col("adv_money_20") * 1e9, zero_volume_20=pl.lit(0.0)
    )
    candidates = found.with_columns(
        symbol=pl.format("NYSE:{}", pl.col("security_id").str.to_uppercase()),
        scanners=pl.lit(["us_trend"]),
        composite_score=pl.Series(random.normal(size=found.height)),
    )
    return tables | {
        "features_liquidity": liquid,
        "bars": bars,
        "returns": returns,
        "candidates": candidates,
        "clusters": found.with_columns(
            cluster=pl.Series(random.integers(1, 26, found.height), dtype=pl.UInt32),
            cohesion=pl.lit(0.5),
            identity="security_id",
            leverage=pl.lit(1.0),
        ),
    }
