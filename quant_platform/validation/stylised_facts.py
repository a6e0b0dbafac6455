"""Stylised facts of daily returns: what real markets have in common (Cont 2001).

Each fact is computed for every security and told as the quartiles over securities, except the mean
correlation and the facts of the average security (``market_*``), which are one number each.

===================== ==========================================================================
``volatility``        standard deviation a year
``tail_index``        Hill's estimator on the largest twentieth of absolute returns; three to five
                      in most markets, and the smaller the fatter
``kurtosis``          excess over the normal's
``autocorrelation``   of returns at lag 1: about nothing
``clustering``        mean autocorrelation of absolute returns at lags 1 to 10: positive
``clustering_late``   the same at lags 41 to 60: smaller, and still positive
``leverage``          correlation of a return with the mean absolute return of the ten sessions
                      after: negative for stocks and funds
``volume_volatility`` correlation of the absolute return with the logarithm of volume: positive
``range_share``       mean of log high over low, over the standard deviation of returns
``correlation``       mean over pairs of securities
``market_tail``, …    the same for the equally weighted average of all securities
===================== ==========================================================================

Autocorrelations are taken of ranks between 0 and 1: a single crash does not decide them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]

FACTS: Mapping[str, str] = {
    "volatility": "fraction a year",
    "tail_index": "Hill, 5 % tail",
    "kurtosis": "excess",
    "autocorrelation": "lag 1",
    "clustering": "lags 1 to 10",
    "clustering_late": "lags 41 to 60",
    "leverage": "correlation",
    "volume_volatility": "correlation",
    "range_share": "standard deviations",
    "correlation": "mean over pairs",
    "market_tail": "Hill, 5 % tail",
    "market_clustering": "lags 1 to 10",
    "market_leverage": "correlation",
}
"""Every fact with its unit, in the order in which it is told."""

_TAIL = 0.05
_NEAR, _FAR = range(1, 11), range(41, 61)
_AFTER = 10
_MOST_PAIRED = 400
"""Securities of which correlations are taken: the first by name; their pairs say enough."""


def stylised_facts(
    bars: pl.DataFrame, *, periods_per_year: int, least_sessions: int = 250
) -> pl.DataFrame:
    """Compute the facts of a market.

    Parameters
    ----------
    bars
        ``security_id``, ``session``, ``move`` (the log return over the session, adjusted for
        splits), ``high``, ``low``, ``volume``; a row with a null move is left out.
    periods_per_year
        Sessions of a year.
    least_sessions
        Securities with fewer returns are left out.

    Returns
    -------
    polars.DataFrame
        ``fact``, ``low``, ``median``, ``high`` (quartiles over securities; equal for single
        numbers) and ``securities``.
    """
    known = bars.drop_nulls("move").sort("security_id", "session")
    enough = pl.len().over("security_id") >= least_sessions
    parts = known.filter(enough).partition_by("security_id", maintain_order=True)
    own = [_of_security(part, periods_per_year) for part in parts]
    rows = []
    for fact in FACTS:
        if not own or fact not in own[0]:
            continue
        values = np.array([facts[fact] for facts in own])
        values = values[np.isfinite(values)]
        if len(values):
            rows.append((fact, *np.quantile(values, [0.25, 0.5, 0.75]).tolist(), len(values)))
    rows += [(fact, value, value, value, len(own)) for fact, value in _of_market(known).items()]
    order = {fact: place for place, fact in enumerate(FACTS)}
    rows.sort(key=lambda row: order[row[0]])
    schema = {"fact": pl.String, "low": pl.Float64, "median": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(rows, schema={**schema, "securities": pl.Int64}, orient="row")


def hill(moves: Floats) -> float:
    """Tail index of absolute returns: the reciprocal of the mean log excess (Hill 1975)."""
    sizes = np.sort(np.abs(moves))[::-1]
    count = int(len(sizes) * _TAIL)
    if count < 5 or sizes[count] <= 0:
        return float("nan")
    return float(1 / np.mean(np.log(sizes[:count] / sizes[count])))


def clustering(moves: Floats, lags: range) -> float:
    """Mean rank autocorrelation of absolute returns over some lags."""
    ranks = _ranks(np.abs(moves))
    return float(np.mean([_correlation(ranks[lag:], ranks[:-lag]) for lag in lags]))


def leverage(moves: Floats) -> float:
    """Correlation of a return with the mean absolute return of the sessions after it."""
    total = np.concatenate([[0.0], np.cumsum(np.abs(moves))])
    after = (total[1 + _AFTER :] - total[1:-_AFTER]) / _AFTER
    return _correlation(_ranks(moves[: len(after)]), _ranks(after))


def _of_security(rows: pl.DataFrame, periods_per_year: int) -> dict[str, float]:
    moves = rows["move"].to_numpy()
    deviation = float(moves.std())
    ranks = _ranks(moves)
    traded = (rows["volume"] > 0).to_numpy()
    volume = np.log(np.where(traded, rows["volume"].to_numpy(), 1.0))
    wide = np.log(rows["high"].to_numpy() / rows["low"].to_numpy())
    return {
        "volatility": deviation * periods_per_year**0.5,
        "tail_index": hill(moves),
        "kurtosis": float(np.mean((moves - moves.mean()) ** 4) / deviation**4 - 3)
        if deviation
        else float("nan"),
        "autocorrelation": _correlation(ranks[1:], ranks[:-1]),
        "clustering": clustering(moves, _NEAR),
        "clustering_late": clustering(moves, _FAR),
        "leverage": leverage(moves),
        "volume_volatility": _correlation(_ranks(np.abs(moves[traded])), _ranks(volume[traded])),
        "range_share": float(np.mean(wide)) / deviation if deviation else float("nan"),
    }


def _of_market(known: pl.DataFrame) -> dict[str, float]:
    names = known["security_id"].unique().sort().head(_MOST_PAIRED)
    wide = (
        known.filter(pl.col("security_id").is_in(names.implode()))
        .pivot("security_id", index="session", values="move")
        .sort("session")
        .drop("session")
    )
    most = max((wide.height - wide[name].null_count() for name in wide.columns), default=0)
    full = [name for name in wide.columns if wide.height - wide[name].null_count() > 0.95 * most]
    matrix = wide.select(full).drop_nulls().to_numpy()
    if matrix.shape[1] < 3 or len(matrix) < 100:
        return {}
    pairs = np.corrcoef(matrix.T)[np.triu_indices(matrix.shape[1], 1)]
    average = matrix.mean(axis=1)
    return {
        "correlation": float(np.nanmean(pairs)),
        "market_tail": hill(average),
        "market_clustering": clustering(average, _NEAR),
        "market_leverage": leverage(average),
    }


def _ranks(values: Floats) -> Floats:
    """Ranks between 0 and 1; equal values share theirs."""
    return np.asarray(pl.Series(values).rank().to_numpy() / max(len(values), 1))


def _correlation(left: Floats, right: Floats) -> float:
    if len(left) < 3 or not left.std() or not right.std():
        return float("nan")
    return float(np.corrcoef(left, right)[0, 1])
