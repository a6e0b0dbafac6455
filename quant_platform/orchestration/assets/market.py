"""Market data of a sleeve as published, and ``returns``.

Every source has securities, bars and actions. Earnings and membership are of stocks, fund facts of
funds: a sleeve that holds such has the tables that its source delivers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import dagster as dg

from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.bars import published_bars, published_second_bars
from quant_platform.market.hygiene import Ingested
from quant_platform.market.quality import quality_windows, session_quality
from quant_platform.market.reference import (
    actions_windows,
    published_actions,
    published_earnings,
    published_fund_facts,
    published_membership,
    published_securities,
)
from quant_platform.market.returns import returns_windows, session_returns
from quant_platform.market.series import published_series
from quant_platform.orchestration.assets.context import PortfolioContext, SleeveContext
from quant_platform.orchestration.stage import Frames, Stage, Stored
from quant_platform.reports.quality import quality_markdown
from quant_platform.settings.hygiene import HygieneSettings
from quant_platform.settings.sleeve import SECOND_KIND, SHARED_KIND
from quant_platform.sources.protocol import Source
from quant_platform.sources.registry import SERIES_BRANCH

GROUP = "market_data"

_OPTIONAL = {
    "earnings": (
        "stock",
        published_earnings,
        "Announcements of results as published: expected days, revised days, figures.",
    ),
    "membership": ("stock", published_membership, "Stays in indices as published."),
    "fund_facts": (
        "etf",
        published_fund_facts,
        "Assets, fees, yields and categories as published.",
    ),
}


def market_stages(sleeve: SleeveContext) -> list[Stage]:
    """Stages of a sleeve's market data, upstream first."""
    return [
        _published(
            sleeve,
            "securities",
            published_securities,
            "Listings and delistings as published; a delisting is a second row.",
        ),
        _published(
            sleeve,
            "bars",
            published_bars,
            "Raw daily bars as published. Late bars and corrections are new rows in later "
            "partitions.",
        ),
        *_second_bars(sleeve),
        _actions(sleeve),
        *(
            _published(sleeve, kind, take, description)
            for kind, (holds, take, description) in _OPTIONAL.items()
            if kind in sleeve.source.kinds and holds in sleeve.sleeve.asset_classes
        ),
        _returns(sleeve),
        _quality(sleeve),
    ]


def _published(
    sleeve: SleeveContext,
    kind: str,
    take: Callable[[Source, str, SessionRange], Ingested],
    description: str,
) -> Stage:
    """Stage of a table that comes from outside."""

    def published(_frames: Frames, _settings: Any, wanted: SessionRange) -> Ingested:
        return take(sleeve.source, sleeve.sleeve.name, wanted)

    return sleeve.stage(
        kind,
        function=published,
        modules=(take.__module__, type(sleeve.source).__module__),
        description=f"{description} Partitioned by the session in which a row became known; rows "
        f"that break the contract are in quarantine/{sleeve.table(kind)}.",
        group=GROUP,
        identity=sleeve.identity,
    )


def _second_bars(sleeve: SleeveContext) -> list[Stage]:
    """Stage of the bars that the sleeve's own are compared with; none where they are not."""
    source = sleeve.second
    if source is None:
        return []

    def published(_frames: Frames, _settings: Any, wanted: SessionRange) -> Ingested:
        return published_second_bars(source, sleeve.sleeve.name, wanted)

    return [
        sleeve.stage(
            SECOND_KIND,
            function=published,
            modules=(published_second_bars.__module__, type(source).__module__),
            description="Raw daily bars as a second source published them: those of the sleeve are "
            f"compared with them in {sleeve.table('quality')}, and nothing else reads them. "
            "Partitioned by the session in which a row became known; rows that break the contract "
            f"are in quarantine/{sleeve.table(SECOND_KIND)}.",
            group=GROUP,
            identity=sleeve.second_identity,
        )
    ]


def _actions(sleeve: SleeveContext) -> Stage:
    settings = sleeve.sleeve.hygiene

    def published(frames: Frames, own: HygieneSettings, wanted: SessionRange) -> Ingested:
        return published_actions(sleeve.source, sleeve.sleeve.name, wanted, frames["bars"], own)

    return sleeve.stage(
        "actions",
        function=published,
        settings=settings,
        modules=(published_actions.__module__, type(sleeve.source).__module__),
        description="Corporate actions as published, by the session on which they take effect. "
        "Partitioned by the session in which a row became known; rows that break the contract or "
        f"contradict the price are in quarantine/{sleeve.table('actions')}.",
        group=GROUP,
        windows=sleeve.windows(actions_windows()),
        identity=sleeve.identity,
    )


def series_stages(portfolio: PortfolioContext) -> list[Stage]:
    """Stage of the observations that belong to no security; none where no source has any."""
    if portfolio.series is None or SHARED_KIND not in portfolio.series[0].kinds:
        return []
    source, asked = portfolio.series

    def published(_frames: Frames, _settings: Any, wanted: SessionRange) -> Ingested:
        return published_series(source, asked, wanted)

    return [
        portfolio.stage(
            f"{SERIES_BRANCH}/series",
            function=published,
            settings=None,
            modules=(published_series.__module__, type(source).__module__),
            description="Volatility indices, the credit pair, factors and the risk-free rate as "
            "published. Partitioned by the session in which a row became known; rows that break "
            f"the contract are in quarantine/{SERIES_BRANCH}/series.",
            group=GROUP,
            identity=portfolio.series_identity,
            begins=None,
            job="",
        )
    ]


def _returns(sleeve: SleeveContext) -> Stage:
    settings = sleeve.sleeve.returns
    return sleeve.stage(
        "returns",
        function=session_returns,
        settings=settings,
        description="Return of each security over the session, cut at the price at which orders "
        "of the evening before fill; splits are neutral, dividends are paid in "
        "cash, who leaves pays its terms or its last price.",
        group=GROUP,
        windows=sleeve.windows(returns_windows(settings)),
    )


def _quality(sleeve: SleeveContext) -> Stage:
    settings = sleeve.sleeve.hygiene
    second = sleeve.second is not None
    compared = (
        "bars that differ from those of the second source, or are not there"
        if second
        else "bars are compared with no second source, for the sleeve names none"
    )
    return sleeve.stage(
        "quality",
        function=session_quality,
        settings=settings,
        description="What is doubtful about the data of each session: stale and missing bars, "
        f"outliers without an action, late bars; {compared}.",
        group=GROUP,
        windows=sleeve.windows(quality_windows(settings, second=second)),
        shown=partial(quality_shown, second=sleeve.second.name if sleeve.second else None),
    )


def quality_shown(stored: Stored, second: str | None) -> dict[str, dg.MetadataValue]:
    """Show the newest session of a run in the UI: its doubts, and what was compared with what."""
    if not stored.sessions:
        return {}
    described = quality_markdown(
        stored.wanted.calendar,
        max(stored.sessions),
        stored.tables["quality"],
        stored.frames["bars"],
        second=(second, stored.frames[SECOND_KIND]) if second else None,
    )
    return {"quality": dg.MetadataValue.md(described)}
