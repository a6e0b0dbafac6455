"""The branch of a meta-portfolio: its sleeves' streams, its weights, what it holds and aims at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from quant_platform.lakehouse.windows import Window
from quant_platform.orchestration.assets.context import PortfolioContext
from quant_platform.orchestration.stage import Stage
from quant_platform.portfolio.meta_holding import (
    meta_holdings,
    meta_holdings_windows,
    meta_portfolio_returns,
    meta_portfolio_returns_windows,
)
from quant_platform.portfolio.meta_returns import meta_returns, meta_returns_windows
from quant_platform.portfolio.meta_target import target_portfolio, target_portfolio_windows
from quant_platform.portfolio.meta_weights import meta_weights, meta_weights_windows
from quant_platform.settings.portfolio import MetaSettings

GROUP = "meta"


def meta_stages(portfolio: PortfolioContext, meta: MetaSettings) -> list[Stage]:
    """Stages of one meta, upstream first."""
    members = portfolio.members(meta)
    costs = {name: portfolio.settings.sleeves[name].costs for name in meta.members}
    return [
        portfolio.stage(
            f"{meta.name}/returns",
            function=partial(meta_returns, calendars=members),
            settings=meta,
            description="Net return of each sleeve's profiles on the sessions on which all sleeves "
            "have one; a sleeve on another calendar is compounded in between.",
            group=GROUP,
            windows=_windows(meta, meta_returns_windows(meta)),
        ),
        portfolio.stage(
            f"{meta.name}/weights",
            function=partial(meta_weights, grid=portfolio.grid),
            settings=meta,
            description="Share of each sleeve, from the streams of the same profile, decided on "
            "the rebalance grid within the bounds.",
            group=GROUP,
            windows=_windows(meta, meta_weights_windows(meta)),
            identity={"rebalance": portfolio.settings.platform.rebalance},
            grid=portfolio.grid,
        ),
        portfolio.stage(
            f"{meta.name}/holdings",
            function=partial(meta_holdings, costs=costs),
            settings=meta,
            description="What each profile of the meta holds of each sleeve.",
            group=GROUP,
            windows=_windows(meta, meta_holdings_windows(meta)),
            identity={"costs": costs},
        ),
        portfolio.stage(
            f"{meta.name}/target_portfolio",
            function=partial(target_portfolio, calendars=members),
            settings=meta,
            description="Target weight of each security, flattened over the sleeves: as decided "
            "where that is still to be executed, else as held; with who contributed what.",
            group=GROUP,
            windows=_windows(meta, target_portfolio_windows(meta)),
        ),
        portfolio.stage(
            f"{meta.name}/portfolio_returns",
            function=meta_portfolio_returns,
            settings=meta,
            description="Return of each profile of the meta, gross and net of its own costs.",
            group=GROUP,
            windows=_windows(meta, meta_portfolio_returns_windows(meta)),
        ),
    ]


def _windows(meta: MetaSettings, windows: Mapping[str, Window]) -> dict[str, Window]:
    """Windows of a domain function, which calls every meta ``meta``, on the tables of this one."""
    own = "meta/"
    return {
        name: replace(window, table=f"{meta.name}/{window.table.removeprefix(own)}")
        if window.table.startswith(own)
        else window
        for name, window in windows.items()
    }
