"""Finding the project folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_platform.errors import ConfigError
from quant_platform.settings import find_project_root, load_settings


def test_the_current_folder_or_one_above(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = project / "assets_config" / "sleeves"
    for folder in (project, deep):
        monkeypatch.chdir(folder)
        assert find_project_root(environ={}) == project.resolve()
        assert load_settings(environ={}).project_root == project.resolve()


def test_the_variable_wins(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANT_PROJECT", str(project))
    assert find_project_root() == project.resolve()
    assert load_settings().project_root == project.resolve()


def test_an_explicit_start_wins_over_the_variable(project: Path, tmp_path: Path) -> None:
    environ = {"QUANT_PROJECT": str(tmp_path / "none")}
    assert find_project_root(project / "assets_config", environ=environ) == project.resolve()


@pytest.mark.parametrize("named", ["none", "with\0null"])
def test_a_variable_that_names_no_project(named: str) -> None:
    with pytest.raises(ConfigError, match="environment QUANT_PROJECT") as caught:
        find_project_root(environ={"QUANT_PROJECT": named})
    assert caught.value.mend == "correct or unset it"


def test_no_project_anywhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder assets_config") as caught:
        find_project_root(tmp_path, environ={})
    assert "set QUANT_PROJECT" in caught.value.mend


def test_a_current_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="the current folder cannot be read"):
        find_project_root(environ={})
