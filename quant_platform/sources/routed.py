"""Several sources as one: each kind of a sleeve's data from the source that its file names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.sources.protocol import Source


@dataclass(frozen=True)
class RoutedSource:
    """A `quant_platform.sources.Source` that passes each question on.

    Parameters
    ----------
    base
        Source of bars, and of every kind that has no route.
    routes
        Other sources by kind.
    """

    base: Source
    routes: Mapping[str, Source]

    @classmethod
    def of(cls, base: Source, routes: Mapping[str, Source], sleeve: str) -> RoutedSource:
        """Join sources.

        Raises
        ------
        SourceError
            When one of them has not the kind that is asked of it.
        """
        for kind, source in routes.items():
            refuse_without(kind, source, sleeve)
        return cls(base, routes)

    @property
    def name(self) -> str:
        """Names of the sources, that of bars first."""
        return "+".join(dict.fromkeys([self.base.name, *(s.name for s in self.routes.values())]))

    @property
    def kinds(self) -> frozenset[str]:
        """What all of them deliver."""
        return self.base.kinds | frozenset(self.routes)

    def bars(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the raw bars that became known; see the protocol."""
        return self._of("bars").bars(calendar, sleeve, knowledge_sessions)

    def securities(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the descriptions that became known; see the protocol."""
        return self._of("securities").securities(calendar, sleeve, knowledge_sessions)

    def actions(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the actions that became known; see the protocol."""
        return self._of("actions").actions(calendar, sleeve, knowledge_sessions)

    def earnings(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the announcements that became known; see the protocol."""
        return self._of("earnings").earnings(calendar, sleeve, knowledge_sessions)

    def membership(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the index memberships that became known; see the protocol."""
        return self._of("membership").membership(calendar, sleeve, knowledge_sessions)

    def fund_facts(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return what became known of funds; see the protocol."""
        return self._of("fund_facts").fund_facts(calendar, sleeve, knowledge_sessions)

    def series(
        self, calendar: SessionCalendar, branch: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the observations that became known; see the protocol."""
        return self._of("series").series(calendar, branch, knowledge_sessions)

    def _of(self, kind: str) -> Source:
        return self.routes.get(kind, self.base)


def refuse_without(kind: str, source: Source, sleeve: str) -> None:
    """Refuse a source that has not the kind that a sleeve asks of it.

    Raises
    ------
    SourceError
        When it has not.
    """
    if kind not in source.kinds:
        raise SourceError(
            f"sleeve {sleeve!r} asks source {source.name!r} for {kind}",
            expected=f"one of {', '.join(sorted(source.kinds))}",
            mend="correct the sleeve's sources",
        )
