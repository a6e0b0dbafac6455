"""Taking a snapshot: the one act that asks the vendor, at its time and for tonight only.

It is refused outside the hours of a session before anything is asked: what is fetched then could
belong to no session.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.settings import Settings
from quant_platform.sources.tradingview.answer import frame_of
from quant_platform.sources.tradingview.client import Scanned, ScreenerClient, Timing
from quant_platform.sources.tradingview.hours import hours_of, session_at
from quant_platform.sources.tradingview.query import class_query
from quant_platform.sources.tradingview.store import KeptPage, KeptSnapshot, SnapshotStore


@dataclass(frozen=True)
class Taken:
    """A snapshot that was taken.

    Parameters
    ----------
    session
        The session that it is of.
    kept
        The file.
    announced
        Rows that the vendor announced, over all questions.
    pages
        Pages that were received, those of repeated passes included.
    """

    session: date
    kept: KeptSnapshot
    announced: int
    pages: int


def take_snapshot(
    settings: Settings, sleeve: str, calendar: SessionCalendar, timing: Timing
) -> Taken:
    """Ask the vendor for a sleeve's asset classes and keep the answer.

    Parameters
    ----------
    settings
        All settings.
    sleeve
        A sleeve that takes its screener from the vendor.
    calendar
        Its calendar.
    timing
        Clock, sleep and jitter.

    Raises
    ------
    SourceError
        When the sleeve takes its screener from elsewhere, now is no time for a snapshot, the vendor
        cannot be had or has changed, or the session's hours ended meanwhile.
    """
    own = settings.sleeves[sleeve]
    if own.sources.get("screener") != "tradingview":
        raise SourceError(
            f"sleeve {sleeve!r} does not take its screener from tradingview",
            expected="sources: {screener: tradingview} in its file",
            mend="name another sleeve, or add the line",
        )
    settled = timedelta(minutes=settings.platform.tradingview.settled_minutes)
    now = timing.now()
    hours = session_at(calendar, now, settled)
    if hours is None:
        coming = hours_of(calendar, calendar.knowledge_session(now), settled)
        if now > coming.end:
            coming = hours_of(calendar, calendar.offset(coming.session, 1), settled)
        raise SourceError(
            f"at {now:%Y-%m-%d %H:%M} UTC a snapshot would belong to no session of {calendar.code}",
            expected=f"a time from {coming.begin:%Y-%m-%d %H:%M} to {coming.end:%Y-%m-%d %H:%M} "
            f"UTC, for {coming.session}",
            mend="take it then; a past session is made from its features",
        )
    limit = settings.platform.tradingview.rows
    with ScreenerClient(settings.platform.tradingview, timing) as client:
        scans = [client.scan(class_query(kind, limit)) for kind in own.asset_classes]
    pages = [
        page
        for number, scanned in enumerate(scans)
        for page in _kept_pages(number, scanned, settings.platform.tradingview.page_rows)
    ]
    ended = max(page.received_at for page in pages)
    if ended > hours.end:
        raise SourceError(
            f"the snapshot was complete at {ended:%Y-%m-%d %H:%M:%S} UTC only",
            expected=f"its last page before {hours.end:%H:%M} UTC, when the hours of "
            f"{hours.session} end",
            mend="begin earlier; nothing was kept",
        )
    for scanned in scans:
        # Read as the source will read it: what it would refuse at night is refused now.
        frame_of(scanned.query, scanned.rows)
    store = SnapshotStore.of(settings.lake_root, sleeve)
    kept = store.keep(scans[0].asked_at, [scanned.query for scanned in scans], pages)
    return Taken(hours.session, kept, sum(scanned.total for scanned in scans), len(pages))


def _kept_pages(number: int, scanned: Scanned, page_rows: int) -> list[KeptPage]:
    return [
        KeptPage(
            number,
            page.first,
            min(page_rows, scanned.query.limit - page.first),
            page.received_at,
            page.body,
        )
        for page in scanned.pages
    ]
