"""The settings of ``assets_config/platform.yaml``: what holds for every sleeve.

The defaults here and the shipped file say the same (a test holds them together), so a key that is
deleted from the file keeps the value the file was shipped with.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from quant_platform.settings.base import (
    CalendarKey,
    Identifier,
    SessionDate,
    SettingsModel,
    described,
    refuse,
)
from quant_platform.settings.risk_features import BetaSettings, GarchSettings, VolatilitySettings
from quant_platform.settings.tradingview import TradingViewSettings
from quant_platform.settings.wording import plain

MINUTES_PER_DAY = 1440
PORTFOLIO_JOB = "portfolio_daily"
"""Job of what comes after all sleeves: metas, execution, reports. No calendar's own."""

_URI = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")


def _local_folder(text: str) -> str:
    if _URI.match(text):
        scheme = plain(text.split("://", 1)[0])
        raise refuse(
            f"a {scheme}:// address is not a local folder",
            expected="a path on this machine (object stores come later)",
            mend="write a folder, relative to the project or absolute",
        )
    if not text.isprintable():
        raise refuse("a path with unprintable characters", expected="a path on this machine")
    return text


def _sorted_dates(days: tuple[date, ...]) -> tuple[date, ...]:
    if len(set(days)) != len(days):
        twice = next(day for day in days if days.count(day) > 1)
        raise refuse(f"{twice} is listed twice", expected="each date once")
    return tuple(sorted(days))


def _weekday(day: date) -> date:
    if day.isoweekday() > 5:
        raise refuse(
            f"{day} is a {day:%A}",
            expected="a NYSE session, because the rebalance grid is counted in those",
        )
    return day


LocalFolder = Annotated[str, Field(min_length=1), AfterValidator(_local_folder)]
"""A folder on this machine as it is written: relative to the project, absolute, or below ``~``."""

# A list in YAML becomes a tuple, so that frozen settings are frozen to the ground.
SessionDates = Annotated[
    tuple[SessionDate, ...], Field(strict=False), AfterValidator(_sorted_dates)
]

Rate = Annotated[float, Field(ge=0.0, le=0.2)]


class CalendarSettings(SettingsModel):
    """What the platform needs to know about a calendar beyond its sessions."""

    job: Identifier = described("Name of the daily job that materialises this calendar's assets.")
    periods_per_year: int = described(
        "Sessions of a year, used wherever a figure is annualised.", unit="sessions", ge=1, le=366
    )


class RebalanceSettings(SettingsModel):
    """The one grid of rebalance sessions that serves every sleeve."""

    anchor: Annotated[SessionDate, AfterValidator(_weekday)] = described(
        "The session the grid is counted from. It lies before any history, so that moving "
        "history_start moves no rebalance.",
        date(2015, 1, 2),
    )
    step: int = described("From one rebalance to the next.", 20, unit="NYSE sessions", ge=1, le=252)


class DirtSettings(SettingsModel):
    """How often the embedded market spoils a bar, so that hygiene has something to catch."""

    missing: Rate = described("Bars that never arrive.", 0.001, unit="share of bars")
    late: Rate = described(
        "Bars that become known only after the cutoff of their session.",
        0.001,
        unit="share of bars",
    )
    corrected: Rate = described(
        "Bars that are published wrong and corrected some sessions later.",
        0.001,
        unit="share of bars",
    )
    impossible: Rate = described(
        "Bars that break their contract, such as a low above the high.",
        0.0005,
        unit="share of bars",
    )
    duplicated: Rate = described("Bars that arrive twice.", 0.0005, unit="share of bars")
    bad_print: Rate = described(
        "Bars with a wrong close that nobody corrects.", 0.0001, unit="share of bars"
    )
    untraded: Rate = described(
        "Bars without volume, at the close before.", 0.0005, unit="share of bars"
    )
    stale: Rate = described(
        "Days on which a name goes stale: five to ten bars without volume at the same close.",
        0.0001,
        unit="share of bars",
    )


Strength = Annotated[float, Field(ge=0.0, le=5.0)]


class PlantedSettings(SettingsModel):
    """Effects that the embedded market hides in idiosyncratic returns, for methods to find."""

    momentum: Strength = described(
        "Cross-sectional momentum: drifts of stocks that last for years.", 1.0, unit="strength"
    )
    reversal: Strength = described(
        "Short-term reversal: a part of a day's return is given back the day after.",
        1.0,
        unit="strength",
    )
    lead_lag: Strength = described(
        "Pairs of which one follows the other with a day's delay.", 1.0, unit="strength"
    )
    learnable: Strength = described(
        "A weak signal that no linear method sees.", 1.0, unit="strength"
    )
    slide: Annotated[float, Field(ge=0.0, le=1.0)] = described(
        "What fails slides for weeks; of the rest of 1 it falls by as much at once.",
        1.0,
        unit="strength",
    )


class EmbeddedMarketSettings(SettingsModel):
    """The simulated market: deterministic, offline, the same for any range that is asked for."""

    seed: int = described(
        "Seed of every random number; another seed is another market.", 7, ge=0, le=2**32 - 1
    )
    start: SessionDate = described(
        "The market's own first day. Every path begins here whatever history_start is, so that "
        "a longer history never changes a later session.",
        date(2015, 1, 2),
    )
    symbols_per_sleeve: int = described(
        "Symbols of a sleeve that does not say its own number.",
        60,
        unit="symbols",
        ge=1,
        le=10_000,
    )
    dirt: DirtSettings = described("How often a bar is spoilt on purpose.", DirtSettings())
    planted: PlantedSettings = described(
        "Strength of each effect that is hidden in the market; 1 is plausible, 0 is none.",
        PlantedSettings(),
    )
    null_market: bool = described(
        "No effect at all, whatever the strengths say: the market in which nothing can be found.",
        False,
    )


class CheckSettings(SettingsModel):
    """Thresholds of the rules that each session of a table is judged by, by the rule's name."""

    row_count: float = described(
        "A session with fewer rows than this share of the median of the 20 before it is reported.",
        0.5,
        unit="share of the trailing median",
        ge=0.0,
        le=1.0,
    )
    rejected_share: float = described(
        "A session of which more than this share had to be rejected is blocked: a garbled "
        "delivery must not be traded on.",
        0.25,
        unit="share of the rows that arrived",
        ge=0.0,
        le=1.0,
    )
    late_share: float = described(
        "A session whose rows describe earlier sessions by more than this share is reported.",
        0.2,
        unit="share of rows",
        ge=0.0,
        le=1.0,
    )
    none_lost: float = described(
        "A carried state that keeps less than this share of its securities from one session to "
        "the next is blocked.",
        0.5,
        unit="share of the rows of the session before",
        ge=0.0,
        le=1.0,
    )


class TrendSettings(SettingsModel):
    """Finite-window features."""

    max_missing_share: float = described(
        "A feature is null when more than this share of its look-back window has no bar.",
        0.05,
        unit="share of the window",
        ge=0.0,
        le=1.0,
    )


class StateSettings(SettingsModel):
    """Recursive features."""

    replay_sessions: int = described(
        "How far back a recursive feature is replayed after a late bar or a correction. "
        "What is published later than that changes no state.",
        21,
        unit="sessions",
        ge=0,
        le=252,
    )


class FeatureSettings(SettingsModel):
    """How features treat gaps and late news, by family."""

    trend: TrendSettings = described("Finite-window features.", TrendSettings())
    state: StateSettings = described("Recursive features.", StateSettings())
    volatility: VolatilitySettings = described("The composite volatility.", VolatilitySettings())
    garch: GarchSettings = described("The forecast of volatility.", GarchSettings())
    beta: BetaSettings = described("Betas and exposures.", BetaSettings())


class AutomationSettings(SettingsModel):
    """What this environment does by itself; what is off is not registered at all."""

    evening: bool = described(
        "The schedule of the evening, and the sensor that lets the other jobs follow it.",
        True,
        outside_hash=True,
    )
    execution: bool = described(
        "The sensor that sends the orders of a ready evening.", True, outside_hash=True
    )


class UiSettings(SettingsModel):
    """Where the Dagster UI listens."""

    host: str = described(
        "Address the UI listens on. 127.0.0.1 keeps it on this machine: the UI has no log-in.",
        "127.0.0.1",
        outside_hash=True,
        min_length=1,
        pattern=r"^[A-Za-z0-9.:_-]+$",
    )
    port: int = described("TCP port of the UI.", 3000, outside_hash=True, ge=1, le=65_535)


def _one_job_each(calendars: dict[str, CalendarSettings]) -> dict[str, CalendarSettings]:
    owner: dict[str, str] = {}
    for code, calendar in calendars.items():
        if calendar.job == PORTFOLIO_JOB:
            raise refuse(
                f"{code} names the job {PORTFOLIO_JOB}, which is that of metas, execution and "
                "reports",
                expected="a job of its own for each calendar",
            )
        other = owner.setdefault(calendar.job, code)
        if other != code:
            raise refuse(
                f"{other} and {code} both name the job {calendar.job}",
                expected="a job of its own for each calendar",
            )
    return calendars


class PlatformSettings(SettingsModel):
    """Everything in ``assets_config/platform.yaml``."""

    history_start: SessionDate = described(
        "First session of every partitioned table, on every calendar.", date(2022, 1, 3)
    )
    walk_forward_start: SessionDate = described(
        "First session of screener, scans, candidates, selection, weights, holdings, profile "
        "returns, regime and meta; before it there is only data and features, so that "
        "252-session look-backs are full. It can not be before history_start.",
        date(2023, 1, 3),
    )
    lake_root: LocalFolder = described(
        "Folder of the lake, relative to the project or absolute.", "lakehouse", outside_hash=True
    )
    dagster_home: LocalFolder = described(
        "Folder of the Dagster instance, relative to the project or absolute.",
        "dagster_home",
        outside_hash=True,
    )
    ingest_grace_minutes: int = described(
        "The cutoff of a session is 00:00 UTC after it plus this; what is known later belongs "
        "to the next session.",
        90,
        unit="minutes",
        ge=0,
        le=MINUTES_PER_DAY // 2,
    )
    extra_holidays: dict[CalendarKey, SessionDates] = described(
        "Unscheduled closures by calendar that exchange_calendars does not know yet.", {}
    )
    extra_sessions: dict[CalendarKey, SessionDates] = described(
        "Unscheduled sessions by calendar that exchange_calendars does not know yet.", {}
    )
    calendars: Annotated[dict[CalendarKey, CalendarSettings], AfterValidator(_one_job_each)] = (
        described(
            "The calendars that sleeves may use, each with its job.",
            {
                "XNYS": CalendarSettings(job="us_daily", periods_per_year=252),
                "24/7": CalendarSettings(job="crypto_daily", periods_per_year=365),
            },
        )
    )
    rebalance: RebalanceSettings = described(
        "The one grid of rebalance sessions that serves every sleeve.", RebalanceSettings()
    )
    knowledge_lag_minutes: dict[Identifier, Annotated[int, Field(ge=0, le=7 * MINUTES_PER_DAY)]] = (
        described(
            "By table: how long after the close of its session a row is assumed to be published, "
            "where the source does not say.",
            {"bars": 30},
            unit="minutes",
        )
    )
    backfill_chunk: int = described(
        "Sessions of one run when a long range is filled. A range equals its single days, so "
        "this changes speed and never a result.",
        252,
        unit="sessions",
        outside_hash=True,
        ge=1,
        le=2520,
    )
    embedded_market: EmbeddedMarketSettings = described(
        "The simulated market that needs no network.", EmbeddedMarketSettings()
    )
    checks: CheckSettings = described(
        "Thresholds of the checks stored with each session.", CheckSettings()
    )
    features: FeatureSettings = described(
        "How features treat gaps and late news.", FeatureSettings()
    )
    tradingview: TradingViewSettings = described(
        "The screener of TradingView, for the session that is over tonight.", TradingViewSettings()
    )
    automation: AutomationSettings = described(
        "What this environment does by itself.", AutomationSettings()
    )
    ui: UiSettings = described("Where the Dagster UI listens.", UiSettings())

    @field_validator("extra_sessions")
    @classmethod
    def _closed_or_open(
        cls, extra_sessions: dict[str, tuple[date, ...]], info: ValidationInfo
    ) -> dict[str, tuple[date, ...]]:
        holidays: dict[str, tuple[date, ...]] = info.data.get("extra_holidays", {})
        for code, days in extra_sessions.items():
            both = sorted(set(days) & set(holidays.get(code, ())))
            if both:
                raise refuse(
                    f"{both[0]} of {code} is in extra_holidays as well", expected="one of the two"
                )
        return extra_sessions
