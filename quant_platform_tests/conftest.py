"""Fixtures that every folder of tests may use, and how a run of all tests is organised."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from quant_platform_tests.scheduling import Scheduling, turn
from quant_platform_tests.small_project import SmallProject

# No test asserts on time: how long an example takes is the machine's affair.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling | None:
    """Share the tests among workers as ``scheduling`` says."""
    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let long work begin first where there are several workers."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: turn(item.nodeid))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lasts: a million objects of modules and collected tests."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Give it back: what is frozen at the end counts as leaked."""
    gc.unfreeze()


@pytest.fixture
def small_project(tmp_path: Path) -> Iterator[Callable[..., SmallProject]]:
    """Make small projects; each call may name another folder below ``tmp_path``."""
    opened: list[SmallProject] = []

    def make(folder: str = "project", **options: Any) -> SmallProject:
        project = SmallProject.create(tmp_path / folder, **options)
        opened.append(project)
        return project

    yield make
    for project in opened:
        project.close()
