"""Anchored volume-weighted averages: which anchor matters, and what the price does at it.

1. Anchors: the first session of the year and of the month; of the last 60 sessions the last gap of
   at least 4 percent and the last volume break-out; the lowest low and the highest high of 20
   sessions, the latest of equals. An anchor counts from the session after it on.
2. From each anchor on, the average of typical prices weighted by volume; its slope; the distance of
   the close; whether the close comes from below it (a *reclaim*).
3. An average is rejected where the close is further than 8 percent away, or where it falls by more
   than 0.05 percent a session and is not just reclaimed.
4. The best of the others: priority - |distance| + 50 where the close is 0.1 to 1.5 percent above it
   + 40 for a reclaim; `anchor_score` adds 1.5 trend_score, which is the same for every anchor.
5. For the best: setup, extension, levels of entry and stop. Targets are floor pivots.

Percent and fractions never meet: every distance here is in percent. The numbers are those of the
platform's specification (chapter 03); they belong together, and are no settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.family import Family
from quant_platform.features.finite import Block, finite_features, finite_windows
from quant_platform.features.rolling import Matrix, highest, lowest, mean, shifted, weighted
from quant_platform.lakehouse.contracts.features_avwap import (
    ANCHORS,
    EXTENSIONS,
    FEATURES_AVWAP,
    POSITIONS,
    STATES,
    STRUCTURES,
)
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings import TrendSettings

AVWAP = Family(FEATURES_AVWAP, reads=("atr_14",), looks_at=("trend_score",))

PRIORITY = dict(zip(ANCHORS, (100.0, 90.0, 80.0, 70.0, 50.0, 40.0), strict=True))
OLDEST = 60
"""Sessions after which a gap or a break-out is no anchor any more."""
GAP = 4.0
"""Percent."""
SLOPE_SESSIONS = 10
SWING = 20
AT = 0.2
"""Percent within which the close is at its average."""

_Rows = npt.NDArray[np.int64]
_Truth = npt.NDArray[np.bool_]


def avwap_windows(settings: TrendSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``features_avwap`` depends on."""
    return finite_windows(AVWAP, settings)


def avwap_features(
    frames: Mapping[str, pl.LazyFrame], settings: TrendSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``features_avwap`` for a range; see `finite_features`."""
    return finite_features(AVWAP, frames, settings, wanted)


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


# -- anchors ---------------------------------------------------------------------------------------


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
        "gap": _last(np.abs(gaps) >= GAP, here),
        "breakout": _last(breakout, here),
        "month_to_date": _first_of(block, "M")[-asked:],
        "swing_low": _latest(last.low, lowest(last.low, SWING), here),
        "swing_high": _latest(last.high, highest(last.high, SWING), here),
    }


def gap(block: Block) -> Matrix:
    """Open against the close before, percent."""
    return 100 * (block.open / block.before - 1)


def _breakout(block: Block) -> _Truth:
    """Much volume, a close in the top 30 percent of the range and above the 5-session high."""
    place = block.close - block.low >= 0.7 * (block.high - block.low)
    above = block.close > shifted(highest(block.high, 5), 1)
    # Added up from each row backwards: a mean that does not depend on where the rows begin.
    usual = weighted(block.volume, [1.0] * SWING)
    return np.asarray((block.volume > 1.8 * usual) & place & above)


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
    """Row of the extreme price of the last sessions, the latest of equals."""
    asked = len(here)
    wanted, back = extreme[-asked:], np.full((asked, price.shape[1]), -1, dtype=np.int64)
    for sessions in reversed(range(min(SWING, len(price)))):
        found = shifted(price, sessions)[-asked:] == wanted
        np.copyto(back, sessions, where=found)
    return np.where(back >= 0, here - back, -1)


@dataclass(frozen=True)
class _Paid:
    """What averages from any anchor are made of.

    Parameters
    ----------
    money, units
        Money and units traded before each row, and in all of them.
    close
        Closes of the rows that are asked for, and of one and two sessions before each.
    """

    money: Matrix
    units: Matrix
    close: tuple[Matrix, Matrix, Matrix]


def _paid(block: Block) -> _Paid:
    kept = block.once
    if "paid" not in kept:
        volume = np.where(np.isnan(block.volume), 0.0, block.volume)
        money = _typical(block) * volume
        np.copyto(money, 0.0, where=np.isnan(money))
        now, before, earlier = (block.answer(shifted(block.close, back)) for back in range(3))
        kept["paid"] = _Paid(_sums(money), _sums(volume), (now, before, earlier))
    found: _Paid = kept["paid"]
    return found


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
    paid = _paid(block)
    here = block.answer(np.arange(len(block.close)))
    counts = (rows >= 0) & (rows < here[:, None])
    begin = np.where(counts, rows, 0)
    money, units = (_at(sums, begin) for sums in (paid.money, paid.units))

    def between(end_money: Matrix, end_units: Matrix, there: _Truth) -> Matrix:
        traded = end_units - units
        there = there & (traded > 0)
        return np.where(there, (end_money - money) / np.where(there, traded, 1.0), np.nan)

    def average(back: int) -> Matrix:
        """Average as of some sessions earlier, from the same anchor; NaN before it."""
        end = np.maximum(here - back + 1, 0)
        return between(paid.money[end], paid.units[end], counts & (end[:, None] > begin))

    now, age = average(0), np.where(counts, here[:, None] - begin, 0)
    first = between(_at(paid.money, begin + 1), _at(paid.units, begin + 1), counts)
    start = np.where(age < SLOPE_SESSIONS, first, average(SLOPE_SESSIONS))
    slope = 100 * (now / start - 1) / np.clip(age, 1, SLOPE_SESSIONS)
    levels = now, average(1), average(2)
    above = [price > level for price, level in zip(paid.close, levels, strict=True)]
    reclaim = above[0] & (paid.close[1] < levels[1])
    return Anchored(
        age=np.broadcast_to(np.where(counts, age, np.nan), now.shape),
        average=now,
        slope=slope,
        distance=100 * (paid.close[0] / now - 1),
        reclaim=reclaim,
        acceptance=above[0] & above[1] & above[2],
    )


def _at(sums: Matrix, row: _Rows) -> Matrix:
    """Rows of sums: one for all series, or one for each."""
    width = sums.shape[1]
    if row.shape[1] == 1:
        return np.take(sums, row[:, 0], axis=0)
    return np.asarray(np.take(sums, row * width + np.arange(width)))


def _sums(values: Matrix) -> Matrix:
    """Return the sums of the rows before each row, and of all of them."""
    return np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])


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
    found = [anchored(block, rows) for rows in anchor_rows(block).values()]
    score = found[0].score(PRIORITY[ANCHORS[0]])
    chosen = np.zeros_like(score)
    parts = {name: part.copy() for name, part in vars(found[0]).items()}
    for place, one in enumerate(found[1:], start=1):
        own = one.score(PRIORITY[ANCHORS[place]])
        better = own > score
        np.copyto(score, own, where=better)
        np.copyto(chosen, float(place), where=better)
        for name, part in parts.items():
            np.copyto(part, getattr(one, name), where=better)
    known = np.isfinite(score)
    for name in ("age", "average", "slope", "distance"):
        np.copyto(parts[name], np.nan, where=~known)
    best = Anchored(**parts)
    near = sum(np.abs(one.average / best.average - 1) <= 0.01 for one in found)
    return Setup(
        anchor=np.where(known, chosen, np.nan),
        score=np.where(known, score, np.nan),
        best=best,
        confluence=np.where(known, near, np.nan),
    )


def _of(block: Block) -> Setup:
    """Return the setup of a block, found once for all columns."""
    kept = block.once
    if "setup" not in kept:
        kept["setup"] = setup(block)
    found: Setup = kept["setup"]
    return found


# -- columns ---------------------------------------------------------------------------------------


@AVWAP.column
def anchor(block: Block) -> Matrix:
    """Place of the best anchor."""
    return _of(block).anchor


@AVWAP.column
def anchor_age(block: Block) -> Matrix:
    """Sessions since the anchor."""
    return _of(block).best.age


@AVWAP.column
def anchor_score(block: Block) -> Matrix:
    """Score of the anchor, with the trend's part."""
    return _of(block).score + 1.5 * block.answer(block.state["trend_score"])


@AVWAP.column
def avwap(block: Block) -> Matrix:
    """Average price since the anchor."""
    return _of(block).best.average


@AVWAP.column
def avwap_slope(block: Block) -> Matrix:
    """Slope of the average."""
    return _of(block).best.slope


@AVWAP.column
def dist_pct(block: Block) -> Matrix:
    """Distance of the close from the average."""
    return _of(block).best.distance


@AVWAP.column
def confluence(block: Block) -> Matrix:
    """Averages that are near to one another."""
    return _of(block).confluence


@AVWAP.column
def position(block: Block) -> Matrix:
    """Side of the average that the close is on."""
    distance = _of(block).best.distance
    side = np.where(np.abs(distance) <= AT, 0.0, np.sign(distance))
    return side + POSITIONS.index("at")


@AVWAP.column
def setup_state(block: Block) -> Matrix:
    """Name what happens at the average."""
    best = _of(block).best
    sides = [STATES.index(name) for name in POSITIONS]
    place = position(block)
    side = np.where(np.isnan(place), np.nan, np.array(sides)[np.nan_to_num(place).astype(int)])
    holds = [np.abs(block.answer(gap(block))) >= GAP, best.reclaim, best.acceptance]
    return np.where(np.isnan(side), np.nan, np.select(holds, [0.0, 1.0, 2.0], side))


@AVWAP.column
def extension(block: Block) -> Matrix:
    """How far the close is from the average."""
    distance = np.abs(_of(block).best.distance)
    places = [float(EXTENSIONS.index(name)) for name in ("balanced", "extended", "stretched")]
    far = np.select([distance <= 1, distance >= 6], places[:2], places[2])
    return np.where(np.isnan(distance), np.nan, far)


@AVWAP.column
def structure(block: Block) -> Matrix:
    """Order of the close and its means."""
    short, long = mean(block.close, 20), mean(block.close, 50)
    rising = (block.close > short) & (short > long)
    falling = (block.close < short) & (short < long)
    return rising.astype(np.float64) - falling + STRUCTURES.index("mixed")


@AVWAP.column
def entry(block: Block) -> Matrix:
    """Price of an entry."""
    return np.maximum(block.answer(block.close), _of(block).best.average)


@AVWAP.column
def stop(block: Block) -> Matrix:
    """Price at which the setup has failed."""
    price = entry(block)
    swing, spread = (block.answer(m) for m in (lowest(block.low, SWING), block.state["atr_14"]))
    level = np.minimum(0.995 * swing, 0.997 * _of(block).best.average)
    return np.minimum(level, np.minimum(price - spread, 0.985 * price))


def _typical(block: Block) -> Matrix:
    return (block.high + block.low + block.close) / 3


@AVWAP.column
def r1(block: Block) -> Matrix:
    """First floor pivot above."""
    return 2 * _typical(block) - block.low


@AVWAP.column
def r2(block: Block) -> Matrix:
    """Second floor pivot above."""
    return _typical(block) + block.high - block.low
