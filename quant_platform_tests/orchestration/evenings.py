"""A small market that trades every evening, and the daemon's part in it.

Four symbols a sleeve, a decision on every session, look-backs of three: when the account opens it
has something to buy, and the benchmark has the 21 closes without which no regime lets it trade.
``Desk`` evaluates the schedule and the sensors that the graph really has, and executes what they
ask for, each run key once, as the daemon does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from quant_platform.orchestration.graph import Graph
from quant_platform.orchestration.jobs import EVENING_TAG
from quant_platform_tests.small_project import SmallProject

FIRST, OPENED = date(2021, 12, 14), date(2022, 1, 14)
WEDNESDAY, THURSDAY, FRIDAY = date(2022, 1, 19), date(2022, 1, 20), date(2022, 1, 21)
CLOCK, COINS, PORTFOLIO = "us_daily", "crypto_daily", "portfolio_daily"
ORDERS, READY, FILLS = (f"execution/{kind}" for kind in ("orders", "execution_ready", "fills"))
_ANY = [{"left": "close", "operation": "egreater", "right": 0}]
_SCANNERS = {
    "crypto": "binance_spot_trend",
    "etfs": "etf_equity_momentum",
    "instruments": "us_trend",
}
TRADING: dict[str, Any] = {
    "platform__embedded_market__symbols_per_sleeve": 4,
    "platform__history_start": FIRST.isoformat(),
    "platform__walk_forward_start": "2022-01-10",
    "platform__rebalance__step": 1,
    "execution__opened": OPENED.isoformat(),
    "execution__risk__volatility_lookback": 3,
    "execution__risk__least_joint_sessions": 2,
    "execution__risk__name_cap": 1.0,
    "execution__gates__max_order": 1.0,
    "metas__meta__train": 3,
    "metas__meta__min_joint": 2,
    **{f"sleeves__{name}__selection__lookback_sessions": 3 for name in _SCANNERS},
    # Nobody has 20 bars yet.
    **{f"sleeves__{name}__selection__vetoes__idle_sessions": None for name in _SCANNERS},
    **{f"sleeves__{name}__portfolio__lookback": 3 for name in _SCANNERS},
    **{f"sleeves__{name}__portfolio__min_rows": 2 for name in _SCANNERS},
    **{f"sleeves__{name}__scanners": [scanner] for name, scanner in _SCANNERS.items()},
    # Without its presets a scanner asks for nothing that takes a month to know.
    **{
        f"scanners__{scanner}__{key}": value
        for scanner in _SCANNERS.values()
        for key, value in {
            "base_preset": None,
            "exchanges": ["BINANCE"] if scanner.startswith("binance") else [],
            "filters": _ANY,
            "limit": 25,
        }.items()
    },
    "tables": [ORDERS],
}


def night_after(session: date) -> datetime:
    """Moment of the evening's clock after a session: 01:35 UTC of the next day."""
    return datetime.combine(session, datetime.min.time(), UTC) + timedelta(days=1, minutes=95)


@dataclass
class Clock:
    """A wall clock that a test sets."""

    now: datetime

    def __call__(self) -> datetime:
        """Say what it shows."""
        return self.now


@dataclass
class Desk:
    """A project with its automation, in the hands of a test."""

    project: SmallProject
    clock: Clock
    used: set[str] = field(default_factory=set)

    @classmethod
    def open(
        cls, folder: Path, session: date, *, filled: Path | None = None, **changes: Any
    ) -> Desk:
        """Open a desk on the night after a session, on a copy of a filled project if one is given.

        Partitions are replaced and never changed in place, so that a copy may share them.
        """
        if filled is not None:
            shutil.copytree(filled, folder, copy_function=_share)
        clock = Clock(night_after(session))
        return cls(SmallProject.create(folder, clock=clock, **TRADING | changes), clock)

    @property
    def graph(self) -> Graph:
        """Graph of the project."""
        return self.project.graph

    @cached_property
    def definitions(self) -> dg.Definitions:
        """Definitions, as the code location has them."""
        return self.graph.definitions()

    def schedule(self) -> dg.RunRequest | str:
        """Let the evening's clock strike: what it asks for, or why it asks for nothing."""
        schedule = self.definitions.resolve_schedule_def(f"{CLOCK}_evening")
        context = dg.build_schedule_context(
            instance=self.project.instance,
            scheduled_execution_time=self.clock.now,
            repository_def=self.definitions.get_repository_def(),
        )
        told = schedule.evaluate_tick(context)
        return told.run_requests[0] if told.run_requests else str(told.skip_message)

    def tick(self, sensor: str) -> list[dg.RunRequest] | str:
        """Let a sensor look: what it asks for and the daemon has not launched, or why nothing."""
        with dg.build_sensor_context(
            instance=self.project.instance, definitions=self.definitions
        ) as context:
            told = self.definitions.resolve_sensor_def(sensor).evaluate_tick(context)
        if not told.run_requests:
            return str(told.skip_message)
        return [r for r in told.run_requests or () if r.run_key not in self.used]

    def asks(self, sensor: str, job: str) -> dg.RunRequest:
        """Let a sensor look, which must ask for a job: that request."""
        told = self.tick(sensor)
        assert isinstance(told, list), told
        return next(request for request in told if request.job_name == job)

    def execute(self, request: dg.RunRequest, job: str) -> dg.ExecuteInProcessResult:
        """Launch what was asked for."""
        if request.run_key is not None:
            self.used.add(request.run_key)
        return self.run(
            request.job_name or job,
            date.fromisoformat(str(request.partition_key)),
            request.tags,
            request.asset_selection,
        )

    def run(
        self,
        job: str,
        session: date,
        tags: Mapping[str, str] | None = None,
        assets: Sequence[dg.AssetKey] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run a session of a job, as somebody does who starts it in the UI."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.project.instance,
            partition_key=session.isoformat(),
            tags={**(tags or {})},
            asset_selection=assets,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )

    def evening(self, session: date, until: str = "") -> list[str]:
        """Live through the night after a session, without the orders; return what ran."""
        self.clock.now = night_after(session)
        asked = self.schedule()
        if not isinstance(asked, dg.RunRequest):
            return self.follow(until)
        assert self.execute(asked, CLOCK).success
        return [CLOCK, *self.follow(until)]

    def follow(self, until: str = "") -> list[str]:
        """Run what the chain asks for, up to a job; return what ran."""
        ran: list[str] = []
        while True:
            asked = self.tick("evening_chain")
            requests = [r for r in asked if r.job_name != until] if isinstance(asked, list) else []
            if not requests:
                return ran
            for request in requests:
                assert self.execute(request, "").success
                ran.append(str(request.job_name))

    def trade(self) -> list[dg.RunRequest] | str:
        """Let the execution sensor look, and launch what it asks for."""
        asked = self.tick("execution")
        for request in asked if isinstance(asked, list) else ():
            assert self.execute(request, PORTFOLIO).success
        return asked

    def rows(self, table: str, session: date) -> pl.DataFrame:
        """Rows of a session."""
        return self.project.lake.scan(table, [session]).collect()

    def acted(self) -> list[date]:
        """Sessions whose orders went out."""
        return self.project.lake.sessions(ORDERS)

    def close(self) -> None:
        """Release the project."""
        self.project.close()


def evening_tag(session: date) -> dict[str, str]:
    """Tag of the runs of an evening."""
    return {EVENING_TAG: session.isoformat()}


def _share(source: str, target: str) -> None:
    if source.endswith(".parquet"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


Opened = Callable[..., Desk]
