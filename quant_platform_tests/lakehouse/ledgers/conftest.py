"""A ledger of a lake of its own, and its clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_platform.lakehouse.ledgers import Ledger
from quant_platform_tests.lakehouse.ledgers.small_ledger import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return Ledger(tmp_path, "orders", clock)
