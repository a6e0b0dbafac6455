"""Risk features of a sleeve: volatility, its forecast, betas.

``features_volatility`` is of bars, like the other families; the forecast stands on candidates,
betas on another sleeve and the shared series.
"""

from __future__ import annotations

from functools import partial

from quant_platform.features.beta import beta_features, beta_windows
from quant_platform.features.garch import garch_features, garch_windows
from quant_platform.features.volatility import volatility_features, volatility_windows
from quant_platform.orchestration.assets.context import PortfolioContext, SleeveContext
from quant_platform.orchestration.assets.features import GROUP, family_shown
from quant_platform.orchestration.stage import Stage

RISK = "risk_features"
"""Group of features that stand on more than a sleeve's market data."""


def volatility_stage(sleeve: SleeveContext) -> Stage:
    """Stage of ``features_volatility``."""
    trend, composite = sleeve.platform.features.trend, sleeve.platform.features.volatility
    year = sleeve.platform.calendars[sleeve.calendar.code].periods_per_year
    return sleeve.stage(
        "features_volatility",
        function=partial(volatility_features, composite=composite, periods_per_year=year),
        settings=trend,
        description="Realised, range-based and EWMA volatility, what is lost in the tail and below "
        "the highest, and a composite whose weights follow the security's own state.",
        group=GROUP,
        shown=family_shown,
        windows=sleeve.windows(volatility_windows()),
        identity={"composite": composite, "periods_per_year": year},
    )


def garch_stage(sleeve: SleeveContext) -> Stage:
    """Stage of ``features_garch``, which stands on the candidates."""
    settings = sleeve.platform.features.garch
    year = sleeve.platform.calendars[sleeve.calendar.code].periods_per_year
    return sleeve.decided(
        "features_garch",
        function=partial(garch_features, grid=sleeve.grid, periods_per_year=year),
        settings=settings,
        description="On rebalance sessions: the volatility that GARCH(1,1) forecasts for each "
        "candidate, or the EWMA where nothing could be fitted, which the row says.",
        group=RISK,
        shown=family_shown,
        windows=sleeve.windows(garch_windows(settings, sleeve.calendar, sleeve.grid)),
        identity={"rebalance": sleeve.platform.rebalance, "periods_per_year": year},
        grid=sleeve.grid,
    )


def beta_stages(sleeve: SleeveContext, portfolio: PortfolioContext, series: str) -> list[Stage]:
    """Stage of ``features_beta``; none for a sleeve without a benchmark.

    Parameters
    ----------
    sleeve, portfolio
        The sleeve; and whose calendar the shared series have.
    series
        Table of the shared series; empty where no source has any.
    """
    benchmark = sleeve.sleeve.benchmark
    if benchmark is None:
        return []
    trend = sleeve.platform.features.trend
    windows = sleeve.windows(beta_windows("", ""))
    elsewhere = benchmark.sleeve != sleeve.sleeve.name
    shared = beta_windows(
        f"{benchmark.sleeve}/returns" if elsewhere else "",
        series if sleeve.calendar == portfolio.calendar else "",
    )
    windows |= {name: window for name, window in shared.items() if name not in windows}
    return [
        sleeve.decided(
            "features_beta",
            function=partial(
                beta_features,
                benchmark=benchmark.security_id,
                max_missing_share=trend.max_missing_share,
            ),
            settings=sleeve.platform.features.beta,
            description="Betas to the sleeve's benchmark, in calm and in crisis, how steady they "
            "are, and exposures to factors with errors that bear autocorrelation.",
            group=RISK,
            shown=family_shown,
            windows=windows,
            identity={
                "benchmark": benchmark.model_dump(mode="json"),
                "max_missing_share": trend.max_missing_share,
            },
        )
    ]
