"""Averages from anchors: where they begin, how they run, and which of them is the best.

Money and units are summed up from the first session of the year that the asked sessions are in,
forwards and backwards, so that what lies between two sessions is a difference of two sums that do
not depend on where a range begins. The family's ranges are parted at the years for that.

Prices come to the cent, so that a close which equals an average, two equal lows or a gap of exactly
4 percent are common, while a quotient or a sum has last bits of its own. What differs by less than
`SAME` is therefore equal: of equal lows or highs the latest counts, of equal scores that of the
anchor with the higher priority, a gap of 4 percent is one, a close on its average is not above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant_platform.features.finite import Block
from quant_platform.features.rolling import Matrix, highest, lowest, mean, shifted
from quant_platform.lakehouse.contracts.features_avwap import ANCHORS

PRIORITY = dict(zip(ANCHORS, (100.0, 90.0, 80.0, 70.0, 50.0, 40.0), strict=True))
OLDEST = 60
"""Sessions after which a gap or a break-out is no anchor any more."""
GAP = 4.0
"""Percent."""
SLOPE_SESSIONS = 10
SWING = 20
SAME = 1e-9
"""Share by which prices must differ to be different: far more than rounding, less than a tick."""

_Rows = npt.NDArray[np.int64]
_Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Anchored:
    """Averages of one anchor, by session and series; NaN where the anchor does not count.

    Parameters
    ----------
    age
        Sessions since the anchor.
    average, slope, distance
        Price; percent per session; percent.
    reclaim, acceptance
        The close comes from below; three closes above.
    """

    age: Matrix
    average: Matrix
    slope: Matrix
    distance: Matrix
    reclaim: _Truth
    acceptance: _Truth

    @property
    def rejected(self) -> _Truth:
        """Where the average is too far away, or falls."""
        falling = (self.slope < -0.05) & ~self.reclaim
        return np.asarray(~((np.abs(self.distance) <= 8) & ~falling))

    def score(self, priority: float) -> Matrix:
        """Score of the anchor without what all anchors share; minus infinity where rejected."""
        near = (self.distance >= 0.1) & (self.distance <= 1.5)
        score = priority - np.abs(self.distance) + 50.0 * near + 40.0 * self.reclaim
        return np.where(self.rejected, -np.inf, score)


def anchor_rows(block: Block) -> dict[str, _Rows]:
    """Row of each anchor as of each row that is asked for; -1 where there is none.

    Parameters
    ----------
    block
        Bars, with the session of each row.

    Returns
    -------
    dict of matrices
        Of one column where the anchor is the same for every series.
    """
    asked = len(block.answer(block.close))
    recent = block.last(asked + OLDEST)
    last = block.last(asked + SWING - 1)
    here = np.arange(len(block.close) - asked, len(block.close))[:, None]
    # What happened on the first of these rows looks back further than they do.
    breakout = _breakout(block.last(asked + OLDEST + SWING))[-len(recent.close) :]
    gaps = gap(block.last(asked + OLDEST + 1))[-len(recent.close) :]
    return {
        "year_to_date": _first_of(block, "Y")[-asked:],
        "gap": _last(gapped(gaps), here),
        "breakout": _last(breakout, here),
        "month_to_date": _first_of(block, "M")[-asked:],
        "swing_low": _latest(last.low, lowest(last.low, SWING), here),
        # The highest high is the lowest of their negatives.
        "swing_high": _latest(-last.high, -highest(last.high, SWING), here),
    }


def gap(block: Block) -> Matrix:
    """Open against the close before, percent."""
    return 100 * (block.open / block.before - 1)


def gapped(gaps: Matrix) -> _Truth:
    """Whether a gap is one of at least `GAP` percent."""
    return np.asarray(np.abs(gaps) >= GAP - 100 * SAME)


def above(value: Matrix, level: Matrix) -> _Truth:
    """Whether a price is above a level by more than rounding."""
    return np.asarray(value > (1 + SAME) * level)


def below(value: Matrix, level: Matrix) -> _Truth:
    """Whether a price is below a level by more than rounding."""
    return np.asarray(value < (1 - SAME) * level)


def _breakout(block: Block) -> _Truth:
    """Much volume, a close in the top 30 percent of the range and above the 5-session high."""
    top = ~below(block.close, 0.3 * block.low + 0.7 * block.high)
    higher = above(block.close, shifted(highest(block.high, 5), 1))
    return above(block.volume, 1.8 * mean(block.volume, SWING)) & top & higher


def _first_of(block: Block, period: str) -> _Rows:
    """Row of the first session of each row's year or month."""
    begins = block.session.astype(f"datetime64[{period}]") != block.previous.astype(
        f"datetime64[{period}]"
    )
    rows = np.maximum.accumulate(np.where(begins, np.arange(len(begins)), -1))
    return rows[:, None]


def _last(event: _Truth, here: _Rows) -> _Rows:
    """Row of the last event, if it is not too old."""
    row = np.arange(here[-1, 0] + 1 - len(event), here[-1, 0] + 1)[:, None]
    rows = np.maximum.accumulate(np.where(event, row, -1), axis=0)[-len(here) :]
    return np.where(here - rows <= OLDEST, rows, -1)


def _latest(price: Matrix, extreme: Matrix, here: _Rows) -> _Rows:
    """Row of the lowest price of the last sessions, the latest of equals."""
    asked = len(here)
    lowest, none = extreme[-asked:], np.int8(SWING)
    wanted = lowest + SAME * np.abs(lowest)
    back = np.full(wanted.shape, none)
    for sessions in range(min(SWING, len(price))):
        begin = len(price) - asked - sessions
        earlier = price[max(begin, 0) : len(price) - sessions]
        # Not "higher than": a price that is lacking is not the lowest.
        differs = ~(earlier <= wanted[-len(earlier) :])
        place = np.maximum(differs.view(np.int8) * none, np.int8(sessions))
        least = back[-len(earlier) :]
        np.minimum(least, place, out=least)
    return np.where(back < none, here - back, -1)


def typical(block: Block) -> Matrix:
    """Typical price of each session."""
    return (block.high + block.low + block.close) / 3


@dataclass(frozen=True)
class _Paid:
    """What averages from any anchor are made of.

    Parameters
    ----------
    money, units
        Money and units traded from the year's first row to before each row, negative before it;
        NaN after the last row, which is where averages without an anchor begin.
    typical
        Typical price of each row that has volume; NaN after the last row.
    close
        Closes of the rows that are asked for, and of one and two sessions before each.
    """

    money: Matrix
    units: Matrix
    typical: Matrix
    close: tuple[Matrix, Matrix, Matrix]

    @classmethod
    def of(cls, block: Block) -> _Paid:
        """Sum up a block."""
        year = max(int(_first_of(block, "Y")[-1, 0]), 0)
        price = typical(block)
        volume = np.where(np.isnan(block.volume), 0.0, block.volume)
        money = price * volume
        np.copyto(money, 0.0, where=np.isnan(money))
        none = np.full((1, money.shape[1]), np.nan)
        now, before, earlier = (block.answer(shifted(block.close, back)) for back in range(3))
        return cls(
            np.concatenate([_sums(money, year), none]),
            np.concatenate([_sums(volume, year), none]),
            np.concatenate([np.where(volume > 0, price, np.nan), none, none]),
            (now, before, earlier),
        )


def _sums(values: Matrix, origin: int) -> Matrix:
    """Return the sums from a row to before each row, and of all after it; negative before it."""
    sums = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values[origin:], axis=0, out=sums[origin + 1 :])
    sums[:origin] = -np.cumsum(values[:origin][::-1], axis=0)[::-1]
    return sums


def anchored(block: Block, rows: _Rows) -> Anchored:
    """Follow the average from the anchor of each row that is asked for.

    Parameters
    ----------
    block
        Bars.
    rows
        Row of the anchor as of each row that is asked for, -1 for none; one column for all series
        or one for each.
    """
    paid = block.shared("paid", lambda: _Paid.of(block))
    here = block.answer(np.arange(len(block.close)))
    counts = (rows >= 0) & (rows < here[:, None])
    begin = np.where(counts, rows, len(block.close) + 1)
    money, units, first = (_at(part, begin) for part in (paid.money, paid.units, paid.typical))

    def average(back: int) -> Matrix:
        """Average as of some sessions earlier, from the same anchor; NaN before it."""
        end = np.maximum(here - back + 1, 0)
        traded = paid.units[end] - units
        found = (paid.money[end] - money) / traded
        return np.where(traded > 0, found, np.nan)

    age = np.where(counts, here[:, None] - begin, np.nan)
    now, before = average(0), average(1)
    start = np.where(age < SLOPE_SESSIONS, first, average(SLOPE_SESSIONS))
    slope = 100 * (now / start - 1) / np.minimum(age, SLOPE_SESSIONS)
    levels = (now, before, average(2))
    higher = [above(price, level) for price, level in zip(paid.close, levels, strict=True)]
    return Anchored(
        age=np.broadcast_to(age, now.shape),
        average=now,
        slope=slope,
        distance=100 * (paid.close[0] / now - 1),
        reclaim=higher[0] & below(paid.close[1], before),
        acceptance=higher[0] & higher[1] & higher[2],
    )


def _at(sums: Matrix, row: _Rows) -> Matrix:
    """Rows of a matrix: one for all series, or one for each."""
    width = sums.shape[1]
    if row.shape[1] == 1:
        return np.take(sums, row[:, 0], axis=0)
    return np.asarray(np.take(sums, row * width + np.arange(width)))


@dataclass(frozen=True)
class Setup:
    """The best anchor of each cell.

    Parameters
    ----------
    anchor
        Its place in `ANCHORS`; NaN where every anchor is rejected.
    score
        Its score without the trend's part.
    best
        Its averages; meaningless where there is no anchor.
    confluence
        Anchors whose average is within 1 percent of it, itself included.
    """

    anchor: Matrix
    score: Matrix
    best: Anchored
    confluence: Matrix


def setup(block: Block) -> Setup:
    """Choose the best anchor of every cell.

    Parameters
    ----------
    block
        Bars, with the session of each row.
    """
    # Of a year only what lies before its asked rows is needed, or what an anchor looks back.
    asked = len(block.answer(block.close))
    year = max(int(_first_of(block, "Y")[-1, 0]), 0)
    near = block.last(max(len(block.close) - year, asked + OLDEST + SWING + 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = [anchored(near, rows) for rows in anchor_rows(near).values()]
        score = found[0].score(PRIORITY[ANCHORS[0]])
        chosen = np.zeros(score.shape, dtype=np.int8)
        for place, one in enumerate(found[1:], start=1):
            own = one.score(PRIORITY[ANCHORS[place]])
            better = own > score + SAME
            np.maximum(chosen, np.int8(place) * better.view(np.int8), out=chosen)
            np.copyto(score, own, where=better)
        known = np.isfinite(score)
        best = _chosen(found, chosen, known)
        near_by = [np.abs(one.average / best.average - 1) <= 0.01 for one in found]
    return Setup(
        anchor=np.where(known, chosen, np.nan),
        score=np.where(known, score, np.nan),
        best=best,
        confluence=np.where(known, np.sum(near_by, axis=0, dtype=np.int8), np.nan),
    )


def _chosen(found: Sequence[Anchored], place: npt.NDArray[np.int8], known: _Truth) -> Anchored:
    """Averages of the chosen anchors; NaN where there is none."""
    cell = place.astype(np.int64) * place.size + np.arange(place.size).reshape(place.shape)
    parts = {
        name: np.take(np.stack([getattr(one, name) for one in found]), cell)
        for name in vars(found[0])
    }
    for name in ("age", "average", "slope", "distance"):
        np.copyto(parts[name], np.nan, where=~known)
    return Anchored(**parts)
