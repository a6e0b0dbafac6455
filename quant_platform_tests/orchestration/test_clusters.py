"""Clusters in Dagster: drawn in the metadata, alone and with what selection made of them."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from datetime import date

import polars as pl
import pytest

from quant_platform_tests.small_project import SmallProject

FIRST, LAST = date(2022, 1, 3), date(2022, 5, 13)
TABLES = ("instruments/clusters", "instruments/selection")
SIZE = {
    "platform__walk_forward_start": "2022-01-18",
    "platform__embedded_market__symbols_per_sleeve": 60,
}
Make = Callable[..., SmallProject]


@pytest.fixture
def project(small_project: Make) -> SmallProject:
    made = small_project(tables=TABLES, **SIZE)
    made.fill(FIRST, LAST)
    return made


def picture(project: SmallProject, table: str) -> str | None:
    """Newest picture of a table's run; None of a run without one."""
    event = project.instance.get_latest_materialization_event(project.stage(table).key)
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    if "clusters" not in metadata:
        return None
    (found,) = re.findall(r"svg\+xml;base64,([^)]+)\)", str(metadata["clusters"].value))
    return b64decode(found).decode()


def test_winners_and_vetoes_are_drawn_beside_the_clusters_that_selection_saw(
    project: SmallProject,
) -> None:
    clusters = project.lake.scan(TABLES[0], project.lake.sessions(TABLES[0])).collect()
    newest = clusters.filter(pl.col("session") == pl.col("session").max())
    decided = project.lake.scan(TABLES[1], [newest["session"][0]]).collect()
    assert newest.select("session", "security_id").equals(decided.select("session", "security_id"))
    alone, drawn = (picture(project, table) for table in TABLES)
    assert alone is not None
    assert drawn is not None
    assert decided["selected"].any()
    assert decided["reason"].drop_nulls().len() > 1
    assert drawn.count("● selected") == decided["selected"].sum()
    for reason, count in decided["reason"].drop_nulls().value_counts().iter_rows():
        assert drawn.count(f"× {reason}") == count
    assert "selected" not in alone
    assert alone.count("<rect") == drawn.count("<rect") > newest["cluster"].n_unique()


def test_a_run_without_a_rebalance_draws_nothing(project: SmallProject) -> None:
    for table in TABLES:
        rows = project.lake.scan(TABLES[0], [LAST]).collect()
        assert not rows.height
        project.make([table], LAST, LAST)
        assert picture(project, table) is None
