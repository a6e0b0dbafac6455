"""Rounding to what can be traded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Three lots bought as 2.9999999999 of them are three: far above the rounding of a double, far
# below what anybody would call a fraction.
_ROUNDING = 1e-9


def whole_lots(
    units: npt.NDArray[np.float64], lot: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Round units down to a multiple of the lot."""
    return np.asarray(np.floor(units / lot + _ROUNDING) * lot)


def whole_lot(units: float, lot: float) -> float:
    """Round one number of units down to a multiple of the lot."""
    return float(np.floor(units / lot + _ROUNDING) * lot)


def lots_within(units: float, lot: float) -> float:
    """Round down strictly: what the cash does not pay in full is not bought."""
    return float(np.floor(units / lot) * lot)
