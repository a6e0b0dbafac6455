"""The small embedded market: paths, lives and dirt of every security of one sleeve.

1. Every random number is keyed by (seed, sleeve, security, purpose) and indexed by the UTC day
   (`quant_platform.sources.simulated_draws`), so that what happens on a day depends neither on the
   range asked for, nor on the horizon, nor on how many securities there are, nor on an exchange's
   closures before it.
2. A log return is drift + beta times a market factor + an idiosyncratic part, both Student-t. All
   stocks and ETFs share one factor, all crypto pairs another. The price is the running sum from
   the market's start; a running sum of more days begins with the same bytes.
3. Open, high, low and volume hang on the day's return; prices are rounded to the tick (0.01, or
   five significant digits for crypto), monotonically, so that the bar stays consistent.
4. Some securities are listed after the start, some are delisted, some are split, at dates of their
   own (`quant_platform.sources.simulated_lives`). Prices and volumes are raw: before the ex session
   of a split in old units, from it on in new ones.
5. Some bars are spoilt on their way to us (`quant_platform.sources.simulated_dirt`).

There are no regimes, no volatility clustering and no dividends here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import ConfigError
from quant_platform.sources.simulated_dirt import (
    Dirt,
    closed_prints_of,
    fates,
    late_sessions_of,
)
from quant_platform.sources.simulated_draws import (
    Floats,
    Integers,
    Truths,
    daily_draws,
    stream,
    unit_t,
)
from quant_platform.sources.simulated_lives import (
    Splits,
    lives,
    plan_splits,
    terminal_share,
)

_POWERS_OF_TEN = np.array([float(f"1e{n}") for n in range(23)])


@dataclass(frozen=True)
class SimulatedSleeve:
    """What the embedded market lists in one sleeve."""

    name: str
    asset_classes: tuple[str, ...]
    symbols: int

    def __post_init__(self) -> None:
        if not self.asset_classes or not set(self.asset_classes) <= set(_CHARACTERS):
            raise ConfigError(
                f"asset classes {', '.join(self.asset_classes) or 'none'} of sleeve {self.name}",
                expected=f"some of {', '.join(_CHARACTERS)} from the embedded market",
                mend="correct the sleeve's file or route it to another source",
            )


_FACTOR_VOLATILITY = {"equity": 0.010, "crypto": 0.025}  # of daily log returns


@dataclass(frozen=True)
class _Character:
    """How an asset class behaves: ranges from which each security draws its own traits."""

    factor: str
    drift: float  # of daily log returns
    beta: tuple[float, float]
    volatility: tuple[float, float]  # of the idiosyncratic part
    first_price: tuple[float, float]
    turnover: tuple[float, float]  # quote currency a day


_CHARACTERS = {
    "stock": _Character("equity", 3e-4, (0.5, 1.6), (0.010, 0.028), (8, 300), (2e6, 5e8)),
    "etf": _Character("equity", 2e-4, (0.2, 1.3), (0.001, 0.008), (20, 400), (5e5, 2e9)),
    "crypto": _Character("crypto", 2e-4, (0.6, 1.4), (0.012, 0.035), (0.02, 4e3), (1e5, 1e9)),
}


@dataclass(frozen=True)
class Market:
    """One sleeve's market as matrices of session by security.

    Row 0 is `first`, the ordinal of the first session at or after the market's start; matrices
    reach to the calendar's horizon.
    """

    first: int
    asset_classes: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    fate: npt.NDArray[np.int8]
    variant: Floats  # uniform in [0, 1): which way a bar is spoilt
    listed: Integers  # row of the first bar; NEVER when it lies after the horizon
    delisted: Integers  # row of the first session without a bar; NEVER when after the horizon
    payout: Floats  # cash per unit at the delisting; NaN where there is none
    splits: Splits
    late_sessions: tuple[tuple[int, int], ...]  # row, and 1 for whole or 3 for every third security
    closed_prints: Integers  # (n, 3): UTC day since 1970-01-01, row of the bar shown, security

    @property
    def is_crypto(self) -> Truths:
        """Whether a security is quoted in significant digits rather than in cents."""
        return _is_crypto(self.asset_classes)

    def trading(self, rows: Integers) -> Truths:
        """Say for each of the rows which securities trade in it."""
        row = rows[:, None]
        return (row >= self.listed) & (row < self.delisted)


@lru_cache(maxsize=8)
def simulate(
    calendar: SessionCalendar, sleeve: SimulatedSleeve, seed: int, start: date, dirt: Dirt
) -> Market:
    """Return the market of a sleeve from `start` to the calendar's horizon; memoised."""
    sessions = calendar.between(start, calendar.horizon)
    days = (calendar.horizon - start).days + 1
    session_days = np.array([(session - start).days for session in sessions], dtype=np.int64)
    count = sleeve.symbols
    asset_classes = tuple(
        sleeve.asset_classes[index % len(sleeve.asset_classes)] for index in range(count)
    )
    characters = [_CHARACTERS[asset_class] for asset_class in asset_classes]
    traits = np.stack([stream(seed, sleeve.name, n, "traits").random(6) for n in range(count)])
    shocks, noise, luck = daily_draws(seed, sleeve.name, count, days)

    volatility = _between(traits[:, 0], [c.volatility for c in characters])
    beta = _between(traits[:, 1], [c.beta for c in characters])
    exposure = beta * np.array([_FACTOR_VOLATILITY[c.factor] for c in characters])
    factors = {
        name: unit_t(stream(seed, name, 0, "factor"), days)[session_days]
        for name in _FACTOR_VOLATILITY
    }
    common = np.stack([factors[c.factor] for c in characters], axis=1)
    drift = np.array([c.drift for c in characters])
    returns = drift + exposure * common + volatility * shocks[session_days]
    first_price = _between_logs(traits[:, 2], [c.first_price for c in characters])
    is_crypto = _is_crypto(asset_classes)
    listed, delisted = lives(traits[:, 4:6], session_days)
    splits = plan_splits(
        seed=seed,
        owner=sleeve.name,
        start=start,
        session_days=session_days,
        price=first_price * np.exp(np.cumsum(returns, axis=0)),
        listed=listed,
        delisted=delisted,
        may_split=~is_crypto,
    )
    opens, highs, lows, closes, volumes = _bars(
        returns=returns,
        volatility=np.hypot(volatility, exposure),
        noise=noise[session_days],
        first_price=first_price,
        units=splits.units(len(sessions), count),
        turnover=_between_logs(traits[:, 3], [c.turnover for c in characters]),
        is_crypto=is_crypto,
    )
    late_sessions = late_sessions_of(seed, sleeve.name, sessions) if dirt.late else ()
    return Market(
        first=calendar.ordinal(sessions[0]),
        asset_classes=asset_classes,
        open=opens,
        high=highs,
        low=lows,
        close=closes,
        volume=volumes,
        fate=fates(luck[session_days, :, 0], dirt, late_sessions),
        variant=luck[session_days, :, 1],
        listed=listed,
        delisted=delisted,
        payout=_payouts(
            closes, delisted, terminal_share(seed, sleeve.name, count), is_crypto=is_crypto
        ),
        splits=splits,
        late_sessions=late_sessions,
        closed_prints=closed_prints_of(
            luck[:, :, 0] < dirt.duplicated, session_days, start, listed, delisted
        ),
    )


def _is_crypto(asset_classes: tuple[str, ...]) -> Truths:
    return np.array([asset_class == "crypto" for asset_class in asset_classes], dtype=np.bool_)


def _between(uniform: Floats, bounds: list[tuple[float, float]]) -> Floats:
    low, high = np.array(bounds, dtype=np.float64).T
    return np.asarray(low + uniform * (high - low))


def _between_logs(uniform: Floats, bounds: list[tuple[float, float]]) -> Floats:
    logs = [(math.log(low), math.log(high)) for low, high in bounds]
    return np.exp(_between(uniform, logs))


def _bars(
    *,
    returns: Floats,
    volatility: Floats,
    noise: Floats,
    first_price: Floats,
    units: Floats,
    turnover: Floats,
    is_crypto: Truths,
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Turn returns into consistent open, high, low, close and volume, rounded to the tick.

    A unit of the market's start is quoted as the ``units`` that it has become by the session.
    """
    path = np.cumsum(returns, axis=0)
    close = first_price * np.exp(path) / units
    # The part of the return that happens overnight, where a market sleeps at all, plus noise.
    overnight = 0.3 * returns + 0.3 * volatility * noise[:, :, 0]
    opening = first_price * np.exp(path - returns + np.where(is_crypto, 0.0, overnight)) / units
    reach = 0.5 * volatility
    high = np.maximum(opening, close) * np.exp(reach * np.abs(noise[:, :, 1]))
    low = np.minimum(opening, close) * np.exp(-reach * np.abs(noise[:, :, 2]))
    excitement = 0.5 * np.minimum(np.abs(returns) / volatility, 6.0) + 0.3 * noise[:, :, 3]
    volume = turnover * np.exp(excitement) / close
    return (
        to_tick(opening, is_crypto),
        to_tick(high, is_crypto),
        to_tick(low, is_crypto),
        to_tick(close, is_crypto),
        _where_crypto(is_crypto, volume, _significant, np.rint),
    )


def _payouts(close: Floats, delisted: Integers, share: Floats, *, is_crypto: Truths) -> Floats:
    """Return what holders get per unit, rounded to the tick; NaN for what is not delisted."""
    gone = delisted < len(close)
    last = close[np.where(gone, delisted - 1, 0), np.arange(len(delisted))]
    return np.where(gone, to_tick(last * share, is_crypto), np.nan)


def to_tick(price: Floats, is_crypto: Truths) -> Floats:
    """Round prices as their market quotes them; the last axis is the security."""
    return _where_crypto(is_crypto, price, _significant, _cents)


def _where_crypto(
    is_crypto: Truths,
    number: Floats,
    crypto: Callable[[Floats], Floats],
    other: Callable[[Floats], Floats],
) -> Floats:
    """Apply one rounding to crypto and another to the rest."""
    rounded = np.empty_like(number)
    rounded[..., is_crypto] = crypto(number[..., is_crypto])
    rounded[..., ~is_crypto] = other(number[..., ~is_crypto])
    return rounded


def _cents(price: Floats) -> Floats:
    return np.maximum(np.round(price, 2), 0.01)


def _significant(number: Floats) -> Floats:
    """Round positive numbers to five significant digits; monotone, so bars stay consistent."""
    power = (4 - np.floor(np.log10(number))).astype(np.int64)
    # Exact powers of ten, so that the quotient is the nearest double to the decimal number.
    scale = _POWERS_OF_TEN[np.clip(power, 0, 22)]
    inverse = _POWERS_OF_TEN[np.clip(-power, 0, 22)]
    return np.asarray(np.rint(number * scale / inverse) / scale * inverse)
