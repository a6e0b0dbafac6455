"""A sleeve's branch of the graph: one settings file becomes these stages under its own prefix."""

from __future__ import annotations

from quant_platform.orchestration.assets.bars import bars_stage
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.assets.features_state import features_state_stage
from quant_platform.orchestration.assets.features_trend import features_trend_stage
from quant_platform.orchestration.stage import Stage


def sleeve_stages(sleeve: SleeveContext) -> list[Stage]:
    """Stages of one sleeve, upstream first."""
    return [
        bars_stage(sleeve),
        features_trend_stage(sleeve),
        features_state_stage(sleeve),
    ]
