"""Snapshots of a sleeve's screener: the table ``snapshot``, and the screener that takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.hygiene import Ingested
from quant_platform.market.snapshot import published_snapshot, snapshot_windows
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.assets.market import GROUP
from quant_platform.orchestration.stage import Frames, Stage
from quant_platform.scanners.snapshot import live_windows, overlaid
from quant_platform.sources.tradingview.source import TradingViewSource

_SCREENER = "screener"


def with_snapshots(sleeve: SleeveContext, stages: Sequence[Stage]) -> list[Stage]:
    """Add snapshots to the stages of a sleeve's scans; a sleeve that takes none has them as is.

    Parameters
    ----------
    sleeve
        The sleeve.
    stages
        Its scans, upstream first; the screener is made from features.
    """
    if sleeve.snapshots is None:
        return list(stages)
    live = [_live(sleeve, stage) if stage.kind == _SCREENER else stage for stage in stages]
    return [_snapshot(sleeve, sleeve.snapshots), *live]


def _snapshot(sleeve: SleeveContext, source: TradingViewSource) -> Stage:
    def published(frames: Frames, _settings: Any, wanted: SessionRange) -> Ingested:
        return published_snapshot(source, sleeve.sleeve.name, wanted, frames["securities"])

    return sleeve.stage(
        "snapshot",
        function=published,
        modules=(published_snapshot.__module__, type(source).__module__),
        description="What the vendor's screener said of the session, by symbol, as it was received "
        "within the session's hours. Empty for a session of which no snapshot was taken.",
        group=GROUP,
        windows=sleeve.windows(snapshot_windows()),
        identity={"source": source.name, "settled_minutes": source.settled.total_seconds() / 60},
    )


def _live(sleeve: SleeveContext, features: Stage) -> Stage:
    """Lay snapshots over the screener that is made from features."""
    believed = sleeve.platform.tradingview

    def screened(frames: Frames, _settings: Any, wanted: SessionRange) -> pl.DataFrame:
        made = features.function(frames, features.settings, wanted)
        assert isinstance(made, pl.DataFrame), "the screener is one table"
        return overlaid(made, frames["snapshot"].collect(), believed)

    return replace(
        features,
        function=screened,
        settings=(features.settings, believed),
        modules=(*features.modules, overlaid.__module__),
        description=f"{features.description} A session of which a snapshot was taken in time has "
        "the vendor's values; each row says which.",
        windows={**features.windows, **sleeve.windows(live_windows())},
    )
