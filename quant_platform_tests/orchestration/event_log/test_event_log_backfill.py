"""A job backfill launched from the UI runs its chunks in order, even when the first is slow.

Real webserver, real daemon, real run processes; the assets' hashes tell whether a chunk found the
one before it finished. Without the shipped limit the same backfill is out of order, and the same
checks say so.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_platform_tests.bench import eventlog_location as location
from quant_platform_tests.bench.eventlog_chain import sessions
from quant_platform_tests.bench.eventlog_daemon import backfill_through_the_ui, hashes_in_process

pytestmark = pytest.mark.slow

KEYS = sessions().get_partition_keys()[:30]
SMALL = {location.LENGTH: "3", location.CHUNK: "10", location.DELAY: "20"}


def test_three_chunks_the_first_one_slow(tmp_path: Path) -> None:
    outcome = backfill_through_the_ui(tmp_path, KEYS, settings=SMALL, timeout_seconds=600)
    assert outcome.status == "COMPLETED_SUCCESS"
    assert [run.first_session for run in outcome.runs] == KEYS[::10]
    assert outcome.in_order
    assert outcome.hashes == hashes_in_process(tmp_path / "in-process", KEYS, SMALL)


def test_without_the_limit_the_order_is_lost(tmp_path: Path) -> None:
    outcome = backfill_through_the_ui(
        tmp_path, KEYS, settings=SMALL, without=["concurrency"], timeout_seconds=600
    )
    assert outcome.status == "COMPLETED_SUCCESS"
    assert not outcome.in_order
    assert outcome.hashes != hashes_in_process(tmp_path / "in-process", KEYS, SMALL)
