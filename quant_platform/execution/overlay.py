"""The risk overlay: how much of the target portfolio tonight's book may hold.

1. *Exposure* = regime multiplier x clip(target volatility / sigma, floor, ceiling). Sigma is the
   volatility of the **unscaled** targets over the look-back. (On the held book, which is scaled
   already, the loop would settle at the geometric mean of target and sigma.) Without any
   volatility the exposure is ceiling x multiplier, without enough sessions floor x multiplier.
   Targets that nobody can hold any more have no part in sigma: a name that left would otherwise
   leave no session on which all have a return, and drive the whole book to the floor.
2. All weights are scaled by it.
3. *Blocks.* A name whose scaled weight is above the weight it has tonight is an increase. An
   increase that breaks a rule is blocked: the name keeps tonight's weight and the row says the
   code. It is never trimmed to what the rule would allow, because a trimmed entry looks like a
   decision that nobody took. A weight at or below tonight's is never touched: a block does not
   prevent getting out, and a name that drifted above the cap is not forced out by it either.

The codes, in the order in which they are looked for, are those of ``BLOCKS``:

``NO_REGIME``   the session has no regime: nobody knows the throttle
``DAILY_LOSS``  the session lost more than the daily loss cap
``DELISTED``    the name has left; the target still asks for it until the next decision
``NO_MARK``     the name has no row tonight: there is no price to plan with
``STALE_MARK``  its last mark is older than ``stale_days``
``NAME_CAP``    the weight would be above the cap of a single name
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_platform.execution.market import Mask, Vector
from quant_platform.lakehouse.gates import Gate
from quant_platform.settings.execution import RiskSettings

NO_REGIME = "NO_REGIME"
DAILY_LOSS = "DAILY_LOSS"
DELISTED = "DELISTED"
NO_MARK = "NO_MARK"
STALE_MARK = "STALE_MARK"
NAME_CAP = "NAME_CAP"


class Wanted(NamedTuple):
    """What the blocks look at; the vectors follow the targets.

    Parameters
    ----------
    weight
        Scaled weights.
    mark_age
        Calendar days since the last mark; NaN without one tonight.
    gone
        Names that have left.
    multiplier
        Throttle of the regime; None if the session has none.
    session_return
        What the account made on the session, fraction.
    """

    weight: Vector
    mark_age: Vector
    gone: Mask
    multiplier: float | None
    session_return: float


@dataclass(frozen=True)
class Block(Gate):
    """A gate that blocks increases.

    Parameters
    ----------
    breaks
        Which of the targets break it.
    """

    breaks: Callable[[Wanted, RiskSettings], Mask]


def _all_if(condition: bool, wanted: Wanted) -> Mask:
    return np.full(len(wanted.weight), condition)


BLOCKS = (
    Block(NO_REGIME, "guard", lambda wanted, _: _all_if(wanted.multiplier is None, wanted)),
    Block(
        DAILY_LOSS,
        "guard",
        lambda wanted, limits: _all_if(wanted.session_return < -limits.daily_loss_cap, wanted),
    ),
    Block(DELISTED, "guard", lambda wanted, _: wanted.gone),
    Block(NO_MARK, "guard", lambda wanted, _: np.isnan(wanted.mark_age)),
    Block(STALE_MARK, "guard", lambda wanted, limits: wanted.mark_age > limits.stale_days),
    Block(NAME_CAP, "choice", lambda wanted, limits: wanted.weight > limits.name_cap),
)
"""Every block; of several that break, the first stands in the row."""


@dataclass(frozen=True)
class Controls:
    """What the overlay makes of one evening's targets; the vectors follow the targets.

    Parameters
    ----------
    weight
        Weight after exposure and blocks.
    blocked
        Code of the rule that blocked an increase; None for none.
    portfolio_volatility
        Sigma per year; None if too few sessions are known.
    regime_multiplier
        Throttle of the regime; 1 if there is no regime to throttle by.
    exposure
        What all weights were scaled by.
    """

    weight: Vector
    blocked: npt.NDArray[np.object_]
    portfolio_volatility: float | None
    regime_multiplier: float
    exposure: float


def target_volatility(
    joint: npt.NDArray[np.float64], weights: Vector, settings: RiskSettings
) -> float | None:
    """Volatility per year of weights that are held constant over the look-back.

    Parameters
    ----------
    joint
        Joint returns, sessions x names; NaN where a name has none.
    weights
        Unscaled target weights; 0 for names that nobody can hold any more.
    settings
        Least number of joint sessions, and how to annualise.

    Returns
    -------
    float or None
        None with fewer sessions on which every name has a return than are needed.
    """
    names = weights > 0
    complete = joint[:, names]
    complete = complete[~np.isnan(complete).any(axis=1)]
    if len(complete) < settings.least_joint_sessions:
        return None
    # Rows are summed one by one over a matrix of tonight's names only: the same bytes whatever
    # other names the range has.
    streams = (np.ascontiguousarray(complete) * weights[names]).sum(axis=1)
    return float(np.std(streams, ddof=1) * math.sqrt(settings.sessions_per_year))


def gross_exposure(volatility: float | None, multiplier: float, settings: RiskSettings) -> float:
    """Share of equity that the targets are scaled to."""
    if volatility is None:
        return settings.floor * multiplier
    if volatility == 0:
        return settings.ceiling * multiplier
    scale = settings.target_volatility / volatility
    return min(max(scale, settings.floor), settings.ceiling) * multiplier


def control(
    requested: Vector,
    current: Vector,
    mark_age: Vector,
    gone: Mask,
    settings: RiskSettings,
    *,
    volatility: float | None,
    multiplier: float | None,
    session_return: float,
) -> Controls:
    """Scale tonight's targets and block what breaks a rule.

    Parameters
    ----------
    requested
        Target weights.
    current
        Weights of the same names in the reconciled book.
    mark_age
        Calendar days since their last mark; NaN without one tonight.
    gone
        Names that have left.
    settings
        Limits.
    volatility
        Sigma of the unscaled targets, None if unknown.
    multiplier
        Throttle of the regime; None if the session has none.
    session_return
        What the account made on the session, fraction.
    """
    throttle = 1.0 if multiplier is None else multiplier
    exposure = gross_exposure(volatility, throttle, settings)
    desired = requested * exposure
    increase = desired > current
    wanted = Wanted(desired, mark_age, gone, multiplier, session_return)
    blocked = np.full(len(requested), None, dtype=object)
    for block in reversed(BLOCKS):
        blocked[increase & block.breaks(wanted, settings)] = block.name
    stopped = np.array([code is not None for code in blocked], dtype=bool)
    return Controls(np.where(stopped, current, desired), blocked, volatility, throttle, exposure)
