"""``<sleeve>/features_trend``: finite-window trend features."""

from __future__ import annotations

from quant_platform.features.trend import trend_features, trend_windows
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.stage import Stage


def features_trend_stage(sleeve: SleeveContext) -> Stage:
    """Stage of a sleeve's trend features."""
    settings = sleeve.platform.features.trend
    return Stage(
        table=sleeve.table("features_trend"),
        calendar=sleeve.calendar,
        history_start=sleeve.history_start,
        function=trend_features,
        settings=settings,
        modules=("quant_platform.features.trend", "quant_platform.features.panel"),
        description="Averages, slopes, returns, volatility and distances from windows of up to 252 "
        "sessions, computed in calendar-fixed blocks from what was known at each cutoff.",
        group="features",
        windows=sleeve.windows(trend_windows(settings)),
        thresholds=sleeve.thresholds,
    )
