"""What every command that touches the lake opens first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import dagster as dg

from quant_platform.errors import ConfigError, LakeError
from quant_platform.lakehouse.lake import Lake, utc_now
from quant_platform.orchestration.graph import Graph, build_graph
from quant_platform.orchestration.instance import open_instance
from quant_platform.settings import Settings, load_settings


@dataclass(frozen=True)
class Project:
    """Settings, graph, lake and instance of the project in the current folder."""

    settings: Settings
    graph: Graph
    lake: Lake
    instance: dg.DagsterInstance

    @classmethod
    def open(cls) -> Project:
        """Open everything for writing; each thing that is missing is one sentence."""
        settings = load_settings()
        if not settings.sleeves:
            raise ConfigError(
                "assets_config/sleeves/ holds no sleeve",
                expected="at least one file",
                mend="restore the shipped instruments.yaml and crypto.yaml",
            )
        graph = build_graph(settings)
        # The lake last: a command that cannot begin leaves no folder behind.
        instance = open_instance(settings)
        try:
            Lake.create(settings.lake_root)
        except LakeError:
            instance.dispose()
            raise
        return cls(settings, graph, graph.lake, instance)

    def latest(self, jobs: list[str]) -> date:
        """Last session, of any of the jobs' calendars, whose cutoff has passed."""
        now = utc_now()
        return max(self.graph.jobs[job][0].calendar.latest(now) for job in jobs)

    def jobs(self, name: str | None) -> list[str]:
        """Return the job of that name, or all of them."""
        known = list(self.graph.jobs)
        if name is None:
            return known
        if name not in known:
            raise ConfigError(
                f"there is no job '{name}'",
                expected=f"one of {', '.join(known)}",
                mend="give one of those to --job, or leave it out for all",
            )
        return [name]
