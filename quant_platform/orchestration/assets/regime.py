"""``market/regime``: the state of the market that throttles exposure."""

from __future__ import annotations

from quant_platform.orchestration.assets.context import PortfolioContext
from quant_platform.orchestration.stage import Stage
from quant_platform.regimes.e1 import regime, regime_windows


def regime_stages(portfolio: PortfolioContext) -> list[Stage]:
    """Stage of the regime; none where no regime is configured."""
    settings = portfolio.settings.regimes
    if settings is None:
        return []
    return [
        portfolio.stage(
            "market/regime",
            function=regime,
            settings=settings,
            modules=(regime.__module__,),
            description="Regime of the benchmark by trend, volatility and breadth, confirmed over "
            "several sessions: fast into danger, slow out of it.",
            group="regime",
            windows=regime_windows(settings),
            job="",
        )
    ]
