"""``<sleeve>/bars``: what the source published, by knowledge session."""

from __future__ import annotations

from typing import Any

from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.bars import published_bars
from quant_platform.market.hygiene import Ingested
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.stage import Frames, Stage


def bars_stage(sleeve: SleeveContext) -> Stage:
    """Stage of a sleeve's daily bars."""

    def published(_frames: Frames, _settings: Any, wanted: SessionRange) -> Ingested:
        return published_bars(sleeve.source, sleeve.sleeve.name, wanted)

    return Stage(
        table=sleeve.table("bars"),
        calendar=sleeve.calendar,
        history_start=sleeve.history_start,
        function=published,
        settings=None,
        modules=("quant_platform.market.bars", type(sleeve.source).__module__),
        description="Raw daily bars as published, partitioned by the session in which they became "
        "known. Late bars and corrections are new rows in later partitions; rows that break the "
        f"contract are in quarantine/{sleeve.table('bars')}.",
        group="market_data",
        thresholds=sleeve.thresholds,
        identity=sleeve.identity,
    )
