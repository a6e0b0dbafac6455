"""What the embedded market planted: the ground truth that only validation and tests may read.

One row per event:

===================== ============================================================================
``missing``           the bar never arrives
``late``              the bar arrives with the session after
``late_session``      every security's bar of the session arrives with the session after
``part_late_session`` every third security's does
``correction``        a bar with a wrong close, published again right three sessions later
``impossible``        the bar breaks its contract: high below low, or a negative price
``duplicate``         the bar arrives twice
``bad_print``         a wrong close that nobody corrects
``untraded``          a bar without volume at the close before, alone or of a stale episode
``closed_print``      a print on a day on which the exchange is closed
``listing``           the security's first session
``delisting``         its first session without a bar, bought, failed or wound up
``split``             its first session in new units; the announcement is the decisive row
``rename``            its first session under another ticker
``reuse``             the first session of a security under a ticker that another had before
``detached``          a gold token that stops following gold
===================== ============================================================================
"""

from __future__ import annotations

import numpy as np
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.sources.simulated.dirt import CORRECTION_DELAY, Fate
from quant_platform.sources.simulated.draws import GROUP, Integers
from quant_platform.sources.simulated.market import Market
from quant_platform.sources.simulated.paths import DETACHED
from quant_platform.sources.simulated.planted import FOLLOWER, LEADER
from quant_platform.sources.simulated.roster import NEVER
from quant_platform.sources.simulated.source import SimulatedSource, closed_instants

_DELAYS = {Fate.LATE: 1, Fate.CORRECTED: CORRECTION_DELAY}
_EVENTS = {
    Fate.MISSING: "missing",
    Fate.LATE: "late",
    Fate.CORRECTED: "correction",
    Fate.IMPOSSIBLE: "impossible",
    Fate.DUPLICATED: "duplicate",
    Fate.BAD_PRINT: "bad_print",
}


def planted_events(source: SimulatedSource, calendar: SessionCalendar, sleeve: str) -> pl.DataFrame:
    """Return every event of a sleeve from the market's start to the calendar's horizon.

    Returns
    -------
    ``event``, ``security_id`` (null for a late session), ``session`` that the event concerns, and
    ``knowledge_session`` in which its decisive row (the late, corrected or spoilt bar, the
    announcement) becomes known; null when it never does or only beyond the horizon.
    """
    market = source.market(calendar, sleeve)
    news = source.news(calendar, market)
    beyond = len(calendar.sessions)
    # A correction of the last sessions would be published after the horizon.
    known = np.append(news.known, np.full(CORRECTION_DELAY, beyond))
    listing = market.paths.roster.listing["security_id"]
    days = market.sessions
    knowledge_of = pl.Series([*calendar.sessions, None], dtype=pl.Date)

    def planted(
        event: str, day: Integers, knowledge: Integers, security: Integers | None
    ) -> pl.DataFrame:
        names = None if security is None else listing.gather(security)
        return pl.DataFrame(
            {
                "event": pl.repeat(event, len(day), dtype=pl.String, eager=True),
                "security_id": pl.Series([None] * len(day), dtype=pl.String)
                if names is None
                else names,
                "session": pl.Series(day, dtype=pl.Int32).cast(pl.Date),
                "knowledge_session": knowledge_of.gather(knowledge),
            }
        )

    events = []
    late_rows = [row for row, _ in market.late_sessions]
    for number in range(len(market.time.days)):
        rows = np.array(market.rows_in(number))
        if not len(rows):
            break
        bars = market.block(number)
        trading = market.trading(rows)
        for fate, event in _EVENTS.items():
            row, security = np.nonzero(trading & (bars.fate == fate))
            row = rows[row]
            if fate is Fate.LATE:
                single = ~np.isin(row, late_rows)
                row, security = row[single], security[single]
            never = np.full(len(row), beyond)
            knowledge = never if fate is Fate.MISSING else known[row + _DELAYS.get(fate, 0)]
            events.append(planted(event, days[row], knowledge, security))
        row, security = np.nonzero(trading & (bars.volume == 0) & (bars.fate != Fate.MISSING))
        events.append(planted("untraded", days[rows[row]], known[rows[row]], security))
        day, _, security = bars.closed_prints.T
        knowledge = news.known_in(closed_instants(news, bars.closed_prints))
        events.append(planted("closed_print", day, knowledge, security))
    for late_row, stride in market.late_sessions:
        event = "late_session" if stride == 1 else "part_late_session"
        events.append(planted(event, days[[late_row]], known[[late_row + 1]], None))
    for event, at in (
        ("listing", market.listed),
        ("delisting", market.delisted),
        ("rename", _rows(market, market.paths.roster.renamed)),
        ("reuse", _reused(market)),
    ):
        security = np.flatnonzero((at != NEVER) & (market.listed != NEVER))
        events.append(planted(event, days[at[security]], known[at[security]], security))
    splits = market.paths.splits
    told, ex = market.row_of(splits.announced), market.row_of(splits.ex)
    keep = (splits.kind == 0) & (splits.security < market.count) & (ex < len(days)) & (told < ex)
    security = splits.security[keep]
    events.append(planted("split", days[ex[keep]], known[told[keep]], security))
    broken = [n for n, coin in market.paths.roster.coins.items() if coin.kind == "broken gold"]
    row = _rows(market, np.array([DETACHED[0]]))
    events += [
        planted("detached", days[row], known[row], np.array([n]))
        for n in broken
        if n < market.count and row[0] != NEVER
    ]
    return pl.concat(events).sort("session", "event", "security_id")


def _rows(market: Market, path_day: Integers) -> Integers:
    rows = market.row_of(np.minimum(path_day[: market.count], len(market.time.days)))
    return np.where(rows < len(market.sessions), rows, NEVER)


def _reused(market: Market) -> Integers:
    """Row of the first session of what took another's ticker; `NEVER` for all others."""
    own = market.paths.roster
    symbols = own.symbol[: market.count]
    first: dict[str, int] = {}
    rows = np.full(market.count, NEVER)
    for n in np.argsort(own.listed[: market.count], kind="stable").tolist():
        if first.setdefault(symbols[n], n) != n:
            rows[n] = market.listed[n]
    return rows


def planted_effects(source: SimulatedSource, sleeve: str) -> pl.DataFrame:
    """Return what is hidden in the idiosyncratic returns of a sleeve.

    Returns
    -------
    ``effect``, ``strength``, and for the lead-lag pairs ``leader`` and ``follower``.
    """
    strengths, count = source.planted, source.sleeve(sleeve).symbols
    rows: list[tuple[str, float, str | None, str | None]] = [
        ("momentum", strengths.momentum, None, None),
        ("reversal", strengths.reversal, None, None),
        ("learnable", strengths.learnable, None, None),
    ]
    rows += [
        (
            "lead_lag",
            strengths.lead_lag,
            f"{sleeve}-{group + LEADER:04d}",
            f"{sleeve}-{group + FOLLOWER:04d}",
        )
        for group in range(0, count - FOLLOWER, GROUP)
    ]
    schema = {"effect": pl.String, "strength": pl.Float64}
    pair = {"leader": pl.String, "follower": pl.String}
    return pl.DataFrame(rows, schema={**schema, **pair}, orient="row")
