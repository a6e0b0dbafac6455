"""Fixtures that every folder of tests may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quant_platform_tests.small_project import SmallProject


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
