"""A project of one's own: the shipped ``assets_config/`` in a temporary folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from quant_platform.errors import ConfigError
from quant_platform.settings import load_settings

REPOSITORY = Path(__file__).parents[2]

Refusal = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    shutil.copytree(REPOSITORY / "assets_config", root / "assets_config")
    return root


@pytest.fixture
def platform_file(project: Path) -> Path:
    return project / "assets_config" / "platform.yaml"


@pytest.fixture
def crypto_file(project: Path) -> Path:
    return project / "assets_config" / "sleeves" / "crypto.yaml"


@pytest.fixture
def refusal(project: Path) -> Refusal:
    """Load the project, expect a ``ConfigError``, return its sentence."""

    def load(**arguments: object) -> str:
        with pytest.raises(ConfigError) as caught:
            load_settings(project, **{"environ": {}, **arguments})
        sentence = str(caught.value)
        assert "\n" not in sentence
        return sentence

    return load
