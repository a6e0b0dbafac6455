"""``<sleeve>/clusters``: which candidates are one bet, upstream of who is selected."""

from __future__ import annotations

from functools import partial

import dagster as dg

from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.stage import Stage, Stored
from quant_platform.reports.clusters import clusters_markdown
from quant_platform.selection.cluster_table import cluster_candidates, cluster_windows


def cluster_stage(sleeve: SleeveContext) -> Stage:
    """Stage of a sleeve's clusters."""
    settings = sleeve.sleeve.clusters
    return sleeve.decided(
        "clusters",
        function=partial(cluster_candidates, grid=sleeve.grid),
        settings=settings,
        description="On rebalance sessions: the candidates in clusters of one bet each, what each "
        "is economically, and who moves before whom.",
        group="selection",
        windows=sleeve.windows(cluster_windows(settings)),
        identity={"rebalance": sleeve.platform.rebalance},
        grid=sleeve.grid,
        shown=clusters_shown,
    )


def clusters_shown(stored: Stored) -> dict[str, dg.MetadataValue]:
    """Show the newest clusters of a run in the UI: tree, correlations, who follows whom."""
    described = clusters_markdown(stored.tables["clusters"])
    return {"clusters": dg.MetadataValue.md(described)} if described else {}
