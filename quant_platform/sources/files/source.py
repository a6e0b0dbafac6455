"""The source ``files``: somebody's own history, imported once and answered by knowledge session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.settings import Settings
from quant_platform.settings.sleeve import SECOND_KIND
from quant_platform.sources.files.convert import SCHEMAS
from quant_platform.sources.files.store import ImportStore, spans_of_time
from quant_platform.sources.protocol import BAR_SCHEMA


@dataclass(frozen=True)
class FilesSource:
    """What was imported, as a `quant_platform.sources.Source`.

    Parameters
    ----------
    lake_root
        The lake that holds the imports.
    sleeve_names
        Sleeves that are routed here; `kinds` is what all of them have together.
    is_second
        Whether it answers from the imports that others are compared with.
    """

    lake_root: Path
    sleeve_names: tuple[str, ...]
    is_second: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> FilesSource:
        """Return the source of the sleeves that are routed to it."""
        routed = [
            name
            for name, sleeve in settings.sleeves.items()
            if any(kind != SECOND_KIND and told == "files" for kind, told in sleeve.sources.items())
        ]
        return cls(settings.lake_root, tuple(sorted(routed)))

    @classmethod
    def second(cls, settings: Settings) -> FilesSource:
        """Return the source of the bars that those of other sources are compared with."""
        routed = [
            name
            for name, sleeve in settings.sleeves.items()
            if sleeve.sources.get(SECOND_KIND) == "files"
        ]
        return cls(settings.lake_root, tuple(sorted(routed)), is_second=True)

    @property
    def name(self) -> str:
        """Name by which sleeves route to this source."""
        return "files"

    @property
    def kinds(self) -> frozenset[str]:
        """What has been imported; securities, bars and actions at least."""
        found = {"securities", "bars", "actions"}
        for sleeve in self.sleeve_names:
            manifest = self._store(sleeve).manifest()
            found.update(manifest.kinds if manifest is not None else ())
        return frozenset(found)

    def bars(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the raw bars that became known in the given sessions; see the protocol."""
        store = self._store(sleeve)
        manifest = store.required()
        spans = spans_of_time(calendar, knowledge_sessions)
        return pl.concat(
            [
                pl.DataFrame(schema=BAR_SCHEMA),
                *(store.known_bars(manifest, after, until) for after, until in spans),
            ]
        )

    def securities(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return listings, departures and new names that became known; see the protocol."""
        return self._known("securities", calendar, sleeve, knowledge_sessions)

    def actions(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the corporate actions that became known; see the protocol."""
        return self._known("actions", calendar, sleeve, knowledge_sessions)

    def earnings(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the announcements that became known; see the protocol."""
        return self._known("earnings", calendar, sleeve, knowledge_sessions)

    def membership(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the index memberships that became known; see the protocol."""
        return self._known("membership", calendar, sleeve, knowledge_sessions)

    def fund_facts(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return what became known of funds; see the protocol."""
        return self._known("fund_facts", calendar, sleeve, knowledge_sessions)

    def series(
        self, calendar: SessionCalendar, branch: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the observations that became known; see the protocol."""
        return self._known("series", calendar, branch, knowledge_sessions)

    def _store(self, sleeve: str) -> ImportStore:
        return ImportStore.of(self.lake_root, sleeve, second=self.is_second)

    def _known(
        self, kind: str, calendar: SessionCalendar, sleeve: str, sessions: Sequence[date]
    ) -> pl.DataFrame:
        store = self._store(sleeve)
        store.required()
        spans = spans_of_time(calendar, sessions)
        return pl.concat(
            [
                pl.DataFrame(schema=SCHEMAS[kind]),
                *(store.known(kind, after, until) for after, until in spans),
            ]
        )
