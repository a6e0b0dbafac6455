"""Sleeves' streams of return, and metas over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts.meta import META_RETURNS
from quant_platform.lakehouse.contracts.profile_returns import PROFILE_RETURNS
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.portfolio.meta_returns import meta_returns
from quant_platform.settings.portfolio import MetaSettings
from quant_platform_tests.portfolio.stages import DAYS, NYSE, frame_of

CALENDARS: Mapping[str, SessionCalendar] = {"crypto": DAYS, "etfs": NYSE, "stocks": NYSE}
META = MetaSettings(name="meta", members=("stocks", "etfs", "crypto"), train=30, min_joint=20)
PROFILES = META.profiles
SESSIONS = NYSE.between(date(2024, 1, 2), date(2024, 5, 31))


def stream(session: date, before: float, after: float, profile: str) -> dict[str, object]:
    net = (1 + before) * (1 + after) - 1
    return {
        "session": session,
        "profile": profile,
        "before": before,
        "after": after,
        "gross": net,
        "cost": 0.0,
        "net": net,
        "turnover": 0.0,
        "names": 1,
        "cash": 0.0,
        "concentration": 1.0,
        "untraded": 0,
    }


def streams(
    days: Mapping[date, tuple[float, float]], profiles: Sequence[str] = ("equal_weight",)
) -> pl.DataFrame:
    """``profile_returns`` of a sleeve: before and after by its own session."""
    rows = [
        stream(day, before, after, profile)
        for day, (before, after) in days.items()
        for profile in profiles
    ]
    return frame_of(PROFILE_RETURNS, rows)


def random_streams(seed: int, calendar: SessionCalendar, scale: float) -> pl.DataFrame:
    """Another stream for each profile."""
    random = np.random.default_rng(seed)
    rows = [
        stream(day, random.normal(0.0002, scale), random.normal(0.0002, scale), profile)
        for day in calendar.between(SESSIONS[0], SESSIONS[-1])
        for profile in PROFILES
    ]
    return frame_of(PROFILE_RETURNS, rows)


def sleeves() -> dict[str, pl.DataFrame]:
    """Three sleeves, the coins twice as wild as the stocks."""
    return {
        "crypto": random_streams(1, DAYS, 0.012),
        "etfs": random_streams(2, NYSE, 0.004),
        "stocks": random_streams(3, NYSE, 0.006),
    }


def joined(
    tables: Mapping[str, pl.DataFrame],
    sessions: Sequence[date] = SESSIONS,
    *,
    settings: MetaSettings = META,
    chunk: int = 10_000,
) -> pl.DataFrame:
    """``meta/returns`` chunk by chunk; sleeves' rows of one session back are in the frames."""
    parts = [META_RETURNS.empty()]
    for start in range(0, len(sessions), chunk):
        wanted = SessionRange(NYSE, tuple(sessions[start : start + chunk]), SESSIONS[0])
        first = wanted.loaded(Window("profile_returns", 1))[0]
        frames = {
            name: table.filter(pl.col("session").is_between(first, wanted.last)).lazy()
            for name, table in tables.items()
        }
        made = meta_returns(frames, settings, wanted, CALENDARS)
        parts.append(META_RETURNS.validate("meta/returns", made))
    return pl.concat(parts)
