"""The score: momentum for its risk, by rank among the candidates of the session.

1. ``raw = momentum / annual_volatility``: the compounded return of the look-back over the
   annualised volatility of the same sessions. Reward over risk as a momentum criterion is that of
   Rachev, Jašić, Stoyanov and Fabozzi, "Momentum strategies based on reward–risk stock selection
   criteria", Journal of Banking & Finance 31 (2007).
2. ``score = 0.01 + 0.99 (r - 1) / (n - 1)``, r the rank of ``raw`` from the worst, n how many
   candidates have one; equals share their mean rank. One alone scores as the middle, 0.505, as any
   number of equals do.

Vetoed candidates count among the n: whether one is vetoed does not move the others' scores.
"""

from __future__ import annotations

import polars as pl

WORST, SPREAD = 0.01, 0.99


def score() -> pl.Expr:
    """Score from ``momentum`` and ``annual_volatility`` of one session's candidates.

    Returns
    -------
    polars.Expr
        In [0.01, 1], larger is better; null without evidence.
    """
    raw = pl.col("momentum") / pl.col("annual_volatility")
    others = raw.count() - 1
    place = (raw.rank("average") - 1) / others
    return (
        pl.when(raw.is_null())
        .then(None)
        .when(others == 0)
        .then(WORST + SPREAD / 2)
        .otherwise(WORST + SPREAD * place)
    )
