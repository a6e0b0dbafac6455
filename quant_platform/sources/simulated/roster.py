"""Who is listed in a sleeve of the embedded market, and what each security is like.

1. Each security draws its traits once: betas, style loads, volatility, size, price, yield.
2. A quarter of them are listed after the start, three in ten leave, at days of their own; what
   plays a part that `quant_platform.sources.simulated.roles` calls lasting does neither. A stock is
   bought at a premium (six in ten) or fails; a fund is wound up at its value; a coin fails.
3. A few are renamed once. A newcomer may take the ticker of what left before: the same symbol, but
   another ``security_id``.

Nothing depends on securities outside of a group of `GROUP`, and groups are always whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.sources.protocol import SECURITY_SCHEMA
from quant_platform.sources.simulated.days import BLOCK
from quant_platform.sources.simulated.draws import (
    GROUP,
    Floats,
    Integers,
    Truths,
    by_security,
)
from quant_platform.sources.simulated.roles import COINS, FUNDS, MORE_FUNDS, Coin, Fund
from quant_platform.sources.simulated.state import SECTORS, STYLES

NEVER = int(np.iinfo(np.int64).max)

_TRAITS = 24
_YEARS = 12  # after the start, within which late listings and departures fall
_NEWCOMERS, _LEAVERS, _MERGERS = 0.25, 0.3, 0.6
_RENAMED, _REUSING = 0.1, 0.9
_DEAL_DAYS = 60
"""Path days before its end within which a security's end is told or felt."""
_EXCHANGES = {"stock": ("NASDAQ", "NYSE"), "etf": ("AMEX",), "crypto": ("BINANCE",)}
_CHAINS = ("Layer 1", "Layer 2", "DeFi", "Infrastructure")


@dataclass(frozen=True, eq=False)
class Roster:
    """The securities of a sleeve, whole groups; parallel arrays.

    Parameters
    ----------
    asset_class
        What each is.
    beta, sector, sector_load, styles
        Loads of stocks on the common factors; ``sector`` is an index, -1 for what has none.
    volatility
        Of the idiosyncratic part, a day.
    price, turnover, shares
        At the start: first price, quote currency traded a day, units outstanding.
    distributed, payments
        Distributions: fraction a year, and how many a year.
    listed, delisted
        Path days of the first bar and of the first without one; `NEVER` for what stays.
    announced
        Path day from which its end is felt: the deal, or the slide.
    premium
        Premium of a merger; NaN for what is not bought.
    share
        Share of the last price that holders get, of what is not bought.
    renamed
        Path day of a new ticker, else `NEVER`.
    symbol, new_symbol
        Symbols before and after it.
    funds, coins
        Parts of funds and coins by number.
    listing
        What never changes, in the columns of `SECURITY_SCHEMA`.
    """

    asset_class: npt.NDArray[np.str_]
    beta: Floats
    sector: Integers
    sector_load: Floats
    styles: Floats
    volatility: Floats
    price: Floats
    turnover: Floats
    shares: Floats
    distributed: Floats
    payments: Integers
    listed: Integers
    delisted: Integers
    announced: Integers
    premium: Floats
    share: Floats
    renamed: Integers
    symbol: list[str]
    new_symbol: list[str]
    funds: dict[int, Fund]
    coins: dict[int, Coin]
    listing: pl.DataFrame

    def __len__(self) -> int:
        return len(self.beta)

    def of_class(self, asset_class: str) -> Truths:
        """Say which are of a class."""
        return np.asarray(self.asset_class == asset_class)


def roster(
    seed: int, owner: str, asset_classes: tuple[str, ...], count: int, days_a_year: int
) -> Roster:
    """Return the securities of a sleeve, at least ``count``, filled up to whole groups.

    Parameters
    ----------
    seed, owner
        Key of the random numbers.
    asset_classes
        Classes that take turns.
    count
        Securities.
    days_a_year
        Path days of a year.
    """
    groups = np.arange(-(-count // GROUP))
    traits = by_security(seed, owner, "traits", groups, lambda g: g.random((GROUP, _TRAITS)))
    normal = by_security(seed, owner, "loads", groups, lambda g: g.standard_normal((GROUP, 8)))
    number = np.arange(len(traits))
    kinds = np.array([asset_classes[n % len(asset_classes)] for n in number])
    stock, etf, crypto = (kinds == kind for kind in ("stock", "etf", "crypto"))
    funds, coins = _parts(number, kinds)
    size = traits[:, 0]  # 0 is small
    # Small companies are wilder and load on size.
    wild = 0.6 * traits[:, 1] + 0.4 * (1 - size)
    volatility = np.select([stock, etf], [0.007 + 0.014 * wild, 0.0006], 0.017 + 0.030 * wild)
    volatility[[n for n, fund in funds.items() if fund.category == "Thematic"]] = 0.006
    price = _logs(traits[:, 2], np.where(crypto, 0.02, 12.0), np.where(crypto, 400.0, 250.0))
    turnover = _logs(size, np.where(crypto, 1e5, 2e6), np.where(crypto, 3e8, 8e8))
    distributed = np.where(stock & (traits[:, 3] < 0.65), 0.01 + 0.035 * traits[:, 4], 0.0)
    payments = np.where(stock, 4, 0)
    for n, fund in funds.items():
        price[n], turnover[n] = fund.price, fund.turnover
        distributed[n], payments[n] = fund.distributed, fund.payments
    for n, coin in coins.items():
        spot = n - n % GROUP + coin.of
        price[n] = coin.price or (price[spot] if coin.kind == "perp" else price[n])
        turnover[n] = coin.turnover or turnover[n]
        volatility[n] = {"spot": 0.012, "perp": 0.0004, "stable": 2e-4}.get(coin.kind, 0.0012)
    styles = 0.35 * normal[:, :5] * stock[:, None]
    styles[:, 0] += 1.1 * (0.6 - size) * stock
    lasting = np.zeros(len(number), dtype=np.bool_)
    lasting[[*(n for n, fund in funds.items() if fund.lasts), *coins]] = True
    listed, delisted = _lives(traits[:, 5:8], lasting, days_a_year)
    for n, coin in coins.items():
        if coin.kind == "perp":
            spot = n - n % GROUP + coin.of
            listed[n], delisted[n] = listed[spot], delisted[spot]
    merges = stock & (traits[:, 8] < _MERGERS)
    renamed = _renames(traits[:, 9:11], listed, delisted, lasting, days_a_year)
    symbol, new_symbol = _symbols(number, kinds, funds, coins)
    _reuse(
        traits[:, 11], symbol, listed=listed, delisted=delisted, renamed=renamed, lasting=lasting
    )
    sector = np.where(stock, (traits[:, 12] * len(SECTORS)).astype(np.int64), -1)
    return Roster(
        asset_class=kinds,
        beta=np.where(crypto, 0.7 + 0.7 * traits[:, 13], 1.0 + 0.22 * normal[:, 5]),
        sector=sector,
        sector_load=np.where(stock, 0.8 + 0.4 * traits[:, 14], 0.0),
        styles=styles[:, : len(STYLES)],
        volatility=volatility,
        price=price,
        turnover=turnover,
        shares=turnover * _logs(traits[:, 15], 60.0, 400.0) / price,
        distributed=distributed,
        payments=payments.astype(np.int64),
        listed=listed,
        delisted=delisted,
        announced=np.where(
            delisted == NEVER, NEVER, delisted - 15 - (traits[:, 16] * 45).astype(np.int64)
        ),
        premium=np.where(merges, 0.15 + 0.35 * traits[:, 17], np.nan),
        share=np.where(etf, 1.0, 0.05 + 0.45 * traits[:, 17]),
        renamed=renamed,
        symbol=symbol,
        new_symbol=new_symbol,
        funds=funds,
        coins=coins,
        listing=_listing(owner, kinds, sector, funds, coins),
    )


def _logs(uniform: Floats, low: Floats | float, high: Floats | float) -> Floats:
    """Spread uniform numbers evenly in logarithms."""
    return np.asarray(np.exp(np.log(low) + uniform * (np.log(high) - np.log(low))))


def _parts(
    number: Integers, kinds: npt.NDArray[np.str_]
) -> tuple[dict[int, Fund], dict[int, Coin]]:
    """Give funds and coins their parts, in the order in which they are numbered."""
    funds: dict[int, Fund] = {}
    for place, n in enumerate(np.flatnonzero(kinds == "etf").tolist()):
        further = (place - len(FUNDS)) % len(MORE_FUNDS)
        funds[n] = FUNDS[place] if place < len(FUNDS) else MORE_FUNDS[further]
    coins: dict[int, Coin] = {}
    for n in number.tolist() if (kinds == "crypto").all() else ():
        slot = n % GROUP
        if n < GROUP and slot in COINS:
            coins[n] = COINS[slot]
        elif n >= GROUP and slot == GROUP - 1:
            coins[n] = Coin(_code(n - slot), "perp", 0)
    return funds, coins


def _lives(uniform: Floats, lasting: Truths, days_a_year: int) -> tuple[Integers, Integers]:
    """Return the path days of the first bar and of the first without one.

    A security's end falls into the later half of a block, so that the deal or the slide before it
    lies in the same block.
    """
    span = _YEARS * days_a_year
    late = (uniform[:, 0] < _NEWCOMERS) & ~lasting
    listed = np.where(late, (uniform[:, 0] / _NEWCOMERS * span).astype(np.int64), 0)
    leaves = (uniform[:, 1] < _LEAVERS) & ~lasting
    end = listed + days_a_year // 2 + BLOCK + (uniform[:, 1] / _LEAVERS * span).astype(np.int64)
    end = end // BLOCK * BLOCK + BLOCK // 2 + end % BLOCK // 2
    return listed, np.where(leaves, end, NEVER)


def _renames(
    uniform: Floats, listed: Integers, delisted: Integers, lasting: Truths, days_a_year: int
) -> Integers:
    """Return the path days of new tickers."""
    day = listed + 20 + (uniform[:, 1] * _YEARS * days_a_year).astype(np.int64)
    fits = (uniform[:, 0] < _RENAMED) & (day < delisted - _DEAL_DAYS) & ~lasting
    return np.where(fits, day, NEVER)


def _code(number: int) -> str:
    """Letters that stand for a number."""
    letters = ""
    for _ in range(3):
        number, digit = divmod(number, 26)
        letters = chr(ord("A") + digit) + letters
    return letters if not number else f"{letters}{number}"


def _symbols(
    number: Integers, kinds: npt.NDArray[np.str_], funds: dict[int, Fund], coins: dict[int, Coin]
) -> tuple[list[str], list[str]]:
    """Return each security's own symbol, and the one it would be renamed to.

    Without a part the tickers begin with Z (X after a renaming): few real ones do.
    """
    symbols, renamed = [], []
    for n, kind in zip(number.tolist(), kinds.tolist(), strict=True):
        exchange = _EXCHANGES[kind][n % len(_EXCHANGES[kind])]
        coin, tail = coins.get(n), "USDT" if kind == "crypto" else ""
        base = f"Z{_code(n)}"
        if coin is not None:
            base = coin.base if n < GROUP else f"Z{coin.base}"
            tail = "USDT.P" if coin.kind == "perp" else "USDT"
        elif n in funds:
            base = funds[n].ticker or f"ZF{_code(n)}"
        symbols.append(f"{exchange}:{base}{tail}")
        renamed.append(f"{exchange}:X{_code(n)}{tail}")
    return symbols, renamed


def _reuse(
    uniform: Floats,
    symbol: list[str],
    *,
    listed: Integers,
    delisted: Integers,
    renamed: Integers,
    lasting: Truths,
) -> None:
    """Let some newcomers take a ticker that is free again, of their own group and exchange."""
    taken: set[int] = set()
    for n in np.flatnonzero((listed > 0) & (uniform < _REUSING) & ~lasting).tolist():
        first = n - n % GROUP
        exchange = symbol[n].split(":")[0]
        for other in range(first, first + GROUP):
            free = min(int(delisted[other]), int(renamed[other]))
            fits = other != n and other not in taken and not lasting[other]
            if fits and free < listed[n] - 20 and symbol[other].startswith(f"{exchange}:"):
                symbol[n] = symbol[other]
                taken |= {other, n}
                break


def _listing(
    owner: str,
    kinds: npt.NDArray[np.str_],
    sector: Integers,
    funds: dict[int, Fund],
    coins: dict[int, Coin],
) -> pl.DataFrame:
    """Return what never changes about each security."""
    rows = []
    for n, kind in enumerate(kinds.tolist()):
        fund, coin, crypto = funds.get(n), coins.get(n), kind == "crypto"
        name = f"Simulated {kind} {n:04d} of {owner}"
        underlying = None
        if fund is not None:
            name, underlying = f"Simulated {fund.name} fund {n:04d}", fund.driver
        if coin is not None:
            name = f"Simulated {coin.base} {coin.kind}"
            spot = n - n % GROUP + coin.of
            underlying = f"{owner}-{spot:04d}" if coin.kind == "perp" else None
            underlying = "gold" if "gold" in coin.kind else underlying
        categories = {"stable": "Stablecoin", "gold": "Gold", "broken gold": "Gold", "perp": "Perp"}
        category = fund.category if fund else _CHAINS[n % len(_CHAINS)] if crypto else None
        rows.append(
            {
                "security_id": f"{owner}-{n:04d}",
                "name": name,
                "asset_class": kind,
                "sector": SECTORS[sector[n]] if sector[n] >= 0 else None,
                "category": categories.get(coin.kind, "Layer 1") if coin else category,
                "tick": None if crypto else 0.01,
                "lot": None if crypto else 1.0,
                "leverage": fund.leverage if fund and not math.isclose(fund.leverage, 1) else None,
                "underlying": underlying,
                "country": None if crypto else "World" if fund and fund.driver == "world" else "US",
            }
        )
    return pl.DataFrame(rows, schema={name: SECURITY_SCHEMA[name] for name in rows[0]})
