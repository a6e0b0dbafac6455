"""What every stage builder is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.windows import Window
from quant_platform.settings import PlatformSettings, SleeveSettings
from quant_platform.sources.protocol import Source


@dataclass(frozen=True)
class SleeveContext:
    """One sleeve, resolved.

    Parameters
    ----------
    sleeve
        Its settings.
    platform
        Settings that hold for every sleeve.
    calendar
        Its calendar.
    source
        Where its bars come from.
    identity
        What tells that source's data from another's: its name and settings.
    """

    sleeve: SleeveSettings
    platform: PlatformSettings
    calendar: SessionCalendar
    source: Source
    identity: Mapping[str, Any]

    @property
    def history_start(self) -> date:
        """First day of history."""
        return self.platform.history_start

    @property
    def thresholds(self) -> dict[str, float]:
        """Settings that replace the thresholds of the contracts' rules."""
        return self.platform.checks.model_dump()

    def table(self, kind: str) -> str:
        """Name of the sleeve's table of a kind."""
        return f"{self.sleeve.name}/{kind}"

    def windows(self, windows: dict[str, Window]) -> dict[str, Window]:
        """Windows of a domain function, on this sleeve's tables."""
        return {
            name: replace(window, table=self.table(window.table))
            for name, window in windows.items()
        }
