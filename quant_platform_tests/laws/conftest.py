"""Filled workshops that the laws share: filling one costs seconds, composing from it does not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.laws.garbage import garbage_twin
from quant_platform_tests.laws.workshop import EARLY, Plant, Recipe, Workshop, only
from quant_platform_tests.small_project import upstream_of

FIRST = date(2022, 1, 3)
LAST = date(2023, 4, 12)
"""320 NYSE sessions: past the look-back of 252 sessions."""

MARKET = {
    # With this seed a security is listed and one is delisted between FIRST and LAST.
    "platform__embedded_market__seed": 1560,
    **{
        f"platform__embedded_market__dirt__{kind}": 0.003
        for kind in ("missing", "late", "corrected", "impossible", "duplicated")
    },
    # A corrupted future must reach the tables behind the bars instead of blocking them.
    "platform__checks__rejected_share": 0.9,
}

CHAIN_FIRST = date(2018, 3, 2)
CHAIN_LAST = date(2018, 8, 21)
"""119 NYSE sessions in which the whole chain comes to trade, from bars to reconciled fills."""
DECIDED = date(2018, 5, 30)
"""First day of decisions: after the 60 sessions that the slope of a 50-session mean needs."""
OPENED = date(2018, 6, 20)
"""First day of the account, after the first rebalance sessions."""

_SHORT_SLEEVE = {
    # Selection and weights look back no further than decisions have lasted.
    "selection__lookback_sessions": 20,
    "portfolio__lookback": 20,
    "portfolio__min_rows": 12,
}
CHAIN: dict[str, Any] = {
    **MARKET,
    # With this seed and start, after the account was opened, a fund is delisted, a stock is split,
    # and a session of stocks arrives late.
    "platform__embedded_market__start": "2014-10-01",
    "platform__embedded_market__seed": 166,
    "platform__embedded_market__symbols_per_sleeve": 12,
    "platform__history_start": CHAIN_FIRST.isoformat(),
    "platform__walk_forward_start": DECIDED.isoformat(),
    "execution__opened": OPENED.isoformat(),
    "metas__meta__train": 20,
    "metas__meta__min_joint": 10,
    # A rating takes 200 days to know: coins are asked without one.
    **{
        f"scanners__{name}__{key}": value
        for name in ("binance_spot_trend", "binance_acceleration_trend")
        for key, value in (("base_preset", "crypto_spot"), ("limit", 25))
    },
    **{
        f"sleeves__{sleeve}__{key}": value
        for sleeve in ("crypto", "etfs", "instruments")
        for key, value in _SHORT_SLEEVE.items()
    },
}

SMALL_FIRST = date(2022, 3, 1)
SMALL_LAST = date(2022, 4, 14)
"""32 NYSE sessions around a session that arrives late as a whole, on 30 and 31 March."""


def small_recipe(plant: Plant | None = None, more: Mapping[str, Any] | None = None) -> Recipe:
    """Recipe of one sleeve's short history, with or without a planted leak and more settings."""
    settings = {**MARKET, "platform__history_start": SMALL_FIRST.isoformat(), **(more or {})}
    return Recipe(settings, plant=only("instruments", plant))


def filled_small(
    tmp: pytest.TempPathFactory,
    plant: Plant | None = None,
    more: Mapping[str, Any] | None = None,
) -> Workshop:
    """Fill a short history in one range."""
    workshop = Workshop.open(tmp.mktemp("small"), small_recipe(plant, more))
    workshop.make_all(SMALL_FIRST, SMALL_LAST)
    return workshop


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Make what long look-backs decide on a small dirty market, in one range."""
    plant = only(groups=EARLY | {"regime"})
    workshop = Workshop.open(tmp_path_factory.mktemp("filled"), Recipe(MARKET, plant=plant))
    workshop.make_all(FIRST, LAST)
    return workshop


@pytest.fixture(scope="session")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Make the coins of a market large enough for one to be listed and one to leave."""
    many = {**MARKET, "platform__embedded_market__symbols_per_sleeve": 60}
    plant = only("crypto", groups={"market_data"})
    workshop = Workshop.open(tmp_path_factory.mktemp("crowded"), Recipe(many, plant=plant))
    workshop.make_all(FIRST, LAST)
    return workshop


@pytest.fixture(scope="session")
def garbage(filled: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Write the filled lake with every row spoilt."""
    return garbage_twin(filled.lake, filled.tables, tmp_path_factory.mktemp("garbage"))


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Make every table of the shipped graph over a shorter history, in one range."""
    workshop = Workshop.open(tmp_path_factory.mktemp("chain"), Recipe(CHAIN))
    workshop.make_all(CHAIN_FIRST, CHAIN_LAST)
    return workshop


@pytest.fixture(scope="session")
def chain_garbage(chain: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Write the lake of the chain after the account was opened, with every row spoilt."""
    root = tmp_path_factory.mktemp("chain-garbage")
    return garbage_twin(chain.lake, chain.tables, root, OPENED, CHAIN_LAST)


@pytest.fixture(scope="session")
def choosing(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Make the stocks of a small dirty market, from deliveries to selection, past a year."""
    recipe = Recipe(
        {
            **MARKET,
            # With this seed a candidate that loses is stopped by nothing but a stricter limit.
            "platform__embedded_market__seed": 1561,
            "platform__embedded_market__symbols_per_sleeve": 20,
            # Two decisions, after the 272 sessions that predictability needs.
            "platform__walk_forward_start": "2023-02-15",
        },
        plant=lambda stages, _: upstream_of(stages, ["instruments/selection"]),
    )
    workshop = Workshop.open(tmp_path_factory.mktemp("choosing"), recipe)
    workshop.make_all(FIRST, LAST)
    return workshop


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Make one sleeve's short history, without a leak."""
    return filled_small(tmp_path_factory)
