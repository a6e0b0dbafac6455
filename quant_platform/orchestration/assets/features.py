"""Features of a sleeve: ``features_state`` carried on, the others of finite windows."""

from __future__ import annotations

from functools import partial

from quant_platform.features.avwap import avwap_features, avwap_windows
from quant_platform.features.beta import beta_features, beta_windows
from quant_platform.features.garch import garch_features, garch_windows
from quant_platform.features.liquidity import liquidity_features, liquidity_windows
from quant_platform.features.noise import FILE
from quant_platform.features.standardised import predictability_features, predictability_windows
from quant_platform.features.state import advance_state, state_windows
from quant_platform.features.trend import trend_features, trend_windows
from quant_platform.features.volatility import volatility_features, volatility_windows
from quant_platform.lakehouse.checksums import known_checksum
from quant_platform.orchestration.assets.context import PortfolioContext, SleeveContext
from quant_platform.orchestration.stage import Stage

GROUP = "features"
RISK = "risk_features"
"""Group of features that stand on candidates, other sleeves or the shared series."""


def feature_stages(sleeve: SleeveContext) -> list[Stage]:
    """Stages of a sleeve's features."""
    trend, state = sleeve.platform.features.trend, sleeve.platform.features.state
    return [
        sleeve.stage(
            "features_state",
            function=advance_state,
            settings=state,
            modules=(advance_state.__module__,),
            description="Exponential means and Wilder's indicators. Each session advances the "
            "state of the one before; late bars and corrections are replayed from the session that "
            "they change.",
            group=GROUP,
            windows=sleeve.windows(state_windows(state)),
        ),
        sleeve.stage(
            "features_trend",
            function=trend_features,
            settings=trend,
            modules=(trend_features.__module__,),
            description="Averages, oscillators, ranges, performance and ratings from windows of up "
            "to 252 sessions, computed in calendar-fixed blocks from what was known at each "
            "cutoff.",
            group=GROUP,
            windows=sleeve.windows(trend_windows(trend)),
        ),
        sleeve.stage(
            "features_avwap",
            function=avwap_features,
            settings=trend,
            modules=(avwap_features.__module__,),
            description="Volume-weighted averages from the anchors that matter, the best of them, "
            "and the setup of the price at it: state, extension, entry, stop, targets.",
            group=GROUP,
            windows=sleeve.windows(avwap_windows(trend)),
        ),
        sleeve.stage(
            "features_liquidity",
            function=liquidity_features,
            settings=trend,
            modules=(liquidity_features.__module__,),
            description="Volume in shares and money, Amihud's illiquidity, sessions without trade, "
            "a spread from highs and lows, and the bucket.",
            group=GROUP,
            windows=sleeve.windows(liquidity_windows(trend)),
        ),
        _volatility_stage(sleeve),
        sleeve.decided(
            "features_predictability",
            function=partial(predictability_features, grid=sleeve.grid),
            settings=trend,
            modules=(predictability_features.__module__,),
            description="On rebalance sessions: entropy, persistence, autocorrelation, reversion "
            "of standardised returns, each with its place among noise of the same length.",
            group=GROUP,
            windows=sleeve.windows(predictability_windows(trend)),
            identity={"rebalance": sleeve.platform.rebalance, "noise": known_checksum(FILE)},
            grid=sleeve.grid,
        ),
    ]


def _volatility_stage(sleeve: SleeveContext) -> Stage:
    """Stage of ``features_volatility``."""
    trend, composite = sleeve.platform.features.trend, sleeve.platform.features.volatility
    year = sleeve.platform.calendars[sleeve.calendar.code].periods_per_year
    return sleeve.stage(
        "features_volatility",
        function=partial(volatility_features, composite=composite, periods_per_year=year),
        settings=trend,
        modules=(volatility_features.__module__,),
        description="Realised, range-based and EWMA volatility, what is lost in the tail and below "
        "the highest, and a composite whose weights follow the security's own state.",
        group=GROUP,
        windows=sleeve.windows(volatility_windows(trend)),
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
        modules=(garch_features.__module__,),
        description="On rebalance sessions: the volatility that GARCH(1,1) forecasts for each "
        "candidate, or the EWMA where nothing could be fitted, which the row says.",
        group=RISK,
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
            modules=(beta_features.__module__,),
            description="Betas to the sleeve's benchmark, in calm and in crisis, how steady they "
            "are, and exposures to factors with errors that bear autocorrelation.",
            group=RISK,
            windows=windows,
            identity={
                "benchmark": benchmark.model_dump(mode="json"),
                "max_missing_share": trend.max_missing_share,
            },
        )
    ]
