"""``<sleeve>/selection``: who of the candidates is chosen, decided on the rebalance grid."""

from __future__ import annotations

from functools import partial

from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.stage import Stage
from quant_platform.selection.policy import select, selection_windows


def selection_stage(sleeve: SleeveContext) -> Stage:
    """Stage of a sleeve's selection."""
    settings = sleeve.sleeve.selection
    year = sleeve.platform.calendars[sleeve.calendar.code].periods_per_year
    return sleeve.decided(
        "selection",
        function=partial(select, grid=sleeve.grid, periods_per_year=year),
        settings=settings,
        modules=(select.__module__,),
        description="Score, vetoes and rank of every candidate on a rebalance session; who was "
        "selected is carried to the next one.",
        group="selection",
        windows=sleeve.windows(selection_windows(settings)),
        identity={"rebalance": sleeve.platform.rebalance, "periods_per_year": year},
        grid=sleeve.grid,
    )
