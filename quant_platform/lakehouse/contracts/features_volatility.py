"""Volatility and tail features: how much a price moves, how badly, and what to reckon with."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.feature import feature, label
from quant_platform.lakehouse.rules import row_count

STATES = ("quiet", "normal", "turbulent")
_ANNUAL = "fraction a year"


def _realised(length: int) -> dy.Float32:
    """Column of realised volatility."""
    return feature(f"Sample sd of {length} log returns, annualised", _ANNUAL, length + 1, least=0)


def _range(length: int) -> dy.Float32:
    """Column of volatility from ranges and gaps."""
    return feature(
        f"Root of the mean of {length} variances from open, high, low, close (Garman and Klass) "
        "and the gap before them (Yang and Zhang), annualised",
        _ANNUAL,
        length + 1,
        least=0,
    )


class FeaturesVolatility(dy.Schema):
    """Volatility of one security at one session's cutoff.

    What is annualised is times the root of the sleeve's periods a year. Prices are in the units of
    the session; cash that was paid is not in them.
    """

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    volatility_30 = _realised(30)
    volatility_90 = _realised(90)
    volatility_252 = _realised(252)
    ewma_volatility = feature(
        "ewma_volatility of features_state (lambda 0.94), annualised",
        _ANNUAL,
        1,
        state=1,
        null="or where features_state has none",
        least=0,
    )
    parkinson_30 = feature(
        "Root of the mean of 30 variances from high and low (Parkinson), without the gaps between "
        "sessions, annualised",
        _ANNUAL,
        30,
        least=0,
    )
    garman_klass_30 = feature(
        "Root of the mean of 30 variances from open, high, low, close (Garman and Klass), without "
        "the gaps between sessions, annualised",
        _ANNUAL,
        30,
        least=0,
    )
    range_volatility_30 = _range(30)
    range_volatility_90 = _range(90)
    range_volatility_252 = _range(252)
    downside_deviation_252 = feature(
        "Root of the mean of 252 squared returns, gains counted as 0, annualised",
        _ANNUAL,
        253,
        least=0,
    )
    cvar_historical_252 = feature(
        "Mean of the worst 5 % of 252 returns, parts of a return included; a loss is negative",
        "fraction a session",
        253,
        least=-1,
    )
    cvar_student_252 = feature(
        "Mean of the worst 5 % under Student's t of the mean, variance and kurtosis of 252 "
        "returns; a loss is negative",
        "fraction a session",
        253,
    )
    ulcer_index_14 = feature(
        "Root of the mean of 14 squared distances of the close from the highest of 14 sessions",
        "fraction",
        27,
        least=0,
    )
    ulcer_index_63 = feature(
        "Root of the mean of 63 squared distances of the close from the highest of 63 sessions",
        "fraction",
        125,
        least=0,
    )
    volatility_state = label(
        "The security's own state: ewma_volatility over volatility_252 against the bounds in the "
        "settings",
        STATES,
        253,
        null="or without ewma_volatility",
    )
    composite_volatility = feature(
        "Weighted mean of realised, range and EWMA volatility, each first pulled to within a "
        "factor of their median; weights and look-back are those of volatility_state, of normal "
        "before",
        _ANNUAL,
        91,
        null="or where less than half of the weights has a value",
        least=0,
    )


FEATURES_VOLATILITY = Contract(
    kind="features_volatility",
    schema=FeaturesVolatility,
    version=1,
    grain="one security at one session's cutoff",
    rules=(row_count(),),
)
