"""The embedded market that the tests of sources share."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from quant_platform.calendars import build_calendar
from quant_platform.sources import Dirt, SimulatedSleeve, SimulatedSource

GRACE = timedelta(minutes=90)
HORIZON = date(2027, 12, 31)
NYSE = build_calendar("XNYS", horizon=HORIZON, grace=GRACE)
CRYPTO = build_calendar("24/7", horizon=HORIZON, grace=GRACE)
SLEEVES = (
    SimulatedSleeve("instruments", ("stock",), 60),
    SimulatedSleeve("etfs", ("etf",), 20),
    SimulatedSleeve("crypto", ("crypto",), 40),
)
DIRTY = SimulatedSource(
    seed=7,
    start=date(2015, 1, 2),
    sleeves=SLEEVES,
    dirt=Dirt(
        missing=0.002,
        late=0.002,
        corrected=0.002,
        impossible=0.001,
        duplicated=0.001,
        bad_print=0.0005,
        untraded=0.0005,
        stale=0.0003,
    ),
    lag=timedelta(minutes=30),
)
CLEAN = SimulatedSource(
    seed=7, start=date(2015, 1, 2), sleeves=SLEEVES, dirt=Dirt(), lag=timedelta(minutes=30)
)
CASES = [(NYSE, "instruments"), (NYSE, "etfs"), (CRYPTO, "crypto")]

FIRST, LAST = date(2022, 6, 1), date(2025, 6, 30)
VALUES = ("open", "high", "low", "close", "volume")


def content(frame: pl.DataFrame) -> tuple[list[tuple[object, ...]], bytes]:
    """Return everything a frame holds, numbers by their bits."""
    return (
        frame.drop(*VALUES, strict=False).rows(),
        frame.select(pl.col(pl.Float64)).to_numpy().tobytes(),
    )


def actions_of(sleeve: str, kind: str, source: SimulatedSource = CLEAN) -> pl.DataFrame:
    """Return the actions of one kind up to the last day."""
    calendar = {name: calendar for calendar, name in CASES}[sleeve]
    known = calendar.between(date(2015, 1, 2), LAST)
    return source.actions(calendar, sleeve, known).filter(pl.col("kind") == kind)
