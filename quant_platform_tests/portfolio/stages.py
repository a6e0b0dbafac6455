"""Running stage functions as the orchestrator does, and small markets to run them on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_platform.calendars import SessionCalendar, build_calendar
from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.returns import RETURNS
from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.lakehouse.contracts.weights import WEIGHTS
from quant_platform.lakehouse.windows import SessionRange, Window

GRACE = timedelta(minutes=90)
NYSE = build_calendar("XNYS", horizon=date(2024, 12, 31), grace=GRACE)
DAYS = build_calendar("24/7", horizon=date(2024, 12, 31), grace=GRACE)

Rows = list[dict[str, Any]]
Run = Callable[[Mapping[str, pl.LazyFrame], SessionRange], pl.DataFrame]


def exactly(value: float, within: float = 1e-12) -> object:
    """Allow a number its rounding errors and nothing else."""
    return pytest.approx(value, rel=0, abs=within)


def frame_of(contract: Contract, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows in a contract's columns, validated."""
    schema = {name: column.dtype for name, column in contract.columns.items()}
    made = pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)
    return contract.validate(contract.kind, made)


def handed(table: pl.DataFrame, window: Window, wanted: SessionRange) -> pl.LazyFrame:
    """Bound rows to the sessions that a window loads, as the IO manager does."""
    return table.filter(pl.col("session").is_in(wanted.loaded(window))).lazy()


def materialise(
    run: Run,
    windows: Mapping[str, Window],
    tables: Mapping[str, pl.DataFrame],
    contract: Contract,
    sessions: Sequence[date],
    *,
    calendar: SessionCalendar = NYSE,
    history: date | None = None,
    chunk: int = 10_000,
    stored: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Compute a table chunk by chunk; each sees what the earlier ones stored.

    Parameters
    ----------
    stored
        What the table holds before the first chunk.
    """
    made = contract.empty() if stored is None else stored
    parts = [contract.empty()]
    for start in range(0, len(sessions), chunk):
        part = tuple(sessions[start : start + chunk])
        wanted = SessionRange(calendar, part, history or sessions[0])
        frames = {
            key: handed(made if window.own else tables[key], window, wanted)
            for key, window in windows.items()
        }
        fresh = contract.validate(contract.kind, run(frames, wanted))
        assert set(fresh["session"]) <= set(part)
        made = pl.concat([made, fresh])
        parts.append(fresh)
    return pl.concat(parts)


def walks(
    names: Sequence[str], sessions: Sequence[date], seed: int, *, halts: float = 0.0
) -> pl.DataFrame:
    """Lay out returns of random walks that share a factor; some sessions lack an execution."""
    random = np.random.default_rng(seed)
    common = random.normal(0.0003, 0.008, len(sessions))
    volatility = random.uniform(0.005, 0.04, len(names))
    rows = []
    for column, name in enumerate(names):
        total = common + random.normal(0, volatility[column], len(sessions))
        before = random.normal(0, volatility[column] / 3, len(sessions))
        mark = 100.0
        for row, session in enumerate(sessions):
            halted = random.uniform() < halts
            early = float(total[row] if halted else before[row])
            late = 0.0 if halted else float((1 + total[row]) / (1 + before[row]) - 1)
            opened = mark * (1 + early)
            mark = opened * (1 + late)
            rows.append(
                {
                    "session": session,
                    "security_id": name,
                    "symbol": f"NYSE:{name.upper()}",
                    "mark": mark,
                    "mark_session": session,
                    "execution_price": None if halted else opened,
                    "before": early,
                    "after": late,
                    "price": (1 + early) * (1 + late) - 1,
                    "cash": 0.0,
                    "income": 0.0,
                    "total": (1 + early) * (1 + late) - 1,
                    "split": 1.0,
                    "delisted": False,
                    "settlement": None,
                }
            )
    return frame_of(RETURNS, rows)


def without(
    returns: pl.DataFrame, name: str, *, since: date | None = None, leaves: date | None = None
) -> pl.DataFrame:
    """List a name later, or let it leave the market on a session."""
    own = pl.col("security_id") == name
    if since is not None:
        returns = returns.filter(~(own & (pl.col("session") < since)))
    if leaves is not None:
        returns = returns.filter(~(own & (pl.col("session") > leaves))).with_columns(
            delisted=pl.col("delisted") | (own & (pl.col("session") == leaves)),
            settlement=pl.when(own & (pl.col("session") == leaves))
            .then(pl.lit("terms", RETURNS.columns["settlement"].dtype))
            .otherwise("settlement"),
        )
    return returns


def selected(
    decisions: Mapping[date, Sequence[str]], *, refused: Sequence[str] = ()
) -> pl.DataFrame:
    """Lay out the selection of grid sessions: names to hold, and names that were refused."""
    rows: Rows = [
        {
            "session": session,
            "security_id": name,
            "symbol": f"NYSE:{name.upper()}",
            "decided_on": session,
            "direction": "long",
            "cluster": 1,
            "score": 1.0,
            "rank": 1,
            "components": [],
            "vetoes": [],
            "passed": True,
            "admitted": None if name in refused else "strict",
            "selected": name not in refused,
            "reason": "winners_max" if name in refused else None,
        }
        for session, names in decisions.items()
        for name in [*names, *refused]
    ]
    return frame_of(SELECTION, rows)


def targets(
    decisions: Mapping[date, Mapping[str, float]],
    sessions: Sequence[date],
    profile: str = "equal_weight",
) -> pl.DataFrame:
    """Target weights, each decision carried until the next."""
    rows: Rows = []
    current: tuple[date, Mapping[str, float]] | None = None
    for session in sessions:
        if session in decisions:
            current = (session, decisions[session])
        if current is None:
            continue
        rows += [
            {
                "session": session,
                "profile": profile,
                "security_id": name,
                "symbol": f"NYSE:{name.upper()}",
                "decided_on": current[0],
                "weight": weight,
                "requested": profile,
                "actual": profile,
            }
            for name, weight in current[1].items()
        ]
    return frame_of(WEIGHTS, rows)
