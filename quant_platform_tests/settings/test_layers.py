"""Defaults, files, environment, overrides: what wins, and what the origins say about it."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from quant_platform.settings import (
    CostSettings,
    EmbeddedMarketSettings,
    ExecutionSettings,
    PlatformSettings,
    ProfilesSettings,
    ReturnsSettings,
    SelectionSettings,
    SleeveSettings,
    load_settings,
)
from quant_platform.settings.scanner import LAYERS
from quant_platform_tests.settings.conftest import Refusal

SEED = "platform.embedded_market.seed"
SEED_VARIABLE = "QUANT_PLATFORM__EMBEDDED_MARKET__SEED"


def test_the_shipped_file_says_what_the_defaults_say(project: Path) -> None:
    settings = load_settings(project, environ={})
    assert settings.platform == PlatformSettings()
    assert settings.execution == ExecutionSettings()
    for name in ("etfs", "instruments"):
        sleeve = settings.sleeves[name]
        assert sleeve.returns == ReturnsSettings()
        # Signal and strategies are each sleeve's own.
        own = {"signal": "composite_score", "strategies": sleeve.selection.strategies}
        assert sleeve.selection == SelectionSettings().model_copy(update=own)
        assert sleeve.portfolio == ProfilesSettings()
        assert sleeve.costs == CostSettings()


def test_shipped_sleeves(project: Path) -> None:
    sleeves = load_settings(project, environ={}).sleeves
    assert list(sleeves) == ["crypto", "etfs", "instruments"]
    assert {name: sleeve.calendar for name, sleeve in sleeves.items()} == {
        "crypto": "24/7",
        "etfs": "XNYS",
        "instruments": "XNYS",
    }
    assert {name: sleeve.asset_classes for name, sleeve in sleeves.items()} == {
        "crypto": ("crypto",),
        "etfs": ("etf",),
        "instruments": ("stock",),
    }
    assert {name: sleeve.scanners for name, sleeve in sleeves.items()} == {
        "crypto": ("binance_acceleration_trend", "binance_spot_trend"),
        "etfs": ("etf_equity_momentum", "sector_etf_trend"),
        "instruments": ("mean_reversion", "us_trend"),
    }
    assert sleeves["crypto"].sources == {"bars": "simulated"}
    assert {sleeve.kind for sleeve in sleeves.values()} == {"rebalanced"}


def test_crypto_is_dearer_and_has_no_opening_auction(project: Path) -> None:
    crypto = load_settings(project, environ={}).sleeves["crypto"]
    assert (crypto.costs.slippage_bps, crypto.costs.commission_bps) == (10.0, 4.0)
    assert crypto.returns.execution_price == "typical"


def test_what_is_shipped_beside_the_sleeves(project: Path) -> None:
    settings = load_settings(project, environ={})
    assert {scanner.asset_class for scanner in settings.scanners.values()} == {
        "crypto",
        "etf",
        "stock",
    }
    assert {preset.layer for preset in settings.presets.values()} == set(LAYERS)
    assert list(settings.metas) == ["meta"]
    assert settings.metas["meta"].members == tuple(settings.sleeves)
    assert settings.execution is not None
    assert settings.execution.portfolio == "meta"
    assert settings.regimes is not None
    assert settings.regimes.benchmark.sleeve == "etfs"
    assert settings.platform.walk_forward_start == date(2023, 1, 3)
    assert settings.platform.rebalance.step == 20


def test_meta_execution_and_regimes_may_be_left_out(project: Path) -> None:
    config = project / "assets_config"
    shutil.rmtree(config / "meta")
    (config / "execution.yaml").unlink()
    (config / "regimes.yaml").unlink()
    settings = load_settings(project, environ={})
    assert (settings.metas, settings.execution, settings.regimes) == ({}, None, None)
    assert settings.manifest()["execution"] is None
    assert settings.origins["regimes"] == "default"


def test_a_fourth_sleeve_is_one_file(project: Path) -> None:
    path = project / "assets_config" / "sleeves" / "majors.yaml"
    path.write_text("calendar: 24/7\nasset_classes: [crypto]\nscanners: [binance_spot_trend]\n")
    settings = load_settings(project, environ={})
    assert list(settings.sleeves) == ["crypto", "etfs", "instruments", "majors"]
    assert settings.sleeves["majors"].portfolio == ProfilesSettings()
    assert settings.origins["sleeves.majors.scanners"] == (
        "file assets_config/sleeves/majors.yaml:3"
    )


def test_another_scanner_is_one_file_and_a_line(project: Path, crypto_file: Path) -> None:
    folder = project / "assets_config" / "scanners" / "crypto"
    shutil.copy(folder / "binance_spot_trend.yaml", folder / "quiet_trend.yaml")
    settings = load_settings(project, environ={})
    assert settings.scanners["quiet_trend"].asset_class == "crypto"
    text = crypto_file.read_text()
    crypto_file.write_text(
        text.replace("  - binance_spot_trend\n", "  - binance_spot_trend\n  - quiet_trend\n")
    )
    settings = load_settings(project, environ={})
    assert "quiet_trend" in settings.sleeves["crypto"].scanners


def test_another_meta_is_one_file(project: Path) -> None:
    path = project / "assets_config" / "meta" / "meta_listed.yaml"
    path.write_text("members: [etfs, instruments]\nprofiles: [hrp]\n")
    settings = load_settings(project, environ={})
    assert list(settings.metas) == ["meta", "meta_listed"]
    assert settings.metas["meta_listed"].profiles == ("hrp",)


def test_files_that_are_hidden_or_no_settings_are_passed_over(project: Path) -> None:
    before = load_settings(project, environ={})
    config = project / "assets_config"
    (config / "README.md").write_text("words")
    (config / "scanners" / "README.md").write_text("words")
    (config / "scanners" / ".draft.yaml").write_text("[")
    (config / "meta" / ".meta.yaml.swp").write_text("[")
    (config / "sleeves" / "_old").mkdir()
    assert load_settings(project, environ={}) == before


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
            "QUANT_PLATFORM__HISTORY_START": "2022-03-01",
            "QUANT_PLATFORM__WALK_FORWARD_START": "2023-03-01",
            "QUANT_PLATFORM__UI": "{port: 3001}",
            "QUANT_PLATFORM__UI__HOST": "'0.0.0.0'",
            "QUANT_PLATFORM__CALENDARS__24_7__PERIODS_PER_YEAR": "366",
            "QUANT_PLATFORM__EXTRA_HOLIDAYS__XNYS": "[2025-01-09]",
            "QUANT_PLATFORM__KNOWLEDGE_LAG_MINUTES__BARS": "45",
            "QUANT_SLEEVES__CRYPTO__SYMBOLS": "5",
            "QUANT_SLEEVES__CRYPTO__SCANNERS": "[binance_spot_trend]",
            "QUANT_SLEEVES__CRYPTO__PORTFOLIO__HRP__LEAF_ORDER": "false",
            "QUANT_SCANNERS__US_TREND__LIMIT": "7",
            "QUANT_METAS__META__BOUNDS__UPPER": "0.6",
            "QUANT_EXECUTION__GATES__KILL_SWITCH": "2024-01-05",
            "QUANT_EXECUTION__SLEEVES__ETFS__LOT": "100.0",
            "QUANT_REGIMES__THROTTLE__RISK_ON": "0.9",
            "QUANT_PROJECT": "ignored because the root is given",
            "QUANTUM__PLATFORM": "not ours",
        },
    )
    platform = settings.platform
    assert platform.history_start == date(2022, 3, 1)
    assert platform.walk_forward_start == date(2023, 3, 1)
    assert (platform.ui.host, platform.ui.port) == ("0.0.0.0", 3001)
    assert platform.calendars["24/7"].periods_per_year == 366
    assert platform.calendars["24/7"].job == "crypto_daily"
    assert platform.extra_holidays == {"XNYS": (date(2025, 1, 9),)}
    assert platform.knowledge_lag_minutes == {"bars": 45}
    assert settings.sleeves["crypto"].symbols == 5
    assert settings.sleeves["instruments"].symbols == 400
    assert settings.sleeves["crypto"].scanners == ("binance_spot_trend",)
    assert not settings.sleeves["crypto"].portfolio.hrp.leaf_order
    assert settings.scanners["us_trend"].limit == 7
    assert settings.metas["meta"].bounds.upper == 0.6
    assert settings.execution is not None
    assert settings.execution.gates.kill_switch == date(2024, 1, 5)
    assert settings.execution.sleeves["etfs"].lot == 100.0
    assert settings.execution.terms("etfs", "XNYS").half_spread_bps == 3.0
    assert settings.regimes is not None
    assert settings.regimes.throttle["RISK_ON"] == 0.9
    assert settings.regimes.throttle["NEUTRAL"] == 0.6
    assert settings.origins["scanners.us_trend.limit"] == (
        "environment QUANT_SCANNERS__US_TREND__LIMIT"
    )


def test_the_process_environment_is_the_default(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SEED_VARIABLE, "12")
    assert load_settings(project).platform.embedded_market.seed == 12
    assert load_settings(project, environ={}).platform.embedded_market.seed == 7


@pytest.mark.parametrize(
    "overrides",
    [
        {"platform.history_start": date(2022, 3, 1), "platform.embedded_market.seed": 3},
        {"platform": {"history_start": "2022-03-01", "embedded_market": {"seed": 3}}},
        {"platform": {"history_start": "2022-03-01", "embedded_market.seed": 3}},
        {
            "platform.history_start": "2022-03-01",
            "platform.embedded_market": EmbeddedMarketSettings(seed=3),
        },
    ],
)
def test_overrides_may_be_dotted_nested_or_models(
    project: Path, overrides: dict[str, object]
) -> None:
    platform = load_settings(project, environ={}, overrides=overrides).platform
    assert platform.history_start == date(2022, 3, 1)
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
    crypto_file.write_text(
        "calendar: NYSE\nasset_classes: [etf, crypto]\nscanners: [binance_spot_trend]\n"
    )
    sleeve = load_settings(project, environ={}).sleeves["crypto"]
    assert sleeve.calendar == "XNYS"
    assert sleeve.asset_classes == ("crypto", "etf")


def test_a_sleeve_may_repeat_its_name(project: Path, crypto_file: Path) -> None:
    crypto_file.write_text(f"name: crypto\n{crypto_file.read_text()}")
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
        settings.platform.history_start = date(2024, 1, 2)
    with pytest.raises(AttributeError):
        settings.lake_root = project


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
    sleeve = SleeveSettings(
        name="etfs", calendar="XNYS", asset_classes=("etf",), scanners=("sector_etf_trend",)
    )
    assert sleeve.sources == {"bars": "simulated"}
