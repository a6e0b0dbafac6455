"""``quant config show`` and ``quant config schema``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quant_platform.cli.config import app
from quant_platform.errors import ConfigError
from quant_platform.settings import load_settings
from quant_platform.settings.reference import reference_files, schemas

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(REPOSITORY / "assets_config", tmp_path / "assets_config")
    monkeypatch.setenv("QUANT_PROJECT", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_show_as_a_table(project: Path) -> None:
    output = run("show")
    settings = load_settings()
    assert f"config_hash {settings.config_hash}" in output
    assert f"lake_root {settings.lake_root}" in output
    assert '["stock"]' in output
    for key in settings.origins:
        assert key in output
    assert "file assets_config" not in output


def test_show_with_origins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANT_PLATFORM__UI__PORT", "3001")
    output = run("show", "--origins")
    assert "environment QUANT_PLATFORM__UI__PORT" in output
    assert "file assets_config/platform.yaml:" in output


def test_show_as_json(project: Path) -> None:
    settings = load_settings()
    report = json.loads(run("show", "--json"))
    assert report["config_hash"] == settings.config_hash
    assert report["manifest"] == settings.manifest()
    assert report["folders"]["project_root"] == str(project.resolve())
    assert "origins" not in report
    assert json.loads(run("show", "--json", "--origins"))["origins"] == settings.origins


def test_schema_prints_or_writes(project: Path) -> None:
    assert json.loads(run("schema")) == schemas()
    assert not (project / "docs").exists()
    assert run("schema", "--write").split() == list(reference_files())
    for path, text in reference_files().items():
        assert (project / path).read_text(encoding="utf-8") == text


def test_an_error_is_left_to_the_main_program(project: Path) -> None:
    (project / "assets_config" / "platform.yaml").write_text("ui: {prot: 3}\n")
    with pytest.raises(ConfigError, match=r"platform\.yaml:1: unknown key 'prot' in ui"):
        run("show")
