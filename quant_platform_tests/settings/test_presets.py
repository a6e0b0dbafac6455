"""What a scanner stands on: who gives each value, and one sentence for each chain that breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_platform.errors import ConfigError
from quant_platform.settings import load_settings
from quant_platform.settings.presets import unreferenced
from quant_platform.settings.scanner import rules_of
from quant_platform_tests.settings.conftest import Refusal

SCANNER = "base_preset: idea\nfilters:\n  - {left: RSI, operation: less, right: 40}\n"
LINKS = {
    "everything": "layer: universe\nvolume: {value_traded_min: 1000000, min: 5}\nlimit: 7\n",
    "clean": "layer: hygiene\nbase_preset: everything\nprice: {min: 2}\n",
    "looks": (
        "layer: template\nbase_preset: clean\nsort_by: close\nvolume: {value_traded_min: 3000000}\n"
        "filters:\n  - {left: ADX, operation: less, right: 9}\n  - {left: ATR, operation: less, "
        "right: 9}\n"
    ),
    "idea": "layer: strategy\nbase_preset: looks\nfinal_sort_by: RSI\nlimit: 11\n",
}


def put(project: Path, scanner: str = SCANNER, **links: str) -> None:
    folder = project / "assets_config"
    (folder / "scanners" / "stock" / "tried.yaml").write_text(scanner)
    for name, text in (LINKS | links).items():
        (folder / "presets" / "stock" / f"{name}.yaml").write_text(text)


def test_mappings_merge_lists_replace_and_the_nearest_wins(project: Path) -> None:
    put(project)
    found = load_settings(project, environ={}).scanners["tried"]
    assert [(rule.name, rule.right) for rule in rules_of(found)] == [
        ("RSI less", 40.0),
        ("close egreater", 2.0),
        ("Value.Traded egreater", 3e6),
        ("ADV.Shares egreater", 5.0),
    ]
    assert (found.sort_by, found.final_sort_by, found.limit) == ("close", "RSI", 11)
    assert (found.description, found.prefilter_limit) == ("", 300)


def test_each_value_knows_who_gave_it(project: Path) -> None:
    put(project)
    environ = {
        "QUANT_PRESETS__CLEAN__PRICE__MIN": "4",
        "QUANT_SCANNERS__TRIED__LIMIT": "9",
    }
    overrides = {"presets.everything.volume.min": 6}
    settings = load_settings(project, environ=environ, overrides=overrides)
    found, origins = settings.scanners["tried"], settings.origins
    presets = "file assets_config/presets/stock"
    assert found.price is not None
    assert found.volume is not None
    assert (found.price.min, found.volume.min, found.limit) == (4, 6, 9)
    assert {
        key: origins[f"scanners.tried.{key}"]
        for key in ("volume.value_traded_min", "volume.min", "price.min", "limit", "sort_order")
    } == {
        "volume.value_traded_min": f"{presets}/looks.yaml:4",
        "volume.min": "override",
        "price.min": "environment QUANT_PRESETS__CLEAN__PRICE__MIN",
        "limit": "environment QUANT_SCANNERS__TRIED__LIMIT",
        "sort_order": "default",
    }
    assert origins["scanners.tried.final_sort_by"] == f"{presets}/idea.yaml:3"
    assert origins["scanners.tried.filters"].endswith("scanners/stock/tried.yaml:2")


def test_a_preset_may_stand_on_one_of_its_own_layer(project: Path) -> None:
    niche = "layer: universe\nbase_preset: everything\nvolume: {min: 1}\n"
    put(project, niche=niche, clean="layer: hygiene\nbase_preset: niche\n")
    volume = load_settings(project, environ={}).scanners["tried"].volume
    assert volume is not None
    assert (volume.min, volume.value_traded_min) == (1, 3e6)


REFUSALS = {
    "missing": (
        {"idea": "layer: strategy\nbase_preset: loks\nlimit: 3\n"},
        ["presets/stock/idea.yaml:2", "no preset 'loks'", "expected looks"],
    ),
    "circle": (
        {
            "everything": "layer: universe\nbase_preset: niche\n",
            "niche": "layer: universe\nbase_preset: everything\n",
        },
        ["base_preset", "go round in a circle", "a chain that ends"],
    ),
    "itself": (
        {"everything": "layer: universe\nbase_preset: everything\n"},
        ["everything.yaml:2", "go round in a circle"],
    ),
    "upwards": (
        {"everything": "layer: universe\nbase_preset: above\n", "above": "layer: template\n"},
        ["everything.yaml:2", "above is a template, above a universe"],
    ),
    "another class": (
        {"idea": "layer: strategy\nbase_preset: etf_template\n"},
        ["idea.yaml:2", "etf_template is a preset of etf", "a preset of stock"],
    ),
    "no layer": (
        {"idea": "base_preset: looks\nfinal_sort_by: RSI\nlimit: 11\n"},
        ["idea.yaml:1", "layer is", "universe or hygiene"],
    ),
    "a wrong value is told where it stands": (
        {"clean": "layer: hygiene\nbase_preset: everything\nprice: {min: cheap}\n"},
        ["presets/stock/clean.yaml:3", "price.min", "'cheap'", "a number"],
    ),
    "bounds that contradict across files": (
        {"clean": "layer: hygiene\nbase_preset: everything\nrecent_perf: {RSI: {min: 50}}\n"},
        ["scanners/stock/tried.yaml", "no number is egreater 50 and less 40"],
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_broken_chain_is_one_sentence(project: Path, refusal: Refusal, case: str) -> None:
    links, parts = REFUSALS[case]
    put(project, **links)
    sentence = refusal()
    assert "\n" not in sentence
    for part in parts:
        assert part in sentence, sentence


def test_only_what_may_trade_reaches_a_sleeve(project: Path) -> None:
    """The twin: one for research, and one of another venue, are refused; as shipped is not."""
    key = "scanners.binance_perp_trend"
    sleeve = {"sleeves.crypto.scanners": ["binance_perp_trend"]}
    assert load_settings(project, environ={}, overrides=sleeve)
    with pytest.raises(ConfigError, match="is for research alone and can not feed weights"):
        load_settings(project, environ={}, overrides=sleeve | {f"{key}.research": True})
    venues = sleeve | {f"{key}.exchanges": ["OKX", "BINANCE"]}
    with pytest.raises(ConfigError, match=r"looks at BINANCE or OKX, and coins are traded on one"):
        load_settings(project, environ={}, overrides=venues)
    scanner = project / "assets_config" / "scanners" / "crypto" / "everywhere.yaml"
    scanner.write_text(
        "base_preset: global_perp_top50\nfilters: [{left: RSI, operation: less, right: 40}]\n"
        "final_sort_by: RSI\nlimit: 5\n"
    )
    assert load_settings(project, environ={}).scanners["everywhere"].research
    with pytest.raises(ConfigError, match="everywhere is for research alone"):
        load_settings(project, environ={}, overrides={"sleeves.crypto.scanners": ["everywhere"]})


def test_what_nothing_refers_to_is_named(project: Path) -> None:
    put(
        project,
        alone="layer: universe\n",
        upon="layer: hygiene\nbase_preset: alone\n",
        looked_at="layer: hygiene\nbase_preset: seen\nresearch: true\n",
        seen="layer: universe\n",
    )
    found = unreferenced(load_settings(project, environ={}))
    assert found["presets"] == ["alone", "upon"]
    assert "tried" in found["scanners"]
    assert "us_trend" not in found["scanners"]
