"""What each fill cost against what was expected: the events of the ledger ``EXECUTION_SLIPPAGE``.

Two numbers stand in every event. ``slippage_bps`` is the plain (actual - ideal) / ideal, whose sign
flips between buys and sells; ``slippage_bps_signed_cost`` is positive when it cost us, on both
sides, and is the one to aggregate.

A fill's time is the opening of its session. A sleeve that never closes opens at 00:00 UTC, which is
before the cutoff of the evening that decided: its fills are dated to that cutoff, the first moment
at which they can have happened. ``date_ny`` is New York's date of that time, so a coin that was
decided on Friday and filled on Saturday's bar carries Friday's.

``adv_shares_20d`` is the mean volume of the sleeve's last 20 sessions up to the one that decided,
from the bars as they were known at its cutoff, in units of the day of the fill: a split in between
restates it. Sessions without a bar are left out; with fewer than 15 left it is null, as is
``participation``, and the bucket says ``unknown``. The buckets are those of chapter 03, for what
never stops trading by money instead of shares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.execution.records import Fill, records
from quant_platform.execution.simulation import VOLUME_SESSIONS
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.settings.execution import AROUND_THE_CLOCK, ExecutionSettings

LEDGER = "EXECUTION_SLIPPAGE"
ACTION = "execution_fill"
SCHEMA_VERSION = 1
NETTED = "net"
UNKNOWN = "unknown"

_NEW_YORK = ZoneInfo("America/New_York")
_WINDOW = timedelta(minutes=30)
_LEAST_VOLUMES = 15
# Mean shares a day from which a name is in a bucket (chapter 03).
_BUCKETS = ((5e6, "mega"), (2e6, "large"), (7.5e5, "mid"), (0.0, "small"))
# For coins a unit says nothing: shares of a typical price, 40 each. A choice.
_MONEY_OF_A_SHARE = 40.0


def slippage_events(
    frames: Mapping[str, pl.LazyFrame],
    fills: pl.DataFrame,
    settings: ExecutionSettings,
    wanted: SessionRange,
    calendars: Mapping[str, SessionCalendar],
) -> list[tuple[date, dict[str, Any]]]:
    """Describe each fill of a range as one ledger payload.

    Parameters
    ----------
    frames
        What ``trade_sessions`` got. ``target_portfolio`` of the deciding sessions says whose
        weights an order serves (a name that left the target has no contributors), the returns say
        which sleeve a security belongs to, the bars what it trades.
    fills
        ``fills`` of the range.
    settings
        Names the portfolio and the profile.
    wanted
        The range.
    calendars
        Calendar of each sleeve.

    Returns
    -------
    list of (date, dict)
        The session that books a fill and the payload, in the order of the fills.
    """
    rows = fills.filter(pl.col("session").is_in(wanted.sessions))
    contributors = _contributors(frames["target_portfolio"], rows, settings)
    sleeves = _sleeves(frames, rows, calendars)
    volumes = _volumes(frames, rows, sleeves, calendars)
    events = []
    for fill in records(Fill, rows):
        sleeve = sleeves.get((fill.filled_on, fill.security_id), UNKNOWN)
        decided = fill.decided_on, fill.security_id
        event = _event(
            fill,
            settings,
            sleeve=sleeve,
            calendar=calendars.get(sleeve),
            cutoff=wanted.calendar.cutoff(fill.decided_on),
            shares=_shares(contributors.get(decided)),
            volume=volumes.get(fill.fill_id),
        )
        events.append((fill.session, event))
    return events


def _contributors(
    targets: pl.LazyFrame, fills: pl.DataFrame, settings: ExecutionSettings
) -> dict[tuple[date, str], list[dict[str, Any]]]:
    """Contributors of the targets that fills serve, by deciding session and security."""
    asked = fills.lazy().select("security_id", session="decided_on").unique()
    rows = (
        targets.filter(pl.col("profile") == settings.profile)
        .join(asked, on=["session", "security_id"], how="semi")
        .select("session", "security_id", "contributors")
        .collect()
    )
    return {(session, security): parts for session, security, parts in rows.iter_rows()}


def _sleeves(
    frames: Mapping[str, pl.LazyFrame],
    fills: pl.DataFrame,
    calendars: Mapping[str, SessionCalendar],
) -> dict[tuple[date, str], str]:
    """Sleeve of each fill's security; of several the first, as in the paper broker."""
    asked = fills.lazy().select("security_id", session="filled_on").unique()
    found: dict[tuple[date, str], str] = {}
    for sleeve in sorted(calendars, reverse=True):
        named = frames[f"returns_{sleeve}"].select("session", "security_id")
        rows = named.join(asked, on=["session", "security_id"], how="semi").collect()
        found |= dict.fromkeys(rows.iter_rows(), sleeve)
    return found


def _volumes(
    frames: Mapping[str, pl.LazyFrame],
    fills: pl.DataFrame,
    sleeves: Mapping[tuple[date, str], str],
    calendars: Mapping[str, SessionCalendar],
) -> dict[str, float]:
    """Mean units traded a session up to the decision, by fill; none where too few are known."""
    found: dict[str, float] = {}
    for sleeve, calendar in calendars.items():
        own = [fill for fill in records(Fill, fills) if _is_of(fill, sleeve, sleeves)]
        if not own:
            continue
        asked = pl.LazyFrame(
            [
                {
                    "fill_id": fill.fill_id,
                    "security_id": fill.security_id,
                    "decided_on": fill.decided_on,
                    "filled_on": fill.filled_on,
                    "begins": calendar.window(
                        calendar.at_or_before(fill.decided_on), VOLUME_SESSIONS - 1, not_before=None
                    )[0],
                }
                for fill in own
            ]
        )
        traded = _traded(frames[f"bars_{sleeve}"], asked)
        splits = _splits(frames[f"returns_{sleeve}"], asked)
        for fill_id, days, volumes in traded.iter_rows():
            steps = splits.get(fill_id, [])
            units = [
                volume * math.prod(step for ex, step in steps if ex > day)
                for day, volume in zip(days, volumes, strict=True)
            ]
            if len(units) >= _LEAST_VOLUMES:
                found[fill_id] = math.fsum(units) / len(units)
    return found


def _is_of(fill: Fill, sleeve: str, sleeves: Mapping[tuple[date, str], str]) -> bool:
    return sleeves.get((fill.filled_on, fill.security_id)) == sleeve


def _traded(bars: pl.LazyFrame, asked: pl.LazyFrame) -> pl.DataFrame:
    """Sessions and volumes of each fill's look-back, as known at the cutoff that decided."""
    return (
        bars.select("security_id", "session", "knowledge_session", "known_at", "volume")
        .join(asked, on="security_id")
        .filter(
            pl.col("session").is_between("begins", "decided_on"),
            pl.col("knowledge_session") <= pl.col("decided_on"),
        )
        .sort("fill_id", "session", "known_at")
        .unique(["fill_id", "session"], keep="last", maintain_order=True)
        .group_by("fill_id", maintain_order=True)
        .agg("session", "volume")
        .collect()
    )


def _splits(returns: pl.LazyFrame, asked: pl.LazyFrame) -> dict[str, list[tuple[date, float]]]:
    """Find the splits of each fill's security from its look-back to the day of the fill."""
    rows = (
        returns.filter(pl.col("split") != 1)
        .select("security_id", "session", "split")
        .join(asked, on="security_id")
        .filter(pl.col("session").is_between("begins", "filled_on"))
        .sort("fill_id", "session")
        .select("fill_id", "session", "split")
        .collect()
    )
    found: dict[str, list[tuple[date, float]]] = {}
    for fill_id, session, split in rows.iter_rows():
        found.setdefault(fill_id, []).append((session, split))
    return found


def _event(
    fill: Fill,
    settings: ExecutionSettings,
    *,
    sleeve: str,
    calendar: SessionCalendar | None,
    cutoff: datetime,
    shares: Mapping[str, float],
    volume: float | None,
) -> dict[str, Any]:
    filled = None if calendar is None else max(calendar.open(fill.filled_on), cutoff)
    strategy = NETTED if len(shares) > 1 else next(iter(shares), sleeve)
    return {
        "schema_version": SCHEMA_VERSION,
        "fill_id": fill.fill_id,
        "order_id": fill.order_id,
        "date_ny": fill.filled_on if filled is None else filled.astimezone(_NEW_YORK).date(),
        "filled_on": fill.filled_on,
        "symbol": fill.symbol,
        "strategy_id": f"{settings.portfolio}/{settings.profile}/{strategy}",
        "contributors": dict(shares),
        "side": fill.side,
        "quantity": fill.quantity,
        "expected_price": fill.expected_price,
        "ideal_fill_price": fill.ideal_price,
        "actual_fill_price": fill.price,
        "slippage_bps": (fill.price - fill.ideal_price) / fill.ideal_price * 1e4,
        "slippage_bps_signed_cost": fill.slippage_bps,
        "commission": fill.commission,
        "adv_shares_20d": volume,
        "participation": fill.quantity / volume if volume else None,
        "liquidity_bucket": _liquidity(volume, fill.expected_price, calendar),
        "fill_ts_utc": filled,
        "time_of_day_bucket": _time_of_day(filled, calendar),
    }


def _shares(contributors: list[dict[str, Any]] | None) -> dict[str, float]:
    """Part of a target that each sleeve asks for; the parts add up to one."""
    parts = {
        part["sleeve"]: part["meta_weight"] * part["sleeve_weight"] for part in contributors or ()
    }
    whole = sum(parts.values())
    return {sleeve: part / whole for sleeve, part in sorted(parts.items()) if whole > 0}


def _liquidity(volume: float | None, price: float, calendar: SessionCalendar | None) -> str:
    if volume is None or calendar is None:
        return UNKNOWN
    if calendar.code == AROUND_THE_CLOCK:
        volume *= price / _MONEY_OF_A_SHARE
    return next(name for least, name in _BUCKETS if volume >= least)


def _time_of_day(moment: datetime | None, calendar: SessionCalendar | None) -> str:
    """Half hour of New York in which the fill happened."""
    if moment is None or calendar is None:
        return UNKNOWN
    if calendar.code == AROUND_THE_CLOCK:
        return "24x7"
    local = moment.astimezone(_NEW_YORK)
    begin = local.replace(minute=local.minute // 30 * 30)
    return f"{begin:%H:%M}-{begin + _WINDOW:%H:%M}"
