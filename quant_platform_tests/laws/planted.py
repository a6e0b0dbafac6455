"""Planted leaks: the mistakes that the laws exist for, kept so that the laws prove they bite.

Each is a `Plant`: it replaces one table's function by one that makes a single mistake. Those at
the end fit any table, so that a table that is added to the graph is tried without further words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import polars as pl

from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.market.hygiene import Ingested
from quant_platform.orchestration.stage import Computed, Frames, Stage, resolved
from quant_platform_tests.laws.workshop import Plant, Situation

Leak = Callable[[Stage, Situation], Stage]
AnyLeak = Callable[[Stage, Situation, Frames, SessionRange], Computed]
"""What a function of any table does wrong, given the honest stage."""


def planted(kind: str, leak: Leak) -> Plant:
    """Return the plant that lets one kind of table leak."""

    def plant(stages: list[Stage], situation: Situation) -> list[Stage]:
        return [
            leak(stage, situation) if stage.contract.kind == kind else stage for stage in stages
        ]

    return plant


def afterwards(change: Callable[[pl.DataFrame, Frames, Stage, Situation], pl.DataFrame]) -> Leak:
    """Return the leak that changes what an honest function made."""

    def leak(stage: Stage, situation: Situation) -> Stage:
        honest = stage.function

        def function(frames: Frames, settings: Any, wanted: SessionRange) -> pl.DataFrame:
            made = honest(frames, settings, wanted)
            assert isinstance(made, pl.DataFrame)
            return change(made, frames, stage, situation)

        return replace(stage, function=function)

    return leak


def _tomorrow(
    made: pl.DataFrame, _frames: Frames, _stage: Stage, _situation: Situation
) -> pl.DataFrame:
    """Take the next session's close, as a shift of the wrong sign does."""
    following = pl.col("close").shift(-1).over("security_id", order_by="session")
    return made.with_columns(following.fill_null(pl.col("close")))


def _demeaned(
    made: pl.DataFrame, _frames: Frames, _stage: Stage, _situation: Situation
) -> pl.DataFrame:
    """Normalise by the mean over everything that was asked for."""
    return made.with_columns(pl.col("close") / pl.col("close").mean().over("security_id"))


def _running(
    made: pl.DataFrame, _frames: Frames, _stage: Stage, _situation: Situation
) -> pl.DataFrame:
    """Sum from wherever the range begins."""
    return made.with_columns(pl.col("close").cum_sum().over("security_id", order_by="session"))


def _ranked(
    made: pl.DataFrame, _frames: Frames, _stage: Stage, _situation: Situation
) -> pl.DataFrame:
    """Look across securities without saying so."""
    return made.with_columns(pl.col("close").rank().over("session"))


def _whole_tree(
    made: pl.DataFrame, _frames: Frames, stage: Stage, situation: Situation
) -> pl.DataFrame:
    """Read the lake's files past the window, since they lie there."""
    branch = stage.table.split("/", maxsplit=1)[0]
    everything = pl.read_parquet(
        f"{situation.lake_root}/{branch}/bars/**/part.parquet", hive_partitioning=False
    )
    return made.with_columns(pl.col("close") / everything["close"].mean())


def _aged(made: pl.DataFrame, _frames: Frames, _stage: Stage, situation: Situation) -> pl.DataFrame:
    """Count the days up to now."""
    now = pl.lit(situation.clock().replace(tzinfo=None))
    age = (now - pl.col("session").cast(pl.Datetime("us"))).dt.total_days()
    return made.with_columns(pl.col("close") * age)


def _hindsight(stage: Stage, _situation: Situation) -> Stage:
    """Give every session the last published version of each bar in the frame."""
    honest = stage.function

    def function(frames: Frames, settings: Any, wanted: SessionRange) -> Computed:
        latest = (
            frames["bars"]
            .sort("known_at")
            .unique(["security_id", "session"], keep="last", maintain_order=True)
            .with_columns(knowledge_session=pl.col("session"))
        )
        return honest({**frames, "bars": latest}, settings, wanted)

    return replace(stage, function=function)


def _own_rows(stage: Stage, _situation: Situation) -> Stage:
    """Average with the rows that the table already has for the sessions being made."""
    honest = stage.function

    def function(frames: Frames, settings: Any, wanted: SessionRange) -> pl.DataFrame:
        made = honest(frames, settings, wanted)
        assert isinstance(made, pl.DataFrame)
        old = frames["own"].select("session", "security_id", stored="close").collect()
        joined = made.join(old, on=["session", "security_id"], how="left", maintain_order="left")
        mixed = (pl.col("close") + pl.col("stored").fill_null(pl.col("close") + 1)) / 2
        return joined.with_columns(mixed.alias("close")).drop("stored")

    # An honest window on oneself has ``own=True``, which leaves out the sessions being made.
    window = Window(stage.table, lookback=0, required=False)
    return replace(stage, function=function, windows={**stage.windows, "own": window})


def _silent(stage: Stage, _situation: Situation) -> Stage:
    """Throw rejected rows away."""
    honest = stage.function

    def function(frames: Frames, settings: Any, wanted: SessionRange) -> Ingested:
        made = honest(frames, settings, wanted)
        assert isinstance(made, Ingested)
        return Ingested(made.rows, made.rejected.head(0))

    return replace(stage, function=function)


def _impure_module(stage: Stage, _situation: Situation) -> Stage:
    """Live in a module that reads the wall clock, as the lake's own does for its stamps."""
    return replace(stage, modules=(*stage.modules, "quant_platform.lakehouse.lake"))


TOMORROW = planted("features_trend", afterwards(_tomorrow))
DEMEANED = planted("features_trend", afterwards(_demeaned))
RUNNING = planted("features_trend", afterwards(_running))
RANKED = planted("features_trend", afterwards(_ranked))
WHOLE_TREE = planted("features_trend", afterwards(_whole_tree))
AGED = planted("features_trend", afterwards(_aged))
HINDSIGHT = planted("features_trend", _hindsight)
OWN_ROWS = planted("features_trend", _own_rows)
SILENT = planted("bars", _silent)
IMPURE_MODULE = planted("features_trend", _impure_module)


# -- leaks for any table ---------------------------------------------------------------------------


def at(table: str, leak: AnyLeak) -> Plant:
    """Return the plant that lets one table leak, of a book or on its own.

    Parameters
    ----------
    table
        The table.
    leak
        What its function does wrong.
    """

    def plant(stages: list[Stage], situation: Situation) -> list[Stage]:
        leaking = next(stage for stage in resolved(stages) if stage.table == table)

        def function(frames: Frames, settings: Any, wanted: SessionRange) -> Computed:
            return leak(leaking, situation, frames, wanted)

        return [
            replace(stage, function=function) if _together(stage, leaking) else stage
            for stage in stages
        ]

    return plant


def _together(stage: Stage, other: Stage) -> bool:
    return stage.table == other.table or (bool(stage.book) and stage.book == other.book)


def tomorrows_rows(
    stage: Stage, situation: Situation, frames: Frames, wanted: SessionRange
) -> Computed:
    """Publish today what the honest function makes of the next session, read past the window."""
    honest = stage.function(frames, stage.settings, wanted)
    days = stage.calendar.sessions[stage.calendar.ordinal(wanted.first) :][
        : len(wanted.sessions) + 1
    ]
    longer = SessionRange(stage.calendar, days, wanted.history_start)
    lake = Lake(situation.lake_root, situation.clock)
    wide = {
        name: frames[name]
        if window.own
        else lake.scan(window.table, lake.present(window.table, longer.loaded(window)))
        for name, window in stage.windows.items()
    }
    partition = stage.contract.partition
    before = dict(pairwise(reversed(days)))
    try:
        made = stage.function(wide, stage.settings, longer)
        rows = rows_of(made, stage).filter(pl.col(partition) > wanted.first)
        rows = rows.with_columns(pl.col(partition).replace_strict(before, return_dtype=pl.Date))
        if not stage.contract.external:
            rows = stage.contract.validate(stage.table, rows)
    except Exception:
        return honest
    return with_rows(honest, stage, rows)


def cut_at_the_beginning(
    stage: Stage, _situation: Situation, frames: Frames, wanted: SessionRange
) -> Computed:
    """Lose a row of the session with which the range begins."""
    honest = stage.function(frames, stage.settings, wanted)
    return without_last_rows(honest, stage, [wanted.first])


def cut_before_the_end(
    stage: Stage, _situation: Situation, frames: Frames, wanted: SessionRange
) -> Computed:
    """Lose a row of every session after which the frames still hold rows."""
    honest = stage.function(frames, stage.settings, wanted)
    newest = [
        frame.select(pl.col(_partition_of(frame)).max()).collect().item()
        for frame in frames.values()
    ]
    end = max((day for day in newest if day is not None), default=None)
    early = [day for day in wanted.sessions if end is not None and day < end]
    return without_last_rows(honest, stage, early)


def rows_of(made: Computed, stage: Stage) -> pl.DataFrame:
    """Rows of one table of what a function made."""
    if isinstance(made, Ingested):
        return made.rows
    return made if isinstance(made, pl.DataFrame) else made[stage.kind]


def with_rows(made: Computed, stage: Stage, rows: pl.DataFrame) -> Computed:
    """Return what a function made, with other rows of one table."""
    if isinstance(made, Ingested):
        return Ingested(rows, made.rejected)
    return rows if isinstance(made, pl.DataFrame) else {**made, stage.kind: rows}


def without_last_rows(made: Computed, stage: Stage, days: Sequence[date]) -> Computed:
    """Return what a function made without the last row, by key, of some sessions of one table."""
    rows, partition = rows_of(made, stage), stage.contract.partition
    names = list(dict.fromkeys([partition, *stage.contract.key]))
    lost = (
        rows.filter(pl.col(partition).is_in(list(days)))
        .sort(names)
        .unique(partition, keep="last")
        .select(names)
    )
    return with_rows(made, stage, rows.join(lost, on=names, how="anti", maintain_order="left"))


def _partition_of(frame: pl.LazyFrame) -> str:
    names = frame.collect_schema().names()
    return "knowledge_session" if "knowledge_session" in names else "session"
