"""Planted leaks: the mistakes that the laws exist for, kept so that the laws prove they bite.

Each is a `Plant`: it replaces one table's function by one that makes a single mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl

from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.market.hygiene import Ingested
from quant_platform.orchestration.stage import Frames, Stage
from quant_platform_tests.laws.workshop import Plant, Situation

Leak = Callable[[Stage, Situation], Stage]


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

    def function(frames: Frames, settings: Any, wanted: SessionRange) -> pl.DataFrame | Ingested:
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
