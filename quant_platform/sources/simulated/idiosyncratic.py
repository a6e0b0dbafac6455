"""What a security does on its own, in one block of days: a random walk of wild and calm days.

1. Each day has a variance: a fat-tailed share of its own (which makes a normal number Student-t)
   times what such shares leave behind, a GARCH that begins in each block with a stationary draw.
   So volatility clusters for weeks; over months it clusters with the market.
2. The block's sum is given, and its variance with it. Each day takes of both the part that its
   variance is of the block's: the days of a walk, given its end and their variances, are such a
   bridge.

No variance knows a sign. So without planted effects no day of a block tells the direction of
another one. Were the days moved by a constant to meet the sum, what jumped would come back by the
end of its block, and what did not jump would go on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quant_platform.sources.simulated.days import BLOCK
from quant_platform.sources.simulated.draws import GROUP, Floats, Integers, by_security

_SHOCK, _MEMORY = 0.12, 0.85
"""Weight of the last share and of the last variance."""
_DEGREES = 2.7
"""Single securities have fatter tails than the market; a block's variance bounds them."""
_MOST, _FELT = 25.0, 0.8138
"""A share counts for no more than so many usual ones; the mean of what counts."""
_SPREAD = 0.45  # sd of the log variance that a block begins with


@dataclass(frozen=True, eq=False)
class Wildness:
    """How wild some securities are in a block, securities by days.

    Parameters
    ----------
    normal
        Standard normal numbers.
    share
        Variance of each day around one: its own.
    excitement
        Deviation of each day around one: what the days before left behind.
    part
        Of the block's variance.
    usual
        Deviation of each day that its variance would have, were all days alike.
    """

    normal: Floats
    share: Floats
    excitement: Floats
    part: Floats
    usual: Floats

    def alone(self) -> Floats:
        """Return shocks of days that do not add up, in units of the usual deviation."""
        return np.asarray(self.normal * np.sqrt(self.share))

    def shocks(self) -> Floats:
        """Return shocks of a walk, in units of each day's usual deviation."""
        total = (self.usual**2).sum(axis=1)[:, None]
        return np.asarray(self.normal * np.sqrt(self.part * total) / self.usual)

    def bridge(self, moves: Floats, total: Floats) -> Floats:
        """Move the days so that they add up to a total."""
        return np.asarray(moves + (total - moves.sum(axis=1))[:, None] * self.part)


def wildness(seed: int, owner: str, groups: Integers, number: int, usual: Floats) -> Wildness:
    """Draw how wild the securities of some groups are.

    Parameters
    ----------
    seed, owner
        Key of the random numbers.
    groups
        Groups of securities.
    number
        Which block.
    usual
        Deviation of each day, securities by days, in any unit: wilder when the market is.
    """

    def drawn(purpose: str, shape: tuple[int, ...], *, shares: bool = False) -> Floats:
        def draw(numbers: np.random.Generator) -> Floats:
            if not shares:
                return numbers.standard_normal(shape)
            return np.asarray((_DEGREES - 2) / numbers.chisquare(_DEGREES, size=shape))

        return by_security(seed, owner, purpose, groups, draw, block=number)

    share = drawn("shares", (GROUP, BLOCK), shares=True)
    begin = np.exp(_SPREAD * drawn("variance", (GROUP,)) - _SPREAD**2 / 2)
    excitement = np.sqrt(_variances(share, begin))
    part = share * (usual * excitement) ** 2
    part /= part.sum(axis=1)[:, None]
    return Wildness(drawn("shocks", (GROUP, BLOCK)), share, excitement, part, usual)


def _variances(shares: Floats, begin: Floats) -> Floats:
    """GARCH variances around one, securities by days."""
    felt = np.ascontiguousarray(np.minimum(shares, _MOST).T) / _FELT
    variances = np.empty_like(felt)
    variance = begin
    for day in range(len(felt)):
        variances[day] = variance
        variance = (1 - _SHOCK - _MEMORY) + variance * (_SHOCK * felt[day] + _MEMORY)
    return np.ascontiguousarray(variances.T)
