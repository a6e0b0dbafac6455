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

import numpy as np
import polars as pl

from quant_platform.features.anchors import SWING, Setup, above, below, gap, gapped, setup, typical
from quant_platform.features.family import Family
from quant_platform.features.finite import Block, finite_features, finite_windows
from quant_platform.features.rolling import Matrix, lowest, mean
from quant_platform.lakehouse.contracts.features_avwap import (
    EXTENSIONS,
    FEATURES_AVWAP,
    POSITIONS,
    STATES,
    STRUCTURES,
)
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings import TrendSettings

AVWAP = Family(FEATURES_AVWAP, reads=("atr_14",), looks_at=("trend_score",), yearly=True)

AT = 0.2
"""Percent within which the close is at its average."""


def avwap_windows() -> dict[str, Window]:
    """Sessions of its inputs that ``features_avwap`` depends on."""
    return finite_windows(AVWAP)


def avwap_features(
    frames: Mapping[str, pl.LazyFrame], settings: TrendSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``features_avwap`` for a range; see `finite_features`."""
    return finite_features(AVWAP, frames, settings, wanted)


def _of(block: Block) -> Setup:
    """Return the setup of a block, found once for all columns."""
    return block.shared("setup", lambda: setup(block))


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
    holds = [gapped(block.answer(gap(block))), best.reclaim, best.acceptance]
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
    rising = above(block.close, short) & above(short, long)
    falling = below(block.close, short) & below(short, long)
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


@AVWAP.column
def r1(block: Block) -> Matrix:
    """First floor pivot above."""
    return 2 * typical(block) - block.low


@AVWAP.column
def r2(block: Block) -> Matrix:
    """Second floor pivot above."""
    return typical(block) + block.high - block.low
