"""Betas to the sleeve's benchmark and exposures to factors."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.feature import feature

FACTORS = {
    "market": "Mkt-RF",
    "size": "SMB",
    "value": "HML",
    "profitability": "RMW",
    "investment": "CMA",
    "momentum": "MOM",
}
"""Factors by the word that columns have for them, with their names in ``market/series``."""
_RATIO = "ratio"


def _conditional(kind: str, condition: str) -> dy.Float32:
    """Column of a beta of the sessions of one kind."""
    return feature(
        f"Beta to the benchmark on the sessions of {kind} ({condition}) among the last 756",
        _RATIO,
        80,
        null="or with too few sessions of either kind, or where no VIX is read",
    )


def _exposure(factor: str) -> dy.Float32:
    """Column of the exposure to one factor."""
    return feature(
        f"Exposure to {factor}, beside the other factors, of 252 sessions up to factors_through",
        _RATIO,
        252,
        null="or without factors of late",
    )


def _error(factor: str) -> dy.Float32:
    """Column of the standard error of an exposure."""
    return feature(
        f"Standard error of exposure_{factor} by Newey and West",
        _RATIO,
        252,
        null="or without factors of late",
        least=0,
    )


class FeaturesBeta(dy.Schema):
    """Betas of one security's total returns at one session's cutoff.

    The series of ``market/series`` are those of US stocks: sleeves on another calendar have neither
    conditional betas nor exposures.
    """

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    beta_252 = feature("Beta to the benchmark, 252 sessions", _RATIO, 252)
    beta_63 = feature("Beta to the benchmark, 63 sessions", _RATIO, 63)
    beta_stability = feature(
        "1 / (1 + sample sd of beta_63 now and 63, 126 and 189 sessions ago); 1 is steady",
        _RATIO,
        252,
        above=0,
        most=1,
    )
    beta_crisis = _conditional("crisis", "VIX above a percentile of its trailing 252 sessions")
    beta_normal = _conditional("calm", "VIX not above it")
    crisis_sessions = dy.UInt32(
        description="Sessions of crisis with both returns among the last 756; 0 without VIX."
    )
    exposure_market = _exposure("market")
    exposure_size = _exposure("size")
    exposure_value = _exposure("value")
    exposure_profitability = _exposure("profitability")
    exposure_investment = _exposure("investment")
    exposure_momentum = _exposure("momentum")
    error_market = _error("market")
    error_size = _error("size")
    error_value = _error("value")
    error_profitability = _error("profitability")
    error_investment = _error("investment")
    error_momentum = _error("momentum")
    factors_through = dy.Date(
        nullable=True,
        description="Last session whose factors were published at the cutoff; null without "
        "factors of late.",
    )
    style_drift = dy.Bool(
        nullable=True,
        description="Whether an exposure is further from that of the 252 sessions before than "
        "their joint errors explain; null where either is not known.",
    )


FEATURES_BETA = Contract(
    kind="features_beta",
    schema=FeaturesBeta,
    version=1,
    grain="one security with a return over the session, at its cutoff",
)
