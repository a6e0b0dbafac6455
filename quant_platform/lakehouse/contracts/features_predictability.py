"""Predictability of each security on rebalance sessions, and its place among noise."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.feature import feature

_WARM_UP = 272
"""250 standardised returns, each over a volatility that 22 bars make."""
_NULL = "or where prices did not move"


def _place(name: str) -> dy.Float32:
    """Column of a statistic's place among noise."""
    return feature(
        f"Place of {name} among noise of the same length, middle rank",
        "fraction",
        _WARM_UP,
        null=_NULL,
        least=0,
        most=1,
    )


class FeaturesPredictability(dy.Schema):
    """Statistics of one security's standardised returns at one rebalance session's cutoff.

    Returns are log returns over the volatility that was known the session before.
    """

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    permutation_entropy = feature(
        "Normalised permutation entropy of order 5 of 120 returns",
        "share of the largest possible",
        _WARM_UP,
        null=_NULL,
        least=0,
        most=1,
    )
    permutation_entropy_place = _place("permutation_entropy")
    hurst = feature(
        "Slope of rescaled ranges of 250 returns, less what noise has above one half",
        "ratio",
        _WARM_UP,
        null=_NULL,
    )
    hurst_place = _place("hurst")
    efficiency = feature(
        "Distance covered over the way gone in 120 returns",
        "fraction",
        _WARM_UP,
        null=_NULL,
        least=0,
        most=1,
    )
    efficiency_place = _place("efficiency")
    ljung_box = feature(
        "Smallest p-value of Ljung and Box's statistic of 250 returns over 1 to 5 lags",
        "fraction",
        _WARM_UP,
        null=_NULL,
        least=0,
        most=1,
    )
    ljung_box_place = _place("ljung_box")
    first_autocorrelation = feature(
        "Autocorrelation of 250 returns at lag 1", "ratio", _WARM_UP, null=_NULL, least=-1, most=1
    )
    first_autocorrelation_place = _place("first_autocorrelation")
    memory_depth = feature(
        "Lags in a row, from the first, of an autocorrelation of 250 returns above 0.02",
        "units",
        _WARM_UP,
        null=_NULL,
        least=0,
    )
    memory_depth_place = _place("memory_depth")
    half_life = feature(
        "Sessions in which the sum of 250 returns makes good half of a distance from its mean",
        "units",
        _WARM_UP,
        null=f"{_NULL}, or where it does not return",
        least=0,
    )
    half_life_place = _place("half_life")
    dickey_fuller = feature(
        "Statistic of the augmented Dickey-Fuller test of the sum of 250 returns, one lag",
        "ratio",
        _WARM_UP,
        null=_NULL,
    )
    dickey_fuller_place = feature(
        "Place of dickey_fuller among random walks of the same length: the p-value of the test",
        "fraction",
        _WARM_UP,
        null=_NULL,
        least=0,
        most=1,
    )
    variance_ratio = feature(
        "Variance of returns over 5 sessions over five variances of one, of 250 returns",
        "ratio",
        _WARM_UP,
        null=_NULL,
        least=0,
    )
    variance_ratio_place = _place("variance_ratio")


FEATURES_PREDICTABILITY = Contract(
    kind="features_predictability",
    schema=FeaturesPredictability,
    version=1,
    grain="one security with a bar on a rebalance session",
)
