"""Ratings: votes of averages and oscillators, as the charting service publishes its rule.

An average votes buy where it is below the close, sell where it is above. An oscillator votes where
it turns at an extreme, crosses its signal or leads. A rating is the mean vote, in [-1, 1]: neutral
votes count. The rules are those of the script "Technical Ratings" that TradingView publishes, but
for three votes, in which the scan recorded in 2019 was counted otherwise: there the directional
index votes by the line that leads (the script: where the lines cross), the awesome oscillator where
it rises above zero (the script: a saucer, or zero crossed) and momentum by its sign (the script: by
its change). Counted so, both recorded ratings come out, 1/11 of AAPL and 3/11 of CMP; by the
script's three they would be -3/11 and 0.

A vote about the session before needs that session's exponential mean in today's units; a split may
lie between. It is recovered from today's: the recursion run backwards by one bar.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from quant_platform.features.finite import Block
from quant_platform.features.rolling import Matrix, highest, lowest, shifted

LENGTHS = (10, 20, 30, 50, 100, 200)
RATED_STATE = (
    *(f"ema_{length}_state" for length in LENGTHS),
    "ema_13_state",
    "rsi_14",
    "adx_14",
    "plus_di_14",
    "minus_di_14",
    "macd",
    "macd_signal",
)
"""Carried columns that the votes look at."""

_EQUAL = 1e-9
"""Relative distance below which an average is the close: sums of equal prices leave last bits."""

_Truth = npt.NDArray[np.bool_]
_Votes = npt.NDArray[np.int8]


def averages_vote(block: Block, averages: Sequence[Matrix]) -> Matrix:
    """Mean vote of the averages.

    Parameters
    ----------
    block
        Prices, and the exponential means of `LENGTHS` among the carried columns.
    averages
        The averages of finite windows, of the rows that are asked for.
    """
    exponential = [block.answer(block.state[f"ema_{length}_state"]) for length in LENGTHS]
    close = block.answer(block.close)
    every = [*averages, *exponential]
    votes = [_below(average, close) for average in every]
    # Two sessions, and what the slowest line of them looks back.
    votes.append(block.answer(_ichimoku(block.last(len(close) + 52))))
    return np.where(_lacking(every) | np.isnan(close), np.nan, _mean(votes))


def oscillators_vote(
    block: Block,
    *,
    stochastic: tuple[Matrix, Matrix],
    stochastic_rsi: tuple[Matrix, Matrix],
    channel: Matrix,
    awesome: Matrix,
    momentum: Matrix,
    williams: Matrix,
    ultimate: Matrix,
) -> Matrix:
    """Mean vote of the oscillators.

    Parameters
    ----------
    block
        Prices and carried indicators.
    stochastic, stochastic_rsi
        The main line and its signal.
    channel
        Commodity channel index.
    awesome, momentum, williams, ultimate
        The other oscillators of finite windows.
    """
    # A vote looks at the session and at the one before.
    rows = len(block.answer(block.close)) + 1
    now, state = block.last(rows), block.last(rows).state
    channel, awesome, momentum = channel[-rows:], awesome[-rows:], momentum[-rows:]
    williams, ultimate = williams[-rows:], ultimate[-rows:]
    average = state["ema_50_state"]
    rising, falling = now.close > average, now.close < average
    strength, trend = state["rsi_14"], state["adx_14"] > 20
    plus, minus = state["plus_di_14"], state["minus_di_14"]
    bears, bulls = _power(now, now.low), _power(now, now.high)
    k, d, rsi_k, rsi_d = (line[-rows:] for line in (*stochastic, *stochastic_rsi))
    votes = [
        _turning(strength, 30, 70),
        _leaving(k, d),
        _turning(channel, -100, 100),
        _vote(trend & (plus > minus), trend & (plus < minus)),
        _vote(
            (awesome > 0) & (awesome > shifted(awesome, 1)),
            (awesome < 0) & (awesome < shifted(awesome, 1)),
        ),
        _vote(momentum > 0, momentum < 0),
        _vote(state["macd"] > state["macd_signal"], state["macd"] < state["macd_signal"]),
        _leaving(rsi_k, rsi_d, falling, rising),
        _turning(williams, -80, -20),
        _vote(
            rising & (bears[0] < 0) & (bears[0] > bears[1]),
            falling & (bulls[0] > 0) & (bulls[0] < bulls[1]),
        ),
        _vote(ultimate > 70, ultimate < 30),
    ]
    return _mean(votes)


def _vote(buy: _Truth, sell: _Truth) -> _Votes:
    return np.subtract(buy, sell, dtype=np.int8)


def _mean(votes: Sequence[_Votes]) -> Matrix:
    return np.asarray(np.sum(votes, axis=0, dtype=np.int8) / len(votes))


def _lacking(lines: Sequence[Matrix]) -> _Truth:
    """Where some line has no value."""
    return np.asarray(np.logical_or.reduce([np.isnan(line) for line in lines]))


def _below(average: Matrix, close: Matrix) -> _Votes:
    """Buy where an average is below the close, sell where it is above."""
    apart = close / average - 1
    return _vote(apart >= _EQUAL, apart <= -_EQUAL)


def _crosses(one: Matrix, other: Matrix) -> _Truth:
    """Where one line comes from below another and is above it now."""
    return np.asarray((one > other) & (shifted(one, 1) < shifted(other, 1)))


def _turning(value: Matrix, low: float, high: float) -> _Votes:
    """Buy where it rises below a band, sell where it falls above one."""
    before = shifted(value, 1)
    return _vote((value < low) & (value > before), (value > high) & (value < before))


def _leaving(
    main: Matrix, signal: Matrix, buy: _Truth | bool = True, sell: _Truth | bool = True
) -> _Votes:
    """Buy where both lines are in the lowest fifth and cross upwards, sell in the highest."""
    low, high = (main < 20) & (signal < 20), (main > 80) & (signal > 80)
    return _vote(buy & low & _crosses(main, signal), sell & high & _crosses(signal, main))


def _power(block: Block, price: Matrix) -> tuple[Matrix, Matrix]:
    """Distance of a price from the exponential mean of 13, now and the session before."""
    average, weight = block.state["ema_13_state"], 2 / 14
    before = (average - weight * block.close) / (1 - weight)
    return price - average, shifted(price, 1) - before


def _ichimoku(block: Block) -> _Votes:
    """Buy where the close crosses the conversion line upwards, above a rising cloud."""
    conversion, base, slow = (
        (highest(block.high, length) + lowest(block.low, length)) / 2 for length in (9, 26, 52)
    )
    fast, close, before = (conversion + base) / 2, block.close, block.before
    crosses_up = (before < conversion) & (close > conversion)
    crosses_down = (before > conversion) & (close < conversion)
    buy = (fast > slow) & (close > fast) & (close < base) & crosses_up
    sell = (slow > fast) & (close < slow) & (close > base) & crosses_down
    return _vote(buy, sell)
