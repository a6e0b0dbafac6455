"""``<sleeve>/selection``: who of the candidates is chosen, decided on the rebalance grid."""

from __future__ import annotations

from functools import partial

import dagster as dg
import polars as pl

from quant_platform.lakehouse.windows import Window
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.stage import Stage, Stored
from quant_platform.reports.clusters import clusters_markdown
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
        # Which candidates are one bet: for the picture, which a blocked session does not hold up.
        windows=sleeve.windows(
            selection_windows(settings) | {"clusters": Window("clusters", withdraws=False)}
        ),
        identity={"rebalance": sleeve.platform.rebalance, "periods_per_year": year},
        grid=sleeve.grid,
        shown=winners_shown,
    )


def winners_shown(stored: Stored) -> dict[str, dg.MetadataValue]:
    """Show the newest decision of a run in the UI: winners and vetoes beside their clusters."""
    inside = pl.col("session").is_in(stored.sessions)
    clusters = stored.frames["clusters"].filter(inside).collect()
    described = clusters_markdown(clusters, stored.tables["selection"])
    return {"clusters": dg.MetadataValue.md(described)} if described else {}
