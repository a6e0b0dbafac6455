"""A sleeve's target weights: decided on grid sessions, carried between them.

1. On a grid session the names are those that the selection selected, less those that left the
   market on that very session. Without any, the old targets end and there are no rows: all cash.
   Where the selection could decide nothing because not one bar of the session was known, nothing
   is decided here either: the last targets are held, ``decided_on`` unchanged so that nothing
   trades, and ``actual`` says ``held``.
2. Their returns over exactly the last ``lookback`` sessions, the session itself included, are the
   evidence. It is drawn once, so that all profiles share one covariance. A session without a bar
   of the name is no evidence of it: the zero by which its mark stood is left out.
3. A name with fewer than ``min_rows`` returns is left out of the risk profiles: its row has weight
   0 and says ``left_out``. Where the others, each at its cap, can not add up to one, the profile
   falls back to equal weight, which needs no returns and so holds all names.
4. On any other session the targets of the session before are carried, less the names that left the
   market.

The cap of a name is ``cap``, or 1/n where the n selected names are too few for it. Decided at the
close of the session, executed on the next: the rows of session D use no return after D.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from quant_platform.lakehouse.contracts.weights import WEIGHTS
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.portfolio.covariance import Evidence, Matrix, Vector
from quant_platform.portfolio.limits import Limits
from quant_platform.portfolio.profiles import decide, equal, method
from quant_platform.selection.policy import deciding_sessions
from quant_platform.settings.portfolio import ProfilesSettings

_ENOUGH = 1 - 1e-9

UNSEEN = "held: no bar of the rebalance session was known"
"""What ``actual`` says of targets that a rebalance session could not decide anew."""


def weights_windows(settings: ProfilesSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``weights`` depends on."""
    return {
        "selection": Window("selection"),
        "returns": Window("returns", settings.lookback - 1),
        "weights": Window("weights", 1, own=True),
    }


def decide_weights(
    frames: Mapping[str, pl.LazyFrame],
    settings: ProfilesSettings,
    wanted: SessionRange,
    grid: Collection[date],
) -> pl.DataFrame:
    """Compute ``weights`` for a range.

    Parameters
    ----------
    frames
        ``selection`` of the range; ``returns`` of the range and of ``lookback`` - 1 sessions before
        it; ``weights``, the table itself, of the session before the range.
    settings
        Profiles, look-back, cap.
    wanted
        Sessions to compute, of the sleeve's calendar.
    grid
        Rebalance sessions.

    Returns
    -------
    polars.DataFrame
        One row per profile and name that has a target, by session, profile and security.
    """
    calendar, first = wanted.calendar, wanted.calendar.ordinal(wanted.first)
    selected = (
        frames["selection"]
        .filter(pl.col("selected"))
        .select("session", "security_id", "symbol")
        .sort("session", "security_id")
        .collect()
    )
    chosen, nobody = selected.partition_by("session", as_dict=True), selected.clear()
    returns = (
        frames["returns"]
        .select("session", "security_id", "mark_session", "total", "delisted")
        .collect()
    )
    deciding = deciding_sessions(returns, grid)
    traded = returns.filter(pl.col("mark_session") == pl.col("session"))
    left = returns.filter(pl.col("delisted")).partition_by("session", as_dict=True)
    before = calendar.sessions[first - 1] if first else None
    targets = (
        frames["weights"].filter(pl.col("session") == before).select(*WEIGHTS.columns).collect()
    )
    decisions = frozenset(grid)
    made = []
    for session in wanted.sessions:
        gone = left.get((session,))
        if session in deciding:
            names = _staying(chosen.get((session,), nobody), gone)
            if names.is_empty():
                targets = WEIGHTS.empty()
            else:
                window = _window(session, settings.lookback, wanted)
                matrix = _matrix(traded, window, names["security_id"])
                targets = _targets(session, names, matrix, settings)
        else:
            targets = _staying(targets, gone).with_columns(pl.lit(session).alias("session"))
            if session in decisions:
                targets = targets.with_columns(pl.lit(UNSEEN).alias("actual"))
        made.append(targets)
    return pl.concat(made).sort("session", "profile", "security_id")


def _staying(rows: pl.DataFrame, gone: pl.DataFrame | None) -> pl.DataFrame:
    """Rows of the names that did not leave the market."""
    if gone is None:
        return rows
    return rows.join(gone, on="security_id", how="anti", maintain_order="left")


def _window(session: date, length: int, wanted: SessionRange) -> Sequence[date]:
    """Return the last sessions up to one of them; those before history have no returns."""
    last = wanted.calendar.ordinal(session)
    return wanted.calendar.sessions[max(last - length + 1, 0) : last + 1]


def _matrix(returns: pl.DataFrame, window: Sequence[date], names: pl.Series) -> Matrix:
    """Lay out returns as sessions by names; NaN where there is none."""
    rows = pl.DataFrame({"session": window}, schema={"session": pl.Date}).with_row_index("row")
    columns = names.to_frame().with_row_index("column")
    placed = returns.join(rows, on="session").join(columns, on="security_id")
    matrix = np.full((len(window), len(names)), np.nan)
    matrix[placed["row"].to_numpy(), placed["column"].to_numpy()] = placed["total"].to_numpy()
    return matrix


def _targets(
    session: date, names: pl.DataFrame, matrix: Matrix, settings: ProfilesSettings
) -> pl.DataFrame:
    """Targets of every profile at a grid session."""
    evidence = Evidence.of(matrix, settings.min_rows)
    made = []
    for profile in settings.profiles:
        weights, actual = _weights(profile, evidence, settings)
        made.append(
            names.select(
                pl.lit(session).alias("session"),
                pl.lit(profile).alias("profile"),
                "security_id",
                "symbol",
                pl.lit(session).alias("decided_on"),
                pl.Series("weight", weights, dtype=pl.Float64),
                pl.lit(profile).alias("requested"),
                pl.Series("actual", actual, dtype=pl.String),
            )
        )
    return pl.concat(made)


def _weights(
    profile: str, evidence: Evidence, settings: ProfilesSettings
) -> tuple[Vector, list[str]]:
    """Weights of all names in one profile, and what each row calls the method that made it."""
    joined, lookback = evidence.joined, settings.lookback
    names, members = len(joined), int(joined.sum())
    cap = max(settings.cap, 1 / names)
    if profile != "equal_weight" and members * cap >= _ENOUGH:
        decision = decide(profile, evidence, Limits.alike(members, 0.0, cap), settings.hrp)
        if method(decision.actual) != "equal_weight":
            weights = np.zeros(names)
            weights[joined] = decision.weights
            short = f"+rows:{evidence.rows}" if evidence.rows < lookback else ""
            return weights, [
                decision.actual + short
                if member
                else f"left_out: {count} returns in {lookback} sessions"
                for member, count in zip(joined, evidence.counts, strict=True)
            ]
    decision = equal(Limits.alike(names, 0.0, cap), profile)
    return decision.weights, [decision.actual] * names
