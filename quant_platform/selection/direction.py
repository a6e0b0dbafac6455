"""Long and short: the one place in which signs are turned.

A short earns where a price falls. So returns, and the figures that say of a price where it goes,
are turned once, before anything is made of them: to a score, a veto or a rank a good short looks
like a good long, the most bearish candidate first. What says how much a price moves, and not where
to, stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.settings.selection import Direction

Vector = npt.NDArray[np.float64]

SIGN: dict[Direction, float] = {"long": 1.0, "short": -1.0}
TURNED = ("composite_score", "recommend_all", "recommend_ma")
"""Features that say where a price goes."""


def signs_of(momentum: Vector, allowed: Sequence[Direction]) -> Vector:
    """Sign of each candidate's direction.

    Parameters
    ----------
    momentum
        Return of the price over the look-back; NaN where it is not known.
    allowed
        Directions in which the sleeve trades. With both, who fell is a short.
    """
    if len(allowed) == 1:
        return np.full(len(momentum), SIGN[allowed[0]])
    return np.where(momentum < 0, SIGN["short"], SIGN["long"])


def turned(rows: pl.DataFrame, signs: Vector) -> pl.DataFrame:
    """Put features into the direction of the trade, and say which that is.

    Parameters
    ----------
    rows
        Candidates with their features.
    signs
        Sign of each one's direction.
    """
    sign = pl.Series("sign", signs, dtype=pl.Float64)
    short = pl.lit(sign) == SIGN["short"]
    return rows.with_columns(
        *(pl.col(name).cast(pl.Float64) * pl.lit(sign) for name in TURNED),
        direction=pl.when(short).then(pl.lit("short")).otherwise(pl.lit("long")),
    )
