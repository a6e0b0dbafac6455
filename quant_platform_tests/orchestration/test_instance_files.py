"""The instance files that are shipped: the two say the same but for where events are stored."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from quant_platform_tests.small_project import REPOSITORY


def shipped(name: str) -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / "dagster_home" / name).read_text())


def test_many_machines_differ_from_one_in_their_storage_alone() -> None:
    one, many = shipped("dagster.yaml"), shipped("dagster.postgres.yaml")
    assert one.pop("storage") != many.pop("storage")
    assert one == many


@pytest.mark.parametrize("name", ["dagster.yaml", "dagster.postgres.yaml"])
def test_chunks_of_a_backfill_run_one_at_a_time(name: str) -> None:
    (limit,) = shipped(name)["concurrency"]["runs"]["tag_concurrency_limits"]
    assert limit == {
        "key": "dagster/backfill",
        "limit": 1,
        "value": {"applyLimitPerUniqueValue": True},
    }


def test_no_address_is_in_the_file() -> None:
    config = shipped("dagster.postgres.yaml")["storage"]["custom"]["config"]
    assert config == {"postgres_url": {"env": "QUANT_POSTGRES_URL"}}
