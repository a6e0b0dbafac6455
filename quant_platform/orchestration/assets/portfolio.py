"""The tournament of risk profiles: ``weights``, ``holdings``, ``profile_returns`` of a sleeve."""

from __future__ import annotations

from functools import partial

from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.stage import Stage
from quant_platform.portfolio.decide import decide_weights, weights_windows
from quant_platform.portfolio.holding import (
    hold,
    holdings_windows,
    profile_returns,
    profile_returns_windows,
)

GROUP = "portfolio"


def portfolio_stages(sleeve: SleeveContext) -> list[Stage]:
    """Stages of a sleeve's risk profiles, upstream first."""
    profiles, costs = sleeve.sleeve.portfolio, sleeve.sleeve.costs
    decisions = frozenset(
        session for session in sleeve.grid if session >= sleeve.platform.walk_forward_start
    )
    return [
        sleeve.decided(
            "weights",
            function=partial(decide_weights, grid=sleeve.grid),
            settings=profiles,
            description="Target weights of each risk profile, decided at the close of a rebalance "
            "session and carried to the next one, with the method asked for and the one used.",
            group=GROUP,
            windows=sleeve.windows(weights_windows(profiles)),
            identity={"rebalance": sleeve.platform.rebalance},
            grid=sleeve.grid,
        ),
        sleeve.decided(
            "holdings",
            function=hold,
            settings=costs,
            description="What each profile holds: traded at the execution price of the session "
            "after the decision, then drifting with returns.",
            group=GROUP,
            windows=sleeve.windows(holdings_windows(costs)),
        ),
        sleeve.decided(
            "profile_returns",
            function=partial(profile_returns, grid=decisions),
            settings=profiles,
            description="Return of each profile from its first decision on, gross and net of "
            "costs, with its turnover.",
            group=GROUP,
            windows=sleeve.windows(profile_returns_windows(profiles)),
            identity={"rebalance": sleeve.platform.rebalance},
        ),
    ]
