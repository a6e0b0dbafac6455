"""Features of a sleeve: ``features_state`` carried on, the others of finite windows."""

from __future__ import annotations

from functools import partial

import dagster as dg

from quant_platform.features.avwap import avwap_features, avwap_windows
from quant_platform.features.liquidity import liquidity_features, liquidity_windows
from quant_platform.features.noise import FILE
from quant_platform.features.standardised import predictability_features, predictability_windows
from quant_platform.features.state import advance_state, state_windows
from quant_platform.features.trend import trend_features, trend_windows
from quant_platform.lakehouse.checksums import known_checksum
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.stage import Stage, Stored
from quant_platform.reports.feature_family import family_markdown

GROUP = "features"


def feature_stages(sleeve: SleeveContext) -> list[Stage]:
    """Stages of a sleeve's features."""
    trend, state = sleeve.platform.features.trend, sleeve.platform.features.state
    return [
        sleeve.stage(
            "features_state",
            function=advance_state,
            settings=state,
            description="Exponential means and Wilder's indicators. Each session advances the "
            "state of the one before; late bars and corrections are replayed from the session that "
            "they change.",
            group=GROUP,
            shown=family_shown,
            windows=sleeve.windows(state_windows(state)),
        ),
        sleeve.stage(
            "features_trend",
            function=trend_features,
            settings=trend,
            description="Averages, oscillators, ranges, performance and ratings from windows of up "
            "to 252 sessions, from what was known at each cutoff.",
            group=GROUP,
            shown=family_shown,
            windows=sleeve.windows(trend_windows()),
        ),
        sleeve.stage(
            "features_avwap",
            function=avwap_features,
            settings=trend,
            description="Volume-weighted averages from the anchors that matter, the best of them, "
            "and the setup of the price at it: state, extension, entry, stop, targets.",
            group=GROUP,
            shown=family_shown,
            windows=sleeve.windows(avwap_windows()),
        ),
        sleeve.stage(
            "features_liquidity",
            function=liquidity_features,
            settings=trend,
            description="Volume in shares and money, Amihud's illiquidity, sessions without trade, "
            "a spread from highs and lows, and the bucket.",
            group=GROUP,
            shown=family_shown,
            windows=sleeve.windows(liquidity_windows()),
        ),
        sleeve.decided(
            "features_predictability",
            function=partial(predictability_features, grid=sleeve.grid),
            settings=trend,
            description="On rebalance sessions: entropy, persistence, autocorrelation, reversion "
            "of standardised returns, each with its place among noise of the same length.",
            group=GROUP,
            shown=family_shown,
            windows=sleeve.windows(predictability_windows(trend)),
            identity={"rebalance": sleeve.platform.rebalance, "noise": known_checksum(FILE)},
            grid=sleeve.grid,
        ),
    ]


def family_shown(stored: Stored) -> dict[str, dg.MetadataValue]:
    """Describe the newest session of a family in the UI: coverage, distribution, an example."""
    ((kind, rows),) = stored.tables.items()
    described = family_markdown(kind, rows)
    return {"features": dg.MetadataValue.md(described)} if described else {}
