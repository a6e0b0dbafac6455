"""The recursions behind ``features_state``: one bar in, one state on; and what is read from them.

Means are seeded by the plain mean of what there is, until that is as long as the mean. Wilder's
means weigh the newest move by 1/14. A vector has one value for each security.

A recursion is a function ``<name>_state(step)`` and a `carried` line of the contract; an indicator
is a function of the state and a `feature` line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from quant_platform.features.family import Family
from quant_platform.lakehouse.contracts.feature import told
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE

Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

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
"""Columns of the state."""


@dataclass
class Step:
    """One session, as the recursions see it, over the securities that have a bar.

    Parameters
    ----------
    bar
        The session's bar, by column.
    before
        State before it, in today's units.
    count
        Bars taken in, this one included.
    """

    bar: Mapping[str, Vector]
    before: Mapping[str, Vector]
    count: Vector
    _after: dict[str, Vector] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Vector:
        """State column after the session."""
        if name not in self._after:
            self._after[name] = RECURSIONS.functions[name](self)
        return self._after[name]

    @property
    def later(self) -> Mask:
        """Which securities had a bar before."""
        return np.asarray(self.count > 1)

    @property
    def change(self) -> Vector:
        """Close less the close before, 0 at the first bar."""
        return np.where(self.later, self.bar["close"] - self.before["close_state"], 0.0)

    def exponential(self, name: str, value: Vector, length: int, seen: Vector) -> Vector:
        """Exponential mean after a value; ``seen`` counts the values, this one included."""
        weight = np.where(seen <= length, 1 / np.maximum(seen, 1), 2 / (length + 1))
        return self.before[name] + weight * (value - self.before[name])

    def wilder(self, name: str, value: Vector, length: int, seen: Vector) -> Vector:
        """Wilder's mean after a value that is not negative."""
        weight = 1 / np.minimum(np.maximum(seen, 1), length)
        return np.maximum(self.before[name] + weight * (value - self.before[name]), 0.0)


def advanced(
    state: Mapping[str, Vector], bar: Mapping[str, Vector], ratio: Vector, *, new_year: bool
) -> dict[str, Vector]:
    """State after one more session.

    Parameters
    ----------
    state
        State before it, by column of `CARRIED`; 0 bars where there is none yet.
    bar
        The session's bars, NaN for none.
    ratio
        New units per old one of the splits of the session, 1 for none.
    new_year
        Whether it is the first session of a calendar year.
    """
    before = in_units(state, ratio)
    if new_year:
        before["year_close_state"] = before["close_state"]
    traded = ~np.isnan(bar["close"])
    chosen = np.flatnonzero(traded)
    step = Step(
        {name: values[chosen] for name, values in bar.items()},
        {name: values[chosen] for name, values in before.items()},
        before["bars"][chosen] + 1,
    )
    after = {name: values.copy() for name, values in before.items()}
    for name in RECURSIONS.functions:
        after[name][chosen] = step[name]
    after["bars"] = before["bars"] + traded
    after["idle"] = np.where(traded, 0.0, before["idle"] + 1)
    return after


def in_units(state: Mapping[str, Vector], ratio: Vector) -> dict[str, Vector]:
    """Put a state into the units that splits make of it.

    Parameters
    ----------
    state
        The state.
    ratio
        New units per old one.
    """
    scaled = dict(state)
    if np.all(ratio == 1):
        return scaled
    for name in RECURSIONS.functions:
        unit = told(FEATURES_STATE.columns[name], "carried")
        if unit == "price":
            scaled[name] = state[name] / ratio
        elif unit == "shares":
            scaled[name] = state[name] * ratio
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
    return step.exponential(f"ema_{length}_state", step.bar["close"], length, step.count)


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
    rise = np.maximum(step.change, 0.0)
    return step.wilder(f"gain_{length}_state", rise, length, step.count - 1)


@RECURSIONS.column
def loss_state(step: Step, length: int) -> Vector:
    """Wilder mean of falls."""
    fall = np.maximum(-step.change, 0.0)
    return step.wilder(f"loss_{length}_state", fall, length, step.count - 1)


@RECURSIONS.column
def range_state(step: Step, length: int) -> Vector:
    """Wilder mean of true ranges; the first bar has none."""
    before = step.before["close_state"]
    span = np.maximum(step.bar["high"], before) - np.minimum(step.bar["low"], before)
    span = np.where(step.later, span, 0.0)
    return step.wilder(f"range_{length}_state", span, length, step.count - 1)


def _moves(step: Step) -> tuple[Vector, Vector]:
    """How far the bar reached above the one before, and below it, where that is the larger."""
    up = step.bar["high"] - step.before["high_state"]
    down = step.before["low_state"] - step.bar["low"]
    rose = step.later & (up > down) & (up > 0)
    fell = step.later & (down > up) & (down > 0)
    return np.where(rose, up, 0.0), np.where(fell, down, 0.0)


@RECURSIONS.column
def plus_state(step: Step, length: int) -> Vector:
    """Wilder mean of upward moves."""
    return step.wilder(f"plus_{length}_state", _moves(step)[0], length, step.count - 1)


@RECURSIONS.column
def minus_state(step: Step, length: int) -> Vector:
    """Wilder mean of downward moves."""
    return step.wilder(f"minus_{length}_state", _moves(step)[1], length, step.count - 1)


@RECURSIONS.column
def adx_state(step: Step, length: int) -> Vector:
    """Wilder mean of the directional index, from its first value on; 0 where nothing moved."""
    plus, minus = step[f"plus_{length}_state"], step[f"minus_{length}_state"]
    moved = plus + minus
    index = 100 * np.abs(plus - minus) / np.where(moved > 0, moved, 1.0)
    seen = step.count - FIRST_STRENGTH + 1
    mean = step.wilder(f"adx_{length}_state", index, length, seen)
    return np.where(seen > 0, mean, 0.0)


@RECURSIONS.column
def obv_state(step: Step) -> Vector:
    """On-balance volume."""
    return step.before["obv_state"] + np.sign(step.change) * step.bar["volume"]


@RECURSIONS.column
def ewma_variance_state(step: Step) -> Vector:
    """Exponential mean of squared returns; the plain mean until that weighs them less."""
    before = np.where(step.later, step.before["close_state"], step.bar["close"])
    square = np.log(step.bar["close"] / before) ** 2
    weight = np.maximum(1 / np.maximum(step.count - 1, 1), EWMA_WEIGHT)
    old = step.before["ewma_variance_state"]
    return np.maximum(old + weight * (square - old), 0.0)


@RECURSIONS.column
def year_close_state(step: Step) -> Vector:
    """Last close of the year before: the first session of a year has put it there."""
    return step.before["year_close_state"]


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
