"""Ten price paths drawn by hand, and what is to be said of the last session of each.

Bars are flat (open, high, low and close are one price) with a volume of 100 where nothing else is
said, so that an average since an anchor is the plain mean of the prices from it on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pytest

from quant_platform.features.anchors import anchor_rows, setup
from quant_platform.features.avwap import AVWAP
from quant_platform.features.finite import Block
from quant_platform.lakehouse.contracts.features_avwap import (
    ANCHORS,
    EXTENSIONS,
    POSITIONS,
    STATES,
    STRUCTURES,
)
from quant_platform_tests.lakehouse.small_lake import CALENDAR

MARCH = date(2024, 3, 15)
"""The eleventh session of its month."""
JANUARY = date(2024, 1, 31)
"""The 21st session of its year."""
JUNE = date(2024, 6, 14)
"""Further from the year's beginning than a path is long."""
NAMES = {
    "anchor": ANCHORS,
    "position": POSITIONS,
    "setup_state": STATES,
    "extension": EXTENSIONS,
    "structure": STRUCTURES,
}
Bar = tuple[float, float, float, float, float]


def flat(*prices: float, volume: float = 100.0) -> list[Bar]:
    return [(price, price, price, price, volume) for price in prices]


def block_of(bars: Sequence[Bar], last: date, *, atr: float = 0.5, score: float = 10.0) -> Block:
    """Lay a path out so that it ends with a session."""
    size = len(bars)
    end = CALENDAR.ordinal(last) + 1
    days = np.array(CALENDAR.sessions[end - size - 1 : end], dtype="datetime64[D]")
    prices = (np.array(column, dtype=float)[:, None] for column in zip(*bars, strict=True))
    state = {"atr_14": np.full((size, 1), atr), "trend_score": np.full((size, 1), score)}
    return Block(*prices, state, session=days[1:], previous=days[:-1])


def told(
    bars: Sequence[Bar], last: date, *, atr: float = 0.5, score: float = 10.0
) -> dict[str, float | str | None]:
    """Say all columns of the last session of a path."""
    block = block_of(bars, last, atr=atr, score=score)
    found: dict[str, float | str | None] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, function in AVWAP.functions.items():
            value = float(function(block)[-1, 0])
            named = NAMES.get(name)
            if np.isnan(value):
                found[name] = None
            else:
                found[name] = named[int(value)] if named else value
    return found


@dataclass(frozen=True)
class Path:
    """A path and what is said of its last session."""

    bars: list[Bar]
    anchor: str | None
    setup_state: str | None
    avwap: float | None
    slope: float | None
    entry: float | None
    stop: float | None
    r1: float
    r2: float
    last: date = MARCH
    atr: float = 0.5


RISE = [103.9, 107.9, 112.1, 116.4, 120.9, 125.6]
PATHS = {
    # Equal lows and highs are those of today, which is no anchor yet: only the month is left.
    "nothing moves": Path(
        flat(*[100.0] * 30), "month_to_date", "at", 100.0, 0.0, 100.0, 98.5, 100.0, 100.0
    ),
    # 20 x 100 and 101 since 2 January: (2000 + 101) / 21. The stop is 1.5 percent below 101.
    "a year begins": Path(
        flat(*[100.0] * 21, 101.0),
        "year_to_date",
        "above",
        2101 / 21,
        10 * (2101 / 2100 - 1),
        101.0,
        99.485,
        101.0,
        101.0,
        last=JANUARY,
    ),
    # A gap of today is no anchor yet, but it is what happened: (10 x 100 + 105) / 11.
    "a gap today": Path(
        flat(*[100.0] * 29, 105.0),
        "month_to_date",
        "gap_reset",
        1105 / 11,
        10 * (1105 / 1100 - 1),
        105.0,
        99.5,
        105.0,
        105.0,
    ),
    "after a gap": Path(
        flat(*[100.0] * 26, 105.0, 105.0, 105.0, 105.5),
        "gap",
        "above",
        420.5 / 4,
        100 / 3 * (420.5 / 420 - 1),
        105.5,
        99.5,
        105.5,
        105.5,
    ),
    # It falls by 0.16 percent a session, which only a reclaim excuses.
    "a gap reclaimed": Path(
        flat(*[100.0] * 24, 105.0, 105.0, 104.0, 103.0, 102.0, 106.0),
        "gap",
        "reclaim",
        625 / 6,
        20 * (625 / 630 - 1),
        106.0,
        99.5,
        106.0,
        106.0,
    ),
    # Typical price of the break-out 102, four times the volume: (40800 + 10250 + 10250 + 10320).
    "a break-out": Path(
        [*flat(*[100.0] * 26), (100.0, 103.0, 100.0, 103.0, 400.0), *flat(102.5, 102.5, 103.2)],
        "breakout",
        "acceptance",
        71620 / 700,
        100 / 3 * (71620 / 71400 - 1),
        103.2,
        99.5,
        103.2,
        103.2,
    ),
    # The month's average falls and is rejected. One ATR is wider than the swing low.
    "a low": Path(
        flat(*[100.0] * 15, *range(99, 89, -1), 90.5, 91.0, 91.0, 91.0, 91.2),
        "swing_low",
        "acceptance",
        544.7 / 6,
        20 * (544.7 / 540 - 1),
        91.2,
        88.7,
        91.2,
        91.2,
        atr=2.5,
    ),
    # Month and low are more than 8 percent away, thanks to much volume at 100.
    "a high": Path(
        [*flat(*[100.0] * 19), *flat(100.0, volume=1000.0), *flat(*RISE, *[125.5] * 4)],
        "swing_high",
        "at",
        627.6 / 5,
        25 * (627.6 / 628 - 1),
        627.6 / 5,
        99.5,
        125.5,
        125.5,
    ),
    # 3.9 percent a session: no gap, and every average is far below.
    "everything is rejected": Path(
        flat(*[100.0] * 20, *(100 * 1.039**n for n in range(1, 11))),
        None,
        None,
        None,
        None,
        None,
        None,
        100 * 1.039**10,
        100 * 1.039**10,
    ),
    # Typical price of the last bar 299 / 3; the entry is the average above the close.
    "below": Path(
        [*flat(*[100.0] * 29), (100.0, 100.5, 99.0, 99.5, 100.0)],
        "month_to_date",
        "below",
        (1000 + 299 / 3) / 11,
        10 * ((1000 + 299 / 3) / 1100 - 1),
        (1000 + 299 / 3) / 11,
        0.985 * (1000 + 299 / 3) / 11,
        2 * 299 / 3 - 99,
        299 / 3 + 1.5,
    ),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_drawn_by_hand(name: str) -> None:
    path = PATHS[name]
    found = told(path.bars, path.last, atr=path.atr)
    assert (found["anchor"], found["setup_state"]) == (path.anchor, path.setup_state)
    for column, expected in (
        ("avwap", path.avwap),
        ("avwap_slope", path.slope),
        ("entry", path.entry),
        ("stop", path.stop),
        ("r1", path.r1),
        ("r2", path.r2),
    ):
        if expected is None:
            assert found[column] is None, column
        else:
            assert found[column] == pytest.approx(expected, rel=1e-12, abs=1e-10), column


def test_scores_are_those_of_the_rule() -> None:
    after_a_gap = told(PATHS["after a gap"].bars, MARCH, score=10.0)
    distance = 100 * (105.5 / 105.125 - 1)
    assert after_a_gap["anchor_score"] == pytest.approx(90 + 15 - distance + 50)
    reclaimed = told(PATHS["a gap reclaimed"].bars, MARCH, score=-2.0)
    distance = 100 * (106 / (625 / 6) - 1)
    assert reclaimed["anchor_score"] == pytest.approx(90 - 3 - distance + 40)
    assert reclaimed["anchor_age"] == 5


def test_percent_is_percent() -> None:
    """A gap of 4 percent fires, of 3.9 does not; as a fraction neither would, or both."""
    small = told(flat(*[100.0] * 29, 103.9), MARCH)
    large = told(flat(*[100.0] * 29, 104.0), MARCH)
    assert (small["setup_state"], large["setup_state"]) == ("above", "gap_reset")
    assert large["dist_pct"] == pytest.approx(100 * (104 / (1104 / 11) - 1))


@pytest.mark.parametrize(
    ("price", "position", "extension"),
    [
        (100.1, "at", "balanced"),
        (100.5, "above", "balanced"),
        (99.5, "below", "balanced"),
        (103.0, "above", "stretched"),
        (97.0, "below", "stretched"),
        (108.0, "above", "extended"),
        (93.0, "below", "extended"),
    ],
)
def test_position_and_extension(price: float, position: str, extension: str) -> None:
    # With a thousandth of the volume today the average stays where it was.
    found = told([*flat(*[100.0] * 29), *flat(price, volume=0.1)], MARCH)
    assert (found["position"], found["extension"]) == (position, extension)


def test_an_old_gap_and_an_old_break_out_are_no_anchors() -> None:
    rise = flat(*[100.0] * 5, *[105.0] * 62)
    assert told(rise[:-1], JUNE)["anchor"] == "gap"
    assert told(rise, JUNE)["anchor"] == "month_to_date"
    burst = [*flat(*[100.0] * 20), (100.0, 101.0, 100.0, 101.0, 900.0), *flat(*[101.0] * 61)]
    assert told(burst[:-1], JUNE)["anchor"] == "breakout"
    assert told(burst, JUNE)["anchor"] == "month_to_date"


def test_averages_that_meet_are_counted() -> None:
    apart = told(PATHS["nothing moves"].bars, MARCH)
    assert apart["confluence"] == 1
    # Both the month's average and that since the low of the session before are 101.
    near = told(flat(*[101.0] * 28, 100.9, 101.1), MARCH)
    assert near["confluence"] == 2


def test_structure_is_the_order_of_close_and_means() -> None:
    rising = flat(*(100.0 + n / 10 for n in range(52)))
    assert told(rising, MARCH)["structure"] == "rising"
    assert told(rising[::-1], MARCH)["structure"] == "falling"
    assert told([*rising[:-1], *flat(90.0)], MARCH)["structure"] == "mixed"


def test_averages_have_the_same_bytes_wherever_the_rows_begin() -> None:
    """Anchors and the averages of ten sessions before lie on both sides of the year's first day."""
    end = CALENDAR.ordinal(date(2024, 3, 1)) + 1
    days = np.array(CALENDAR.sessions[end - 500 : end], dtype="datetime64[D]")
    random = np.random.default_rng(5)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, (499, 3)), axis=0))
    volume = np.exp(random.normal(12, 0.5, (499, 3)))
    high, low = close * 1.01, close * 0.99

    def best(begin: int, stop: int, asked: int) -> dict[str, bytes]:
        rows = slice(begin, stop)
        bars = [part[rows] for part in (close, high, low, close, volume)]
        block = Block(*bars, {}, session=days[1:][rows], previous=days[:-1][rows], asked=asked)
        found = setup(block)
        named = {"score": found.score, "average": found.best.average, "slope": found.best.slope}
        return {name: part[-1].tobytes() for name, part in named.items()}

    # The last 40 sessions are those of the new year.
    for stop in (462, 475, 499):
        alone = best(stop - 366, stop, 1)
        assert best(stop - 366 - 2, stop, stop - 460) == alone
        assert best(0, stop, stop - 460) == alone


# -- ties ------------------------------------------------------------------------------------------

DECIDED = ("anchor", "anchor_age", "position", "setup_state", "extension", "structure")
"""Columns that jump where a comparison tips over."""


def nudged(bars: Sequence[Bar], random: np.random.Generator) -> list[Bar]:
    """Move each price by a last bit, or not, as another vendor's arithmetic would."""
    told = np.array(bars)
    away = np.nextafter(told, np.inf * random.choice([-1.0, 1.0], told.shape))
    told = np.where(random.random(told.shape) < 0.5, away, told)
    told[:, 1] = told[:, :4].max(axis=1)
    told[:, 2] = told[:, :4].min(axis=1)
    return [tuple(bar) for bar in told.tolist()]


def ticking(random: np.random.Generator) -> list[Bar]:
    """Walk on a coarse grid of prices that have no exact binary form: equals are everywhere."""
    tick = float(random.choice([0.01, 0.05, 0.1, 0.37]))
    close = np.maximum(np.cumsum(random.choice([-2, -1, 0, 0, 0, 1, 2], 60)) + 60, 20)
    begin = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(begin, close) + random.integers(0, 3, 60)
    low = np.minimum(begin, close) - random.integers(0, 3, 60)
    volume = random.choice([100.0, 100.0, 300.0], 60)
    prices = tick * np.column_stack([begin, high, low, close])
    return [tuple(bar) for bar in np.column_stack([prices, volume]).tolist()]


@pytest.mark.parametrize("seed", range(60))
def test_a_last_bit_of_a_price_decides_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    bars = ticking(random)
    plain, other = told(bars, MARCH), told(nudged(bars, random), MARCH)
    assert {name: other[name] for name in DECIDED} == {name: plain[name] for name in DECIDED}


@pytest.mark.parametrize("price", [10.1, 33.3, 0.7])
def test_a_price_that_stands_still_is_neither_above_nor_below_its_average(price: float) -> None:
    """Sums of it, weighted by volume, have last bits; a pinned share reclaims nothing."""
    random = np.random.default_rng(3)
    for session in range(20):
        bars = flat(*[price] * (60 + session))
        bars = [(*bar[:4], float(random.integers(100, 10**6))) for bar in bars]
        found = told(bars, CALENDAR.offset(MARCH, session))
        said = found["anchor"], found["setup_state"], found["structure"]
        assert said == ("year_to_date", "at", "mixed")


def test_of_equals_the_latest_low_counts_whatever_their_last_bits() -> None:
    """The month and the high are far below; of two lows at 90 the one of five sessions ago."""
    path = flat(*[100.0] * 10, 90.0, *[94.0] * 12, 90.0, *[94.0] * 4)
    for bits in (0.0, np.inf, -np.inf):
        moved = [(*(np.nextafter(p, bits) if bits else p for p in bar[:4]), bar[4]) for bar in path]
        low = [*path[:10], moved[10], *path[11:]]
        rows = anchor_rows(block_of(low, MARCH))
        assert rows["swing_low"][-1, 0] == 23


@pytest.mark.parametrize(("before", "after"), [(9.25, 9.62), (2.25, 2.16)])
def test_a_gap_of_four_percent_is_one_whatever_its_last_bits(before: float, after: float) -> None:
    assert abs(100 * (after / before - 1)) < 4
    assert told(flat(*[before] * 29, after), MARCH)["setup_state"] == "gap_reset"
