"""The state of the embedded market: what all securities share, one number a day each.

From the market's start, in one pass and once per process (a few thousand steps):

1. A Markov chain walks between bull, bear and crisis; each has a drift and a long-run volatility.
2. The market's volatility is a GARCH with a leverage effect (Glosten, Jagannathan and Runkle 1993):
   a fall raises it more than a rise. Shocks are Student-t.
3. Style returns (size, value, momentum, profitability, investment), eleven sectors, the ten-year
   yield, the credit spread, gold, oil and the world outside the US are Student-t, calm or wild with
   the market; credit, oil and the world move with it as well.
4. Coins have a factor of their own, with regimes and GARCH, seven days a week.

The numbers are chosen for plausibility (docs/design/embedded-market.md compares them with real
markets), not fitted to any data set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from quant_platform.sources.simulated.days import WEEKDAYS, regular_days
from quant_platform.sources.simulated.draws import Floats, Integers, stream, unit_t

REGIMES = ("bull", "bear", "crisis")
STYLES = ("SMB", "HML", "MOM", "RMW", "CMA")
SECTORS = (
    "Communication Services",
    "Consumer Discretionary",
    "Consumer Staples",
    "Energy",
    "Financials",
    "Health Care",
    "Industrials",
    "Information Technology",
    "Materials",
    "Real Estate",
    "Utilities",
)
SECTOR_BETA = np.array([1.0, 1.1, 0.6, 1.05, 1.1, 0.8, 1.05, 1.15, 1.05, 0.85, 0.5])
SECTOR_VOLATILITY = np.array([6, 5, 5, 11, 6, 5, 4, 6, 6, 7, 8]) * 1e-3
STYLE_VOLATILITY = np.array([5, 5, 7, 3, 3]) * 1e-3
_STYLE_PREMIUM = np.array([0.01, 0.02, 0.04, 0.02, 0.02]) / 252

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class _Weather:
    """Regimes of a market: drift and volatility a day, and how long each lasts."""

    drift: tuple[float, float, float]
    volatility: tuple[float, float, float]
    moves: tuple[tuple[float, float, float], ...]  # probability of each next regime
    shock: float  # GARCH: weight of the last shock squared
    leverage: float  # more of it after a fall
    memory: float  # weight of the last variance
    degrees: float  # of freedom of its Student-t shocks
    felt: float  # mean square of such a shock, counted for at most four deviations


_EQUITY = _Weather(
    drift=(0.16 / 252, -0.10 / 252, -0.45 / 252),
    volatility=(0.0080, 0.0125, 0.0200),
    moves=((0.9965, 0.0030, 0.0005), (0.0120, 0.9830, 0.0050), (0.0100, 0.0250, 0.9650)),
    shock=0.035,
    leverage=0.12,
    memory=0.88,
    degrees=5.0,
    felt=0.9558,
)
_CRYPTO = _Weather(
    drift=(0.85 / 365, -0.45 / 365, -1.8 / 365),
    volatility=(0.039, 0.049, 0.073),
    moves=((0.9945, 0.0050, 0.0005), (0.0090, 0.9860, 0.0050), (0.0200, 0.0400, 0.9400)),
    shock=0.09,
    leverage=0.0,
    memory=0.89,
    degrees=3.5,
    felt=0.8726,
)
EQUITY_CALM, CRYPTO_CALM = _EQUITY.volatility[0], _CRYPTO.volatility[0]
"""Volatility a day of each market in its calmest regime."""


@dataclass(frozen=True, eq=False)
class Climate:
    """A market's own path.

    Regime, log return, the volatility that was expected of the day, and that which is expected of
    the next one at its close.
    """

    regime: Integers
    market: Floats
    volatility: Floats
    next_volatility: Floats
    calm: float  # long-run volatility of the calmest regime

    @property
    def scale(self) -> Floats:
        """How wild everything else is, around one."""
        return np.sqrt(self.volatility / self.calm)


@dataclass(frozen=True, eq=False)
class EquityState:
    """What stocks and funds share, by path day; log returns unless it says otherwise.

    Parameters
    ----------
    days
        Path days since 1970.
    climate
        The market.
    styles, sectors
        A column for each of `STYLES` and `SECTORS`; sectors without their beta.
    yields, spread
        Changes of the ten-year yield and of the credit spread, fractions a year.
    ten_year
        The ten-year yield, a fraction a year.
    gold, oil, world
        Log returns.
    risk_free
        A fraction a day.
    """

    days: Integers
    climate: Climate
    styles: Floats
    sectors: Floats
    yields: Floats
    spread: Floats
    ten_year: Floats
    gold: Floats
    oil: Floats
    world: Floats
    risk_free: Floats


def _climate(weather: _Weather, seed: int, owner: str, count: int) -> Climate:
    luck = stream(seed, owner, "regime").random(count).tolist()
    shocks = unit_t(stream(seed, owner, "market"), count, weather.degrees).tolist()
    persistence = weather.shock + weather.leverage / 2 + weather.memory
    regime, variance = 0, weather.volatility[0] ** 2
    regimes, returns, volatilities, afterwards = [], [], [], []
    for chance, shock in zip(luck, shocks, strict=True):
        calm, restless, _ = weather.moves[regime]
        regime = 0 if chance < calm else 1 if chance < calm + restless else 2
        volatility = math.sqrt(variance)
        move = volatility * shock
        regimes.append(regime)
        returns.append(weather.drift[regime] + move)
        volatilities.append(volatility)
        # A single shock of a fat tail counts for no more than four deviations.
        felt = min(abs(shock), 4.0) ** 2 * variance / weather.felt
        push = weather.shock + (weather.leverage if shock < 0 else 0.0)
        long_run = weather.volatility[regime] ** 2
        variance = (1 - persistence) * long_run + push * felt + weather.memory * variance
        afterwards.append(math.sqrt(variance))
    return Climate(
        np.array(regimes, dtype=np.int64),
        np.array(returns),
        np.array(volatilities),
        np.array(afterwards),
        weather.volatility[0],
    )


@lru_cache(maxsize=8)
def equity_state(seed: int, start: date, weekdays: tuple[int, ...], count: int) -> EquityState:
    """Return the state of stocks and funds over the first ``count`` path days; memoised."""
    begin = (start - _EPOCH).days
    days = regular_days(begin, begin + 2 * count + 14, weekdays)[:count]
    climate = _climate(_EQUITY, seed, "equity", count)
    wild = climate.scale
    surprise = climate.market - np.mean(_EQUITY.drift)

    def own(name: str, volatility: float) -> Floats:
        return np.asarray(volatility * wild * unit_t(stream(seed, "equity", name), count))

    styles = unit_t(stream(seed, "equity", "styles"), (count, len(STYLES)))
    sectors = unit_t(stream(seed, "equity", "sectors"), (count, len(SECTORS)))
    yields = own("yields", 4.5e-4) + 0.010 * surprise
    ten_year = _held_near(0.03, yields)
    return EquityState(
        days=days,
        climate=climate,
        styles=_STYLE_PREMIUM + STYLE_VOLATILITY * wild[:, None] * styles,
        sectors=SECTOR_VOLATILITY * wild[:, None] * sectors,
        yields=np.diff(ten_year, prepend=0.03),
        spread=own("credit", 1.5e-4) - 0.030 * surprise,
        ten_year=ten_year,
        gold=own("gold", 0.0075) + 0.04 / 252,
        oil=own("oil", 0.017) + 0.5 * surprise,
        world=own("world", 0.0055) + 0.75 * climate.market,
        risk_free=np.maximum(ten_year - 0.010, 0.0) / 252,
    )


def _held_near(level: float, changes: Floats) -> Floats:
    """Sum changes up, pulled back to a level, and never below a tenth of it."""
    value, values = level, []
    for change in changes.tolist():
        value = max(value + change + 0.002 * (level - value), level / 10)
        values.append(value)
    return np.array(values)


@lru_cache(maxsize=8)
def crypto_climate(seed: int, count: int) -> Climate:
    """Return the factor of coins over the first ``count`` path days; memoised."""
    return _climate(_CRYPTO, seed, "crypto", count)


def expected_volatility(state: EquityState, sessions: int) -> Floats:
    """Volatility a day that the GARCH expects on average over the coming sessions."""
    climate = state.climate
    persistence = _EQUITY.shock + _EQUITY.leverage / 2 + _EQUITY.memory
    long_run = np.array(_EQUITY.volatility)[climate.regime] ** 2
    share = (1 - persistence**sessions) / (sessions * (1 - persistence))
    return np.asarray(np.sqrt(long_run + (climate.next_volatility**2 - long_run) * share))


def weekday_state(seed: int, start: date, last: int) -> EquityState:
    """Return the state from Monday to Friday, at least to a day since 1970."""
    begin = (start - _EPOCH).days
    return equity_state(seed, start, WEEKDAYS, len(regular_days(begin, last, WEEKDAYS)))
