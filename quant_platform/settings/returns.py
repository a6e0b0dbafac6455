"""The settings of returns: which price an order fills at, and how long a mark stands."""

from __future__ import annotations

from typing import Literal

from quant_platform.settings.base import SettingsModel, described


class ReturnsSettings(SettingsModel):
    """How the bars of a sleeve become returns."""

    execution_price: Literal["open", "typical"] = described(
        "Price at which an order of the evening before fills: open is the official open; typical "
        "is the mean of open, high, low and close, for calendars without an opening auction. The "
        "open in that mean comes before the cutoff that decided.",
        "open",
    )
    stale_sessions: int = described(
        "How long a security's last close stands as its mark while no bar comes. After that it is "
        "taken for gone: its holders are paid that close.",
        63,
        unit="sessions",
        ge=1,
        le=504,
    )
