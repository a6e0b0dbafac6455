"""What every stage builder is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.windows import Window
from quant_platform.orchestration.stage import DomainFunction, Stage
from quant_platform.settings import PlatformSettings, Settings, SleeveSettings
from quant_platform.settings.platform import PORTFOLIO_JOB
from quant_platform.settings.portfolio import MetaSettings
from quant_platform.settings.scanner import ScannerSettings
from quant_platform.sources.protocol import Source
from quant_platform.sources.tradingview.source import TradingViewSource


@dataclass(frozen=True)
class SleeveContext:
    """One sleeve, resolved.

    Parameters
    ----------
    sleeve
        Its settings.
    platform
        Settings that hold for every sleeve.
    scanners
        Manifests of its scanners, by name.
    calendar
        Its calendar.
    grid
        Rebalance sessions.
    source
        Where its data come from.
    identity
        What tells that source's data from another's: its name and settings.
    snapshots
        What has snapshots of its screener; None where it takes none.
    second
        Where the bars come from that its own are compared with; None where they are not.
    second_identity
        What tells that source's data from another's.
    """

    sleeve: SleeveSettings
    platform: PlatformSettings
    scanners: Mapping[str, ScannerSettings]
    calendar: SessionCalendar
    grid: frozenset[date]
    source: Source
    identity: Mapping[str, Any]
    snapshots: TradingViewSource | None = None
    second: Source | None = None
    second_identity: Mapping[str, Any] = field(default_factory=dict)

    def table(self, kind: str) -> str:
        """Name of the sleeve's table of a kind."""
        return f"{self.sleeve.name}/{kind}"

    def windows(self, windows: Mapping[str, Window]) -> dict[str, Window]:
        """Windows of a domain function, on this sleeve's tables."""
        return {
            name: replace(window, table=self.table(window.table))
            for name, window in windows.items()
        }

    def stage(self, kind: str, **parts: Any) -> Stage:
        """Stage of one of the sleeve's tables, from the beginning of history.

        Parameters
        ----------
        kind
            Kind of table.
        parts
            The other fields of the stage; ``modules`` is that of its function unless said.
        """
        return Stage(
            table=self.table(kind),
            calendar=self.calendar,
            history_start=self.platform.history_start,
            thresholds=self.platform.checks.model_dump(),
            **{"settings": None, "modules": _modules(parts["function"]), **parts},
        )

    def decided(self, kind: str, **parts: Any) -> Stage:
        """Stage of a table that begins with the walk-forward history."""
        return self.stage(kind, begins=self.platform.walk_forward_start, **parts)


@dataclass(frozen=True)
class PortfolioContext:
    """What comes after the sleeves: one calendar, all settings.

    Parameters
    ----------
    settings
        All settings.
    calendar
        Calendar of portfolios.
    grid
        Rebalance sessions.
    calendars
        Calendar of each sleeve.
    series
        Source of the series that belong to no sleeve, and the branch that it is asked for; None
        where there is none.
    series_identity
        What tells that source's data from another's.
    """

    settings: Settings
    calendar: SessionCalendar
    grid: frozenset[date]
    calendars: Mapping[str, SessionCalendar]
    series: tuple[Source, str] | None = None
    series_identity: Mapping[str, Any] = field(default_factory=dict)

    def stage(self, table: str, **parts: Any) -> Stage:
        """Stage of a table that begins with the walk-forward history.

        Parameters
        ----------
        table
            Name of the table.
        parts
            The other fields of the stage; ``modules`` is that of its function unless said.
        """
        platform = self.settings.platform
        return Stage(
            table=table,
            calendar=self.calendar,
            history_start=platform.history_start,
            thresholds=platform.checks.model_dump(),
            **{
                "begins": platform.walk_forward_start,
                "job": PORTFOLIO_JOB,
                "modules": _modules(parts["function"]),
                **parts,
            },
        )

    def members(self, meta: MetaSettings) -> dict[str, SessionCalendar]:
        """Calendars of a meta's sleeves."""
        return {name: self.calendars[name] for name in meta.members}


def _modules(function: DomainFunction) -> tuple[str, ...]:
    """Name the module that a domain function lives in, arguments fixed or not."""
    return ((function.func if isinstance(function, partial) else function).__module__,)
