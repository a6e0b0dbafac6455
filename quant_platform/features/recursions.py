"""The recursions behind ``features_state``: one bar in, one state on; and what is read from them.

Means are seeded by the plain mean of what there is, until that is as long as the mean. Wilder's
means weigh the newest move by 1/14. A vector has one value for each security.

A recursion is a function ``<name>_state(step)`` and a `carried` line of the contract; an indicator
is a function of the state and a `feature` line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from quant_platform.features.family import Family
from quant_platform.lakehouse.contracts.feature import told
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_MEAN = re.compile(r"ema_(\d+)_state")

RECURSIONS = Family(FEATURES_STATE, declared="carried")
INDICATORS = Family(FEATURES_STATE)

BAR = ("high", "low", "close", "volume")
"""What a recursion sees of a bar."""
EWMA_WEIGHT = 0.06
"""RiskMetrics technical document (1996): lambda 0.94 for daily returns."""
FIRST_SIGNAL = 26
"""Bar at which the MACD has its first value, and its signal begins."""
FIRST_STRENGTH = 15
"""Bar at which both directional indicators have their first value, and ADX begins."""

COUNTED = ("bars", "idle")
CARRIED = (
    *COUNTED,
    *(name for name, column in FEATURES_STATE.columns.items() if told(column, "carried")),
)
"""Columns of the state: the rows of its table."""
ROW: Mapping[str, int] = {name: row for row, name in enumerate(CARRIED)}


def _carried_in(unit: str) -> npt.NDArray[np.intp]:
    """Rows of what is carried in a unit."""
    units = [told(FEATURES_STATE.columns[name], "carried") for name in CARRIED]
    return np.flatnonzero([carried == unit for carried in units])


_IN_PRICES, _IN_SHARES = _carried_in("price"), _carried_in("shares")
_MEANS = {
    int(found[1]): row for name, row in ROW.items() if (found := _MEAN.fullmatch(name)) is not None
}
"""Rows of the exponential means of closes, by length."""


@dataclass
class Step:
    """One session, as the recursions see it, over all securities; NaN without a bar.

    Parameters
    ----------
    bar
        The session's bar, by column.
    table
        State before it, in today's units: a row for each of `CARRIED`.
    """

    bar: Mapping[str, Vector]
    table: Matrix
    _after: dict[str, Vector] = field(default_factory=dict)
    _weights: dict[tuple[int, int], Vector] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Vector:
        """State column after the session."""
        if name not in self._after:
            self._after[name] = RECURSIONS.functions[name](self)
        return self._after[name]

    def before(self, name: str) -> Vector:
        """State column before the session."""
        row: Vector = self.table[ROW[name]]
        return row

    @cached_property
    def count(self) -> Vector:
        """Bars taken in, this one included."""
        return self.before("bars") + 1

    @cached_property
    def later(self) -> Mask:
        """Which securities had a bar before."""
        return np.asarray(self.count > 1)

    @cached_property
    def change(self) -> Vector:
        """Close less the close before, 0 at the first bar."""
        return np.where(self.later, self.bar["close"] - self.before("close_state"), 0.0)

    @cached_property
    def moves(self) -> tuple[Vector, Vector]:
        """How far the bar reached above the one before, and below it, where that is the larger."""
        up = self.bar["high"] - self.before("high_state")
        down = self.before("low_state") - self.bar["low"]
        rose = self.later & (up > down) & (up > 0)
        fell = self.later & (down > up) & (down > 0)
        return np.where(rose, up, 0.0), np.where(fell, down, 0.0)

    @cached_property
    def means(self) -> dict[int, Vector]:
        """Exponential means of closes by length: all at once, for there are many."""
        lengths = np.array([[float(length)] for length in _MEANS])
        found = _exponential(
            self.table[list(_MEANS.values())], self.bar["close"], lengths, self.count
        )
        return dict(zip(_MEANS, found, strict=True))

    def exponential(self, name: str, value: Vector, length: int, seen: Vector) -> Vector:
        """Exponential mean after a value; ``seen`` counts the values, this one included."""
        return _exponential(self.before(name), value, np.array(float(length)), seen)

    def wilder(self, name: str, value: Vector, length: int, first: int = 2) -> Vector:
        """Wilder's mean after a value that is not negative; ``first`` is the bar of the first."""
        if (length, first) not in self._weights:
            seen = self.count - (first - 1)
            self._weights[length, first] = 1 / np.minimum(np.maximum(seen, 1), length)
        moved = _moved(self.before(name), value, self._weights[length, first])
        return np.maximum(moved, 0.0, out=moved)


def _exponential(before: Vector, value: Vector, length: Vector, seen: Vector) -> Vector:
    weight = np.where(seen <= length, 1 / np.maximum(seen, 1), 2 / (length + 1))
    return _moved(before, value, weight)


def _moved(before: Vector, value: Vector, weight: Vector) -> Vector:
    """Mean that has gone a part of the way to a value."""
    moved = value - before
    moved *= weight
    moved += before
    return moved


def advanced(table: Matrix, bar: Mapping[str, Vector], ratio: Vector, *, new_year: bool) -> Matrix:
    """State after one more session.

    Parameters
    ----------
    table
        State before it, a row for each of `CARRIED`; 0 bars where there is none yet.
    bar
        The session's bars, NaN for none.
    ratio
        New units per old one of the splits of the session, 1 for none.
    new_year
        Whether it is the first session of a calendar year.
    """
    before = in_units(table, ratio)
    if new_year:
        before[ROW["year_close_state"]] = before[ROW["close_state"]]
    step, after = Step(bar, before), np.empty_like(before)
    # Securities without a bar are computed along; what comes of them is not taken.
    with np.errstate(invalid="ignore", divide="ignore"):
        for name in RECURSIONS.functions:
            after[ROW[name]] = step[name]
    after[ROW["bars"]], after[ROW["idle"]] = step.count, 0.0
    before[ROW["idle"]] += 1
    np.copyto(after, before, where=np.isnan(bar["close"]))
    return after


def in_units(table: Matrix, ratio: Vector) -> Matrix:
    """Put a state into the units that splits make of it; always a new one.

    Parameters
    ----------
    table
        The state.
    ratio
        New units per old one.
    """
    scaled = table.copy()
    split = np.flatnonzero(ratio != 1)
    if len(split):
        scaled[np.ix_(_IN_PRICES, split)] /= ratio[split]
        scaled[np.ix_(_IN_SHARES, split)] *= ratio[split]
    return scaled


def indicator(name: str, state: Mapping[str, Vector]) -> Vector:
    """Compute one feature of a state, NaN before its warm-up.

    Parameters
    ----------
    name
        Column of the feature.
    state
        Vectors by column of `CARRIED`.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        found = INDICATORS.functions[name](state)
    return np.where(state["bars"] >= INDICATORS.warm_up(name), found, np.nan)


# -- recursions ------------------------------------------------------------------------------------


@RECURSIONS.column
def close_state(step: Step) -> Vector:
    """Close of the bar."""
    return step.bar["close"]


@RECURSIONS.column
def high_state(step: Step) -> Vector:
    """High of the bar."""
    return step.bar["high"]


@RECURSIONS.column
def low_state(step: Step) -> Vector:
    """Low of the bar."""
    return step.bar["low"]


@RECURSIONS.column
def ema_state(step: Step, length: int) -> Vector:
    """Exponential mean of closes."""
    return step.means[length]


@RECURSIONS.column
def macd_signal_state(step: Step) -> Vector:
    """Exponential mean of the MACD, from the first one on."""
    macd = step["ema_12_state"] - step["ema_26_state"]
    seen = step.count - FIRST_SIGNAL + 1
    moved = step.exponential("macd_signal_state", macd, 9, seen)
    return np.where(seen > 0, moved, 0.0)


@RECURSIONS.column
def gain_state(step: Step, length: int) -> Vector:
    """Wilder mean of rises."""
    return step.wilder(f"gain_{length}_state", np.maximum(step.change, 0.0), length)


@RECURSIONS.column
def loss_state(step: Step, length: int) -> Vector:
    """Wilder mean of falls."""
    return step.wilder(f"loss_{length}_state", np.maximum(-step.change, 0.0), length)


@RECURSIONS.column
def range_state(step: Step, length: int) -> Vector:
    """Wilder mean of true ranges; the first bar has none."""
    before = step.before("close_state")
    span = np.maximum(step.bar["high"], before) - np.minimum(step.bar["low"], before)
    return step.wilder(f"range_{length}_state", np.where(step.later, span, 0.0), length)


@RECURSIONS.column
def plus_state(step: Step, length: int) -> Vector:
    """Wilder mean of upward moves."""
    return step.wilder(f"plus_{length}_state", step.moves[0], length)


@RECURSIONS.column
def minus_state(step: Step, length: int) -> Vector:
    """Wilder mean of downward moves."""
    return step.wilder(f"minus_{length}_state", step.moves[1], length)


@RECURSIONS.column
def adx_state(step: Step, length: int) -> Vector:
    """Wilder mean of the directional index, from its first value on; 0 where nothing moved."""
    plus, minus = step[f"plus_{length}_state"], step[f"minus_{length}_state"]
    moved = plus + minus
    index = 100 * np.abs(plus - minus) / np.where(moved > 0, moved, 1.0)
    mean = step.wilder(f"adx_{length}_state", index, length, FIRST_STRENGTH)
    return np.where(step.count >= FIRST_STRENGTH, mean, 0.0)


@RECURSIONS.column
def obv_state(step: Step) -> Vector:
    """On-balance volume."""
    return step.before("obv_state") + np.sign(step.change) * step.bar["volume"]


@RECURSIONS.column
def ewma_variance_state(step: Step) -> Vector:
    """Exponential mean of squared returns; the plain mean until that weighs them less."""
    before = np.where(step.later, step.before("close_state"), step.bar["close"])
    square = np.log(step.bar["close"] / before) ** 2
    weight = np.maximum(1 / np.maximum(step.count - 1, 1), EWMA_WEIGHT)
    return np.maximum(_moved(step.before("ewma_variance_state"), square, weight), 0.0)


@RECURSIONS.column
def year_close_state(step: Step) -> Vector:
    """Last close of the year before: the first session of a year has put it there."""
    return step.before("year_close_state")


# -- indicators ------------------------------------------------------------------------------------


@INDICATORS.column
def ema(state: Mapping[str, Vector], length: int) -> Vector:
    """Exponential mean of closes."""
    return state[f"ema_{length}_state"]


@INDICATORS.column
def ema_distance(state: Mapping[str, Vector], length: int) -> Vector:
    """Distance of the close from its exponential mean."""
    return state["close_state"] / state[f"ema_{length}_state"] - 1


@INDICATORS.column
def rsi(state: Mapping[str, Vector], length: int) -> Vector:
    """Wilder's relative strength index."""
    gain, loss = state[f"gain_{length}_state"], state[f"loss_{length}_state"]
    return 100 * _share(gain, gain + loss)


@INDICATORS.column
def macd(state: Mapping[str, Vector]) -> Vector:
    """Difference of a fast and a slow exponential mean."""
    return state["ema_12_state"] - state["ema_26_state"]


@INDICATORS.column
def macd_signal(state: Mapping[str, Vector]) -> Vector:
    """Signal of the MACD."""
    return state["macd_signal_state"]


@INDICATORS.column
def atr(state: Mapping[str, Vector], length: int) -> Vector:
    """Average true range."""
    return state[f"range_{length}_state"]


@INDICATORS.column
def atr_pct(state: Mapping[str, Vector]) -> Vector:
    """Average true range over the close, percent."""
    return 100 * state["range_14_state"] / state["close_state"]


@INDICATORS.column
def plus_di(state: Mapping[str, Vector], length: int) -> Vector:
    """Share of the true range that upward moves are."""
    return 100 * _share(state[f"plus_{length}_state"], state[f"range_{length}_state"])


@INDICATORS.column
def minus_di(state: Mapping[str, Vector], length: int) -> Vector:
    """Share of the true range that downward moves are."""
    return 100 * _share(state[f"minus_{length}_state"], state[f"range_{length}_state"])


@INDICATORS.column
def adx(state: Mapping[str, Vector], length: int) -> Vector:
    """Average directional index."""
    return np.minimum(state[f"adx_{length}_state"], 100.0)


@INDICATORS.column
def obv(state: Mapping[str, Vector]) -> Vector:
    """On-balance volume."""
    return state["obv_state"]


@INDICATORS.column
def ewma_volatility(state: Mapping[str, Vector]) -> Vector:
    """Exponentially weighted volatility."""
    return np.sqrt(state["ewma_variance_state"])


@INDICATORS.column
def performance_ytd(state: Mapping[str, Vector]) -> Vector:
    """Return since the last close of the year before."""
    start = state["year_close_state"]
    return np.where(start > 0, state["close_state"] / np.where(start > 0, start, 1.0) - 1, np.nan)


def _share(part: Vector, whole: Vector) -> Vector:
    """Part of a whole, at most all of it; NaN of nothing."""
    share = np.minimum(part / np.where(whole > 0, whole, 1.0), 1.0)
    return np.where(whole > 0, share, np.nan)
