"""Rounding to what can be traded.

Units arrive as quotients and products of doubles: three lots come as 2.9999999999999996 of them. A
number of lots within the rounding of a few such steps of a whole number is that whole number; all
others are rounded down. The tolerance is relative, so that a million lots lose none and a tiny
number gains none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Weight x equity / mark / lot are three roundings of half a unit in the last place each, the lot
# itself is one more, and the split of a name may be two; doubled.
_ROUNDING = 8 * np.finfo(np.float64).eps


def whole_lots(
    units: npt.NDArray[np.float64], lot: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Round units down to a multiple of the lot.

    Parameters
    ----------
    units
        Units, >= 0.
    lot
        Smallest unit of each.

    Returns
    -------
    numpy.ndarray
        Never above the units by more than the rounding of a double, and never a lot less than what
        is whole to that rounding.
    """
    lots = units / lot
    nearest = np.rint(lots)
    whole = np.where(np.abs(lots - nearest) <= _ROUNDING * nearest, nearest, np.floor(lots))
    return np.asarray(whole * lot)


def whole_lot(units: float, lot: float) -> float:
    """Round one number of units down to a multiple of the lot, as :func:`whole_lots` does."""
    return float(whole_lots(np.array(units), np.array(lot)))


def lots_within(units: float, lot: float) -> float:
    """Round down strictly: what the cash does not pay in full is not bought."""
    lots = np.floor(units / lot)
    # The quotient may round up to a whole number that the units fall short of.
    return float(lots * lot if lots * lot <= units else max(lots - 1, 0.0) * lot)
