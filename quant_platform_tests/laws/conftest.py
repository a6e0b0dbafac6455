"""Filled workshops that the laws share: filling one costs seconds, composing from it does not."""

from __future__ import annotations

from datetime import date

import pytest

from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.laws.garbage import garbage_twin
from quant_platform_tests.laws.workshop import Plant, Recipe, Workshop, only

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

SMALL_FIRST = date(2022, 3, 1)
SMALL_LAST = date(2022, 4, 14)
"""32 NYSE sessions around a session that arrives late as a whole, on 30 and 31 March."""


def small_recipe(plant: Plant | None = None) -> Recipe:
    """Recipe of one sleeve's short history, with or without a planted leak."""
    settings = {**MARKET, "platform__history_start": SMALL_FIRST.isoformat()}
    return Recipe(settings, plant=only("instruments", plant))


def filled_small(tmp: pytest.TempPathFactory, plant: Plant | None = None) -> Workshop:
    """Fill a short history in one range."""
    workshop = Workshop.open(tmp.mktemp("small"), small_recipe(plant))
    workshop.make_all(SMALL_FIRST, SMALL_LAST)
    return workshop


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Make the shipped graph on a small dirty market, in one range."""
    workshop = Workshop.open(tmp_path_factory.mktemp("filled"), Recipe(MARKET))
    workshop.make_all(FIRST, LAST)
    return workshop


@pytest.fixture(scope="session")
def garbage(filled: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Write the filled lake with every row spoilt."""
    return garbage_twin(filled.lake, filled.tables, tmp_path_factory.mktemp("garbage"))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Make one sleeve's short history, without a leak."""
    return filled_small(tmp_path_factory)
