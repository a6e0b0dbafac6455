"""The paths of a sleeve: each block of days from its own random numbers, joined at fixed levels.

1. A day's log return is what the security shares with others (loads on the state; a fund's driver)
   plus an idiosyncratic part, plus jumps on results, less what is distributed.
2. The idiosyncratic part is a random walk of wild and calm days
   (`quant_platform.sources.simulated.idiosyncratic`): no recursion runs through the blocks of
   `quant_platform.sources.simulated.days.BLOCK` days.
3. Its sum over a block is drawn by itself, and the days are moved to meet it. So the level at each
   border is a sum of one number a block: any session is reached without the days before its block.
4. A tracking error, the spread of a perp and the noise of a stablecoin do not add up: they are
   noise around the level.
5. A security that is bought jumps to its price and stays there; one that fails slides for weeks,
   or, where no effect is planted, falls at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from quant_platform.sources.simulated.days import BLOCK, PathDays
from quant_platform.sources.simulated.draws import (
    GROUP,
    Floats,
    Integers,
    by_security,
    stream,
)
from quant_platform.sources.simulated.funds import fund_returns
from quant_platform.sources.simulated.happenings import (
    Actions,
    Results,
    cash,
    results,
    splits,
)
from quant_platform.sources.simulated.idiosyncratic import wildness
from quant_platform.sources.simulated.planted import Planted
from quant_platform.sources.simulated.roster import NEVER, Roster, roster
from quant_platform.sources.simulated.state import (
    CRYPTO_CALM,
    EQUITY_CALM,
    SECTOR_BETA,
    SECTOR_VOLATILITY,
    STYLE_VOLATILITY,
    EquityState,
    crypto_climate,
    equity_state,
    weekday_state,
)

_SLIDE = 0.03
_PINNED = 0.002
DETACHED = (1100, -0.24, 0.004)
"""The gold token that detaches: path day, what it loses at once, noise a day from then on."""


@dataclass(frozen=True, eq=False)
class Day:
    """A block of some securities, securities by path days.

    Parameters
    ----------
    path
        Log price in units of the market's start, with the day before the block in front.
    close
        In units of each day.
    units
        What one unit of the start has become.
    volatility
        Expected that day, of log returns.
    noise
        Five kinds of standard normal numbers.
    """

    path: Floats
    close: Floats
    units: Floats
    volatility: Floats
    noise: Floats


class Paths:
    """Paths of one sleeve.

    Parameters
    ----------
    seed, owner
        Key of the random numbers.
    start
        The market's first day.
    time
        The sleeve's time.
    asset_classes, count
        What is listed.
    planted
        Strengths of the planted effects.
    """

    def __init__(
        self,
        seed: int,
        owner: str,
        start: date,
        time: PathDays,
        *,
        asset_classes: tuple[str, ...],
        count: int,
        planted: Planted,
    ) -> None:
        self.seed, self.owner, self.start, self.time = seed, owner, start, time
        self.planted = planted
        self.year = round(52.18 * len(time.weekdays))
        self.roster: Roster = roster(seed, owner, asset_classes, count, self.year)
        self.groups: Integers = np.arange(len(self.roster) // GROUP)
        self.blocks = len(time.days) // BLOCK
        self.anchored = self._anchored()

    def _anchored(self) -> np.typing.NDArray[np.bool_]:
        """Whose noise does not add up."""
        anchored = self.roster.of_class("etf")
        for n, fund in self.roster.funds.items():
            anchored[n] = fund.category != "Thematic"
        for n, coin in self.roster.coins.items():
            anchored[n] = coin.kind != "spot"
        return anchored

    @cached_property
    def equity(self) -> EquityState:
        """State of stocks and funds in the sleeve's time."""
        return equity_state(self.seed, self.start, self.time.weekdays, len(self.time.days))

    @cached_property
    def scale(self) -> Floats:
        """How wild the idiosyncratic parts are, days by class: stocks and funds, coins."""
        coins = crypto_climate(self.seed, len(self.time.days)).scale
        return np.stack([self.equity.climate.scale, coins], axis=1)

    @cached_property
    def _own(self) -> Floats:
        """Full common paths of funds and coins that follow nothing else, one column each."""
        columns = [fund_returns(self.equity, fund) for fund in self.roster.funds.values()]
        gold = weekday_state(self.seed, self.start, int(self.time.days[-1]))
        level = np.concatenate([[0.0], np.cumsum(gold.gold)])
        seen = level[np.searchsorted(gold.days, self.time.days, side="right")]
        follows = np.diff(seen, prepend=0.0)
        for coin in self.roster.coins.values():
            column = follows.copy() if "gold" in coin.kind else np.zeros(len(self.time.days))
            day, fall, noise = DETACHED
            if coin.kind == "broken gold" and day < len(column):
                wander = stream(self.seed, self.owner, "detached").standard_normal(len(column))
                column[day:] = noise * wander[: len(column) - day]
                column[day] = fall
            columns.append(column)
        return np.stack(columns, axis=1) if columns else np.zeros((len(self.time.days), 0))

    @cached_property
    def _own_numbers(self) -> Integers:
        return np.array([*self.roster.funds, *self.roster.coins], dtype=np.int64)

    def _common(self, block: int | None, who: Integers) -> Floats:
        """Return what securities share: of a block, securities by days; of all, by block's sum."""
        state = self.equity
        spans = np.arange(self.blocks) * BLOCK

        def cut(column: Floats) -> Floats:
            if block is None:
                return np.asarray(np.add.reduceat(column, spans))
            return np.asarray(column[block * BLOCK : (block + 1) * BLOCK])

        own = self.roster
        width = self.blocks if block is None else BLOCK
        common = np.zeros((len(who), width))
        stock = np.flatnonzero(own.asset_class[who] == "stock")
        them = who[stock]
        if len(them):
            sector = own.sector[them]
            beta = own.beta[them] * SECTOR_BETA[sector]
            moves = beta[:, None] * cut(state.climate.market)
            sectors = np.stack([cut(state.sectors[:, s]) for s in range(len(SECTOR_BETA))])
            moves += own.sector_load[them, None] * sectors[sector]
            for style in range(own.styles.shape[1]):
                moves += own.styles[them, style, None] * cut(state.styles[:, style])
            common[stock] = moves
        coin = np.flatnonzero(own.asset_class[who] == "crypto")
        if len(coin):
            factor = cut(crypto_climate(self.seed, len(self.time.days)).market)
            common[coin] = own.beta[who[coin], None] * factor
        place = np.full(len(own), -1)
        place[self._own_numbers] = np.arange(len(self._own_numbers))
        for row in np.flatnonzero(place[who] >= 0).tolist():
            part = own.coins.get(int(who[row]))
            if part is None or part.kind != "spot":
                common[row] = cut(self._own[:, place[who[row]]])
        return common

    @cached_property
    def common_volatility(self) -> Floats:
        """Deviation a day of what each shares with others, in calm times."""
        own = self.roster
        calm = np.where(own.of_class("crypto"), CRYPTO_CALM, EQUITY_CALM) * own.beta
        styles = (own.styles**2 * STYLE_VOLATILITY**2).sum(axis=1)
        sector = own.sector_load * SECTOR_VOLATILITY[np.maximum(own.sector, 0)]
        usual = np.sqrt(calm**2 + styles + sector**2)
        # Of funds and pegs it is measured, over two years; of a perp it is its spot's.
        first = slice(0, 4 * BLOCK)
        scale = self.scale[first].mean(axis=0)[self._class_of[self._own_numbers]]
        measured = self._own[first].std(axis=0) / scale
        usual[self._own_numbers] = np.where(measured > 0, measured, usual[self._own_numbers])
        for n, coin in own.coins.items():
            if coin.kind == "stable":
                usual[n] = own.volatility[n]
            elif coin.kind == "perp":
                spot = n - n % GROUP + coin.of
                usual[n] = np.hypot(usual[spot], own.volatility[spot])
        return np.asarray(usual)

    @cached_property
    def _class_of(self) -> Integers:
        return self.roster.of_class("crypto").astype(np.int64)

    @cached_property
    def _budget(self) -> Floats:
        """Sum over days of the squared scale, blocks by class."""
        return np.asarray((self.scale**2).reshape(self.blocks, BLOCK, 2).sum(axis=1))

    @cached_property
    def sums(self) -> Floats:
        """Idiosyncratic sums, blocks by securities; 0 for what is noise around its level."""
        drawn = np.empty((self.blocks, len(self.roster)))
        for group in self.groups.tolist():
            own = slice(group * GROUP, (group + 1) * GROUP)
            numbers = stream(self.seed, self.owner, "sums", 0, group)
            drawn[:, own] = numbers.standard_normal((self.blocks, GROUP))
        budget = self._budget[:, self._class_of]
        volatility = self.roster.volatility
        stocks = self.roster.of_class("stock")
        kept = np.where(stocks, self.planted.kept, 1.0)
        walk = kept * np.sqrt(budget) * volatility * drawn
        # Half the variance, so that wild securities do not earn more on average.
        walk -= 0.5 * volatility**2 * budget
        return np.where(self.anchored, 0.0, walk + self.drift)

    @cached_property
    def drift(self) -> Floats:
        """Planted part of the idiosyncratic sums of stocks, blocks by securities."""
        drift = self.planted.drifts(self.seed, self.owner, self.groups, self.blocks, self.year)
        return np.where(self.roster.of_class("stock"), drift, 0.0)

    @cached_property
    def results(self) -> Results:
        """Announcements of results."""
        return results(self.seed, self.owner, self.roster, self.groups, self.time)

    @cached_property
    def cash(self) -> Actions:
        """Distributions."""
        return cash(self.seed, self.owner, self.roster, self.groups, self.time)

    @cached_property
    def splits(self) -> Actions:
        """Splits and stock dividends."""
        return splits(self.seed, self.owner, self.roster, self.groups, self.time, level=self.level)

    @cached_property
    def level(self) -> Floats:
        """Log price before each block, in units of the market's start; blocks + 1 rows."""
        steps = self.sums + self._common(None, np.arange(len(self.roster))).T
        for security, day, move in self._moves():
            np.add.at(steps, (day // BLOCK, security), move)
        level: Floats = np.log(self.roster.price) + np.concatenate(
            [np.zeros((1, len(self.roster))), np.cumsum(steps, axis=0)]
        )
        for n, coin in self.roster.coins.items():
            if coin.kind == "perp":
                spot = n - n % GROUP + coin.of
                level[:, n] = level[:, spot]
        return level

    def _moves(self) -> list[tuple[Integers, Integers, Floats]]:
        """Security, path day and log move of jumps and distributions."""
        told, paid = self.results, self.cash
        return [
            (told.security, told.felt, told.jump),
            (paid.security, paid.ex, np.log1p(-paid.value)),
        ]

    def block(self, number: int, groups: Integers | None = None) -> Day:
        """Compute a block.

        Parameters
        ----------
        number
            Which one.
        groups
            Groups of securities; all by default.
        """
        groups = self.groups if groups is None else groups
        who = (groups[:, None] * GROUP + np.arange(GROUP)).ravel()
        own, seed, owner = self.roster, self.seed, self.owner
        noise = by_security(
            seed,
            owner,
            "noise",
            groups,
            lambda g: g.standard_normal((GROUP, 5, BLOCK)),
            block=number,
        )
        days = slice(number * BLOCK, (number + 1) * BLOCK)
        scale = np.ascontiguousarray(self.scale[days].T)[self._class_of[who]]
        deviation = own.volatility[who, None] * scale
        wild = wildness(seed, owner, groups, number, scale)
        stocks = own.of_class("stock")[who, None]
        unit = wild.shocks()
        drift = self.drift[number, who]
        moves = deviation * np.where(stocks, self.planted.apply(unit, noise), unit)
        moves = wild.bridge(moves, self.sums[number, who] - drift) + drift[:, None] / BLOCK
        around = self.anchored[who]
        moves[around] = 0.0
        moves += self._common(number, who)
        inside = np.full(len(own), -1)
        inside[who] = np.arange(len(who))
        for security, day, move in self._moves():
            here = np.flatnonzero((day // BLOCK == number) & (inside[security] >= 0))
            np.add.at(moves, (inside[security[here]], day[here] % BLOCK), move[here])
        level = self.level[number, who][:, None]
        path = np.concatenate([level, level + np.cumsum(moves, axis=1)], axis=1)
        self._follow(path, who)
        path[around, 1:] += (deviation * wild.alone())[around]
        self._end(path, noise, number, who)
        units = self.units(number, who)
        volatility = np.hypot(
            deviation * wild.excitement, self.common_volatility[who, None] * scale
        )
        return Day(path, np.exp(path[:, 1:]) / units, units, volatility, noise)

    def _follow(self, path: Floats, who: Integers) -> None:
        """Let perps follow their spot."""
        for row, n in enumerate(who.tolist()):
            coin = self.roster.coins.get(n)
            if coin is not None and coin.kind == "perp":
                path[row] = path[row - n % GROUP + coin.of]

    def _end(self, path: Floats, noise: Floats, number: int, who: Integers) -> None:
        """Pin what is bought to its price, and let what fails slide."""
        felt = self.roster.announced[who]
        for row in np.flatnonzero((felt != NEVER) & (felt // BLOCK == number)).tolist():
            n, at = int(who[row]), int(felt[row] % BLOCK) + 1
            premium = self.roster.premium[n]
            if np.isfinite(premium):
                wobble = _PINNED * np.minimum(noise[row, 4, at - 1 :], 0.0)
                path[row, at:] = path[row, at - 1] + np.log1p(premium) + wobble
            elif self.roster.asset_class[n] != "etf":
                days = path.shape[1] - at
                whole = float(self.roster.delisted[n] - felt[row])
                slid = self.planted.slide
                path[row, at:] -= _SLIDE * (slid * np.arange(1, days + 1) + (1 - slid) * whole)

    def units(self, number: int, who: Integers) -> Floats:
        """Units that one of the start has become, securities by days of a block."""
        inside = np.full(len(self.roster), -1)
        inside[who] = np.arange(len(who))
        units = np.ones((len(who), BLOCK))
        plan = self.splits
        begin = number * BLOCK
        concerned = (plan.ex < begin + BLOCK) & (inside[plan.security] >= 0)
        for at in np.flatnonzero(concerned).tolist():
            units[inside[plan.security[at]], max(int(plan.ex[at]) - begin, 0) :] *= plan.value[at]
        return units

    def price_at_block(self, security: Integers, day: Integers, quoted: Integers) -> Floats:
        """Price at the beginning of the block of a day, in the units of before another day."""
        price = np.exp(self.level[day // BLOCK, security])
        plan = self.splits
        units = np.ones(len(security))
        for who in np.unique(plan.security).tolist():
            own = np.flatnonzero(security == who)
            for at in np.flatnonzero(plan.security == who).tolist():
                units[own[quoted[own] > plan.ex[at]]] *= plan.value[at]
        return np.asarray(price / units)
