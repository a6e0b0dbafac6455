"""Forecasts of volatility by GARCH(1,1), of the candidates on rebalance sessions."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.feature import feature

REASONS = ("too_few_returns", "no_movement", "not_converged")
_WARM_UP = 22
_ANNUAL = "fraction a year"
_NULL = "or where actual is none"


class FeaturesGarch(dy.Schema):
    """Forecast for one candidate at one rebalance session's cutoff.

    Who is selected is a candidate of the session, so that these are the selected as well. A fit
    starts from the candidate's estimates of the rebalance session before, where it has some.
    """

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    requested = dy.Enum(["garch"], description="Model that was asked for.")
    actual = dy.Enum(
        ["garch", "ewma", "none"],
        description="Model that the forecast is of: ewma where nothing could be fitted, none where "
        "features_state has no EWMA either.",
    )
    reason = dy.Enum(
        list(REASONS), nullable=True, description="Why actual is not requested; null where it is."
    )
    converged = dy.Bool(
        nullable=True, description="Whether the fit converged; null where none was tried."
    )
    returns = dy.UInt32(description="Log returns that were there to be fitted.")
    volatility_next = feature(
        "Volatility forecast for the next session, annualised",
        _ANNUAL,
        _WARM_UP,
        of="bars",
        null=_NULL,
        least=0,
    )
    volatility_ahead = feature(
        "Root of the mean variance forecast for the sessions of the horizon, annualised; of ewma "
        "that of the next session",
        _ANNUAL,
        _WARM_UP,
        of="bars",
        null=_NULL,
        least=0,
    )
    mu = dy.Float64(
        nullable=True, description="Mean log return, fraction, signed; null unless actual is garch."
    )
    omega = dy.Float64(
        nullable=True,
        min=0,
        description="Constant of the variance, squared fraction; null unless actual is garch.",
    )
    alpha = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Share of the last squared residual; null unless actual is garch.",
    )
    beta = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Share of the last variance; null unless actual is garch.",
    )
    log_likelihood = dy.Float64(
        nullable=True, description="At the estimates, points, signed; null unless actual is garch."
    )
    iterations = dy.UInt32(
        nullable=True, description="Steps that the fit took; null where none was tried."
    )


FEATURES_GARCH = Contract(
    kind="features_garch",
    schema=FeaturesGarch,
    version=1,
    grain="one candidate on a rebalance session",
)
