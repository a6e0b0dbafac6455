"""The settings of hygiene: what is flagged, what leaves the universe, what somebody confirmed."""

from __future__ import annotations

from pydantic import Field

from quant_platform.settings.base import SessionDate, SettingsModel, described


class ConfirmedAction(SettingsModel):
    """An action that the price contradicts and that is right all the same."""

    security_id: str = described("The security.", min_length=1)
    session: SessionDate = described("Ex session of the action.")


class HygieneSettings(SettingsModel):
    """How the market data of a sleeve are looked over."""

    stale_sessions: int = described(
        "A security whose price has not moved on no volume, or that has no bar, for this many "
        "sessions leaves the universe until it trades again.",
        5,
        unit="sessions",
        ge=1,
        le=63,
    )
    outlier_deviations: float = described(
        "A return beyond this many robust deviations (1.4826 median absolute deviations) of the "
        "security's own is flagged, unless an action of the session explains it.",
        10.0,
        unit="robust deviations",
        ge=3.0,
        le=100.0,
    )
    outlier_sessions: int = described(
        "Sessions that the robust deviation is taken from.", 63, unit="sessions", ge=20, le=252
    )
    mismatch_tolerance: float = described(
        "A bar of which a price differs by more than this from the one of the sleeve's "
        "second_bars is flagged. Two vendors of the same two funds over two years differed by up "
        "to 7 bps at the open (auction or first trade), elsewhere by their rounding, and from 27 "
        "bps up where one of them was wrong.",
        0.002,
        unit="fraction of the price",
        gt=0.0,
        le=0.5,
    )
    mismatch_sessions: int = described(
        "How many sessions late a bar, of either source, may be and still be compared.",
        5,
        unit="sessions",
        ge=0,
        le=63,
    )
    confirmed_actions: tuple[ConfirmedAction, ...] = Field(
        default=(),
        strict=False,
        description="Actions that the price contradicts and that somebody has confirmed; others "
        "stay in quarantine.",
    )
