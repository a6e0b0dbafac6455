"""The settings of clusters: the block ``clusters`` of a sleeve's file."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from quant_platform.settings.base import SettingsModel, described, refuse


def _ascending(windows: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(windows)) != len(windows):
        raise refuse("a window is listed twice", expected="each length once")
    return tuple(sorted(windows))


# A list in YAML becomes a tuple; sorted, because the order of a list changes no result.
Lengths = Annotated[
    tuple[Annotated[int, Field(ge=2, le=2520)], ...],
    Field(strict=False, min_length=1),
    AfterValidator(_ascending),
]


class LeadLagSettings(SettingsModel):
    """Who moves before whom."""

    lookback: int = described(
        "Returns up to the decision that are looked at.", 756, unit="sessions", ge=60, le=2520
    )
    max_lag: int = described(
        "Most sessions by which one may move before another.", 5, unit="sessions", ge=1, le=21
    )
    min_joint: int = described(
        "Two securities with fewer joint returns are not compared.",
        120,
        unit="returns",
        ge=30,
        le=2520,
    )
    false_alarms: float = described(
        "Chance that somebody is said to follow on a session on which nobody does: the band that a "
        "correlation must leave is that of all pairs and lags together.",
        0.05,
        unit="probability",
        gt=0.0,
        lt=1.0,
    )

    @model_validator(mode="after")
    def _lookback_suffices(self) -> Self:
        if self.min_joint + self.max_lag > self.lookback:
            raise refuse(
                f"min_joint {self.min_joint} and max_lag {self.max_lag} are more than the lookback "
                f"of {self.lookback} sessions",
                expected="at most the look-back together",
                mend="lower them or raise lookback",
            )
        return self


class ClusterSettings(SettingsModel):
    """Which candidates of a session are one bet."""

    windows: Lengths = described(
        "Sessions up to the decision whose returns are correlated; the distances of the windows "
        "are averaged.",
        (60, 120, 200),
        unit="sessions",
    )
    min_joint: int = described(
        "Two securities with fewer joint returns in a window have no correlation in it.",
        20,
        unit="returns",
        ge=3,
        le=2520,
    )
    ridge: float = described(
        "What is added to each variance, as a share of it: correlations are divided by one plus "
        "this. It keeps twins at a distance that rounding does not move.",
        0.001,
        unit="share of the variance",
        ge=0.0,
        le=1.0,
    )
    threshold: float = described(
        "Securities that Ward's tree joins at most at this distance are one cluster.",
        0.4,
        unit="distance: 0 the same, 0.71 unrelated, 1 opposite",
        gt=0.0,
        le=10.0,
    )
    max_clusters: int = described(
        "Most clusters of a session; where the distance leaves more, the nearest are joined.",
        25,
        unit="clusters",
        ge=1,
        le=1000,
    )
    homogeneous_from: float = described(
        "Mean correlation inside a cluster from which it counts as one bet.",
        0.7,
        unit="correlation",
        ge=-1.0,
        le=1.0,
    )
    lead_lag: LeadLagSettings = described("Who moves before whom.", LeadLagSettings())

    @model_validator(mode="after")
    def _windows_suffice(self) -> Self:
        if self.min_joint > self.windows[0]:
            raise refuse(
                f"min_joint {self.min_joint} is more than the window of {self.windows[0]} sessions",
                expected="at most the shortest window",
                mend="lower min_joint or lengthen the window",
            )
        return self
