"""In the null market no past day of a stock tells the direction of a later one.

A block of days is drawn with its end known to the generator. So whoever asks is given what a method
could ask: whether stocks that rose go on, and whether those that jumped come back, apart from one
another, for the two cancel out in what all stocks do.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt
import pytest

from quant_platform.sources.simulated import paths
from quant_platform.sources.simulated.days import BLOCK, path_days
from quant_platform.sources.simulated.idiosyncratic import Wildness
from quant_platform.sources.simulated.paths import Paths
from quant_platform.sources.simulated.planted import Planted
from quant_platform.sources.simulated.roster import NEVER
from quant_platform_tests.sources.markets import NYSE

START = date(2010, 1, 4)
HALF = BLOCK // 2
MONTH = 21
SEEDS, BLOCKS = (11, 12), range(2, 12)

Matrix = npt.NDArray[np.float64]


def stocks(seed: int, planted: Planted) -> Paths:
    time = path_days(NYSE, START)
    return Paths(seed, "stocks", START, time, asset_classes=("stock",), count=480, planted=planted)


def own_moves(market: Paths, number: int) -> Matrix:
    """Take what a stock did on its own, in usual deviations, without what is told about it."""
    who = np.arange(len(market.roster))
    path = market.block(number).path
    moves = np.diff(path, axis=1) - market._common(number, who)
    for security, day, move in market._moves():
        here = np.flatnonzero(day // BLOCK == number)
        np.add.at(moves, (security[here], day[here] % BLOCK), -move[here])
    days = slice(number * BLOCK, (number + 1) * BLOCK)
    usual = market.roster.volatility[:, None] * market.scale[days, 0]
    left = (market.roster.announced != NEVER) & (market.roster.announced // BLOCK <= number)
    return np.asarray((moves / usual)[~left])


def slope(past: Matrix, future: Matrix) -> float:
    """Deviations by which the slope of the future on the past is off zero."""
    past, future = past - past.mean(), future - future.mean()
    found = (past * future).sum() / (past**2).sum()
    error = (future - found * past).std() / np.sqrt((past**2).sum())
    return float(found / error)


def told_by_the_past() -> tuple[float, float]:
    """How much half a block tells of the month after it: of calm stocks, and after a jump."""
    halves, largest, after = [], [], []
    for seed in SEEDS:
        market = stocks(seed, Planted.none())
        for number in BLOCKS:
            moves = own_moves(market, number)
            past = moves[:, :HALF]
            place = np.abs(past).argmax(axis=1)
            halves.append(past.sum(axis=1))
            largest.append(past[np.arange(len(past)), place])
            after.append(moves[:, HALF : HALF + MONTH].sum(axis=1))
    half, jump, month = (np.concatenate(part) for part in (halves, largest, after))
    size = np.abs(jump)
    calm, jumpy = size < np.quantile(size, 0.5), size > np.quantile(size, 0.8)
    return slope(half[calm], month[calm]), slope(jump[jumpy], month[jumpy])


def test_the_past_tells_nothing() -> None:
    going_on, coming_back = told_by_the_past()
    assert abs(going_on) < 3
    assert abs(coming_back) < 3


def test_days_moved_by_a_constant_would_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: a bridge that forgets which days were wild."""

    def constant(self: Wildness, moves: Matrix, total: Matrix) -> Matrix:
        return np.asarray(moves + (total - moves.sum(axis=1))[:, None] / BLOCK)

    monkeypatch.setattr(Wildness, "bridge", constant)
    going_on, coming_back = told_by_the_past()
    assert going_on > 4
    assert coming_back < -6


def test_days_add_up_to_the_level_of_the_next_block() -> None:
    market = stocks(SEEDS[0], Planted())
    staying = market.roster.announced == NEVER
    for number in BLOCKS:
        path = market.block(number).path
        np.testing.assert_allclose(path[staying, 0], market.level[number, staying], rtol=1e-12)
        np.testing.assert_allclose(path[staying, -1], market.level[number + 1, staying], rtol=1e-9)


def test_what_fails_falls_at_once_where_nothing_is_planted() -> None:
    """It slides by as much otherwise: at its end both have lost the same."""
    at_once, sliding = (stocks(SEEDS[0], Planted(slide=slide)) for slide in (0.0, 1.0))
    roster = at_once.roster
    seen = roster.delisted < at_once.blocks * BLOCK
    fails = np.flatnonzero(seen & ~np.isfinite(roster.premium))
    assert len(fails)
    for security in fails.tolist():
        first, end = int(roster.announced[security]), int(roster.delisted[security])
        fallen, slid = (m.block(first // BLOCK).path[security] for m in (at_once, sliding))
        begin = first % BLOCK
        np.testing.assert_array_equal(fallen[: begin + 1], slid[: begin + 1])
        left = np.arange(end - first - 1, -1, -1)
        ahead = (slid - fallen)[begin + 1 : begin + 1 + len(left)]
        np.testing.assert_allclose(ahead, paths._SLIDE * left, atol=1e-12)


def test_nothing_is_planted_in_the_null_market() -> None:
    assert set(vars(Planted.none()).values()) == {0.0}
