"""The settings of the risk features: volatility, its forecast, betas."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from quant_platform.settings.base import Identifier, SettingsModel, described, refuse


class CompositeSettings(SettingsModel):
    """What the composite volatility is made of in one state; the weights are relative."""

    lookback: Literal[30, 90, 252] = described(
        "Sessions of the realised and of the range volatility.", unit="sessions"
    )
    realised: float = described("Weight of the realised volatility.", ge=0.0)
    ranges: float = described("Weight of the volatility from ranges and gaps.", ge=0.0)
    ewma: float = described("Weight of the EWMA volatility.", ge=0.0)

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if self.realised + self.ranges + self.ewma <= 0:
            raise refuse("no volatility has a weight", expected="at least one above 0")
        return self


class VolatilitySettings(SettingsModel):
    """The composite volatility; its state is that of the security itself."""

    quiet_below: float = described(
        "EWMA over one-year volatility below which a security is quiet.", 0.6, unit="ratio", gt=0.0
    )
    turbulent_above: float = described(
        "EWMA over one-year volatility above which a security is turbulent.",
        1.4,
        unit="ratio",
        gt=0.0,
    )
    pulled_within: float = described(
        "A component further from the median of the components than this factor is taken as that "
        "far from it.",
        2.0,
        unit="ratio",
        ge=1.0,
    )
    quiet: CompositeSettings = described(
        "In the quiet state.", CompositeSettings(lookback=252, realised=0.4, ranges=0.4, ewma=0.2)
    )
    normal: CompositeSettings = described(
        "In the normal state.", CompositeSettings(lookback=90, realised=0.3, ranges=0.4, ewma=0.3)
    )
    turbulent: CompositeSettings = described(
        "In the turbulent state.",
        CompositeSettings(lookback=30, realised=0.2, ranges=0.3, ewma=0.5),
    )

    @model_validator(mode="after")
    def _states_are_apart(self) -> Self:
        if self.quiet_below >= self.turbulent_above:
            raise refuse(
                f"quiet_below {self.quiet_below} is not below turbulent_above "
                f"{self.turbulent_above}",
                expected="a ratio that is normal between them",
            )
        return self


class GarchSettings(SettingsModel):
    """The GARCH(1,1) forecast of candidates on rebalance sessions."""

    lookback: int = described(
        "Returns up to the session that a fit sees.", 756, unit="sessions", ge=100, le=5_040
    )
    least_returns: int = described(
        "With fewer returns nothing is fitted, and the EWMA stands in.",
        250,
        unit="returns",
        ge=100,
        le=5_040,
    )
    horizon: int = described(
        "Sessions ahead that the mean forecast covers.", 21, unit="sessions", ge=1, le=252
    )
    iterations: int = described(
        "Steps after which a fit that has not converged is given up for the EWMA.",
        100,
        unit="steps",
        ge=1,
        le=1_000,
    )

    @model_validator(mode="after")
    def _can_be_had(self) -> Self:
        if self.least_returns > self.lookback:
            raise refuse(
                f"least_returns {self.least_returns} is more than lookback {self.lookback}",
                expected="at most as many as a fit sees",
            )
        return self


class SleeveBenchmark(SettingsModel):
    """The security to which the betas of a sleeve are."""

    sleeve: Identifier = described("Sleeve that has its returns; on the same calendar.")
    security_id: str = described("Its stable key in that sleeve.", min_length=1)


class BetaSettings(SettingsModel):
    """Betas to the sleeve's benchmark, and exposures to factors."""

    crisis_percentile: float = described(
        "A session is one of crisis where VIX is above this percentile of its trailing 252 "
        "sessions, as known then.",
        0.75,
        unit="fraction",
        gt=0.0,
        lt=1.0,
    )
    least_of_each: int = described(
        "Sessions of a kind, of the trailing 756, that its conditional beta asks for.",
        40,
        unit="sessions",
        ge=10,
        le=378,
    )
    hac_lags: int = described(
        "Lags of the Bartlett kernel of the exposures' errors.", 4, unit="sessions", ge=0, le=60
    )
    drift_errors: float = described(
        "Joint errors by which one exposure must differ from that of the 252 sessions before for "
        "the style to have drifted.",
        2.64,
        unit="standard errors",
        gt=0.0,
    )
