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

    @model_validator(mode="after")
    def _windows_suffice(self) -> Self:
        if self.min_joint > self.windows[0]:
            raise refuse(
                f"min_joint {self.min_joint} is more than the window of {self.windows[0]} sessions",
                expected="at most the shortest window",
                mend="lower min_joint or lengthen the window",
            )
        return self
