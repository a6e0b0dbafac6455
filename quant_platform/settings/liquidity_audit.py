"""The settings of the audit of thinly traded funds: ``liquidity_audit`` of a sleeve's file."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from quant_platform.settings.base import SettingsModel, described, refuse


class LiquidityAuditSettings(SettingsModel):
    """Which funds are looked over, and what each must show."""

    value_traded_from: float = described(
        "Mean money traded over 20 sessions from which a fund is looked over; below it no base "
        "universe takes it.",
        2e6,
        unit="money per session",
        ge=0.0,
        allow_inf_nan=False,
    )
    value_traded_below: float = described(
        "Mean money traded from which a fund is liquid enough not to be looked over.",
        1e7,
        unit="money per session",
        gt=0.0,
        allow_inf_nan=False,
    )
    order: float = described(
        "The sleeve's median order, of which the cost is reckoned.",
        2000.0,
        unit="money",
        gt=0.0,
        allow_inf_nan=False,
    )
    half_spread_bps: float = described(
        "Half of the distance between bid and ask of the most liquid fund that is looked over; the "
        "least liquid has twice as much, those in between by their place in Amihud's measure.",
        5.0,
        unit="bps of the amount traded",
        ge=0.0,
        le=500.0,
    )
    max_amihud_pctile: float = described(
        "Highest place among those looked over, by the return that a million moves.",
        0.9,
        unit="share of the funds",
        gt=0.0,
        le=1.0,
    )
    max_zero_volume: int = described(
        "Most bars without volume among the last 20.", 5, unit="bars", ge=0, le=20
    )
    max_cost_bps: float = described(
        "Largest cost of the median order, half-spread and impact, one way.",
        14.0,
        unit="bps of the amount traded",
        gt=0.0,
        allow_inf_nan=False,
    )

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        if self.value_traded_from >= self.value_traded_below:
            raise refuse(
                f"value_traded_from {self.value_traded_from} leaves nobody below "
                f"value_traded_below {self.value_traded_below}",
                expected="the first below the second",
                mend="lower value_traded_from or raise value_traded_below",
            )
        return self
