"""The graph: settings become stages, stages become definitions.

1. Each calendar in use is built once, up to the horizon.
2. Each sleeve becomes its stages.
3. Each stage becomes an asset, each calendar a job, the clock calendar a schedule.

Nothing here touches the lake or the clock of a run; the ``Graph`` can be asked for its stages by
the command line and the tests without Dagster building anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as Job,
)

from quant_platform.calendars import (
    SessionCalendar,
    build_calendar,
    calendar_horizon,
    rebalance_grid,
)
from quant_platform.lakehouse.lake import Lake, utc_now
from quant_platform.orchestration.assets.branches import all_stages
from quant_platform.orchestration.assets.context import (
    PortfolioContext,
    SleeveContext,
)
from quant_platform.orchestration.body import body_of
from quant_platform.orchestration.io import LakeIOManager
from quant_platform.orchestration.jobs import CLOCK_CALENDAR, daily_job, evening_schedule
from quant_platform.orchestration.locks import JobLock
from quant_platform.orchestration.sensors import (
    Evening,
    alarm_sensor,
    chain_sensor,
    execution_sensor,
)
from quant_platform.orchestration.stage import Stage, calls, resolved, stage_asset
from quant_platform.settings import Settings
from quant_platform.settings.platform import PORTFOLIO_JOB
from quant_platform.settings.sleeve import SECOND_KIND, SHARED_KIND
from quant_platform.sources.protocol import Source
from quant_platform.sources.registry import (
    SERIES_BRANCH,
    own_routes,
    second_source_of,
    series_source,
    snapshots_of,
    source_of,
)


@dataclass(frozen=True)
class Overrides:
    """What a caller may put in the place of what the settings say.

    Parameters
    ----------
    sources
        Sources by sleeve; that of the shared series is called `market`, that of the bars that a
        sleeve's own are compared with `<sleeve>/second_bars`.
    stages
        ``(stages) -> stages``: adds, removes or replaces stages. A flag that is off equals the
        graph without its stage, and this is how a test builds that graph.
    clock
        Wall clock of the lake.
    """

    sources: Mapping[str, Source] | None = None
    stages: Callable[[list[Stage]], list[Stage]] | None = None
    clock: Callable[[], datetime] = utc_now


@dataclass(frozen=True)
class Graph:
    """Stages of all sleeves, upstream first, with the settings that made them."""

    settings: Settings
    stages: tuple[Stage, ...]
    clock: Callable[[], datetime]

    @cached_property
    def lake(self) -> Lake:
        """The lake of the settings; its folder need not exist yet."""
        return Lake(self.settings.lake_root, self.clock)

    @property
    def jobs(self) -> dict[str, list[Stage]]:
        """Stages by the job that runs them."""
        named = {code: calendar.job for code, calendar in self.settings.platform.calendars.items()}
        jobs: dict[str, list[Stage]] = {}
        for stage in self.stages:
            jobs.setdefault(stage.job or named[stage.calendar.code], []).append(stage)
        return jobs

    def definitions(
        self, computed: Callable[[float], None] = lambda _seconds: None
    ) -> dg.Definitions:
        """Dagster definitions of the graph.

        Parameters
        ----------
        computed
            Told the seconds that each call of a domain function takes in this process.
        """
        lake = self.lake
        lake_io = LakeIOManager(lake, {stage.table: stage for stage in self.stages})
        jobs = {name: daily_job(name, stages) for name, stages in self.jobs.items()}
        body = body_of(lake_io, computed)
        return dg.Definitions(
            assets=[stage_asset(made, body) for made in calls(self.stages)],
            jobs=list(jobs.values()),
            schedules=self._schedules(jobs),
            sensors=self._sensors(jobs),
            resources={
                "lake_io": lake_io,
                "job_lock": JobLock(
                    lake_root=str(self.settings.lake_root),
                    jobs={s.table: name for name, stages in self.jobs.items() for s in stages},
                ),
            },
            executor=dg.in_process_executor,
        )

    @property
    def clock_job(self) -> str | None:
        """Job that the evening's clock starts; the others follow it."""
        calendar = self.settings.platform.calendars.get(CLOCK_CALENDAR)
        return calendar.job if calendar is not None and calendar.job in self.jobs else None

    def _schedules(self, jobs: Mapping[str, Job]) -> list[dg.ScheduleDefinition]:
        """Clock of the evening, where this environment has one."""
        if self.clock_job is None or not self.settings.platform.automation.evening:
            return []
        return [evening_schedule(jobs[self.clock_job], self.jobs[self.clock_job][0].calendar)]

    def _sensors(self, jobs: Mapping[str, Job]) -> list[dg.SensorDefinition]:
        """Sensors that follow the clock, where this environment has them; the alarm everywhere."""
        sensors = [alarm_sensor()]
        automation, execution = self.settings.platform.automation, self.settings.execution
        if self.clock_job is None:
            return sensors
        evening = Evening.of(self.jobs, self.clock_job)
        if automation.evening and len(jobs) > 1:
            sensors.append(chain_sensor(evening, jobs, self.clock))
        if automation.execution and execution is not None and evening.portfolio:
            job = jobs[PORTFOLIO_JOB]
            sensors.append(execution_sensor(evening, job, self.lake, self.clock, execution))
        return sensors


def build_graph(settings: Settings, overrides: Overrides | None = None) -> Graph:
    """Turn settings into stages.

    Parameters
    ----------
    settings
        Resolved settings.
    overrides
        What to put in the place of what they say.
    """
    chosen = overrides or Overrides()
    sleeves = sleeve_contexts(settings, chosen)
    stages = all_stages(sleeves, portfolio_context(settings, chosen, sleeves))
    if chosen.stages is not None:
        stages = chosen.stages(stages)
    return Graph(settings, tuple(resolved(stages)), chosen.clock)


def build_defs(settings: Settings, overrides: Overrides | None = None) -> dg.Definitions:
    """Definitions of the graph that settings describe."""
    return build_graph(settings, overrides).definitions()


def sleeve_contexts(settings: Settings, overrides: Overrides) -> Sequence[SleeveContext]:
    """Resolve every sleeve: its calendar, its source, its scanners, the rebalance grid."""
    replaced = overrides.sources or {}
    grid = portfolio_grid(settings, overrides)
    contexts = []
    for name, sleeve in settings.sleeves.items():
        source, second = replaced.get(name), replaced.get(f"{name}/{SECOND_KIND}")
        contexts.append(
            SleeveContext(
                sleeve=sleeve,
                platform=settings.platform,
                scanners={scanner: settings.scanners[scanner] for scanner in sleeve.scanners},
                calendar=platform_calendar(settings, sleeve.calendar, overrides.clock()),
                grid=grid,
                source=source or source_of(name, settings),
                identity={"source": source.name} if source else source_identity(settings, name),
                snapshots=snapshots_of(name, settings),
                second=second or second_source_of(name, settings),
                second_identity={"source": second.name}
                if second
                else second_identity(settings, name),
            )
        )
    return contexts


def portfolio_context(
    settings: Settings, overrides: Overrides, sleeves: Sequence[SleeveContext]
) -> PortfolioContext:
    """Resolve what comes after the sleeves."""
    replaced = (overrides.sources or {}).get(SERIES_BRANCH)
    return PortfolioContext(
        settings=settings,
        calendar=platform_calendar(settings, CLOCK_CALENDAR, overrides.clock()),
        grid=portfolio_grid(settings, overrides),
        calendars={context.sleeve.name: context.calendar for context in sleeves},
        series=(replaced, SERIES_BRANCH) if replaced else series_source(settings),
        series_identity={"source": replaced.name} if replaced else series_identity(settings),
    )


def series_identity(settings: Settings) -> dict[str, Any]:
    """Name what decides the shared series: their source and its settings."""
    lag = {"lag_minutes": settings.platform.knowledge_lag_minutes.get("bars")}
    for name, sleeve in settings.sleeves.items():
        if sleeve.sources.get(SHARED_KIND) == "files":
            mapping = sleeve.files.mapping if sleeve.files is not None else None
            return {"source": "files", "sleeve": name, "mapping": mapping, **lag}
    market = settings.platform.embedded_market
    return {
        "source": "simulated",
        "market": market.model_dump(mode="json", include={"seed", "start"}),
        **lag,
    }


def portfolio_grid(settings: Settings, overrides: Overrides) -> frozenset[date]:
    """Rebalance sessions of every sleeve and meta."""
    clock = platform_calendar(settings, CLOCK_CALENDAR, overrides.clock())
    rebalance = settings.platform.rebalance
    return frozenset(rebalance_grid(clock, rebalance.anchor, rebalance.step))


def source_identity(settings: Settings, sleeve: str) -> dict[str, Any]:
    """Name what decides a sleeve's raw data: its source and the source's settings."""
    own = settings.sleeves[sleeve]
    identity: dict[str, Any] = {
        "source": own.sources["bars"],
        "lag_minutes": settings.platform.knowledge_lag_minutes.get("bars"),
        "asset_classes": list(own.asset_classes),
    }
    if "simulated" in {own.sources["bars"], *own_routes(own.sources).values()}:
        identity |= {
            "market": settings.platform.embedded_market.model_dump(mode="json"),
            "symbols": own.symbols,
        }
    if own.files is not None:
        identity["mapping"] = own.files.mapping
    others = own_routes(own.sources)
    return identity | ({"routes": others} if others else {})


def second_identity(settings: Settings, sleeve: str) -> dict[str, Any]:
    """Name what decides the bars that a sleeve's own are compared with; nothing without them."""
    own = settings.sleeves[sleeve]
    if SECOND_KIND not in own.sources:
        return {}
    return {
        "source": own.sources[SECOND_KIND],
        "lag_minutes": settings.platform.knowledge_lag_minutes.get("bars"),
        "asset_classes": list(own.asset_classes),
        "mapping": own.second_files.mapping if own.second_files is not None else None,
    }


def platform_calendar(settings: Settings, code: str, now: datetime) -> SessionCalendar:
    """Calendar of a code, with the platform's grace and unscheduled closures and sessions."""
    platform = settings.platform
    return build_calendar(
        code,
        horizon=calendar_horizon(now),
        grace=timedelta(minutes=platform.ingest_grace_minutes),
        extra_holidays=platform.extra_holidays.get(code, ()),
        extra_sessions=platform.extra_sessions.get(code, ()),
    )
