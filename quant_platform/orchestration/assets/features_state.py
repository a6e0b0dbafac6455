"""``<sleeve>/features_state``: recursive indicators, carried from session to session."""

from __future__ import annotations

from quant_platform.features.state import advance_state, state_windows
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.stage import Stage


def features_state_stage(sleeve: SleeveContext) -> Stage:
    """Stage of a sleeve's recursive indicators."""
    settings = sleeve.platform.features.state
    return Stage(
        table=sleeve.table("features_state"),
        calendar=sleeve.calendar,
        history_start=sleeve.history_start,
        function=advance_state,
        settings=settings,
        modules=("quant_platform.features.state",),
        description="Exponential means and Wilder's RSI. Each session advances the state of the "
        "one before; late bars and corrections are replayed from the session that they change.",
        group="features",
        windows=sleeve.windows(state_windows(settings)),
        thresholds=sleeve.thresholds,
    )
