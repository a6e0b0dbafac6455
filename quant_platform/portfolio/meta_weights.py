"""A meta's weights over sleeves: decided on grid sessions, carried between them.

1. On a grid session each profile sees the sleeves' streams of the same profile, on the last
   ``train`` joint sessions up to it. They are sought in three times as many sessions: what is older
   is not asked.
2. Its method is that of the profile, by the same code as inside a sleeve, within the bounds on each
   sleeve's weight. Two sleeves under a ceiling of one half are 50/50 whatever the method.
3. With fewer than ``min_joint`` joint sessions the last weights are held, and ``actual`` says
   ``held``; without last weights the sleeves share equally. Weights that are held keep the session
   that decided them, so nothing trades.
4. On any other session the weights of the session before are carried.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

import numpy as np
import polars as pl

from quant_platform.lakehouse.contracts.meta import META_WEIGHTS
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.portfolio.covariance import Evidence, Matrix
from quant_platform.portfolio.limits import Limits
from quant_platform.portfolio.profiles import Decision, decide, equal, method
from quant_platform.settings.portfolio import MetaSettings

REACH = 3
"""Sessions in which the joint ones are sought, as a multiple of ``train``."""


def meta_weights_windows(settings: MetaSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``meta/weights`` depends on."""
    return {
        "returns": Window("meta/returns", REACH * settings.train - 1),
        "weights": Window("meta/weights", 1, own=True),
    }


def meta_weights(
    frames: Mapping[str, pl.LazyFrame],
    settings: MetaSettings,
    wanted: SessionRange,
    grid: Collection[date],
) -> pl.DataFrame:
    """Compute ``meta/weights`` for a range.

    Parameters
    ----------
    frames
        ``returns``: joint streams of the range and of 3 x ``train`` - 1 sessions before it.
        ``weights``: the table itself, of the session before the range.
    settings
        Members, profiles, bounds, train.
    wanted
        Sessions to compute.
    grid
        Rebalance sessions.

    Returns
    -------
    polars.DataFrame
        One row per profile and sleeve from the first grid session on.
    """
    calendar, first = wanted.calendar, wanted.calendar.ordinal(wanted.first)
    streams = frames["returns"].select("session", "profile", "sleeve", "net").collect()
    joint = {profile: _joint(streams, profile, settings) for profile in settings.profiles}
    before = calendar.sessions[first - 1] if first else None
    stored = frames["weights"].filter(pl.col("session") == before).collect()
    targets = {
        profile: stored.filter(pl.col("profile") == profile).select(*META_WEIGHTS.columns)
        for profile in settings.profiles
    }
    decisions = frozenset(grid)
    made = [META_WEIGHTS.empty()]
    for session in wanted.sessions:
        start = calendar.sessions[max(calendar.ordinal(session) - REACH * settings.train + 1, 0)]
        for profile in settings.profiles:
            last = targets[profile].with_columns(pl.lit(session).alias("session"))
            if session in decisions:
                seen = joint[profile].filter(pl.col("session").is_between(start, session))
                last = _decided(session, profile, seen.tail(settings.train), last, settings)
            targets[profile] = last
            made.append(last)
    return pl.concat(made).sort("session", "profile", "sleeve")


def _joint(streams: pl.DataFrame, profile: str, settings: MetaSettings) -> pl.DataFrame:
    """Streams of one profile, a column for each member, on the sessions that have them all."""
    rows = streams.filter((pl.col("profile") == profile) & pl.col("sleeve").is_in(settings.members))
    columns = [
        rows.filter(pl.col("sleeve") == name).select("session", pl.col("net").alias(name))
        for name in settings.members
    ]
    joint = columns[0]
    for column in columns[1:]:
        joint = joint.join(column, on="session")
    return joint.sort("session")


def _decided(
    session: date,
    profile: str,
    seen: pl.DataFrame,
    last: pl.DataFrame,
    settings: MetaSettings,
) -> pl.DataFrame:
    """Rows of one profile at a grid session."""
    if seen.height < settings.min_joint and not last.is_empty():
        told = f"held: {seen.height} of {settings.min_joint} joint sessions"
        return last.with_columns(
            pl.lit(told).alias("actual"),
            pl.lit(seen.height, pl.UInt32).alias("joint_sessions"),
        )
    bounds = Limits.alike(len(settings.members), settings.bounds.lower, settings.bounds.upper)
    matrix: Matrix = np.ascontiguousarray(seen.select(*settings.members).to_numpy())
    if seen.height < settings.min_joint:
        decision = equal(bounds, profile)
    else:
        evidence = Evidence.of(matrix, settings.min_joint)
        decision = _marked(decide(profile, evidence, bounds, settings.hrp), seen.height, settings)
    return pl.DataFrame(
        {
            "session": session,
            "profile": profile,
            "sleeve": list(settings.members),
            "decided_on": session,
            "weight": decision.weights,
            "joint_sessions": seen.height,
            "requested": decision.requested,
            "actual": decision.actual,
        },
        schema={name: column.dtype for name, column in META_WEIGHTS.columns.items()},
    )


def _marked(decision: Decision, rows: int, settings: MetaSettings) -> Decision:
    """Say when a method that needs returns saw fewer than it was meant to."""
    if rows >= settings.train or method(decision.actual) == "equal_weight":
        return decision
    return Decision(decision.weights, decision.requested, f"{decision.actual}+rows:{rows}")
