"""The settings of selection: the block ``selection`` of a sleeve's file."""

from __future__ import annotations

from quant_platform.settings.base import SettingsModel, described


class SelectionSettings(SettingsModel):
    """How a rebalance session chooses among the candidates."""

    top_n: int = described(
        "How many of the candidates that no veto stopped are selected, best score first.",
        10,
        unit="securities",
        ge=1,
        le=1000,
    )
    lookback_sessions: int = described(
        "Sessions of returns that score and volatility are taken from. A candidate that lacks one "
        "of them is vetoed.",
        60,
        unit="sessions",
        ge=2,
        le=252,
    )
    max_annual_volatility: float = described(
        "A candidate above this annualised volatility is vetoed; so is one without a figure.",
        2.5,
        unit="fraction per year",
        ge=0.0,
        le=100.0,
    )
