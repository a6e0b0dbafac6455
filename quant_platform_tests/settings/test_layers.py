"""Defaults, files, environment, overrides: what wins, and what the origins say about it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from quant_platform.settings import (
    EmbeddedMarketSettings,
    PlatformSettings,
    SleeveSettings,
    load_settings,
)
from quant_platform_tests.settings.conftest import Refusal

SEED = "platform.embedded_market.seed"
SEED_VARIABLE = "QUANT_PLATFORM__EMBEDDED_MARKET__SEED"


def test_the_shipped_file_says_what_the_defaults_say(project: Path) -> None:
    assert load_settings(project, environ={}).platform == PlatformSettings()


def test_shipped_sleeves(project: Path) -> None:
    sleeves = load_settings(project, environ={}).sleeves
    assert list(sleeves) == ["crypto", "instruments"]
    assert sleeves["instruments"].calendar == "XNYS"
    assert sleeves["instruments"].asset_classes == ("stock",)
    assert sleeves["crypto"].calendar == "24/7"
    assert sleeves["crypto"].asset_classes == ("crypto",)
    assert sleeves["crypto"].sources == {"bars": "simulated"}
    assert {sleeve.kind for sleeve in sleeves.values()} == {"rebalanced"}


def test_each_layer_wins_over_the_ones_below(project: Path, platform_file: Path) -> None:
    platform_file.write_text("{}\n")
    settings = load_settings(project, environ={})
    assert (settings.platform.embedded_market.seed, settings.origins[SEED]) == (7, "default")

    platform_file.write_text("# first\nembedded_market:\n  seed: 8\n")
    settings = load_settings(project, environ={})
    assert settings.platform.embedded_market.seed == 8
    assert settings.origins[SEED] == "file assets_config/platform.yaml:3"
    assert settings.origins["platform.embedded_market.start"] == "default"

    environ = {SEED_VARIABLE: "9"}
    settings = load_settings(project, environ=environ)
    assert settings.platform.embedded_market.seed == 9
    assert settings.origins[SEED] == f"environment {SEED_VARIABLE}"

    settings = load_settings(project, environ=environ, overrides={SEED: 10})
    assert settings.platform.embedded_market.seed == 10
    assert settings.origins[SEED] == "override"


def test_every_value_of_the_manifest_has_an_origin(project: Path) -> None:
    settings = load_settings(project, environ={})

    def keys(value: object, prefix: str) -> list[str]:
        if isinstance(value, dict) and value:
            return [key for name in value for key in keys(value[name], f"{prefix}.{name}")]
        return [prefix.removeprefix(".")]

    assert sorted(settings.origins) == sorted(keys(settings.manifest(), ""))


def test_the_environment_speaks_yaml(project: Path) -> None:
    settings = load_settings(
        project,
        environ={
            "QUANT_PLATFORM__HISTORY_START": "2024-01-02",
            "QUANT_PLATFORM__UI": "{port: 3001}",
            "QUANT_PLATFORM__UI__HOST": "'0.0.0.0'",
            "QUANT_PLATFORM__CALENDARS__24_7__PERIODS_PER_YEAR": "366",
            "QUANT_PLATFORM__EXTRA_HOLIDAYS__XNYS": "[2025-01-09]",
            "QUANT_PLATFORM__KNOWLEDGE_LAG_MINUTES__BARS": "45",
            "QUANT_SLEEVES__CRYPTO__SYMBOLS": "5",
            "QUANT_PROJECT": "ignored because the root is given",
            "QUANTUM__PLATFORM": "not ours",
        },
    )
    platform = settings.platform
    assert platform.history_start == date(2024, 1, 2)
    assert (platform.ui.host, platform.ui.port) == ("0.0.0.0", 3001)
    assert platform.calendars["24/7"].periods_per_year == 366
    assert platform.calendars["24/7"].job == "crypto_daily"
    assert platform.extra_holidays == {"XNYS": (date(2025, 1, 9),)}
    assert platform.knowledge_lag_minutes == {"bars": 45}
    assert settings.sleeves["crypto"].symbols == 5
    assert settings.sleeves["instruments"].symbols is None


def test_the_process_environment_is_the_default(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SEED_VARIABLE, "12")
    assert load_settings(project).platform.embedded_market.seed == 12
    assert load_settings(project, environ={}).platform.embedded_market.seed == 7


@pytest.mark.parametrize(
    "overrides",
    [
        {"platform.history_start": date(2024, 1, 2), "platform.embedded_market.seed": 3},
        {"platform": {"history_start": "2024-01-02", "embedded_market": {"seed": 3}}},
        {"platform": {"history_start": "2024-01-02", "embedded_market.seed": 3}},
        {
            "platform.history_start": "2024-01-02",
            "platform.embedded_market": EmbeddedMarketSettings(seed=3),
        },
    ],
)
def test_overrides_may_be_dotted_nested_or_models(
    project: Path, overrides: dict[str, object]
) -> None:
    platform = load_settings(project, environ={}, overrides=overrides).platform
    assert platform.history_start == date(2024, 1, 2)
    assert platform.embedded_market == EmbeddedMarketSettings(seed=3)


def test_mappings_merge_and_lists_replace(project: Path, platform_file: Path) -> None:
    platform_file.write_text(
        "calendars:\n  XTKS: {job: japan_daily, periods_per_year: 245}\n"
        "extra_holidays: {XNYS: [2025-01-09, 2024-01-02]}\n"
    )
    platform = load_settings(project, environ={}).platform
    assert sorted(platform.calendars) == ["24/7", "XNYS", "XTKS"]
    assert platform.extra_holidays["XNYS"] == (date(2024, 1, 2), date(2025, 1, 9))

    replaced = load_settings(
        project, environ={}, overrides={"platform.extra_holidays.XNYS": [date(2023, 5, 4)]}
    )
    assert replaced.platform.extra_holidays["XNYS"] == (date(2023, 5, 4),)


def test_a_calendar_alias_becomes_its_code(project: Path, crypto_file: Path) -> None:
    crypto_file.write_text("calendar: NYSE\nasset_classes: [etf, crypto]\n")
    sleeve = load_settings(project, environ={}).sleeves["crypto"]
    assert sleeve.calendar == "XNYS"
    assert sleeve.asset_classes == ("crypto", "etf")


def test_a_sleeve_may_repeat_its_name(project: Path, crypto_file: Path) -> None:
    crypto_file.write_text("name: crypto\ncalendar: 24/7\nasset_classes: [crypto]\n")
    assert load_settings(project, environ={}).sleeves["crypto"].name == "crypto"


def test_folders_resolve_against_the_project(project: Path, tmp_path: Path) -> None:
    settings = load_settings(project, environ={})
    assert settings.project_root == project.resolve()
    assert settings.lake_root == project.resolve() / "lakehouse"
    assert settings.dagster_home == project.resolve() / "dagster_home"

    elsewhere = str(tmp_path / "lake")
    settings = load_settings(project, environ={}, overrides={"platform.lake_root": elsewhere})
    assert settings.lake_root == (tmp_path / "lake").resolve()
    assert str(tmp_path) not in str(settings.manifest())
    assert settings.manifest()["platform"]["lake_root"] == ".../lake"


def test_settings_are_frozen(project: Path) -> None:
    settings = load_settings(project, environ={})
    with pytest.raises(ValidationError):
        settings.platform.history_start = date(2024, 1, 2)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        settings.lake_root = project  # type: ignore[misc]


def test_a_file_saved_by_a_windows_editor_is_read(project: Path, platform_file: Path) -> None:
    platform_file.write_bytes(b"\xef\xbb\xbfui:\r\n  port: 3001\r\n")
    assert load_settings(project, environ={}).platform.ui.port == 3001


def test_the_simulated_market_must_be_as_old_as_the_history(
    project: Path, refusal: Refusal
) -> None:
    sentence = refusal(overrides={"platform.history_start": date(2015, 1, 1)})
    assert "history_start: 2015-01-01 is before the simulated market begins" in sentence
    assert "2015-01-02 (embedded_market.start) or later" in sentence
    older = {"platform.history_start": "2015-01-02"}
    assert load_settings(project, environ={}, overrides=older).platform.history_start.year == 2015


def test_models_stand_alone() -> None:
    sleeve = SleeveSettings(name="etfs", calendar="XNYS", asset_classes=["etf"])  # type: ignore[arg-type]
    assert sleeve.sources == {"bars": "simulated"}
