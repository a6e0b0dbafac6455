"""Names and places of tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_platform.errors import ContractError, LakeError
from quant_platform.lakehouse.layout import TableLayout, table_names
from quant_platform_tests.lakehouse.small_lake import (
    BARS_TABLE,
    SESSIONS,
    TREND_TABLE,
    bar,
    bars_frame,
    open_lake,
    trend_frame,
    write,
)


@pytest.mark.parametrize(
    "name",
    ["bars", "", "/bars", "instruments/", "../bars", "a/../bars", "./bars", "_blocked/bars"],
)
def test_names_that_would_leave_the_lake_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LakeError, match="is not a table name"):
        TableLayout.of(tmp_path, name)


def test_names_without_a_contract_are_refused_with_a_near_one(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="features_trend"):
        TableLayout.of(tmp_path, "instruments/feature_trend")
    assert TableLayout.of(tmp_path, "quarantine/instruments/bars").contract.kind == "quarantine"


def test_every_path_of_a_table_is_inside_the_lake_and_its_own(tmp_path: Path) -> None:
    layouts = [TableLayout.of(tmp_path, name) for name in ("a/bars", "b/bars", "quarantine/a/bars")]
    places = [
        path
        for layout in layouts
        for path in (
            layout.part(SESSIONS[0]),
            layout.blocked(SESSIONS[0]),
            layout.superseded_folder(SESSIONS[0]),
            layout.log,
            layout.pending,
            layout.lock,
            layout.description,
        )
    ]
    assert len(set(places)) == len(places)
    assert all(path.is_relative_to(tmp_path) for path in places)


def test_a_glob_over_the_version_folders_finds_current_partitions_alone(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    for close in (1.0, 2.0):
        write(lake, TREND_TABLE, trend_frame(SESSIONS[:3], close=close))
    write(lake, TREND_TABLE, trend_frame([SESSIONS[1]]), verdicts={SESSIONS[1]: "blocked"})
    layout = lake.layout(TREND_TABLE)
    current = [layout.part(SESSIONS[0]), layout.part(SESSIONS[2])]
    assert sorted((lake.root / TREND_TABLE).glob("v*/*/*.parquet")) == current
    assert layout.files() == [*current, layout.blocked(SESSIONS[1])]


def test_tables_are_found_by_their_descriptions(tmp_path: Path) -> None:
    assert list(table_names(tmp_path)) == []
    lake = open_lake(tmp_path)
    write(lake, TREND_TABLE, trend_frame(SESSIONS[:1]))
    write(lake, BARS_TABLE, bars_frame([bar("a", SESSIONS[0])]))
    write(lake, "crypto/bars", bars_frame([bar("a", SESSIONS[0])]))
    write(lake, f"quarantine/{BARS_TABLE}", lake.layout("quarantine/a/bars").contract.empty())
    for name in ("_provenance/x/bars", ".hidden/bars", "ledger/orders"):
        (lake.root / name).mkdir(parents=True, exist_ok=True)
    (lake.root / "_provenance/x/bars/table.json").touch()
    (lake.root / ".hidden/bars/table.json").touch()
    (lake.root / "catalog.duckdb").touch()
    assert lake.tables() == ["crypto/bars", BARS_TABLE, TREND_TABLE, f"quarantine/{BARS_TABLE}"]
