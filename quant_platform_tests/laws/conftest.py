"""Filled workshops that the laws share: filling one costs seconds, composing from it does not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.laws.garbage import garbage_twin
from quant_platform_tests.laws.workshop import Recipe, Workshop

FIRST = date(2022, 1, 3)
LAST = date(2023, 4, 12)
"""320 NYSE sessions: past the 252-session look-back and the block before it."""

MARKET = {
    # With this seed a security is listed and one is delisted between FIRST and LAST.
    "platform__embedded_market__seed": 22,
    **{
        f"platform__embedded_market__dirt__{kind}": 0.003
        for kind in ("missing", "late", "corrected", "impossible", "duplicated")
    },
    # A corrupted future must reach the tables behind the bars instead of blocking them.
    "platform__checks__rejected_share": 0.9,
}
RECIPE = Recipe(MARKET)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The shipped graph on a small dirty market, made in one range."""
    workshop = Workshop.open(tmp_path_factory.mktemp("filled"), RECIPE)
    workshop.make_all(FIRST, LAST)
    return workshop


@pytest.fixture(scope="session")
def garbage(filled: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The filled lake with every row spoilt."""
    root: Path = tmp_path_factory.mktemp("garbage")
    return garbage_twin(filled.lake, filled.tables, root)
