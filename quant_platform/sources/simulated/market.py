"""The bars of one sleeve of the embedded market, block by block, and what is spoilt of them.

1. The path of a block (`quant_platform.sources.simulated.paths`) becomes bars: the open lies a
   third of the day's move and some noise away from the close before (coins trade through the
   night); high and low lie beyond open and close by a share of the expected volatility.
2. Volume is money: it follows the price of the security, swells with the day's move and with its
   volatility, and every security has months of more and of less attention.
3. Prices are rounded to the tick (0.01, or five significant digits for crypto), monotonically, so
   that the bar stays consistent. They are raw: before the ex session of a split in old units.
4. Each bar has a fate (`quant_platform.sources.simulated.dirt`).

A few blocks are kept in memory; a request computes those that its sessions lie in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import ConfigError
from quant_platform.sources.simulated.days import BLOCK, PathDays, path_days
from quant_platform.sources.simulated.dirt import (
    Dirt,
    Fate,
    closed_prints_of,
    fates,
    late_sessions_of,
    luck_of,
    stale_spells,
)
from quant_platform.sources.simulated.draws import GROUP, Floats, Integers, Truths, by_security
from quant_platform.sources.simulated.paths import Day, Paths
from quant_platform.sources.simulated.planted import Planted
from quant_platform.sources.simulated.roster import NEVER

_CLASSES = ("stock", "etf", "crypto")
_POWERS_OF_TEN = np.array([float(f"1e{n}") for n in range(23)])
_KEPT_BLOCKS = 6


@dataclass(frozen=True)
class SimulatedSleeve:
    """What the embedded market lists in one sleeve."""

    name: str
    asset_classes: tuple[str, ...]
    symbols: int

    def __post_init__(self) -> None:
        if not self.asset_classes or not set(self.asset_classes) <= set(_CLASSES):
            raise ConfigError(
                f"asset classes {', '.join(self.asset_classes) or 'none'} of sleeve {self.name}",
                expected=f"some of {', '.join(_CLASSES)} from the embedded market",
                mend="correct the sleeve's file or route it to another source",
            )


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars of consecutive sessions, session by security.

    Parameters
    ----------
    first
        Row of the first session, counted from the market's first.
    open, high, low, close, volume
        As they were; raw.
    fate
        What happens to each on its way.
    variant
        Uniform in [0, 1): which way a bar is spoilt.
    closed_prints
        (n, 3): UTC day since 1970, row of the bar shown, security.
    """

    first: int
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    fate: npt.NDArray[np.int8]
    variant: Floats
    closed_prints: Integers


class Market:
    """One sleeve's market.

    Rows are sessions, counted from the first at or after the market's start.
    """

    def __init__(
        self,
        calendar: SessionCalendar,
        sleeve: SimulatedSleeve,
        seed: int,
        start: date,
        *,
        dirt: Dirt,
        planted: Planted,
    ) -> None:
        self.time: PathDays = path_days(calendar, start)
        self.paths = Paths(
            seed,
            sleeve.name,
            start,
            self.time,
            asset_classes=sleeve.asset_classes,
            count=sleeve.symbols,
            planted=planted,
        )
        self.seed, self.owner, self.dirt, self.count = seed, sleeve.name, dirt, sleeve.symbols
        own = self.paths.roster
        self.is_crypto: Truths = own.of_class("crypto")[: self.count]
        self.listed: Integers = self._rows(own.listed[: self.count])
        self.delisted: Integers = self._rows(own.delisted[: self.count])
        self.late_sessions = (
            late_sessions_of(seed, sleeve.name, self.time.sessions) if dirt.late else ()
        )
        self._kept: dict[int, Bars] = {}

    @property
    def first(self) -> int:
        """Ordinal in the calendar of the market's first session."""
        return self.time.first

    @property
    def sessions(self) -> Integers:
        """The market's sessions as days since 1970."""
        return self.time.sessions

    def _rows(self, path_day: Integers) -> Integers:
        """Row of the first session on or after a path day; `NEVER` for what is beyond."""
        rows = self.time.rows_from(np.minimum(path_day, len(self.time.days)))
        return np.where(rows < len(self.time.index), rows, NEVER)

    def trading(self, rows: Integers) -> Truths:
        """Say for each of the rows which securities trade in it."""
        row = rows[:, None]
        return (row >= self.listed) & (row < self.delisted)

    def row_of(self, path_day: Integers) -> Integers:
        """Row of the first session on or after each path day; the number of rows for none."""
        return self.time.rows_from(path_day)

    def rows_in(self, block: int) -> range:
        """Rows of a block."""
        first, last = self.time.rows_from(np.array([block * BLOCK, (block + 1) * BLOCK]))
        return range(int(first), int(last))

    def blocks_of(self, rows: Integers) -> list[int]:
        """Blocks in which rows lie."""
        return [int(block) for block in np.unique(self.time.index[rows] // BLOCK)]

    def block(self, number: int) -> Bars:
        """Return the bars of a block; the last few are kept."""
        if number not in self._kept:
            while len(self._kept) >= _KEPT_BLOCKS:
                del self._kept[next(iter(self._kept))]
            self._kept[number] = self._bars(number)
        return self._kept[number]

    def payouts(self, securities: Integers) -> Floats:
        """Cash per unit that holders of delisted securities get, rounded to the tick."""
        own = self.paths.roster
        paid = np.full(len(securities), np.nan)
        ends = own.delisted[securities] - 1
        for number in np.unique(ends // BLOCK).tolist():
            here = np.flatnonzero(ends // BLOCK == number)
            groups = np.unique(securities[here] // GROUP)
            day = self.paths.block(number, groups)
            row = np.searchsorted(groups, securities[here] // GROUP) * GROUP
            row += securities[here] % GROUP
            last = day.close[row, ends[here] % BLOCK]
            premium = own.premium[securities[here]]
            felt = own.announced[securities[here]] % BLOCK
            deal = np.exp(day.path[row, felt]) * (1 + np.nan_to_num(premium)) / day.units[row, felt]
            paid[here] = np.where(np.isnan(premium), last * own.share[securities[here]], deal)
        return to_tick(paid, self.is_crypto[securities])

    def _bars(self, number: int) -> Bars:
        paths = self.paths
        day = paths.block(number)
        rows = self.rows_in(number)
        at = self.time.index[rows.start : rows.stop] % BLOCK
        opening, high, low, volume = self._shape(number, day)
        luck = luck_of(self.seed, self.owner, paths.groups, number)
        fate = fates(luck[:, 0], self.dirt)

        def seen(matrix: Floats) -> Floats:
            return np.ascontiguousarray(matrix[: self.count, at].T)

        before = np.exp(day.path[:, :-1]) / day.units
        quiet = fate == Fate.UNTRADED
        still = np.where(quiet, before, 0.0)
        if self.dirt.stale:
            security, first, last = stale_spells(
                self.seed, self.owner, paths.groups, number, self.dirt.stale
            )
            for who, begin, end in zip(
                security.tolist(), first.tolist(), last.tolist(), strict=True
            ):
                spell = slice(begin, end + 1)
                last_close = day.close[who, begin - 1] * day.units[who, begin - 1]
                quiet[who, spell] = True
                still[who, spell] = last_close / day.units[who, spell]
        close = day.close
        if quiet.any():
            opening, high, low, close = (
                np.where(quiet, still, price) for price in (opening, high, low, close)
            )
            volume = np.where(quiet, 0.0, volume)
        prices = [to_tick(seen(price), self.is_crypto) for price in (opening, high, low, close)]
        rounded_volume = _where_crypto(self.is_crypto, seen(volume), _significant, np.rint)
        chosen = np.ascontiguousarray(fate[: self.count, at].T)
        for row, stride in self.late_sessions:
            if row in rows:
                chosen[row - rows.start, ::stride] = Fate.LATE
        return Bars(
            first=rows.start,
            open=prices[0],
            high=prices[1],
            low=prices[2],
            close=prices[3],
            volume=rounded_volume,
            fate=chosen,
            variant=seen(luck[:, 1]),
            closed_prints=self._closed_prints(number, luck[:, 0], rows.start),
        )

    def _shape(self, number: int, day: Day) -> tuple[Floats, Floats, Floats, Floats]:
        """Open, high, low and volume around the closes, securities by path days."""
        own, noise = self.paths.roster, day.noise
        path = day.path
        moves = np.diff(path, axis=1)
        volatility = day.volatility
        overnight = 0.35 * moves + 0.35 * volatility * noise[:, 0]
        overnight[own.of_class("crypto")] = 0.0
        opening = np.exp(path[:, :-1] + overnight) / day.units
        reach = np.where(own.of_class("etf"), 0.25, 0.5)[:, None] * volatility
        high = np.maximum(opening, day.close) * np.exp(reach * np.abs(noise[:, 1]))
        low = np.minimum(opening, day.close) * np.exp(-reach * np.abs(noise[:, 2]))
        # A fund or pair that hardly moves does not trade more for it.
        usual = np.hypot(own.volatility, self.paths.common_volatility)[:, None]
        attention = [
            by_security(
                self.seed,
                self.owner,
                "attention",
                self.paths.groups,
                lambda g: g.standard_normal(GROUP),
                block=number + later,
            )[:, None]
            for later in (0, 1)
        ]
        share = np.arange(BLOCK) / BLOCK
        interest = 0.35 * (attention[0] * (1 - share) + attention[1] * share)
        answer = np.where(own.of_class("crypto"), 0.55, 0.3)[:, None]
        money = (
            0.7 * (path[:, 1:] - np.log(own.price)[:, None])
            + interest
            + answer * (np.minimum(np.abs(moves) / volatility, 6.0) - 0.8)
            + 0.5 * np.log(volatility / usual)
            + 0.4 * noise[:, 3]
        )
        volume = own.turnover[:, None] * np.exp(money) / day.close
        return opening, high, low, volume

    def _closed_prints(self, number: int, luck: Floats, first: int) -> Integers:
        """Find the prints on closed path days of a block, and on the days off after them."""
        unlucky = luck[: self.count] < self.dirt.duplicated
        days = self.time.days[number * BLOCK : (number + 1) * BLOCK]
        found = [
            closed_prints_of(unlucky, days, self.time.sessions, first),
            # The days off are no path days; they share the luck of the day before.
            closed_prints_of(unlucky, days + 1, self.time.sessions, first),
        ]
        day, shown, security = (np.concatenate(part) for part in zip(*found, strict=True))
        keep = (shown >= self.listed[security]) & (shown < self.delisted[security])
        keep &= shown < first + len(self.rows_in(number))
        prints = np.stack([day, shown, security], axis=1)[keep]
        return np.unique(prints, axis=0)


@lru_cache(maxsize=8)
def simulate(
    calendar: SessionCalendar,
    sleeve: SimulatedSleeve,
    seed: int,
    start: date,
    *,
    dirt: Dirt,
    planted: Planted,
) -> Market:
    """Return the market of a sleeve; memoised."""
    return Market(calendar, sleeve, seed, start, dirt=dirt, planted=planted)


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
    if is_crypto.all():
        return crypto(number)
    if not is_crypto.any():
        return other(number)
    rounded = np.empty_like(number)
    rounded[..., is_crypto] = crypto(number[..., is_crypto])
    rounded[..., ~is_crypto] = other(number[..., ~is_crypto])
    return rounded


def _cents(price: Floats) -> Floats:
    return np.maximum(np.round(price, 2), 0.01)


def _significant(number: Floats) -> Floats:
    """Round to five significant digits; monotone, so bars stay consistent. Zero stays zero."""
    traded = np.where(number > 0, number, 1.0)
    power = (4 - np.floor(np.log10(traded))).astype(np.int64)
    # Exact powers of ten, so that the quotient is the nearest double to the decimal number.
    scale = _POWERS_OF_TEN[np.clip(power, 0, 22)]
    inverse = _POWERS_OF_TEN[np.clip(-power, 0, 22)]
    return np.where(number > 0, np.rint(traded * scale / inverse) / scale * inverse, 0.0)
