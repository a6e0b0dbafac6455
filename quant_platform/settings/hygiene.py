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
    confirmed_actions: tuple[ConfirmedAction, ...] = Field(
        default=(),
        strict=False,
        description="Actions that the price contradicts and that somebody has confirmed; others "
        "stay in quarantine.",
    )
