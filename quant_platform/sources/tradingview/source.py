"""The source ``tradingview``: snapshots that were taken, answered by the session that they are of.

The vendor knows only now. A snapshot is therefore taken by an act of its own (`taking`), at its
time, and kept; the source reads what was kept, reaches for no network, and tells of a session the
same on every later day. A snapshot belongs to a session if all of it was received within the
session's hours (`hours`), the last one if there are several. One that was received later is none of
any past session, whatever it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.settings import Settings
from quant_platform.sources.protocol import KNOWN_AT_BASIS
from quant_platform.sources.tradingview.fields import FIELDS
from quant_platform.sources.tradingview.hours import session_at
from quant_platform.sources.tradingview.store import KeptSnapshot, SnapshotStore

SNAPSHOT_SCHEMA = pl.Schema(
    {
        "symbol": pl.String(),
        **{field.name: pl.String() if field.is_text else pl.Float64() for field in FIELDS},
        "session": pl.Date(),
        "known_at": pl.Datetime("us", "UTC"),
        "known_at_basis": KNOWN_AT_BASIS,
        "payload": pl.String(),
    }
)
"""One row per symbol and snapshot; ``payload`` is the content hash of the file it was read from."""


@dataclass(frozen=True)
class TradingViewSource:
    """Snapshots of the screener.

    Parameters
    ----------
    lake_root
        The lake that keeps them.
    settled
        How long after its close a session is over at the vendor.
    """

    lake_root: Path
    settled: timedelta

    @classmethod
    def from_settings(cls, settings: Settings) -> TradingViewSource:
        """Return the source of the settings."""
        minutes = settings.platform.tradingview.settled_minutes
        return cls(settings.lake_root, timedelta(minutes=minutes))

    @property
    def name(self) -> str:
        """Name by which sleeves route to this source."""
        return "tradingview"

    def screener(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the snapshot of each session that has one, as `SNAPSHOT_SCHEMA`.

        Parameters
        ----------
        calendar
            Calendar of the sleeve.
        sleeve
            Whose snapshots.
        knowledge_sessions
            Sessions; a snapshot becomes known in the one that it is of.

        Returns
        -------
        polars.DataFrame
            By session and symbol.

        Raises
        ------
        SourceError
            When a file is not what was kept.
        """
        wanted = set(knowledge_sessions)
        chosen: dict[date, KeptSnapshot] = {}
        for kept in SnapshotStore.of(self.lake_root, sleeve).kept():
            hours = session_at(calendar, kept.complete, self.settled)
            if hours is not None and hours.begin <= kept.begun and hours.session in wanted:
                known = chosen.get(hours.session)
                if known is None or known.complete <= kept.complete:
                    chosen[hours.session] = kept
        return pl.concat(
            [
                pl.DataFrame(schema=SNAPSHOT_SCHEMA),
                *(_dated(session, chosen[session]) for session in sorted(chosen)),
            ]
        )


def _dated(session: date, kept: KeptSnapshot) -> pl.DataFrame:
    """Return a snapshot's rows with where they come from."""
    return (
        kept.frame()
        .with_columns(
            session=pl.lit(session, pl.Date),
            known_at=pl.lit(kept.complete, pl.Datetime("us", "UTC")),
            known_at_basis=pl.lit("observed", KNOWN_AT_BASIS),
            payload=pl.lit(kept.content_hash),
        )
        .select(SNAPSHOT_SCHEMA.names())
        .cast(SNAPSHOT_SCHEMA)
    )
