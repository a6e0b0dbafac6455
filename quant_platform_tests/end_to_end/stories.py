"""What a lake says of its sessions, in a form that two ways of making them can be compared in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from quant_platform.errors import QuantError
from quant_platform.lakehouse.lake import Lake
from quant_platform.orchestration.io import LakeIOManager
from quant_platform.orchestration.making import make_range, missing_error
from quant_platform.orchestration.stage import calls
from quant_platform_tests.small_project import SmallProject

Story = dict[date, tuple[Any, ...]]


def story(lake: Lake, table: str, sessions: Sequence[date] | None = None) -> Story:
    """Verdict, content, inputs and outcomes of each session, blocked ones included."""
    return {
        day: (
            entry.verdict,
            entry.content_hash,
            entry.input_hash,
            entry.rows,
            [tuple(outcome.items()) for outcome in entry.outcomes],
        )
        for day, entry in lake.entries(table).items()
        if sessions is None or day in sessions
    }


def attempt(
    project: SmallProject, tables: Sequence[str], first: date, last: date
) -> QuantError | None:
    """Make tables over a range in one run; return the error that the command line would print."""
    try:
        project.make(tables, first, last)
    except QuantError as error:
        return error
    return None


def make_directly(project: SmallProject, table: str, sessions: Sequence[date]) -> None:
    """Make a range of one call, read and stored as in a run, without Dagster's loop around it.

    Raises
    ------
    MissingUpstreamError
        As the run would, with the sessions stored that can be made.
    """
    stage = project.stage(table)
    io = LakeIOManager(project.lake, {known.table: known for known in project.graph.stages})
    wanted = stage.range_of(list(sessions))
    frames = {name: io.read(window, wanted) for name, window in stage.windows.items()}
    together = next(made for made in calls(project.graph.stages) if stage in made)
    for made in make_range(together, project.lake, frames, wanted, "direct"):
        io.store(made)
    if made.missing:
        raise missing_error(stage, made.missing)


def materialised(project: SmallProject, table: str) -> list[date]:
    """Sessions that Dagster holds for materialised."""
    keys = project.instance.get_materialized_partitions(project.stage(table).key)
    return sorted(date.fromisoformat(key) for key in keys)
