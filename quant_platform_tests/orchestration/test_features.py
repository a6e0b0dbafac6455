"""Families of features in Dagster: each asset shows what its newest session looks like."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from datetime import date
from pathlib import Path

from quant_platform.lakehouse.contracts.feature import told
from quant_platform.orchestration.graph import build_graph
from quant_platform_tests.small_project import SmallProject, small_settings

FIRST, LAST = date(2022, 1, 3), date(2022, 2, 11)
Make = Callable[..., SmallProject]


def test_every_family_shows_its_features(tmp_path: Path) -> None:
    """Found in the graph: a family that is added is asked."""
    graph = build_graph(small_settings(tmp_path))
    families = [
        stage
        for stage in graph.stages
        if stage.kind.startswith("features_") or stage.kind == "cross_section"
    ]
    assert len({stage.kind for stage in families}) >= 9
    for stage in families:
        assert stage.shown is not None, stage.table


def test_the_metadata_of_a_family_hold_its_picture(small_project: Make) -> None:
    table = "etfs/features_liquidity"
    project = small_project(tables=(table,))
    project.fill(FIRST, LAST)
    event = project.instance.get_latest_materialization_event(project.stage(table).key)
    assert event is not None
    assert event.asset_materialization is not None
    text = str(event.asset_materialization.metadata["features"].value)
    (picture,) = re.findall(r"base64,([^)]+)\)", text)
    drawn = b64decode(picture).decode()
    columns = project.stage(table).contract.columns
    numbers = [name for name in columns if told(columns[name], "unit") not in (None, "name")]
    assert len(numbers) > 5
    for name in numbers:
        assert f">{name}<" in drawn
