"""The chain, end to end: source to features, in single days and in ranges."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from quant_platform_tests.small_project import SmallProject

Make = Callable[..., SmallProject]


def test_a_backfill_makes_every_table_and_a_second_one_does_nothing(small_project: Make) -> None:
    project = small_project()
    report = project.fill(date(2022, 1, 3), date(2022, 2, 28))
    assert report.tally.done == 2
    for stage in project.graph.stages:
        # Before its first day a table is empty: it needs no run, and gets none.
        sessions = stage.calendar.between(stage.first_day, date(2022, 2, 28))
        assert list(project.lake.entries(stage.table)) == sessions
        materialised = project.instance.get_materialized_partitions(stage.key)
        assert materialised == {day.isoformat() for day in sessions}
    again = project.fill(date(2022, 1, 3), date(2022, 2, 28))
    assert again.chunks == []
