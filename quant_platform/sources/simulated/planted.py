"""Effects that the embedded market hides in idiosyncratic returns of stocks, for methods to find.

Each has a strength: 1 is about what is found in real markets at its best, 0 is none. With all of
them at 0 (`Planted.none`) no past number tells anything of a stock's idiosyncratic return: whoever
finds something there has made a mistake.

============== ===================================================================================
``momentum``   the drift of a security lasts: half a year's drift is 0.7 of that before plus news;
               its sd is a tenth of the price a year
``reversal``   a return gives back a twentieth of that of the day before
``lead_lag``   in each group of sixteen the security in slot 4 repeats three tenths of what that in
               slot 3 did the day before
``learnable``  0.06 deviations in the direction of the product of the signs of yesterday's
               overnight surprise and volume surprise: no linear method sees it
``slide``      what fails falls 3 % a day for weeks; of the rest of 1 it falls by as much at once
============== ===================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quant_platform.sources.simulated.days import BLOCK
from quant_platform.sources.simulated.draws import GROUP, Floats, Integers, stream

LEADER, FOLLOWER = 3, 4
"""Slots of a group."""

_MEMORY = 0.7
_DRIFT = 0.10  # sd of the log drift a year at strength 1
_REVERSAL = 0.05
_FOLLOWS = 0.3
_LEARNABLE = 0.06


@dataclass(frozen=True)
class Planted:
    """Strengths of the planted effects."""

    momentum: float = 1.0
    reversal: float = 1.0
    lead_lag: float = 1.0
    learnable: float = 1.0
    slide: float = 1.0

    @classmethod
    def none(cls) -> Planted:
        """Return the null market."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0)

    @property
    def kept(self) -> float:
        """Share of a shock that lasts, after what is given back of it."""
        return 1.0 - _REVERSAL * self.reversal

    def drifts(self, seed: int, owner: str, groups: Integers, blocks: int, year: int) -> Floats:
        """Log drift of each security over each block, blocks by securities."""
        news = np.empty((blocks, len(groups) * GROUP))
        for place, group in enumerate(groups.tolist()):
            own = slice(place * GROUP, (place + 1) * GROUP)
            news[:, own] = stream(seed, owner, "drift", 0, group).standard_normal((blocks, GROUP))
        drift = np.zeros_like(news)
        before = news[0]
        for block in range(blocks):
            before = _MEMORY * before + np.sqrt(1 - _MEMORY**2) * news[block]
            drift[block] = before
        return drift * (_DRIFT * self.momentum * BLOCK / year)

    def apply(self, shocks: Floats, noise: Floats) -> Floats:
        """Plant the short-lived effects into a block of unit shocks, securities by days.

        Parameters
        ----------
        shocks
            The shocks of whole groups.
        noise
            Securities by kind of noise by days: kind 0 is the overnight surprise, 3 that of volume.
        """
        made = shocks.copy()
        made[:, 1:] -= _REVERSAL * self.reversal * shocks[:, :-1]
        follow = _FOLLOWS * self.lead_lag
        made[FOLLOWER::GROUP, 1:] += follow * shocks[LEADER::GROUP, :-1]
        hint = np.sign(noise[:, 0, :-1]) * np.sign(noise[:, 3, :-1])
        made[:, 1:] += _LEARNABLE * self.learnable * hint
        return made
