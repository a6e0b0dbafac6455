"""The assets that the event log is measured on, and the instances that they run in.

The chain is what the platform's own graph looks like to Dagster: every asset on the XNYS sessions
since 2014, with the platform's own partitions definition and chunk size, each depending on the one
before through the identity mapping, all in one job that runs in one process. The assets do nothing
and store nothing, so what is measured is Dagster and its storage. Forty-five is the number of
partitioned assets of one calendar in the full platform.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from quant_platform.calendars import build_calendar
from quant_platform.orchestration.partitions import daily_partitions
from quant_platform.orchestration.stage import BACKFILL_CHUNK

CHAIN_LENGTH = 45
HISTORY_START = date(2014, 1, 2)
SHIPPED_INSTANCE = Path(__file__).parents[2] / "dagster_home" / "dagster.yaml"


def sessions() -> dg.DailyPartitionsDefinition:
    """Return XNYS sessions as partitions, as the platform defines them."""
    grace = timedelta(minutes=90)
    calendar = build_calendar("XNYS", horizon=date(2027, 12, 31), grace=grace)
    return daily_partitions(calendar, HISTORY_START)


def chain_job(length: int) -> dg.JobDefinition:
    """Build the job over a chain of assets that do nothing."""
    partitions = sessions()
    assets = [_link(number, partitions) for number in range(length)]
    job = dg.define_asset_job(
        "chain", partitions_def=partitions, executor_def=dg.in_process_executor
    )
    return dg.Definitions(assets=assets, jobs=[job]).resolve_job_def("chain")


def _link(number: int, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"link_{number:02d}",
        partitions_def=partitions,
        deps=[f"link_{number - 1:02d}"] if number else [],
        code_version="1",
        backfill_policy=dg.BackfillPolicy.multi_run(BACKFILL_CHUNK),
    )
    def link() -> None: ...

    return link


def run_range(job: dg.JobDefinition, instance: dg.DagsterInstance, keys: Sequence[str]) -> None:
    """Materialise the sessions from the first to the last key in one in-process run."""
    tags = {ASSET_PARTITION_RANGE_START_TAG: keys[0], ASSET_PARTITION_RANGE_END_TAG: keys[-1]}
    if not job.execute_in_process(instance=instance, tags=tags).success:
        raise RuntimeError(f"the run from {keys[0]} to {keys[-1]} failed")


def write_instance(home: Path, *, without: Sequence[str] = ()) -> None:
    """Write the shipped instance file into a folder, without some of its top-level settings."""
    settings = yaml.safe_load(SHIPPED_INSTANCE.read_text())
    kept = {name: setting for name, setting in settings.items() if name not in without}
    (home / "dagster.yaml").write_text(yaml.safe_dump(kept))


@contextmanager
def environment(**changes: str | None) -> Iterator[None]:
    """Change environment variables, None unsets one, and put them back."""
    before = {name: os.environ.get(name) for name in changes}
    try:
        _set_environment(changes)
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def temporary_instance(*, stock: bool = False) -> Iterator[dg.DagsterInstance]:
    """Open a fresh instance with the shipped settings, on our storage or on stock's."""
    with (
        tempfile.TemporaryDirectory(prefix="eventlog-") as folder,
        environment(DAGSTER_HOME=folder, DAGSTER_EVENT_BATCH_SIZE=None),
    ):
        write_instance(Path(folder), without=["storage"] if stock else [])
        with dg.DagsterInstance.from_config(folder) as instance:
            yield instance
