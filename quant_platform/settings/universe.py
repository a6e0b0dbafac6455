"""The settings of the universe: who of those listed may be looked at."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from quant_platform.settings.base import SessionDate, SettingsModel, described, refuse


class UniverseSettings(SettingsModel):
    """Who belongs to the universe of a session."""

    index: str | None = described(
        "Only members of this index, as they were on the session; its name in the membership "
        "table. Without it every listed security.",
        None,
        min_length=1,
    )
    min_aum: float | None = described(
        "Smallest assets of a fund, as last told by then; a fund of which nothing was told within "
        "a year is out. Asked only where the source has fund facts.",
        None,
        unit="money",
        gt=0,
        allow_inf_nan=False,
    )
    min_mean_volume: float | None = described(
        "Smallest mean volume over 20 sessions, as known by then; with fewer than 15 bars there is "
        "none, and the security is out.",
        None,
        unit="units per session",
        gt=0,
        allow_inf_nan=False,
    )
    survivorship: Literal["point_in_time", "biased"] = described(
        "point_in_time: who was listed on each session. biased: only who is still there on "
        "survivors_on. It looks ahead on purpose, to measure what that does; reports carry a band.",
        "point_in_time",
    )
    survivors_on: SessionDate | None = described(
        "With survivorship biased: the day whose list is used for all history.", None
    )

    @model_validator(mode="after")
    def _biased_by_a_day(self) -> UniverseSettings:
        if (self.survivorship == "biased") != (self.survivors_on is not None):
            raise refuse(
                "survivorship biased and survivors_on need one another",
                expected="both, or neither",
            )
        return self

    @property
    def constituency_source(self) -> str:
        """What decides who belongs, in a few words."""
        listed = "listings" if self.index is None else f"membership of {self.index}"
        if self.survivors_on is None:
            return listed
        return f"{listed} on {self.survivors_on} (biased)"
