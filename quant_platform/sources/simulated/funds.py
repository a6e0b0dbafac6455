"""What the funds of the embedded market are built on: returns that follow from the shared state.

A fund's underlying is the well-diversified limit of what it holds: the market and its sectors and
styles without the idiosyncratic parts, bonds by duration, gold, oil, the world. A leveraged or
inverse fund multiplies its driver's return of each day, pays for the money it borrows and its fee,
and so decays in a market that goes nowhere.
"""

from __future__ import annotations

import numpy as np

from quant_platform.sources.simulated.draws import Floats
from quant_platform.sources.simulated.roles import Fund
from quant_platform.sources.simulated.state import SECTOR_BETA, SECTORS, STYLES, EquityState

_YEAR = 252
_CAPPED = 0.006  # what an option-income fund has sold of a good day


def driver(state: EquityState, name: str) -> Floats:
    """Return the log returns of what a fund is built on, before its fee."""
    market = state.climate.market
    size, value = (state.styles[:, STYLES.index(style)] for style in ("SMB", "HML"))
    kind, _, detail = name.partition(" ")
    if kind in {"sector", "theme"}:
        index = SECTORS.index(detail)
        own = state.sectors[:, index]
        beta = SECTOR_BETA[index]
        return np.asarray(beta * market + own if kind == "sector" else 1.25 * market + 1.4 * own)
    if kind == "bond":
        return np.asarray(-float(detail) * state.yields + state.ten_year / _YEAR)
    # Diversified indices grow by half the variance that single stocks lose; see `paths`.
    simple: dict[str, Floats] = {
        "broad": market,
        "small": 1.05 * market + size,
        "growth": 1.1 * market - 0.6 * value,
        "value": 0.95 * market + 0.6 * value,
        "corporate": -8 * state.yields - 6 * state.spread + (state.ten_year + 0.01) / _YEAR,
        "high yield": -3 * state.yields - 4 * state.spread + (state.ten_year + 0.03) / _YEAR,
        "gold": state.gold,
        "oil": state.oil,
        "world": state.world,
        "buffer": np.where(market > 0, 0.5 * market, 0.45 * market),
        "income": np.minimum(0.85 * market, _CAPPED) + 0.0006,
    }
    return np.asarray(simple[name])


def fund_returns(state: EquityState, fund: Fund) -> Floats:
    """Return a fund's log returns before distributions, by path day."""
    simple = np.expm1(driver(state, fund.driver))
    borrowed = (fund.leverage - 1) * state.risk_free
    return np.log1p(np.maximum(fund.leverage * simple - borrowed - fund.fee / _YEAR, -0.95))
