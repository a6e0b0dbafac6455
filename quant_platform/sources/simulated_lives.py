"""What happens to the securities of the embedded market besides trading.

1. A quarter of them are listed after the start; three in ten are delisted, at dates of their own.
2. In each calendar year a stock or fund is split with probability `_SPLITS_A_YEAR`, on a day of its
   own, announced one to three weeks before. A price below `_LOW_PRICE` is lifted by a reverse
   split, any other is halved or quartered. Only what is listed at the announcement and still
   trades on the ex session is split.
3. Holders of what is delisted get cash: the last close after a merger (six in ten), a fraction of
   it after a failure.

Everything is drawn from `quant_platform.sources.simulated_draws` and, for a split's direction,
from the price at its announcement, so that neither range nor horizon nor other securities matter.
A closure that is added to the calendar on the very ex session of a split moves that split.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from quant_platform.sources.simulated_draws import Floats, Integers, Truths, stream

NEVER = int(np.iinfo(np.int64).max)

_LIVES_SPREAD = 12 * 365  # days after the start within which late listings and delistings fall
_SPLITS_A_YEAR = 0.08  # high on purpose: sixty symbols have some in every year
_LOW_PRICE = 20.0
_REVERSE = 0.2  # one new unit for five old ones
_MERGERS = 0.6


@dataclass(frozen=True)
class Splits:
    """Splits of a sleeve, by ex row and security; parallel arrays.

    Parameters
    ----------
    security
        Number of the security.
    announced, ex
        Rows of the announcement and of the first session on the new terms.
    ratio
        New units per old one.
    """

    security: Integers
    announced: Integers
    ex: Integers
    ratio: Floats

    def units(self, sessions: int, securities: int) -> Floats:
        """Units in each session that one unit of the market's start has become."""
        units = np.ones((sessions, securities))
        for security, ex, ratio in zip(self.security, self.ex, self.ratio, strict=True):
            units[ex:, security] *= ratio
        return units


def lives(traits: Floats, session_days: Integers) -> tuple[Integers, Integers]:
    """Return rows of the first session with a bar and of the first without one any more.

    Parameters
    ----------
    traits
        Two uniform numbers per security: birth and life.
    session_days
        The market's sessions as days since its start.
    """
    birth, life = traits[:, 0], traits[:, 1]
    listing_day = np.where(birth < 0.75, 0, (birth - 0.75) * 4 * _LIVES_SPREAD)
    listed = np.searchsorted(session_days, listing_day, side="left")
    lifetime = 180 + life / 0.3 * _LIVES_SPREAD
    delisting_day = np.where(life < 0.3, listing_day + lifetime, np.inf)
    delisted = np.searchsorted(session_days, delisting_day, side="left")
    end = len(session_days)
    return np.where(listed < end, listed, NEVER), np.where(delisted < end, delisted, NEVER)


def plan_splits(
    *,
    seed: int,
    owner: str,
    start: date,
    session_days: Integers,
    price: Floats,
    listed: Integers,
    delisted: Integers,
    may_split: Truths,
) -> Splits:
    """Plan the splits of a sleeve.

    Parameters
    ----------
    seed, owner
        Key of the random numbers.
    start
        First day of the market; `session_days` count from it.
    session_days
        The market's sessions.
    price
        Closes in units of the market's start, session by security.
    listed, delisted
        Rows of the first session with a bar and of the first without.
    may_split
        Which securities can be split at all; coins are not.
    """
    years = range(start.year, start.year + int(session_days[-1]) // 365 + 2)
    opening = np.array([(date(year, 1, 1) - start).days for year in years])
    found: list[tuple[int, int, int, float]] = []
    for security in np.flatnonzero(may_split):
        draws = stream(seed, owner, int(security), "splits").random((len(years), 4))
        units = 1.0
        for chosen in np.flatnonzero(draws[:, 0] < _SPLITS_A_YEAR):
            ex_day = opening[chosen] + 25 + int(draws[chosen, 1] * 330)
            lead = 7 + int(draws[chosen, 2] * 15)
            announced, ex = np.searchsorted(session_days, [ex_day - lead, ex_day], side="left")
            if ex >= min(len(session_days), delisted[security]) or announced < listed[security]:
                continue
            if ex_day - lead < 0 or announced == ex:
                continue
            upwards = 2.0 if draws[chosen, 3] < 0.6 else 4.0
            ratio = _REVERSE if price[announced, security] / units < _LOW_PRICE else upwards
            units *= ratio
            found.append((int(security), int(announced), int(ex), ratio))
    columns = list(zip(*found, strict=True)) if found else [(), (), (), ()]
    security_of, announced_of, ex_of = (np.array(c, dtype=np.int64) for c in columns[:3])
    return Splits(security_of, announced_of, ex_of, np.array(columns[3], dtype=np.float64))


def terminal_share(seed: int, owner: str, count: int) -> Floats:
    """Share of the last close that holders of each security get when it is delisted."""
    draws = np.array([stream(seed, owner, n, "end").random(2) for n in range(count)])
    return np.where(draws[:, 0] < _MERGERS, 1.0, 0.05 + 0.45 * draws[:, 1])
