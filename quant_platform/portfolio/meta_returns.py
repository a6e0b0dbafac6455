"""The sleeves' streams on the sessions that all of them share.

1. Session D of the meta covers the days after the session before it, up to D. Each sleeve's leg is
   made of its own sessions in there: one for a sleeve of the same calendar; Saturday, Sunday and
   Monday for a crypto sleeve on a Monday.
2. ``before`` is that of the first own session, the first on which an order of the evening before
   could be executed; ``after`` compounds what followed.
3. A session counts only where every sleeve has all of its own sessions. On the others there are no
   rows: nothing is filled with zeros, which would understate every correlation. The next session
   still covers its own days and no more. A sleeve's stream begins after its first decision, so
   that joint sessions begin with the last sleeve's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import ConfigError
from quant_platform.lakehouse.contracts.meta import META_RETURNS
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings.portfolio import MetaSettings


def meta_returns_windows(settings: MetaSettings) -> dict[str, Window]:
    """Sessions of its inputs, by sleeve; one session back, which reaches over a weekend.

    A blocked session of a sleeve is one that not all of them have, and gives no rows.
    """
    return {
        sleeve: Window(f"{sleeve}/profile_returns", 1, withdraws=False)
        for sleeve in settings.members
    }


def meta_returns(
    frames: Mapping[str, pl.LazyFrame],
    settings: MetaSettings,
    wanted: SessionRange,
    calendars: Mapping[str, SessionCalendar],
) -> pl.DataFrame:
    """Compute ``meta/returns`` for a range.

    Parameters
    ----------
    frames
        By sleeve: its ``profile_returns`` of the days after the session before the range, up to
        its end. Rows of other days are left out.
    settings
        Members and profiles.
    wanted
        Sessions of the meta's calendar.
    calendars
        By sleeve: the calendar of its own sessions.

    Returns
    -------
    polars.DataFrame
        One row per profile and sleeve on each joint session, by session, profile and sleeve.
    """
    require_members(frames, settings, calendars)
    streams = {name: _streams(frames[name]) for name in settings.members}
    made = []
    for session in wanted.sessions:
        days = {name: own_sessions(session, wanted, calendars[name]) for name in settings.members}
        for profile in settings.profiles:
            legs = {name: _leg(streams[name], profile, days[name]) for name in settings.members}
            if any(leg is None for leg in legs.values()):
                continue
            made += [
                {"session": session, "profile": profile, "sleeve": name, **vars(leg)}
                for name, leg in legs.items()
            ]
    schema = {name: column.dtype for name, column in META_RETURNS.columns.items()}
    return pl.DataFrame(made, schema=schema).sort("session", "profile", "sleeve")


def require_members(
    frames: Mapping[str, pl.LazyFrame],
    settings: MetaSettings,
    calendars: Mapping[str, SessionCalendar],
    prefixes: Collection[str] = ("",),
) -> None:
    """Refuse a member of the meta that has no calendar, or lacks a frame ``<prefix><member>``."""
    lacking = [
        name
        for name in settings.members
        if name not in calendars or any(f"{prefix}{name}" not in frames for prefix in prefixes)
    ]
    if lacking:
        raise ConfigError(
            f"meta {settings.name} has a member {lacking[0]} without a calendar or without a table",
            expected="a sleeve of assets_config/sleeves/",
            mend="correct members, or add the sleeve",
        )


def own_sessions(session: date, wanted: SessionRange, calendar: SessionCalendar) -> Sequence[date]:
    """Sessions of a sleeve after the meta's session before, up to one of the meta's."""
    position = wanted.calendar.ordinal(session)
    if position == 0:
        return ()
    previous = wanted.calendar.sessions[position - 1]
    return calendar.between(previous + timedelta(days=1), session)


@dataclass(frozen=True)
class _Leg:
    """One sleeve's return over one session of the meta; the fields are columns."""

    since: date
    before: float
    after: float
    net: float


def _streams(returns: pl.LazyFrame) -> dict[tuple[date, str], tuple[float, float]]:
    """``before`` and ``after`` by own session and profile."""
    rows = returns.select("session", "profile", "before", "after").collect()
    return {(day, profile): (before, after) for day, profile, before, after in rows.iter_rows()}


def _leg(
    streams: Mapping[tuple[date, str], tuple[float, float]], profile: str, days: Sequence[date]
) -> _Leg | None:
    """Compound a sleeve's own sessions; None where it has none, or lacks one."""
    parts = [streams.get((day, profile)) for day in days]
    if not parts or any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    before, after = known[0]
    if len(known) > 1:
        growth = 1 + after
        for early, late in known[1:]:
            growth *= (1 + early) * (1 + late)
        after = growth - 1
    # A leg of one session is that session's stream as it is, without a rounding.
    return _Leg(days[0], before, after, (1 + before) * (1 + after) - 1)
