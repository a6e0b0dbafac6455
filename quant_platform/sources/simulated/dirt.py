"""How bars of the embedded market are spoilt on their way to us.

Each bar draws at most one kind of dirt, at the given rates. Now and then a name goes stale: for
five to ten sessions nobody trades it, and its bar repeats the last close. One session of every year
after the first is late as a whole (even years) or for every third security (odd years). Prints on
closed days repeat the last bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from quant_platform.errors import ConfigError
from quant_platform.sources.simulated.days import BLOCK
from quant_platform.sources.simulated.draws import (
    GROUP,
    Floats,
    Integers,
    Truths,
    by_security,
    stream,
)

CORRECTION_DELAY = 3
"""Sessions after which a bar that was published wrong is published again."""
_SLOT = 16  # path days in which at most one stale episode begins


class Fate(IntEnum):
    """What happens to one bar on its way to us; the order is that of the `Dirt` rates."""

    MISSING = 0
    LATE = 1
    CORRECTED = 2
    IMPOSSIBLE = 3
    DUPLICATED = 4
    BAD_PRINT = 5
    UNTRADED = 6
    CLEAN = 7


@dataclass(frozen=True)
class Dirt:
    """Shares of all bars that are spoilt, each in one way.

    The share of duplicated bars is also that of prints on days on which the exchange is closed.
    ``bad_print`` is a wrong price that nobody ever corrects, ``untraded`` a bar without volume at
    the close before; ``stale`` is the share of days on which a stale episode begins.
    """

    missing: float = 0.0
    late: float = 0.0
    corrected: float = 0.0
    impossible: float = 0.0
    duplicated: float = 0.0
    bad_print: float = 0.0
    untraded: float = 0.0
    stale: float = 0.0

    def __post_init__(self) -> None:
        if min(*self.rates, self.stale) < 0 or sum(self.rates) > 1:
            raise ConfigError(
                f"dirt rates {self.rates}",
                expected="shares from zero up that sum to one or less",
                mend="correct embedded_market.dirt in platform.yaml",
            )

    @property
    def rates(self) -> tuple[float, ...]:
        """The shares of single bars in the order of `Fate`."""
        return (
            self.missing,
            self.late,
            self.corrected,
            self.impossible,
            self.duplicated,
            self.bad_print,
            self.untraded,
        )


def luck_of(seed: int, owner: str, groups: Integers, block: int) -> Floats:
    """Draw for each bar its fate and which way it is spoilt: securities by 2 by days, uniform."""
    return by_security(
        seed, owner, "luck", groups, lambda g: g.random((GROUP, 2, BLOCK)), block=block
    )


def stale_spells(
    seed: int, owner: str, groups: Integers, block: int, rate: float
) -> tuple[Integers, Integers, Integers]:
    """Return security, first and last day (within the block) of its stale episodes."""
    slots = BLOCK // _SLOT
    luck = by_security(
        seed, owner, "stale", groups, lambda g: g.random((GROUP, slots, 3)), block=block
    )
    security, slot = np.nonzero(luck[:, :, 0] < rate * _SLOT)
    chosen = luck[security, slot]
    first = slot * _SLOT + 1 + (chosen[:, 1] * (_SLOT - 11)).astype(np.int64)
    last = first + 4 + (chosen[:, 2] * 6).astype(np.int64)
    return security, first, last


def late_sessions_of(seed: int, owner: str, sessions: Integers) -> tuple[tuple[int, int], ...]:
    """Return (row, stride) of one session a year: every stride-th security of it is late."""
    days = sessions.astype("datetime64[D]")
    first, last = (days[at].astype(object).year for at in (0, -1))
    chosen = [
        (
            date(year, 2, 1)
            + timedelta(days=int(stream(seed, owner, "late session", year).integers(300))),
            1 if year % 2 == 0 else 3,
        )
        for year in range(first + 1, last + 1)
    ]
    rows = [(int(np.searchsorted(days, np.datetime64(day))), stride) for day, stride in chosen]
    return tuple((row, stride) for row, stride in rows if row < len(sessions))


def fates(luck: Floats, dirt: Dirt) -> npt.NDArray[np.int8]:
    """Return the fate of every bar."""
    return np.searchsorted(np.cumsum(dirt.rates), luck, side="right").astype(np.int8)


def closed_prints_of(
    unlucky: Truths, days: Integers, sessions: Integers, first: int
) -> tuple[Integers, Integers, Integers]:
    """Return day, row shown and security of prints on closed days of a block.

    They repeat the last bar, as a careless vendor does.

    Parameters
    ----------
    unlucky
        Securities by the block's days.
    days
        The block's days since 1970.
    sessions
        The market's sessions, days since 1970.
    first
        The market's first day: before it there is no bar to repeat.
    """
    security, at = np.nonzero(unlucky)
    day = days[at]
    shown = np.searchsorted(sessions, day, side="right") - 1
    closed = (shown >= first) & (sessions[np.maximum(shown, 0)] != day) & (day < sessions[-1])
    return day[closed], shown[closed], security[closed]
