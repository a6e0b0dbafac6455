"""Impact: what an order of a size moves the price against itself. The one function of it.

Costs, slippage and selection ask here, so that "impact" is one number everywhere. It is the square
root law: ``c σ √(Q / ADV)``, σ the daily volatility, Q the order and ADV what is traded in a day,
both in money (Torre and Ferrari, "The market impact model", BARRA 1997; Tóth and others, "Anomalous
price impact and the critical nature of liquidity in financial markets", Physical Review X 1, 2011).
Without σ it is another formula, ``0.1 √(Q / ADV)``, fifty times larger at a thousandth of the
day's volume: the two are never mixed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

SCALE = 1.0
"""The factor c of chapter 05 of the specification."""
BPS = 1e4


def impact_bps(daily_volatility: Vector, order: Vector | float, traded: Vector) -> Vector:
    """Price impact of orders, one way.

    Parameters
    ----------
    daily_volatility
        Standard deviation of the daily return, fraction; NaN where it is not known.
    order
        Money of the order.
    traded
        Money traded in a day; NaN or 0 where nothing is known of it.

    Returns
    -------
    numpy.ndarray
        Basis points of the order, positive; NaN where volatility or trade is not known.
    """
    known = np.where(traded > 0, traded, np.nan)
    return BPS * SCALE * daily_volatility * np.sqrt(order / known)
