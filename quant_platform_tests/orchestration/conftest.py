"""The trading market of the evenings, filled once for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quant_platform_tests.orchestration.evenings import (
    CLOCK,
    COINS,
    FIRST,
    FRIDAY,
    PORTFOLIO,
    THURSDAY,
    WEDNESDAY,
    Desk,
    Opened,
)


@pytest.fixture(scope="session")
def wednesday(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill a market up to Wednesday, orders included: the morning before the evening."""
    folder = tmp_path_factory.mktemp("trading") / "wednesday"
    desk = Desk.open(folder, WEDNESDAY)
    desk.project.fill(FIRST, WEDNESDAY)
    desk.close()
    return folder


@pytest.fixture(scope="session")
def sleeves(tmp_path_factory: pytest.TempPathFactory, wednesday: Path) -> Path:
    """Live through Thursday's evening up to the sleeves; the portfolio is next."""
    folder = tmp_path_factory.mktemp("trading") / "sleeves"
    desk = Desk.open(folder, THURSDAY, filled=wednesday)
    assert desk.evening(THURSDAY, until=PORTFOLIO) == [CLOCK, COINS]
    desk.close()
    return folder


@pytest.fixture(scope="session")
def thursday(tmp_path_factory: pytest.TempPathFactory, sleeves: Path) -> Path:
    """Live through Thursday's evening up to the gates; no order has gone out."""
    folder = tmp_path_factory.mktemp("trading") / "thursday"
    desk = Desk.open(folder, THURSDAY, filled=sleeves)
    assert desk.follow() == [PORTFOLIO]
    desk.close()
    return folder


@pytest.fixture(scope="session")
def missed(tmp_path_factory: pytest.TempPathFactory, thursday: Path) -> Path:
    """Live through Friday's evening up to the gates, though Thursday's orders never went out."""
    folder = tmp_path_factory.mktemp("trading") / "missed"
    desk = Desk.open(folder, FRIDAY, filled=thursday)
    assert desk.evening(FRIDAY) == [CLOCK, COINS, PORTFOLIO]
    desk.close()
    return folder


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory, thursday: Path) -> Path:
    """Live through Thursday's and Friday's evenings, orders included."""
    folder = tmp_path_factory.mktemp("trading") / "lived"
    desk = Desk.open(folder, THURSDAY, filled=thursday)
    assert isinstance(desk.trade(), list)
    assert desk.evening(FRIDAY) == [CLOCK, COINS, PORTFOLIO]
    assert isinstance(desk.trade(), list)
    desk.close()
    return folder


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Open desks, each in a folder of its own."""
    desks: list[Desk] = []

    def make(filled: Path, session: Any = THURSDAY, **changes: Any) -> Desk:
        desk = Desk.open(tmp_path / f"desk-{len(desks)}", session, filled=filled, **changes)
        desks.append(desk)
        return desk

    yield make
    for desk in desks:
        desk.close()
