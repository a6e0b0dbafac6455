"""``<sleeve>/selection``: who of the candidates is chosen, decided on the rebalance grid."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import dagster as dg
import polars as pl

from quant_platform.orchestration.assets.context import PortfolioContext, SleeveContext
from quant_platform.orchestration.assets.regime import regime_of
from quant_platform.orchestration.assets.telling import told
from quant_platform.orchestration.stage import Stage, Stored, Told
from quant_platform.reports.clusters import clusters_markdown
from quant_platform.selection.decisions import LEDGER, action_of, selection_decisions
from quant_platform.selection.ingestion import Around
from quant_platform.selection.policy import select, selection_windows
from quant_platform.settings.selection import SelectionSettings


def selection_stage(sleeve: SleeveContext, portfolio: PortfolioContext) -> Stage:
    """Stage of a sleeve's selection.

    Parameters
    ----------
    sleeve, portfolio
        The sleeve; and the settings of the regimes.
    """
    own, platform = sleeve.sleeve, sleeve.platform
    regimes = portfolio.settings.regimes
    year = platform.calendars[sleeve.calendar.code].periods_per_year
    benchmark = own.benchmark
    around = Around(
        periods_per_year=year,
        # The grid is counted in sessions of the calendar of portfolios.
        rebalances=platform.calendars[portfolio.calendar.code].periods_per_year
        / platform.rebalance.step,
        benchmark=benchmark,
        fits=None if regimes is None else regimes.fit,
    )
    windows = selection_windows(
        own.selection,
        own.name,
        around,
        regime=regime_of(sleeve, portfolio),
        earnings="earnings" in sleeve.source.kinds and "stock" in own.asset_classes,
    )
    return sleeve.decided(
        "selection",
        function=partial(select, grid=sleeve.grid, around=around),
        settings=own.selection,
        description="Components, score, vetoes, cluster and rank of every candidate on a rebalance "
        "session, and the stage that admitted each winner; who was selected is carried to the next "
        "one.",
        group="selection",
        windows=windows,
        identity={
            "rebalance": platform.rebalance,
            "periods_per_year": year,
            "benchmark": None if benchmark is None else benchmark.model_dump(mode="json"),
            "fit": {} if regimes is None else regimes.fit,
        },
        grid=sleeve.grid,
        shown=winners_shown,
        recorded=partial(_decisions, sleeve=own.name, settings=own.selection),
    )


def _decisions(stored: Stored, sleeve: str, settings: SelectionSettings) -> Mapping[str, Told]:
    """Say what each deciding session chose, once."""
    made = selection_decisions(stored.tables["selection"], settings)
    return {LEDGER: told(action_of(sleeve), made, stored.run_id)}


def winners_shown(stored: Stored) -> dict[str, dg.MetadataValue]:
    """Show the newest decision of a run in the UI: winners and vetoes beside their clusters."""
    inside = pl.col("session").is_in(stored.sessions)
    clusters = stored.frames["clusters"].filter(inside).collect()
    described = clusters_markdown(clusters, stored.tables["selection"])
    return {"clusters": dg.MetadataValue.md(described)} if described else {}
