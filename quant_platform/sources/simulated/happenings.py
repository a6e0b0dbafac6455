"""What happens to the securities of the embedded market besides trading: planned, told, effective.

1. In each calendar year a stock or fund is split with probability `_SPLITS_A_YEAR`, announced one
   to three weeks before: reverse below `_LOW_PRICE`, else halved or quartered. Judged is the price
   at the beginning of the announcement's block. A few stocks pay a stock dividend.
2. Payers distribute every quarter or month a fixed fraction of the path; the cash is that fraction
   of the price at the beginning of the announcement's block. A few pay a special dividend or spin
   something off.
3. Stocks announce results in every quarter, before the open or after the close; the surprise is a
   jump of the price. The expected day is published two months before, and one in five is revised.

Everything is drawn by security and calendar year. Only what is listed at the announcement and not
about to leave is concerned.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np

from quant_platform.sources.simulated.days import BLOCK, PathDays
from quant_platform.sources.simulated.draws import (
    GROUP,
    Floats,
    Integers,
    Truths,
    by_security,
    unit_t,
)
from quant_platform.sources.simulated.roster import Roster

_SPLITS_A_YEAR = 0.08  # high on purpose: sixty symbols have some in every year
_LOW_PRICE = 20.0
_STOCK_DIVIDENDS_A_YEAR, _STOCK_DIVIDEND = 0.008, 1.05
_SPECIALS_A_YEAR, _SPIN_OFFS_A_YEAR = 0.015, 0.006
_DECLARED_BEFORE = 14
_EXPECTED_BEFORE, _REVISED_BEFORE = 60, 12
_REVISED = 0.2
_SURPRISE = 2.2
"""Jump on results, in daily idiosyncratic deviations (Student-t): about five percent."""
_EPOCH = date(1970, 1, 1)

UNIT_KINDS = ("split", "stock_dividend")
CASH_KINDS = ("dividend", "special_dividend", "spin_off")


@dataclass(frozen=True, eq=False)
class Actions:
    """Events by path day; parallel arrays.

    Parameters
    ----------
    security
        Number of the security.
    announced, ex
        Path days.
    kind
        Index into the kinds that they are of.
    value
        New units per old one, or the fraction of the price that is paid.
    """

    security: Integers
    announced: Integers
    ex: Integers
    kind: Integers
    value: Floats

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, int, int, float]]) -> Actions:
        """Put rows into columns."""
        columns = list(zip(*rows, strict=True)) or [(), (), (), (), ()]
        security, announced, ex, kind = (np.array(c, dtype=np.int64) for c in columns[:4])
        return cls(security, announced, ex, kind, np.array(columns[4], dtype=np.float64))

    def chosen(self, which: Truths | Integers) -> Actions:
        """Choose some of them."""
        return Actions(
            self.security[which],
            self.announced[which],
            self.ex[which],
            self.kind[which],
            self.value[which],
        )


@dataclass(frozen=True, eq=False)
class Results:
    """Announcements of results; parallel arrays.

    Parameters
    ----------
    security
        Number of the stock.
    day, expected
        Days since 1970 on which they are announced, and were first expected.
    before_open
        Whether before the open.
    felt
        Path day whose price moves.
    surprise
        Unit deviations.
    jump
        Of the log price.
    quarter
        Quarters since year 0 of the period told.
    """

    security: Integers
    day: Integers
    expected: Integers
    before_open: Truths
    felt: Integers
    surprise: Floats
    jump: Floats
    quarter: Integers


def years_of(time: PathDays) -> range:
    """Calendar years of the market."""
    first, last = (np.datetime64(int(time.days[at]), "D").astype(object).year for at in (0, -1))
    return range(first, last + 1)


def _uniform(seed: int, owner: str, purpose: str, groups: Integers, *, year: int, n: int) -> Floats:
    return by_security(seed, owner, purpose, groups, lambda g: g.random((GROUP, n)), block=year)


def _opening(year: int) -> int:
    return (date(year, 1, 1) - _EPOCH).days


def results(seed: int, owner: str, roster: Roster, groups: Integers, time: PathDays) -> Results:
    """Announce the results of stocks."""
    found = []
    stocks = roster.of_class("stock")[:, None]
    phase = _uniform(seed, owner, "results phase", groups, year=0, n=1)
    for year in years_of(time):
        luck = _uniform(seed, owner, "results", groups, year=year, n=24).reshape(-1, 4, 6)
        surprise = by_security(
            seed, owner, "surprise", groups, lambda g: unit_t(g, (GROUP, 4)), block=year
        )
        opening = np.array([_opening(year) + (91, 92, 92, 92)[q] * q for q in range(4)])
        day = opening + 18 + np.floor(25 * phase + 5 * luck[:, :, 0]).astype(np.int64)
        # A weekday: results on a Saturday are those of Monday.
        day += np.array([0, 0, 0, 0, 0, 2, 1])[(day + 3) % 7]
        moved = 1 + (luck[:, :, 3] * 6).astype(np.int64)
        moved = np.where(luck[:, :, 4] < 0.5, -moved, moved)
        early = luck[:, :, 1] < 0.5
        felt = time.at_or_after(np.where(early, day, day + 1))
        inside = (felt > roster.listed[:, None] + 2) & (felt < roster.announced[:, None])
        inside &= (felt < len(time.days)) & stocks
        security, _ = np.nonzero(inside)
        quarter = np.broadcast_to(np.arange(4) + 4 * year - 1, day.shape)
        jump = _SURPRISE * roster.volatility[:, None] * surprise
        expected = np.where(luck[:, :, 2] < _REVISED, day + moved, day)
        columns = (day, expected, early, felt, surprise, jump, quarter)
        found.append((security, *(column[inside] for column in columns)))
    return Results(*(np.concatenate(column) for column in zip(*found, strict=True)))


def cash(seed: int, owner: str, roster: Roster, groups: Integers, time: PathDays) -> Actions:
    """Plan dividends, special dividends and spin-offs; ``value`` is a fraction of the price."""
    parts: list[Actions] = []
    phase = _uniform(seed, owner, "payment phase", groups, year=0, n=1)
    months = np.arange(12)
    for year in years_of(time):
        luck = _uniform(seed, owner, "payments", groups, year=year, n=6)
        opening = _opening(year)
        quarterly = opening + 91 * np.arange(4) + 20 + (phase * 60).astype(np.int64)
        monthly = opening + (30.4 * months).astype(np.int64) + 2 + (phase * 5).astype(np.int64)
        once = opening + 20 + (luck[:, 1:2] * 320).astype(np.int64)
        share = roster.distributed / np.maximum(roster.payments, 1)
        stocks = roster.of_class("stock")
        special = stocks & (roster.distributed > 0) & (luck[:, 0] < _SPECIALS_A_YEAR)
        spins = stocks & (luck[:, 2] < _SPIN_OFFS_A_YEAR)
        later = opening + 20 + (luck[:, 3:4] * 320).astype(np.int64)
        for kind, pays, day, value in (
            (0, (roster.payments == 4) & (share > 0), quarterly, share),
            (0, (roster.payments == 12) & (share > 0), monthly, share),
            (1, special, once, 0.03 + 0.05 * luck[:, 4]),
            (2, spins, later, 0.05 + 0.15 * luck[:, 5]),
        ):
            parts.append(_planned(roster, time, kind=kind, pays=pays, day=day, value=value))
    return _together(parts)


def _planned(
    roster: Roster, time: PathDays, *, kind: int, pays: Truths, day: Integers, value: Floats
) -> Actions:
    ex = time.at_or_after(day)
    announced = time.at_or_after(day - _DECLARED_BEFORE)
    inside = (announced > roster.listed[:, None]) & (ex < roster.announced[:, None] - 2)
    inside &= pays[:, None] & (ex < len(time.days)) & (announced < ex)
    security, _ = np.nonzero(inside)
    return Actions(
        security, announced[inside], ex[inside], np.full(len(security), kind), value[security]
    )


def _together(parts: list[Actions]) -> Actions:
    columns = ("security", "announced", "ex", "kind", "value")
    return Actions(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def splits(
    seed: int, owner: str, roster: Roster, groups: Integers, time: PathDays, *, level: Floats
) -> Actions:
    """Plan splits and stock dividends.

    Parameters
    ----------
    seed, owner, roster, groups, time
        The sleeve.
    level
        Log price at the beginning of each block, in units of the market's start.
    """
    units = np.ones(len(roster))
    planned: list[tuple[int, int, int, int, float]] = []
    last = np.full(len(roster), -1)
    may = ~roster.of_class("crypto")
    for year in years_of(time):
        luck = _uniform(seed, owner, "splits", groups, year=year, n=6)
        hit = may & ((luck[:, 0] < _SPLITS_A_YEAR) | (luck[:, 4] < _STOCK_DIVIDENDS_A_YEAR))
        for security in np.flatnonzero(hit):
            day = _opening(year) + 25 + int(luck[security, 1] * 330)
            told = day - 7 - int(luck[security, 2] * 15)
            announced, ex = (int(at) for at in time.at_or_after(np.array([told, day])))
            beyond = ex >= min(len(time.days), int(roster.announced[security]) - 2)
            early = announced <= max(int(roster.listed[security]), int(last[security]))
            if beyond or early or told < time.days[0]:
                continue
            kind, ratio = 1, _STOCK_DIVIDEND
            if luck[security, 0] < _SPLITS_A_YEAR:
                price = float(np.exp(level[announced // BLOCK, security])) / units[security]
                lower = 1.0 / (5 if price >= 4 else 10)
                upper = 2.0 if luck[security, 3] < 0.6 else 4.0
                kind, ratio = 0, lower if price < _LOW_PRICE else upper
            elif roster.asset_class[security] != "stock":
                continue
            units[security] *= ratio
            last[security] = ex
            planned.append((int(security), announced, ex, kind, ratio))
    return Actions.of(planned)


def known_before(results_: Results) -> tuple[Integers, Integers]:
    """Days since 1970 on which the first and the revised expectation are published."""
    return results_.expected - _EXPECTED_BEFORE, results_.day - _REVISED_BEFORE
