"""The settings of ``assets_config/execution.yaml``: the account, its costs, its limits, its gates.

A sleeve trades on the terms of its kind of calendar (``exchange`` or ``around_the_clock``) unless
``sleeves`` gives it terms of its own, so that a new sleeve needs no line here.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import StringConstraints, model_validator

from quant_platform.settings.base import (
    Identifier,
    SessionDate,
    SettingsModel,
    described,
    refuse,
)

AROUND_THE_CLOCK = "24/7"
"""Code of the calendar on which trading never stops."""

# A guard against 5 written for 5 bps as a percentage, not a limit of any market.
MOST_BPS = 500.0

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3,5}$")]


class TermsSettings(SettingsModel):
    """What the paper broker asks for a trade, and in which units it trades."""

    half_spread_bps: float = described(
        "Half of the distance between bid and ask, always against us.",
        3.0,
        unit="bps of the amount traded",
        ge=0.0,
        le=MOST_BPS,
    )
    slippage_bps: float = described(
        "What the price moves against us beyond the half-spread.",
        2.0,
        unit="bps of the amount traded",
        ge=0.0,
        le=MOST_BPS,
    )
    commission_bps: float = described(
        "Fee of the broker or exchange.",
        1.0,
        unit="bps of the amount traded",
        ge=0.0,
        le=MOST_BPS,
    )
    lot: float = described(
        "Orders are whole multiples of this; only an order that sells all of a position may hold "
        "what a split left over.",
        1.0,
        unit="units",
        gt=0.0,
        le=1_000_000.0,
    )


class RiskSettings(SettingsModel):
    """The overlay between the target portfolio and the orders."""

    target_volatility: float = described(
        "Volatility that the exposure aims at.", 0.15, unit="fraction per year", gt=0.0, le=2.0
    )
    floor: float = described(
        "Least exposure before the regime's throttle.", 0.2, unit="share of equity", ge=0.0, le=1.0
    )
    ceiling: float = described(
        "Most exposure before the regime's throttle.", 1.0, unit="share of equity", gt=0.0, le=1.0
    )
    volatility_lookback: int = described(
        "Sessions up to the decision over which the volatility of the targets is measured.",
        20,
        unit="NYSE sessions",
        ge=2,
        le=252,
    )
    least_joint_sessions: int = described(
        "With fewer sessions among those on which every target has a return, the volatility is "
        "unknown and the exposure is the floor. Targets that have left do not count.",
        15,
        unit="NYSE sessions",
        ge=2,
        le=252,
    )
    sessions_per_year: int = described(
        "NYSE sessions of a year, by which the volatility is annualised.",
        252,
        unit="sessions",
        ge=1,
        le=366,
    )
    name_cap: float = described(
        "An increase that would lift one name above this weight is blocked.",
        0.15,
        unit="share of equity",
        gt=0.0,
        le=1.0,
    )
    daily_loss_cap: float = described(
        "After a session that lost more than this every increase is blocked for the evening.",
        0.05,
        unit="share of equity",
        gt=0.0,
        le=1.0,
    )
    stale_days: int = described(
        "A name whose last mark is older than this is not increased.",
        5,
        unit="calendar days",
        ge=0,
        le=30,
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.floor > self.ceiling:
            raise refuse(
                f"floor {self.floor:g} is above ceiling {self.ceiling:g}",
                expected="floor <= ceiling",
            )
        if self.least_joint_sessions > self.volatility_lookback:
            raise refuse(
                f"least_joint_sessions {self.least_joint_sessions} is more than the "
                f"volatility_lookback of {self.volatility_lookback}",
                expected="at most the look-back",
                mend="lower least_joint_sessions or raise volatility_lookback",
            )
        return self


class GateSettings(SettingsModel):
    """What closes an evening: none of its orders goes out."""

    kill_switch: SessionDate | None = described(
        "First session whose evening sends nothing; every later one sends nothing either. Without "
        "it the switch is off. It is dated, and outside of the hash, so that neither switching it "
        "on nor off remakes what the account did before.",
        None,
        outside_hash=True,
    )
    cash_tolerance: float = described(
        "Difference between our cash or equity and the broker's that is accepted.",
        0.01,
        unit="money",
        ge=0.0,
        le=1_000_000.0,
    )
    max_gross: float = described(
        "Largest sum of the weights after the overlay.",
        1.0,
        unit="share of equity",
        gt=0.0,
        le=1.0,
    )
    max_orders: int = described("Most orders of one evening.", 500, unit="orders", ge=1, le=100_000)
    max_order: float = described("Largest buy order.", 0.25, unit="share of equity", gt=0.0, le=1.0)
    max_stale: float = described(
        "Largest share of the targets whose increase was blocked for want of a fresh mark.",
        0.2,
        unit="share of the targets",
        ge=0.0,
        le=1.0,
    )


class ExecutionSettings(SettingsModel):
    """Everything in ``assets_config/execution.yaml``."""

    portfolio: Identifier = described(
        "The meta whose target portfolio is traded: a file of assets_config/meta/.", "meta"
    )
    profile: Identifier = described("The profile of it that is traded.", "equal_weight")
    broker: Literal["paper"] = described(
        "Who takes the orders: paper is the exchange that is simulated on the lake's bars.",
        "paper",
    )
    currency: Currency = described("Currency of the account.", "USD")
    opened: SessionDate = described(
        "First session of the account, or the last day before it. The evening of that session "
        "decides for the first time; the session after it fills.",
        date(2023, 12, 1),
    )
    cash: float = described(
        "Cash of the account on its first session.", 100_000.0, unit="money", gt=0.0, le=1e12
    )
    cash_buffer: float = described(
        "Share of equity that the targets leave in cash, so that costs and opening gaps can be "
        "paid.",
        0.005,
        unit="share of equity",
        ge=0.0,
        lt=1.0,
    )
    min_trade: float = described(
        "A smaller order is left out, except one that leaves a name.",
        0.001,
        unit="share of equity",
        ge=0.0,
        le=1.0,
    )
    margin_minutes: int = described(
        "Orders that are not out this long before the next open stay in: the evening is missed.",
        60,
        unit="minutes",
        ge=0,
        le=720,
        outside_hash=True,
    )
    exchange: TermsSettings = described("Terms of sleeves on exchange sessions.", TermsSettings())
    around_the_clock: TermsSettings = described(
        "Terms of sleeves on 24/7.",
        TermsSettings(half_spread_bps=6.0, slippage_bps=4.0, commission_bps=4.0, lot=1e-6),
    )
    sleeves: dict[Identifier, TermsSettings] = described(
        "Terms of single sleeves, in place of those of their calendar.", {}
    )
    risk: RiskSettings = described(
        "The overlay between the target portfolio and the orders.", RiskSettings()
    )
    gates: GateSettings = described("What closes an evening.", GateSettings())

    def terms(self, sleeve: str, calendar: str) -> TermsSettings:
        """Terms of a sleeve.

        Parameters
        ----------
        sleeve
            Name of the sleeve.
        calendar
            Code of its calendar.
        """
        kind = self.around_the_clock if calendar == AROUND_THE_CLOCK else self.exchange
        return self.sleeves.get(sleeve, kind)
