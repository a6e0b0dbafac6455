"""The settings of the cross-section: how the securities of a session are ranked."""

from __future__ import annotations

from pydantic import model_validator

from quant_platform.settings.base import SettingsModel, described, refuse


class CrossSectionWeights(SettingsModel):
    """What a deviation of each feature counts in the composite score."""

    trend_score: float = described(
        "Weight of trend_score.", 0.4, ge=-10, le=10, allow_inf_nan=False
    )
    dist_pct: float = described(
        "Weight of the distance from the best anchored average; see signed_distance.",
        -0.3,
        ge=-10,
        le=10,
        allow_inf_nan=False,
    )
    avwap_slope: float = described(
        "Weight of the slope of that average.", 0.3, ge=-10, le=10, allow_inf_nan=False
    )
    atr_pct: float = described(
        "Weight of the average true range over the close.",
        0.0,
        ge=-10,
        le=10,
        allow_inf_nan=False,
    )

    @model_validator(mode="after")
    def _something_counts(self) -> CrossSectionWeights:
        if not any(self.model_dump().values()):
            raise refuse("every weight is 0", expected="a feature that counts")
        return self


class CrossSectionSettings(SettingsModel):
    """How a session's securities are ranked, and what each must have whatever its rank."""

    weights: CrossSectionWeights = described(
        "What a deviation of each feature counts in the composite score.", CrossSectionWeights()
    )
    signed_distance: bool = described(
        "Whether a distance below the average counts as the opposite of one above; otherwise only "
        "how far it is.",
        False,
    )
    winsorised_share: float = described(
        "Share of the securities at each end whose value counts as that of the next.",
        0.01,
        unit="share of the securities",
        ge=0.0,
        lt=0.5,
    )
    sector_neutral: bool = described(
        "Whether a security is held against its sector and not against all.", False
    )
    sector_securities: int = described(
        "With sector_neutral: fewest securities of a sector that are held against each other; "
        "those of a smaller one, and those without a sector, are held against all.",
        5,
        unit="securities",
        ge=2,
        le=1000,
    )
    selected_share: float = described(
        "Best share of the ranked securities that is selected.",
        0.10,
        unit="share of the securities",
        gt=0.0,
        le=1.0,
    )
    min_trend_score: float | None = described(
        "Hard floor of trend_score, whatever the rank; none without it.", 5.0, allow_inf_nan=False
    )
    min_adv_shares: float | None = described(
        "Hard floor of the mean volume over 20 sessions.",
        750_000.0,
        unit="units per session",
        ge=0,
        allow_inf_nan=False,
    )
    min_adv_money: float | None = described(
        "Hard floor of the mean money traded over 20 sessions.",
        None,
        unit="money per session",
        ge=0,
        allow_inf_nan=False,
    )
    max_distance_pct: float | None = described(
        "Farthest from the best anchored average that a close may be, either way.",
        8.0,
        unit="percent",
        gt=0,
        allow_inf_nan=False,
    )
