"""How many securities are listed, included, rejected, arrived and gone, session by session.

1. Rows of the universe are counted: all, those included, those rejected by the first screen that
   failed.
2. Who is listed on D and was not on the session before has *arrived*; the first session of history
   has no session before.
3. Who was and is not any more has *left*: merged or delisted, as an action known by then tells;
   ``never_traded`` where none does and no bar was known over the last 20 sessions; else
   ``unexplained``.
4. A rename that takes effect on D is counted, too: the security goes on.
5. Each count carries where it comes from: the constituency's source, and a hash over the actions
   known by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import polars as pl

from quant_platform.lakehouse.content import partition_hashes
from quant_platform.lakehouse.contracts.actions import ACTIONS
from quant_platform.lakehouse.contracts.universe_counts import UNIVERSE_COUNTS
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.settings.universe import UniverseSettings

TRACE_SESSIONS = 20
"""Sessions in which a bar shows that who left did trade."""

_KEY = ["session", "security_id"]


def universe_counts_windows() -> dict[str, Window]:
    """Sessions of its inputs that ``universe_counts`` depends on."""
    return {
        "universe": Window("universe", 1),
        "actions": Window("actions", ALL_HISTORY),
        "bars": Window("bars", TRACE_SESSIONS),
    }


def universe_counts(
    frames: Mapping[str, pl.LazyFrame], settings: UniverseSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``universe_counts`` for a range.

    Parameters
    ----------
    frames
        ``universe`` of the range and the session before it, ``bars`` of the range and 20 sessions
        before it, all ``actions`` published so far.
    settings
        Name the constituency's source.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per session and count, in that order.
    """
    universe = frames["universe"].select(*_KEY, "included", "reason").collect()
    actions = frames["actions"].with_columns(pl.col("kind").cast(pl.String)).collect()
    now = universe.filter(pl.col("session") >= wanted.first)
    listed = now.group_by("session").agg(count=pl.len()).with_columns(what=pl.lit("listed"))
    sessions = pl.DataFrame({"session": wanted.sessions}, schema={"session": pl.Date})
    parts = [
        sessions.join(listed, on="session", how="left").with_columns(
            pl.lit("listed").alias("what"), pl.col("count").fill_null(0)
        ),
        _counted(now.filter("included").with_columns(what=pl.lit("included"))),
        _counted(now.filter(~pl.col("included")).with_columns(what="rejected_" + pl.col("reason"))),
        _counted(_came_and_went(universe, actions, frames["bars"], wanted)),
        _counted(
            actions.filter(pl.col("kind") == "rename")
            .with_columns(session=pl.max_horizontal("session", "knowledge_session"))
            .filter(pl.col("session").is_between(wanted.first, wanted.last))
            .unique(_KEY)
            .with_columns(what=pl.lit("renamed"))
        ),
    ]
    counted = pl.concat(
        part.select("session", "what", pl.col("count").cast(pl.UInt32)) for part in parts
    )
    hashes = actions_hashes(frames["actions"].collect(), wanted)
    return (
        counted.join(hashes, on="session")
        .with_columns(constituency_source=pl.lit(settings.constituency_source))
        .select(*UNIVERSE_COUNTS.columns)
        .sort("session", "what")
    )


def actions_hashes(actions: pl.DataFrame, wanted: SessionRange) -> pl.DataFrame:
    """Return, for each session, a hash over every action published by its cutoff.

    Each knowledge session's hash is chained to the one before, so that it does not depend on what
    came later.
    """
    digest = hashlib.sha256().hexdigest()
    chain = [(wanted.calendar.first_day, digest)]
    for session, content in partition_hashes(actions, ACTIONS.key, "knowledge_session").items():
        digest = hashlib.sha256((digest + content).encode()).hexdigest()
        chain.append((session, digest))
    schema = {"known": pl.Date, "corporate_actions_hash": pl.String}
    sessions = pl.DataFrame({"session": wanted.sessions}, schema={"session": pl.Date})
    return sessions.join_asof(
        pl.DataFrame(chain, schema=schema, orient="row"),
        left_on="session",
        right_on="known",
        strategy="backward",
    ).drop("known")


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("session", "what").agg(count=pl.len())


def _came_and_went(
    universe: pl.DataFrame, actions: pl.DataFrame, bars: pl.LazyFrame, wanted: SessionRange
) -> pl.DataFrame:
    """Say of each security that is listed on one of two sessions only what became of it."""
    calendar = wanted.calendar
    ordinals = calendar.frame().select("session", "ordinal")
    placed = universe.select(_KEY).join(ordinals, on="session")
    after = placed.with_columns(pl.col("ordinal") + 1).drop("session").join(ordinals, on="ordinal")
    # The first session of history has none before it.
    began = calendar.sessions[wanted.origin]
    arrived = placed.filter(pl.col("session") >= wanted.first, pl.col("session") > began).join(
        after, on=_KEY, how="anti"
    )
    left = after.filter(pl.col("session").is_between(wanted.first, wanted.last)).join(
        placed, on=_KEY, how="anti"
    )
    told = (
        left.join(
            actions.filter(pl.col("kind").is_in(["merger", "delisting"])).select(
                "security_id", "kind", "knowledge_session"
            ),
            on="security_id",
        )
        .filter(pl.col("knowledge_session") <= pl.col("session"))
        # A merger that is told as a delisting as well is a merger.
        .group_by(_KEY)
        .agg(merged=(pl.col("kind") == "merger").any())
    )
    ids = left["security_id"].unique()
    traces = (
        bars.filter(pl.col("security_id").is_in(ids.implode()))
        .select("security_id", traded="session", known="knowledge_session")
        .collect()
        .join(ordinals.select(traded="session", trace="ordinal"), on="traded")
    )
    traded = (
        left.join(traces, on="security_id")
        .filter(
            pl.col("known") <= pl.col("session"),
            pl.col("trace") >= pl.col("ordinal") - TRACE_SESSIONS,
        )
        .select(_KEY)
        .unique()
        .with_columns(traded=pl.lit(value=True))
    )
    gone = left.join(told, on=_KEY, how="left").join(traded, on=_KEY, how="left")
    became = (
        pl.when("merged")
        .then(pl.lit("merged"))
        .when(~pl.col("merged"))
        .then(pl.lit("delisted"))
        .when("traded")
        .then(pl.lit("unexplained"))
        .otherwise(pl.lit("never_traded"))
    )
    return pl.concat(
        [
            arrived.select(*_KEY, what=pl.lit("arrived")),
            gone.select(*_KEY, what=became),
        ]
    )
