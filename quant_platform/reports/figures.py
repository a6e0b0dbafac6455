"""The figures of each evening: ``reports/daily``.

1. ``profiles``: the streams of every sleeve and meta on the report's sessions (``streams``).
2. ``meta_weights``, ``targets``, ``top_targets``, ``regime``: what was decided tonight, from the
   evening's own rows.
3. ``equity``, ``orders``, ``fills``, ``slippage``, ``gates``: the account (``account``).
4. ``fire_rates``: how often each gate fired over a year (``fire_rates``).

Every section has at least one row on every session: a figure that is not there has a null value and
a note that says why. Sums of money are exact (``math.fsum``), so their order does not matter; what
looks back is cut out of its window session by session. A range gives the bytes of its single days.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts.daily import DAILY
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.reports.account import NO_ACCOUNT, account_figures
from quant_platform.reports.figure import Figure, Rows, by_session, lacking
from quant_platform.reports.fire_rates import fire_rates
from quant_platform.reports.scope import DailyScope
from quant_platform.reports.streams import read_streams, statistics

OVERLAY = {
    "exposure": "fraction",
    "regime_multiplier": "fraction",
    "portfolio_volatility": "fraction",
}
"""Columns of ``risk_controls`` that are the same for all names of an evening, and their units."""

APPLIED, ASKED = "risk_multiplier", "asked_multiplier"
"""The throttle of the account, and one that another market would ask for."""
REGIME_UNITS = {
    "volatility_20": "fraction",
    "drawdown_63": "fraction",
    "trend": "fraction",
    "breadth": "fraction",
    "e1_risk_multiplier": "fraction",
    "e2_risk_multiplier": "fraction",
    "e2_score": "score",
    "growth": "fraction",
    "volatility_index": "points",
    "stress": "score",
}
_TOLD = {
    "e1_risk_multiplier": "e1",
    "e2_risk_multiplier": "e2",
    "growth": "quadrant",
    "volatility_index": "market",
    "stress": "volatility",
}
"""Figures whose note is a label: that of the track that they belong to."""

NO_META = "no meta is configured"
NO_REGIME = "no regime is configured"


def daily_figures(
    frames: Mapping[str, pl.LazyFrame],
    scope: DailyScope,
    wanted: SessionRange,
    calendars: Mapping[str, SessionCalendar],
) -> pl.DataFrame:
    """Compute ``reports/daily`` for a range.

    Parameters
    ----------
    frames
        What ``scope.daily_windows`` asks for, by its names. ``orders`` may be absent.
    scope
        What there is to report on.
    wanted
        Sessions to report on.
    calendars
        Calendar of each sleeve.

    Returns
    -------
    polars.DataFrame
        One row per figure, by session, section, item and figure.
    """
    streams = read_streams(frames, scope, wanted, calendars)
    years = {
        session: {name: streams.year(name, session) for name in streams.returns}
        for session in wanted.sessions
    }
    weights = {meta: by_session(frames[f"weights_{meta}"], wanted) for meta in scope.metas}
    targets = _targets(frames, scope, wanted)
    controls = by_session(frames.get("risk_controls"), wanted)
    regimes = by_session(frames.get("regime"), wanted)
    others = [_latest(frames[f"regime_{name}"], wanted) for name in scope.other_regimes]
    accounts = account_figures(frames, scope, wanted)
    made: list[tuple[object, ...]] = []
    for session in wanted.sessions:
        figures = [
            *accounts[session],
            *(
                Figure("profiles", "/".join(name), said.figure, said.value, "fraction", said.note)
                for name, (days, returns) in years[session].items()
                for said in statistics(days, returns, scope.sessions_per_year)
            ),
            *_meta_weights(scope, {meta: rows.get(session, []) for meta, rows in weights.items()}),
            *_target_figures(scope, session, targets.get(session, []), controls.get(session, [])),
            *_regime(scope, regimes.get(session, [])),
            *(figure for rows in others for figure in _other_regime(rows.get(session, []))),
        ]
        made += [(session, *figure) for figure in figures]
    frame = pl.DataFrame(made, schema=DAILY.empty().schema, orient="row")
    return pl.concat([frame, fire_rates(frames, wanted)]).sort(*DAILY.key)


def _targets(
    frames: Mapping[str, pl.LazyFrame], scope: DailyScope, wanted: SessionRange
) -> dict[date, Rows]:
    """Targets of the profile that is shown, by session."""
    if scope.target is None:
        return {}
    own = frames["target_portfolio"].filter(pl.col("profile") == scope.target[1])
    return by_session(own.drop("contributors"), wanted)


def _meta_weights(scope: DailyScope, weights: Mapping[str, Rows]) -> Iterator[Figure]:
    """Yield the share of each sleeve in each profile of each meta."""
    if not weights:
        yield lacking("meta_weights", "meta", "weight", "fraction", NO_META)
    for meta, rows in weights.items():
        for profile in scope.metas[meta]:
            item = f"{meta}/{profile}"
            own = [row for row in rows if row["profile"] == profile]
            if not own:
                yield lacking("meta_weights", item, "weight", "fraction", "no decision yet")
            for row in own:
                note = f"decided on {row['decided_on']}"
                if row["actual"] != row["requested"]:
                    note += f" by {row['actual']} instead of {row['requested']}"
                yield Figure("meta_weights", item, row["sleeve"], row["weight"], "fraction", note)


def _target_figures(
    scope: DailyScope, session: date, targets: Rows, controls: Rows
) -> Iterator[Figure]:
    """Yield the size of the target portfolio, what the overlay makes of it, and its top names."""
    if scope.target is None:
        yield lacking("targets", "portfolio", "names", "count", NO_META)
        yield lacking("top_targets", "portfolio", "weight", "fraction", NO_META)
        return
    item = "/".join(scope.target)
    wishes = [row["weight"] for row in targets]
    held = [row for row in targets if row["weight"] > 0]
    yield Figure("targets", item, "names", float(len(held)), "count")
    yield Figure("targets", item, "sum_requested", math.fsum(wishes), "fraction")
    why = _no_controls(scope, session, targets)
    if controls:
        allowed = math.fsum(row["weight"] for row in controls)
        yield Figure("targets", item, "sum_weight", allowed, "fraction")
        blocked = [row["blocked"] for row in controls if row["blocked"] is not None]
        yield Figure("targets", item, "blocked", float(len(blocked)), "count")
        codes = Counter(row["unordered"] for row in controls if row["unordered"] is not None)
        which = ", ".join(f"{code} {count}" for code, count in sorted(codes.items()))
        yield Figure("targets", item, "unordered", float(codes.total()), "count", which or None)
    else:
        yield lacking("targets", item, "sum_weight", "fraction", why)
        yield lacking("targets", item, "blocked", "count", why)
        yield lacking("targets", item, "unordered", "count", why)
    for figure, unit in OVERLAY.items():
        value = controls[0][figure] if controls else None
        unknown = "too few sessions on which all targets have a return" if controls else why
        yield Figure("targets", item, figure, value, unit, unknown if value is None else None)
    if not held:
        yield lacking("top_targets", item, "weight", "fraction", "no targets tonight")
    after = {row["security_id"]: row for row in controls}
    for row in sorted(held, key=lambda row: (-row["weight"], row["security_id"]))[: scope.top]:
        security = row["security_id"]
        yield Figure("top_targets", security, "requested", row["weight"], "fraction", row["symbol"])
        control = after.get(security)
        if control is None:
            yield lacking("top_targets", security, "weight", "fraction", why)
        else:
            code, unordered = control["blocked"], control["unordered"]
            told = None if unordered is None else f"no order: {unordered}"
            if code is not None:
                told = f"increase blocked: {code}"
            yield Figure("top_targets", security, "weight", control["weight"], "fraction", told)


def _no_controls(scope: DailyScope, session: date, targets: Rows) -> str:
    """Say why the overlay has no rows."""
    if scope.account is None:
        return NO_ACCOUNT
    if scope.before_account(session):
        return f"the account opens on {scope.account.opened}"
    return "the overlay has no rows tonight" if targets else "no targets tonight"


def _regime(scope: DailyScope, rows: Rows) -> Iterator[Figure]:
    """Yield the regime of the market; its label is the note of the throttle."""
    if not rows:
        note = "the regime has no row tonight" if scope.regime else NO_REGIME
        yield lacking("regime", "benchmark", APPLIED, "fraction", note)
    for row in rows:
        yield from _regime_of(row, APPLIED)


def _latest(frame: pl.LazyFrame, wanted: SessionRange) -> dict[date, Rows]:
    """Rows of the last session of another calendar since the session before each."""
    rows: dict[date, Rows] = {}
    for row in frame.sort("session", "benchmark").collect().iter_rows(named=True):
        rows.setdefault(row["session"], []).append(row)
    found = {}
    for session in wanted.sessions:
        since = wanted.calendar.offset(session, -1)
        latest = max((day for day in rows if since < day <= session), default=None)
        found[session] = [] if latest is None else rows[latest]
    return found


def _other_regime(rows: Rows) -> Iterator[Figure]:
    """Yield the regime of another market; nothing is throttled by it."""
    for row in rows:
        yield from _regime_of(row, ASKED)


def _regime_of(row: Mapping[str, Any], throttle: str) -> Iterator[Figure]:
    """Yield the figures of one benchmark."""
    item, value = row["symbol"] or row["benchmark"], row["risk_multiplier"]
    told = _label_of(row, "") if value is not None else None
    silent = f"the regime has no evidence: {row['lacking']}"
    yield Figure("regime", item, throttle, value, "fraction", told or silent)
    for figure, unit in REGIME_UNITS.items():
        value, track = row[figure], _TOLD.get(figure)
        note = None if track is None else _label_of(row, f"{track}_")
        if value is None:
            note = row["lacking"] or "too few sessions up to tonight"
        yield Figure("regime", item, figure, value, unit, note)


def _label_of(row: Mapping[str, Any], prefix: str) -> str:
    """Write a label in force, and whether anything has confirmed it."""
    confirmed = "" if row[f"{prefix}confirmed"] else ", not confirmed yet"
    return f"{row[f'{prefix}label']}{confirmed}"
