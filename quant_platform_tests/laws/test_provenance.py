"""Law 6 on the shipped graph, run by Dagster, and on false logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.conftest import MARKET
from quant_platform_tests.laws.provenance import check_provenance
from quant_platform_tests.small_project import SmallProject

START = date(2022, 3, 24)
DECIDED = date(2022, 3, 30)
OPENED = date(2022, 4, 4)
END = date(2022, 4, 8)
TABLE = "instruments/features_state"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallProject]:
    settings: dict[str, Any] = {
        **MARKET,
        "platform__history_start": START.isoformat(),
        "platform__walk_forward_start": DECIDED.isoformat(),
        "execution__opened": OPENED.isoformat(),
    }
    made = SmallProject.create(tmp_path_factory.mktemp("project"), **settings)
    made.fill(START, END, chunk=20)
    yield made
    made.close()


def is_run(project: SmallProject) -> Callable[[str], bool]:
    return lambda run_id: project.instance.get_run_by_id(run_id) is not None


def test_provenance(project: SmallProject) -> None:
    check_provenance(project.lake, project.graph.stages, is_run(project))


def test_the_same_inputs_give_the_same_content(project: SmallProject) -> None:
    hashes = {stage.table: project.hashes(stage.table) for stage in project.graph.stages}
    project.fill(DECIDED, date(2022, 4, 1), force=True)
    assert hashes == {stage.table: project.hashes(stage.table) for stage in project.graph.stages}
    check_provenance(project.lake, project.graph.stages, is_run(project))


@pytest.mark.parametrize(
    ("false", "found"),
    [
        ({"run_id": ""}, "its run_id is empty"),
        ({"run_id": "11111111-2222-3333-4444-555555555555"}, "is unknown to the instance"),
        ({"git_sha": ""}, "its git_sha is empty"),
        ({"code_version": "0" * 16}, "its code version is 0000000000000000, not"),
        ({"config_hash": "0" * 64}, "its config hash is 0000"),
        ({"content_hash": "0" * 64}, "footer and log disagree"),
        ({"input_hash": "0" * 64}, "its input hash is not that of its inputs"),
        ({"input_hash": "none"}, "is no SHA-256"),
        ({"checksum": "0" * 64}, "checksum is not what the log says"),
        ({"schema_version": 2}, "its schema version is 2, not 1"),
        ({"rows": 3}, "rows or another session, not 3 rows"),
        ({"outcomes": ()}, "outcomes of set()"),
    ],
)
def test_a_false_line_is_caught(project: SmallProject, false: dict[str, Any], found: str) -> None:
    log = project.lake.log(TABLE)
    session = date(2022, 3, 31)
    true = project.lake.provenance(TABLE, session)
    in_stamp = {name: value for name, value in false.items() if name in vars(true.stamp)}
    rest = {name: value for name, value in false.items() if name not in in_stamp}
    log.append([replace(true, stamp=replace(true.stamp, **in_stamp), **rest)])
    try:
        with pytest.raises(LawBroken) as caught:
            check_provenance(project.lake, [project.stage(TABLE)], is_run(project))
    finally:
        log.append([true])
    assert (caught.value.table, caught.value.session) == (TABLE, session)
    assert found in str(caught.value)


def test_a_table_without_partitions_is_caught(project: SmallProject) -> None:
    stage = replace(project.stage(TABLE), table="instruments_2/features_state")
    with pytest.raises(LawBroken, match="the lake has no partition of it"):
        check_provenance(project.lake, [stage], is_run(project))
