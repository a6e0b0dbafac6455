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
``closed_print``      a print on a day on which the exchange is closed
``listing``           the security's first session
``delisting``         its first session without a bar
``split``             its first session in new units; the announcement is the decisive row
===================== ============================================================================
"""

from __future__ import annotations

import numpy as np
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.sources.simulated import SimulatedSource, session_days
from quant_platform.sources.simulated_dirt import CORRECTION_DELAY, Fate
from quant_platform.sources.simulated_draws import Integers
from quant_platform.sources.simulated_listings import listing_of
from quant_platform.sources.simulated_lives import NEVER

_DELAYS = {Fate.LATE: 1, Fate.CORRECTED: CORRECTION_DELAY}
_EVENTS = {
    Fate.MISSING: "missing",
    Fate.LATE: "late",
    Fate.CORRECTED: "correction",
    Fate.IMPOSSIBLE: "impossible",
    Fate.DUPLICATED: "duplicate",
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
    _, known = source.publications(calendar)
    beyond = len(calendar.sessions)
    # A correction of the last sessions would be published after the horizon.
    known_or_beyond = np.append(known, np.full(CORRECTION_DELAY, beyond))
    trading = market.trading(np.arange(len(market.close)))
    late_rows = [row for row, _ in market.late_sessions]
    listing = listing_of(source.sleeve(sleeve), market.asset_classes)["security_id"]
    days = session_days(calendar, market)
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
    for fate, event in _EVENTS.items():
        row, security = np.nonzero(trading & (market.fate == fate))
        if fate is Fate.LATE:
            single = ~np.isin(row, late_rows)
            row, security = row[single], security[single]
        knowledge = (
            np.full(len(row), beyond)
            if fate is Fate.MISSING
            else known_or_beyond[row + _DELAYS.get(fate, 0)]
        )
        events.append(planted(event, days[row], knowledge, security))
    for late_row, stride in market.late_sessions:
        event = "late_session" if stride == 1 else "part_late_session"
        events.append(planted(event, days[[late_row]], known_or_beyond[[late_row + 1]], None))
    for event, rows in (("listing", market.listed), ("delisting", market.delisted)):
        security = np.flatnonzero(rows != NEVER)
        row = rows[security]
        events.append(planted(event, days[row], known[row], security))
    splits = market.splits
    events.append(planted("split", days[splits.ex], known[splits.announced], splits.security))
    day, _, security = market.closed_prints.T
    knowledge = source.closed_print_publications(calendar, market)[1]
    events.append(planted("closed_print", day, knowledge, security))
    return pl.concat(events).sort("session", "event", "security_id")
