"""``quant scanners list``, ``show`` and ``validate``."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_platform.errors import ConfigError
from quant_platform.settings import load_settings
from quant_platform_tests.cli.command_line import quant
from quant_platform_tests.end_to_end.projects import lay_out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Lay out a project with every shipped sleeve; these commands need no lake."""
    lay_out(tmp_path, sleeves=("crypto", "etfs", "instruments"))
    return tmp_path


def put(folder: Path, below: str, text: str) -> None:
    (folder / "assets_config" / below).write_text(text)


def test_all_scanners_are_listed_with_what_they_stand_on(folder: Path) -> None:
    told = {row["scanner"]: row for row in quant(folder, "scanners", "list", "--json").json()}
    assert list(told) == sorted(load_settings(folder, environ={}).scanners)
    trend = told["us_trend"]
    assert trend["presets"] == [
        "stock_leaders",
        "stock_template",
        "stock_hygiene",
        "us_stocks_liquid",
    ]
    assert (trend["asset_class"], trend["sleeves"]) == ("stock", ["instruments"])
    assert "Perf.1M > 0" in trend["rules"]
    assert told["sector_leaders"]["sleeves"] == []
    shown = quant(folder, "scanners", "list").out
    assert all(name in shown for name in told)


def test_a_sleeve_lists_its_own(folder: Path) -> None:
    told = quant(folder, "scanners", "list", "--sleeve", "etfs", "--json").json()
    taken = load_settings(folder, environ={}).sleeves["etfs"].scanners
    assert [row["scanner"] for row in told] == list(taken)
    assert {row["asset_class"] for row in told} == {"etf"}


def test_the_manifest_names_who_gave_each_value(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANT_SCANNERS__US_TREND__LIMIT", "9")
    told = quant(folder, "scanners", "show", "us_trend", "--json").json()
    manifest, origins = told["manifest"], told["origins"]
    settings = load_settings(folder)
    assert manifest == settings.manifest()["scanners"]["us_trend"]
    assert manifest["limit"] == 9
    assert origins["limit"] == "environment QUANT_SCANNERS__US_TREND__LIMIT"
    assert origins["price.min"].startswith("file assets_config/presets/stock/stock_hygiene.yaml:")
    answer = quant(folder, "scanners", "show", "us_trend")
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:4]]
        for line in answer.out.splitlines()
        if len(cells := line.split("│")) == 6
    }
    assert rows["limit"] == ["9", "environment"]
    assert rows["price.min"] == [f"{manifest['price']['min']}", "preset stock_hygiene"]
    assert rows["final_sort_by"] == ["Perf.1M", "its own file"]
    assert rows["market_cap"] == ["null", "default"]
    assert "listed by: instruments" in answer.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "us_tren"), "there is no scanner 'us_tren'; expected us_trend"),
        (("show", "zzzz"), "one of avwap_swing"),
        (("list", "--sleeve", "etf"), "there is no sleeve 'etf'; expected etfs"),
    ],
)
def test_unknown_names_are_one_sentence(
    folder: Path, arguments: tuple[str, ...], told: str
) -> None:
    answer = quant(folder, "scanners", *arguments)
    assert answer.code == ConfigError.exit_code
    assert told in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert answer.out == ""


def test_the_shipped_scanners_are_valid_and_unlisted_ones_are_told(folder: Path) -> None:
    answer = quant(folder, "scanners", "validate", "--json")
    assert answer.code == 0
    told = answer.json()
    assert (told["valid"], told["problems"]) == (True, [])
    assert "sector_leaders" in told["unlisted"]
    assert "us_trend" not in told["unlisted"]
    assert told["research"] == {"scanners": [], "presets": ["global_perp_top50"]}
    shown = quant(folder, "scanners", "validate")
    assert shown.code == 0
    assert "sector_leaders" in shown.out
    assert "No problem" in shown.out


def test_a_preset_that_nothing_uses_fails(folder: Path) -> None:
    put(folder, "presets/stock/idle_universe.yaml", "layer: universe\n")
    put(folder, "presets/stock/idle_hygiene.yaml", "layer: hygiene\nbase_preset: idle_universe\n")
    answer = quant(folder, "scanners", "validate", "--json")
    assert answer.code == ConfigError.exit_code
    told = answer.json()
    assert not told["valid"]
    assert [problem.split("'")[1] for problem in told["problems"]] == [
        "idle_hygiene",
        "idle_universe",
    ]
    shown = quant(folder, "scanners", "validate")
    assert shown.code == ConfigError.exit_code
    assert "Problem: no scanner stands on the preset 'idle_universe' (universe)" in shown.out


def test_a_scanner_that_hides_what_is_for_research_fails(folder: Path) -> None:
    text = (
        "base_preset: global_perp_top50\nfilters: [{left: RSI, operation: less, right: 40}]\n"
        "final_sort_by: RSI\nlimit: 5\n"
    )
    put(folder, "scanners/crypto/everywhere.yaml", text)
    answer = quant(folder, "scanners", "validate", "--json")
    assert answer.code == 0
    assert answer.json()["research"]["scanners"] == ["everywhere"]
    put(folder, "scanners/crypto/everywhere.yaml", f"research: false\n{text}")
    answer = quant(folder, "scanners", "validate", "--json")
    assert answer.code == ConfigError.exit_code
    (problem,) = answer.json()["problems"]
    assert "'everywhere' says research: false" in problem
    assert "'global_perp_top50'" in problem


def test_settings_that_do_not_load_are_one_sentence(folder: Path) -> None:
    put(folder, "scanners/stock/broken.yaml", "base_preset: stock_leader\n")
    answer = quant(folder, "scanners", "validate")
    assert answer.code == ConfigError.exit_code
    assert "broken.yaml:1" in answer.err
    assert "stock_leaders" in answer.err
