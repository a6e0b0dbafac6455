"""The branches of the graph: which stages there are, upstream first."""

from __future__ import annotations

from collections.abc import Sequence

from quant_platform.orchestration.assets.clusters import cluster_stage
from quant_platform.orchestration.assets.context import PortfolioContext, SleeveContext
from quant_platform.orchestration.assets.execution import execution_stages
from quant_platform.orchestration.assets.features import feature_stages
from quant_platform.orchestration.assets.market import market_stages, series_stages
from quant_platform.orchestration.assets.meta import meta_stages
from quant_platform.orchestration.assets.portfolio import portfolio_stages
from quant_platform.orchestration.assets.regime import regime_stages
from quant_platform.orchestration.assets.reports import report_stages
from quant_platform.orchestration.assets.risk_features import (
    beta_stages,
    garch_stage,
    volatility_stage,
)
from quant_platform.orchestration.assets.scans import scan_stages
from quant_platform.orchestration.assets.selection import selection_stage
from quant_platform.orchestration.assets.snapshots import with_snapshots
from quant_platform.orchestration.assets.universe import universe_stages
from quant_platform.orchestration.stage import Stage


def sleeve_stages(sleeve: SleeveContext) -> list[Stage]:
    """Stages of one sleeve: its settings file becomes this branch, under its own prefix."""
    return [
        *market_stages(sleeve),
        *universe_stages(sleeve),
        *feature_stages(sleeve),
        volatility_stage(sleeve),
        *with_snapshots(sleeve, scan_stages(sleeve)),
        garch_stage(sleeve),
        cluster_stage(sleeve),
    ]


def decision_stages(sleeve: SleeveContext, portfolio: PortfolioContext) -> list[Stage]:
    """Stages of one sleeve that stand on the regime as well."""
    return [selection_stage(sleeve, portfolio), *portfolio_stages(sleeve)]


def all_stages(sleeves: Sequence[SleeveContext], portfolio: PortfolioContext) -> list[Stage]:
    """Stages of the whole graph: the sleeves, then what stands on all of them."""
    shared = series_stages(portfolio)
    return [
        *(stage for sleeve in sleeves for stage in sleeve_stages(sleeve)),
        *shared,
        *(
            stage
            for sleeve in sleeves
            for stage in beta_stages(sleeve, portfolio, shared[0].table if shared else "")
        ),
        *regime_stages(portfolio),
        *(stage for sleeve in sleeves for stage in decision_stages(sleeve, portfolio)),
        *(
            stage
            for meta in portfolio.settings.metas.values()
            for stage in meta_stages(portfolio, meta)
        ),
        *execution_stages(portfolio),
        *report_stages(portfolio),
    ]
