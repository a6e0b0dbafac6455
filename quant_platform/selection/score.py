"""The score: what the components of a candidate say together.

1. Each component has a raw value, larger is better, and is mapped to a *probability* P in 0..1, by
   the map that the table declares for it and never by what the data look like:

   - ``rank``: 0.01 + 0.99 (r - 1) / (n - 1), r the rank from the worst among the n candidates that
     have a value; equals share their mean rank, one alone is the middle.
   - ``raw``: the value itself, a share already.
   - ``z``: Φ(z) of the value's distance from the mean of the session, in sample deviations; 0.5
     where all are alike.

   A component without a value is 0.5: it says nothing.
2. ``log_mps_v3_2`` and ``v4``: exp(Σ ω ln P), P at least 1e-9, so that one bad component cannot be
   made good by another, times 1 - penalty, times the regime's multiplier. The penalty is half of
   the mean loss of the worst 5 % of days over the largest of the session; who has none known pays
   half of the largest. ``v4`` adds to the table recommendations, tails, and the size of skewness
   and kurtosis.
3. ``v2_1``: Σ ω N / Σ ω, N the normalised value: the rank, Φ-like logistic of z, or z pulled to
   0..1 within three deviations. Additive, without penalty and regime: the fallback.

The sleeve's own *signal* dominates: it weighs 3.0, and momentum 0.5 unless it is the signal.
Vetoed candidates count among the n: whether one is vetoed does not move the others' scores.

``hurst_clean`` is how far the Hurst exponent lies from that of a random walk, as the share of noise
that lies nearer. (As once shipped it peaked at the random walk, and rewarded what a veto rejects.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit, ndtr
from scipy.stats import rankdata

from quant_platform.selection.evidence import YEAR
from quant_platform.settings.selection import Component, ScoreMode, SelectionSettings

Vector = npt.NDArray[np.float64]
Map = Literal["rank", "raw", "z"]
Norm = Literal["rank", "logistic", "z"]

WORST, SPREAD = 0.01, 0.99
MISSING = 0.5
FLOOR = 1e-9
LARGEST_PENALTY = 0.5
SMALLEST_MULTIPLIER = 0.1
_PULLED = 3.0
"""Deviations beyond which v2_1 tells no more."""


@dataclass(frozen=True)
class Part:
    """How a component counts.

    Parameters
    ----------
    weight
        ω of chapter 04 of the specification.
    mapped
        Map to a probability.
    normalised
        Normalisation in v2_1.
    """

    weight: float
    mapped: Map
    normalised: Norm = "rank"


_BASE: dict[Component, Part] = {
    "momentum": Part(1.7469, "rank", "logistic"),
    "stability": Part(0.0458, "rank"),
    "liquidity": Part(0.2946, "raw"),
    "antifragility": Part(0.6263, "rank"),
    "survival": Part(1.4, "raw"),
    "efficiency": Part(1.5348, "raw", "logistic"),
    "entropy": Part(0.0322, "rank"),
    "hurst_clean": Part(0.3485, "rank"),
    "adx": Part(1.0, "z", "z"),
}
PARTS: dict[ScoreMode, dict[Component, Part]] = {
    "log_mps_v3_2": _BASE,
    "v4": _BASE
    | {
        "recommend_all": Part(1.0, "rank"),
        "recommend_ma": Part(1.0, "rank"),
        "skewness": Part(0.5, "rank"),
        "kurtosis": Part(0.5, "rank"),
        "tail": Part(1.0, "rank"),
    },
    "v2_1": _BASE,
}
"""Components of each mode. The weights of the base were once fitted on a past of which nothing else
is known: they are the specification's, and no finding."""


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of the candidates of a session.

    Parameters
    ----------
    score
        Larger is better.
    values, probabilities, weights
        By component.
    penalty, multiplier
        Fragility penalty and regime multiplier; NaN where the mode has none.
    """

    score: Vector
    values: Mapping[Component, Vector]
    probabilities: Mapping[Component, Vector]
    weights: Mapping[Component, float]
    penalty: Vector
    multiplier: Vector


def parts_of(settings: SelectionSettings) -> dict[Component, Part]:
    """Components that count, with the dominance of the sleeve's signal.

    Parameters
    ----------
    settings
        Mode and signal.
    """
    parts = dict(PARTS[settings.mode])
    momentum = parts["momentum"]
    parts["momentum"] = Part(settings.momentum_weight, momentum.mapped, momentum.normalised)
    own = parts.get(settings.signal, Part(0.0, "rank"))
    parts[settings.signal] = Part(settings.signal_weight, own.mapped, own.normalised)
    return parts


def values_of(rows: pl.DataFrame, settings: SelectionSettings) -> dict[Component, Vector]:
    """Raw value of each component, larger is better; NaN where there is none.

    Parameters
    ----------
    rows
        Candidates of one session with evidence and features, in the direction of the trade.
    settings
        What counts as wholly liquid.
    """

    def told(name: str) -> Vector:
        return rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()

    return {
        "momentum": told("annual_return"),
        "stability": 1 / told("annual_volatility"),
        "liquidity": np.minimum(told("adv_money_20") / settings.liquid_money, 1.0),
        "antifragility": antifragility(told("skewness"), told("upper_tail"), told("observations")),
        "survival": told("survival"),
        "efficiency": told("efficiency"),
        "entropy": 1 - told("permutation_entropy"),
        "hurst_clean": np.abs(2 * told("hurst_place") - 1),
        "adx": told("adx_14"),
        "recommend_all": told("recommend_all"),
        "recommend_ma": told("recommend_ma"),
        "skewness": -np.abs(told("skewness")),
        "kurtosis": -told("kurtosis"),
        "tail": told("tail"),
        "composite_score": told("composite_score"),
    }


def antifragility(skewness: Vector, upper_tail: Vector, observations: Vector) -> Vector:
    """Skewness and mean of the best 5 %, each as its place between least and most.

    Parameters
    ----------
    skewness, upper_tail
        Of the candidates of one session; NaN where there is none.
    observations
        Returns that they are made of; fewer than a year's count for less.
    """
    return (_between(skewness) + _between(upper_tail)) * np.minimum(observations / YEAR, 1.0)


def _between(values: Vector) -> Vector:
    """Place of each value between the least and the most, 0..1; 0.5 where all are alike."""
    if np.isnan(values).all():
        return values
    least, most = np.nanmin(values), np.nanmax(values)
    if most <= least:
        return np.where(np.isnan(values), np.nan, MISSING)
    return np.asarray((values - least) / (most - least))


def ranked(values: Vector) -> Vector:
    """Map values to 0.01..1 by rank; NaN stays.

    Parameters
    ----------
    values
        Of one session.
    """
    known = ~np.isnan(values)
    made, count = np.full(len(values), np.nan), int(known.sum())
    if count == 1:
        made[known] = WORST + SPREAD / 2
    elif count:
        made[known] = WORST + SPREAD * (rankdata(values[known]) - 1) / (count - 1)
    return made


def standardised(values: Vector) -> Vector:
    """Distance from the mean in sample deviations; 0 where all are alike, NaN stays.

    Parameters
    ----------
    values
        Of one session.
    """
    known = values[~np.isnan(values)]
    spread = known.std(ddof=1) if len(known) > 1 else 0.0
    if spread <= FLOOR * max(float(np.abs(known).max(initial=0.0)), FLOOR):
        return np.where(np.isnan(values), np.nan, 0.0)
    return np.asarray((values - known.mean()) / spread)


_MAPS: Mapping[Map, Callable[[Vector], Vector]] = {
    "rank": ranked,
    "raw": lambda told: np.clip(told, 0.0, 1.0),
    "z": lambda told: np.asarray(ndtr(standardised(told))),
}
_NORMS: Mapping[Norm, Callable[[Vector], Vector]] = {
    "rank": ranked,
    "logistic": lambda told: np.asarray(expit(standardised(told))),
    "z": lambda told: (np.clip(standardised(told), -_PULLED, _PULLED) / _PULLED + 1) / 2,
}


def _probability(values: Vector, mapped: Map) -> Vector:
    made = _MAPS[mapped](values)
    return np.where(np.isnan(made), MISSING, made)


def _normalised(values: Vector, norm: Norm) -> Vector:
    made = _NORMS[norm](values)
    return np.where(np.isnan(made), MISSING, made)


def fragility_penalty(tail: Vector) -> Vector:
    """Half of each one's mean loss of the worst 5 % of days over the largest, 0..0.5.

    Parameters
    ----------
    tail
        Mean return of these days, NaN where it is not known. A gain is no loss.
    """
    loss = np.maximum(-tail, 0.0)
    largest = np.nanmax(loss) if not np.isnan(loss).all() else 0.0
    share = loss / largest if largest > 0 else np.where(np.isnan(loss), np.nan, 0.0)
    return LARGEST_PENALTY * np.where(np.isnan(share), MISSING, share)


def scored(rows: pl.DataFrame, fit: Vector, settings: SelectionSettings) -> Scored:
    """Score the candidates of one session.

    Parameters
    ----------
    rows
        Candidates with evidence and features, in the direction of the trade.
    fit
        Fit of each one's strategy to the regime, -1..1.
    settings
        Mode, signal.
    """
    parts, told = parts_of(settings), values_of(rows, settings)
    values = {name: told[name] for name in parts}
    weights = {name: part.weight for name, part in parts.items()}
    nothing = np.full(rows.height, np.nan)
    if settings.mode == "v2_1":
        places = {n: _normalised(values[n], part.normalised) for n, part in parts.items()}
        total = np.zeros(rows.height)
        for name, weight in weights.items():
            total += weight * places[name]
        score = total / sum(weights.values())
        return Scored(score, values, places, weights, nothing, nothing)
    places = {name: _probability(values[name], part.mapped) for name, part in parts.items()}
    total = np.zeros(rows.height)
    for name, weight in weights.items():
        total += weight * np.log(np.maximum(places[name], FLOOR))
    tail = rows["tail"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    penalty, multiplier = fragility_penalty(tail), np.maximum(SMALLEST_MULTIPLIER, 1 + fit)
    score = np.exp(total) * (1 - penalty) * multiplier
    return Scored(score, values, places, weights, penalty, multiplier)
