"""Metrics of a series of net returns, each with its value or the reason why there is none.

1. Returns are fractions, one a session, without NaN: a session without a return is an error here,
   for every way of filling it flatters somebody.
2. ``excess`` are the returns less the risk-free return of the session, as known then; what is made
   of them (Sharpe, Sortino, alpha, its t) says so. Without a series the risk-free return is 0.
3. Annualised by the periods of a year that the caller names, 252 or 365: the mean of excess returns
   times the periods, deviations (n - 1) times their root, compounded returns by the exponent.
4. Errors of means and of regressions are Newey and West's, with Bartlett's kernel over
   floor(4 (n / 100)^(2/9)) lags (Newey and West 1994).
5. Against a benchmark only sessions count on which both have a return; the caller joins them.

Losses are negative throughout: drawdown, value at risk and expected shortfall are <= 0 wherever
there was a loss. Nothing is clipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant_platform.errors import ContractError
from quant_platform.features.regression import exposures

Vector = npt.NDArray[np.float64]

ENOUGH = 20
"""Returns below which no deviation is told: the shortest look-back that the platform uses."""
TAIL = 0.05
"""Share of the sessions that is the tail of value at risk and expected shortfall."""
ANTIFRAGILE_LEAST, ANTIFRAGILE_TAIL = 100, 10
"""Observations that antifragility needs in all, and in each tail (chapter 05)."""
CRISIS = 0.10
"""Share of the benchmark's sessions, its worst, that are a crisis (chapter 05)."""

_STILL = 1e-12
"""Size below which a deviation or a loss is rounding, and nothing is divided by it."""


@dataclass(frozen=True)
class Said:
    """One statistic: a value, or why there is none."""

    figure: str
    value: float | None
    note: str | None = None


@dataclass(frozen=True, eq=False)
class Stream:
    """Returns that are judged.

    Parameters
    ----------
    returns
        Net returns, fractions, one a session.
    periods_per_year
        Sessions of a year.
    risk_free
        Risk-free return of each session, fraction; 0 where there is no series.
    benchmark
        Return of the benchmark on each session; None without one.
    """

    returns: Vector
    periods_per_year: int
    risk_free: Vector | None = None
    benchmark: Vector | None = None

    def __post_init__(self) -> None:
        for name in ("returns", "risk_free", "benchmark"):
            values = getattr(self, name)
            if values is None:
                continue
            if len(values) != len(self.returns):
                raise ContractError(
                    f"{len(values)} values of {name} for {len(self.returns)} returns",
                    expected="one for each session",
                    mend="join them on their sessions",
                )
            lacking = int(np.count_nonzero(~np.isfinite(values)))
            if lacking:
                raise ContractError(
                    f"{lacking} of {len(values)} values of {name} are no numbers",
                    expected="a return for every session",
                    mend="leave those sessions out and say so",
                )

    @property
    def excess(self) -> Vector:
        """Returns less the risk-free return of the session."""
        return self.returns if self.risk_free is None else self.returns - self.risk_free


def metrics(stream: Stream) -> Iterator[Said]:
    """Yield every metric of a stream, in the order in which they are shown."""
    for name, (least, metric) in METRICS.items():
        yield _said(name, least, metric, stream)
    for name, (least, metric) in BESIDE.items():
        if stream.benchmark is None:
            yield Said(name, None, "there is no benchmark")
        else:
            yield _said(name, least, metric, stream)


def _said(name: str, least: int, metric: Callable[[Stream], float | str], stream: Stream) -> Said:
    count = len(stream.returns)
    if count < least:
        return Said(name, None, f"insufficient: needs {least} returns and has {count}")
    found = metric(stream)
    return Said(name, None, found) if isinstance(found, str) else Said(name, found)


def levels(returns: Vector) -> Vector:
    """Value of one unit, before the first session and after each."""
    return np.concatenate([[1.0], np.cumprod(1 + returns)])


def falls(values: Vector) -> Vector:
    """Fall of each value of an account below the highest before it, <= 0."""
    peak = np.maximum.accumulate(values)
    # Below a value of zero nothing can fall: the account is lost.
    return np.where(peak > 0, values / np.where(peak > 0, peak, 1.0) - 1, 0.0)


def worst_drawdown(returns: Vector) -> float:
    """Deepest fall below the highest level before it, the starting 1 included; <= 0."""
    return float(falls(levels(returns)).min())


@dataclass(frozen=True)
class Drawdown:
    """One fall and its recovery; places count the sessions from 0.

    Parameters
    ----------
    began
        First session below the peak.
    bottom
        Session of the lowest level.
    recovered
        First session at the peak again; None while it lasts.
    depth
        At the bottom, <= 0.
    """

    began: int
    bottom: int
    recovered: int | None
    depth: float


def drawdown_table(returns: Vector, most: int = 5) -> list[Drawdown]:
    """Return the deepest falls, deepest first; of equals the earlier."""
    below = falls(levels(returns))[1:]
    under = np.concatenate([[False], below < 0, [False]])
    begins = np.flatnonzero(~under[:-1] & under[1:])
    ends = np.flatnonzero(under[:-1] & ~under[1:])
    found = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        bottom = begin + int(np.argmin(below[begin:end]))
        recovered = end if end < len(below) else None
        found.append(Drawdown(begin, bottom, recovered, float(below[bottom])))
    return sorted(found, key=lambda fall: fall.depth)[:most]


def newey_west_lags(count: int) -> int:
    """Lags of the kernel for so many rows (Newey and West 1994)."""
    return int(4 * (count / 100) ** (2 / 9))


def annual_return(stream: Stream) -> float | str:
    """Compounded return a year."""
    total = float(levels(stream.returns)[-1])
    if total <= 0:
        return "the account was lost"
    return float(total ** (stream.periods_per_year / len(stream.returns)) - 1)


def _volatility(stream: Stream) -> float:
    return float(np.std(stream.returns, ddof=1)) * math.sqrt(stream.periods_per_year)


def _sharpe(stream: Stream) -> float | str:
    deviation = float(np.std(stream.excess, ddof=1))
    if deviation < _STILL:
        return "the returns do not move"
    return float(stream.excess.mean()) / deviation * math.sqrt(stream.periods_per_year)


def _sharpe_t(stream: Stream) -> float | str:
    slope, error = _regressed(stream.excess, np.ones((len(stream.excess), 1)))
    return float(slope[0] / error[0]) if error[0] > _STILL else "the returns do not move"


def _sortino(stream: Stream) -> float | str:
    downside = math.sqrt(float(np.mean(np.minimum(stream.excess, 0.0) ** 2)))
    if downside < _STILL:
        return "no session lost"
    return float(stream.excess.mean()) / downside * math.sqrt(stream.periods_per_year)


def _calmar(stream: Stream) -> float | str:
    deepest, grown = worst_drawdown(stream.returns), annual_return(stream)
    if isinstance(grown, str):
        return grown
    return grown / -deepest if deepest < -_STILL else "there was no drawdown"


def _profit_factor(stream: Stream) -> float | str:
    gains = float(np.maximum(stream.returns, 0).sum())
    losses = float(-np.minimum(stream.returns, 0).sum())
    return gains / losses if losses > _STILL else "no session lost"


def _value_at_risk(stream: Stream) -> float:
    return float(np.quantile(stream.returns, TAIL))


def _expected_shortfall(stream: Stream) -> float:
    worst = np.sort(stream.returns)[: math.ceil(TAIL * len(stream.returns))]
    return float(worst.mean())


def _standardised_moment(stream: Stream, order: int) -> float | str:
    centred = stream.returns - stream.returns.mean()
    deviation = math.sqrt(float(np.mean(centred**2)))
    if deviation < _STILL:
        return "the returns do not move"
    return float(np.mean(centred**order)) / deviation**order


def _tail_ratio(stream: Stream) -> float | str:
    low, high = np.quantile(stream.returns, [TAIL, 1 - TAIL])
    return abs(float(high)) / abs(float(low)) if abs(low) > _STILL else "the lower tail is zero"


def _antifragility(stream: Stream) -> float | str:
    low, high = np.quantile(stream.returns, [TAIL, 1 - TAIL])
    losses, gains = stream.returns[stream.returns <= low], stream.returns[stream.returns >= high]
    fewest = min(len(losses), len(gains))
    if len(stream.returns) < ANTIFRAGILE_LEAST or fewest < ANTIFRAGILE_TAIL:
        return (
            f"insufficient: needs {ANTIFRAGILE_LEAST} returns and {ANTIFRAGILE_TAIL} in each tail, "
            f"and has {len(stream.returns)} and {fewest}"
        )
    gain, loss = float(gains.mean()), -float(losses.mean())
    skew = _standardised_moment(stream, 3)
    if isinstance(skew, str):
        return skew
    if min(gain, loss) < _STILL:
        return "a tail has the wrong sign"
    return skew + math.log(gain / loss)


def _other(stream: Stream) -> Vector:
    assert stream.benchmark is not None  # asked for by `metrics` alone, which looks first
    return stream.benchmark


def _market_line(stream: Stream) -> tuple[Vector, Vector, Vector] | str:
    """Alpha and beta of a session, their errors, and the residuals."""
    risk_free = 0.0 if stream.risk_free is None else stream.risk_free
    market = _other(stream) - risk_free
    if float(np.std(market)) < _STILL:
        return "the benchmark does not move"
    factors = np.column_stack([np.ones(len(market)), market])
    slope, error = _regressed(stream.excess, factors)
    return slope, error, stream.excess - factors @ slope


def _regressed(values: Vector, factors: npt.NDArray[np.float64]) -> tuple[Vector, Vector]:
    found = exposures(values[:, None], factors, len(values), newey_west_lags(len(values)))
    return found.coefficient[:, 0], found.error[:, 0]


def _beta(stream: Stream) -> float | str:
    line = _market_line(stream)
    return line if isinstance(line, str) else float(line[0][1])


def _alpha(stream: Stream) -> float | str:
    line = _market_line(stream)
    return line if isinstance(line, str) else float(line[0][0]) * stream.periods_per_year


def _alpha_t(stream: Stream) -> float | str:
    line = _market_line(stream)
    if isinstance(line, str):
        return line
    slope, error, _ = line
    return float(slope[0] / error[0]) if error[0] > _STILL else "nothing is left of the returns"


def _information_ratio(stream: Stream) -> float | str:
    line = _market_line(stream)
    if isinstance(line, str):
        return line
    slope, _, residual = line
    left = math.sqrt(float((residual**2).sum()) / (len(residual) - 2))
    if left < _STILL:
        return "nothing is left of the returns"
    return float(slope[0]) / left * math.sqrt(stream.periods_per_year)


def _hit_rate(stream: Stream) -> float:
    return float(np.mean(stream.returns > _other(stream)))


def _capture(stream: Stream, sign: int) -> float | str:
    market = _other(stream)
    chosen = market * sign > _STILL
    if not chosen.any():
        return "the benchmark never " + ("rose" if sign > 0 else "fell")
    return float(stream.returns[chosen].mean() / market[chosen].mean())


def _crisis_alpha(stream: Stream) -> float:
    market = _other(stream)
    worst = np.argsort(market, kind="stable")[: math.ceil(CRISIS * len(market))]
    return float((stream.returns[worst] - market[worst]).mean())


Metric = Callable[[Stream], float | str]

METRICS: dict[str, tuple[int, Metric]] = {
    "annual_return": (ENOUGH, annual_return),
    "volatility": (ENOUGH, _volatility),
    "sharpe": (ENOUGH, _sharpe),
    "sharpe_t": (ENOUGH, _sharpe_t),
    "sortino": (ENOUGH, _sortino),
    "max_drawdown": (1, lambda stream: worst_drawdown(stream.returns)),
    "calmar": (ENOUGH, _calmar),
    "win_rate": (ENOUGH, lambda stream: float(np.mean(stream.returns > 0))),
    "profit_factor": (ENOUGH, _profit_factor),
    "value_at_risk": (ENOUGH, _value_at_risk),
    "expected_shortfall": (ENOUGH, _expected_shortfall),
    "skew": (ENOUGH, lambda stream: _standardised_moment(stream, 3)),
    "kurtosis": (ENOUGH, lambda stream: _standardised_moment(stream, 4)),
    "tail_ratio": (ENOUGH, _tail_ratio),
    "antifragility": (1, _antifragility),
}
"""Metrics of the returns alone: how many they need, and the function."""

BESIDE: dict[str, tuple[int, Metric]] = {
    "beta": (ENOUGH, _beta),
    "alpha": (ENOUGH, _alpha),
    "alpha_t": (ENOUGH, _alpha_t),
    "information_ratio": (ENOUGH, _information_ratio),
    "hit_rate": (ENOUGH, _hit_rate),
    "up_capture": (ENOUGH, lambda stream: _capture(stream, 1)),
    "down_capture": (ENOUGH, lambda stream: _capture(stream, -1)),
    "crisis_alpha": (ENOUGH, _crisis_alpha),
}
"""Metrics beside a benchmark."""
