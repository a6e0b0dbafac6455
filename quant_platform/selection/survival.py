"""Survival: how a security came through the worst windows of its benchmark.

A list of famous crises would be hindsight: nobody knew in February of 2020 which one March would
be. So the windows are found in what was known at the deciding session's cutoff:

1. The benchmark's return over each window of the look-back that ends at the session.
2. The worst window is taken, then the worst of those that do not overlap it, and so on, as long as
   the loss is large enough to be called a stress.
3. A candidate *traded* in a window if it has a return on each of its sessions; it *survived* if it
   then lost less than the benchmark, in the direction of the trade. Its survival is the share of
   all windows in which it did both.
4. Who traded in fewer than two windows is *untested*: there is nothing to judge by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant_platform.features.panel import Matrix
from quant_platform.settings.selection import StressSettings

Vector = npt.NDArray[np.float64]

TESTED = 2
"""Windows in which a candidate must have traded to be judged."""


@dataclass(frozen=True, eq=False)
class Survival:
    """How candidates came through.

    Parameters
    ----------
    windows
        Stress windows in which each traded.
    share
        Share of all windows survived, 0..1; NaN of who is untested.
    """

    windows: npt.NDArray[np.int64]
    share: Vector


def stress_windows(benchmark: Vector, settings: StressSettings) -> list[tuple[int, float]]:
    """Find the worst windows of a benchmark that do not overlap, the worst first.

    Parameters
    ----------
    benchmark
        Its returns up to the deciding session; NaN where there is none.
    settings
        How long a window is, and from which loss on it counts.

    Returns
    -------
    list of (int, float)
        Row of the first session of each window, and the benchmark's return over it.
    """
    length = settings.window
    if len(benchmark) < length:
        return []
    views = np.lib.stride_tricks.sliding_window_view(1 + benchmark, length)
    returns = np.prod(views, axis=1) - 1
    open_to = np.where(np.isnan(returns), np.inf, returns)
    found: list[tuple[int, float]] = []
    while len(found) < settings.most:
        worst = int(np.argmin(open_to))
        loss = float(open_to[worst])
        if loss > -settings.loss:
            break
        found.append((worst, loss))
        open_to[max(worst - length + 1, 0) : worst + length] = np.inf
    return found


def survival(benchmark: Vector, returns: Matrix, settings: StressSettings) -> Survival:
    """Survival of candidates.

    Parameters
    ----------
    benchmark
        Returns of the benchmark up to the deciding session; NaN where there is none.
    returns
        The same sessions by candidates, in the direction of the trade.
    settings
        What a stress is.
    """
    windows = stress_windows(benchmark, settings)
    traded, survived = np.zeros((2, returns.shape[1]), dtype=np.int64)
    for first, loss in windows:
        own = np.prod(1 + returns[first : first + settings.window], axis=0) - 1
        traded += ~np.isnan(own)
        survived += own > loss
    share = survived / max(len(windows), 1)
    return Survival(traded, np.where(traded >= TESTED, share, np.nan))
