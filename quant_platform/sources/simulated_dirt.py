"""How bars of the embedded market are spoilt on their way to us.

Each bar draws at most one kind of dirt, at the given rates. One session of every year after the
first is late as a whole (even years) or for every third security (odd years). Prints on closed days
repeat the last bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from quant_platform.errors import ConfigError
from quant_platform.sources.simulated_draws import Floats, Integers, Truths, stream

CORRECTION_DELAY = 3
"""Sessions after which a bar that was published wrong is published again."""


class Fate(IntEnum):
    """What happens to one bar on its way to us; the order is that of the `Dirt` rates."""

    MISSING = 0
    LATE = 1
    CORRECTED = 2
    IMPOSSIBLE = 3
    DUPLICATED = 4
    CLEAN = 5


@dataclass(frozen=True)
class Dirt:
    """Shares of all bars that are spoilt, each in one way.

    The share of duplicated bars is also that of prints on days on which the exchange is closed.
    """

    missing: float = 0.0
    late: float = 0.0
    corrected: float = 0.0
    impossible: float = 0.0
    duplicated: float = 0.0

    def __post_init__(self) -> None:
        if min(self.rates) < 0 or sum(self.rates) > 1:
            raise ConfigError(
                f"dirt rates {self.rates}",
                expected="shares from zero up that sum to one or less",
                mend="correct embedded_market.dirt in platform.yaml",
            )

    @property
    def rates(self) -> tuple[float, ...]:
        """The shares in the order of `Fate`."""
        return (self.missing, self.late, self.corrected, self.impossible, self.duplicated)


def late_sessions_of(seed: int, owner: str, sessions: list[date]) -> tuple[tuple[int, int], ...]:
    """Return (row, stride) of one session a year: every stride-th security of it is late."""
    days = np.array(sessions, dtype="datetime64[D]")
    chosen = [
        (
            date(year, 2, 1)
            + timedelta(days=int(stream(seed, owner, year, "late session").integers(300))),
            1 if year % 2 == 0 else 3,
        )
        for year in range(sessions[0].year + 1, sessions[-1].year + 1)
    ]
    rows = [(int(np.searchsorted(days, np.datetime64(day))), stride) for day, stride in chosen]
    return tuple((row, stride) for row, stride in rows if row < len(sessions))


def fates(
    luck: Floats, dirt: Dirt, late_sessions: tuple[tuple[int, int], ...]
) -> npt.NDArray[np.int8]:
    """Return the fate of every bar, late sessions included."""
    fate = np.searchsorted(np.cumsum(dirt.rates), luck, side="right").astype(np.int8)
    for row, stride in late_sessions:
        fate[row, ::stride] = Fate.LATE
    return fate


def closed_prints_of(
    unlucky: Truths, session_days: Integers, start: date, listed: Integers, delisted: Integers
) -> Integers:
    """Return prints on closed days: they repeat the last bar, as a careless vendor does."""
    day, security = np.nonzero(unlucky)
    shown = np.searchsorted(session_days, day, side="right") - 1
    closed = (shown >= 0) & (session_days[shown] != day)
    trading = (shown >= listed[security]) & (shown < delisted[security])
    keep = closed & trading
    epoch_day = day + (start - date(1970, 1, 1)).days
    return np.asarray(np.stack([epoch_day, shown, security], axis=1)[keep])
