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
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import dagster as dg
import polars as pl

from quant_platform.calendars import SessionCalendar, build_calendar, calendar_horizon
from quant_platform.lakehouse.lake import Lake, utc_now
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.assets.sleeve import sleeve_stages
from quant_platform.orchestration.failures import typed_failures
from quant_platform.orchestration.io import LakeIOManager, requested_sessions
from quant_platform.orchestration.jobs import CLOCK_CALENDAR, calendar_job, evening_schedule
from quant_platform.orchestration.locks import JobLock
from quant_platform.orchestration.making import Made, make_range
from quant_platform.orchestration.stage import Stage, stage_asset
from quant_platform.settings import Settings
from quant_platform.sources.protocol import Source
from quant_platform.sources.registry import build_source


@dataclass(frozen=True)
class Overrides:
    """What a caller may put in the place of what the settings say.

    Parameters
    ----------
    sources
        Sources by sleeve.
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
            jobs.setdefault(named[stage.calendar.code], []).append(stage)
        return jobs

    def definitions(self) -> dg.Definitions:
        """Dagster definitions of the graph."""
        lake = self.lake

        def make(
            context: dg.AssetExecutionContext, stage: Stage, frames: Mapping[str, pl.LazyFrame]
        ) -> Made:
            with typed_failures():
                wanted = stage.range_of(requested_sessions(context, stage))
                return make_range(stage, lake, frames, wanted, context.run_id)

        jobs = {name: calendar_job(name, stages) for name, stages in self.jobs.items()}
        schedules = [
            evening_schedule(jobs[name], stages[0].calendar)
            for name, stages in self.jobs.items()
            if stages[0].calendar.code == CLOCK_CALENDAR
        ]
        return dg.Definitions(
            assets=[stage_asset(stage, make) for stage in self.stages],
            jobs=list(jobs.values()),
            schedules=schedules,
            resources={
                "lake_io": LakeIOManager(lake, {stage.table: stage for stage in self.stages}),
                "job_lock": JobLock(
                    lake_root=str(self.settings.lake_root),
                    jobs={s.table: name for name, stages in self.jobs.items() for s in stages},
                ),
            },
            executor=dg.in_process_executor,
        )


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
    stages = [
        stage for context in sleeve_contexts(settings, chosen) for stage in sleeve_stages(context)
    ]
    if chosen.stages is not None:
        stages = chosen.stages(stages)
    return Graph(settings, tuple(stages), chosen.clock)


def build_defs(settings: Settings, overrides: Overrides | None = None) -> dg.Definitions:
    """Definitions of the graph that settings describe."""
    return build_graph(settings, overrides).definitions()


def sleeve_contexts(settings: Settings, overrides: Overrides) -> Sequence[SleeveContext]:
    """Resolve every sleeve: its calendar and its source."""
    replaced = overrides.sources or {}
    contexts = []
    for name, sleeve in settings.sleeves.items():
        source = replaced.get(name)
        contexts.append(
            SleeveContext(
                sleeve=sleeve,
                platform=settings.platform,
                calendar=platform_calendar(settings, sleeve.calendar, overrides.clock()),
                source=source or build_source(sleeve.sources["bars"], settings),
                identity={"source": source.name} if source else source_identity(settings, name),
            )
        )
    return contexts


def source_identity(settings: Settings, sleeve: str) -> dict[str, Any]:
    """Name what decides a sleeve's raw data: its source and the source's settings."""
    own = settings.sleeves[sleeve]
    return {
        "source": own.sources["bars"],
        "market": settings.platform.embedded_market.model_dump(mode="json"),
        "lag_minutes": settings.platform.knowledge_lag_minutes.get("bars"),
        "symbols": own.symbols,
        "asset_classes": list(own.asset_classes),
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
