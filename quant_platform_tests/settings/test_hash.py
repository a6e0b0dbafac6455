"""The hash of the settings: changed by every value that can change a result, by nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from quant_platform.settings import PlatformSettings, SleeveSettings, load_settings, slice_hash

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


def config_hash(root: Path, **arguments: Any) -> str:
    return load_settings(root, **{"environ": {}, **arguments}).config_hash


def test_comments_and_key_order_do_not_matter(project: Path, platform_file: Path) -> None:
    before = config_hash(project)

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return value

    values = yaml.safe_load(platform_file.read_text())
    text = "# another comment\n" + yaml.safe_dump(turned(values), sort_keys=False)
    assert text != platform_file.read_text()
    platform_file.write_text(text)
    assert config_hash(project) == before


def test_the_layer_does_not_matter(project: Path, platform_file: Path) -> None:
    shipped = config_hash(project)
    assert config_hash(project, environ={"QUANT_PLATFORM__EMBEDDED_MARKET__SEED": "7"}) == shipped
    assert config_hash(project, overrides={"platform.embedded_market.seed": 7}) == shipped
    platform_file.write_text("{}\n")
    assert config_hash(project) == shipped


def test_the_machine_does_not_matter(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    project.rename(elsewhere)
    moved = config_hash(elsewhere)
    elsewhere.rename(project)
    assert moved == config_hash(project)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("platform.lake_root", "lake_of_mine"),
        ("platform.dagster_home", "home_of_mine"),
        ("platform.ui.host", "0.0.0.0"),
        ("platform.ui.port", 3001),
        ("platform.backfill_chunk", 100),
        ("sleeves.crypto.description", "other words"),
        ("scanners.us_trend.description", "other words"),
        ("metas.meta.description", "other words"),
        ("execution.gates.kill_switch", date(2024, 1, 5)),
    ],
)
def test_what_cannot_change_a_result_is_outside(project: Path, key: str, value: object) -> None:
    settings = load_settings(project, environ={}, overrides={key: value})
    assert settings.config_hash == config_hash(project)
    assert str(value) in str(settings.manifest())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("platform.history_start", date(2022, 1, 4)),
        ("platform.walk_forward_start", date(2023, 1, 4)),
        ("platform.ingest_grace_minutes", 91),
        ("platform.extra_holidays", {"XNYS": [date(2025, 1, 9)]}),
        ("platform.extra_sessions", {"XNYS": [date(2025, 1, 9)]}),
        ("platform.calendars.XNYS.periods_per_year", 251),
        ("platform.rebalance.step", 21),
        ("platform.rebalance.anchor", date(2015, 1, 5)),
        ("platform.knowledge_lag_minutes.bars", 31),
        ("platform.features.trend.max_missing_share", 0.1),
        ("platform.embedded_market.seed", 8),
        ("platform.embedded_market.dirt.late", 0.002),
        ("platform.checks.row_count", 0.6),
        ("platform.features.state.replay_sessions", 20),
        ("sleeves.crypto.symbols", 61),
        ("sleeves.crypto.asset_classes", ["crypto", "etf"]),
        ("sleeves.crypto.scanners", ["binance_spot_trend"]),
        ("sleeves.crypto.returns.execution_price", "open"),
        ("sleeves.crypto.selection.winners_max", 24),
        ("sleeves.crypto.portfolio.cap", 0.3),
        ("sleeves.crypto.portfolio.hrp.linkage", "single"),
        ("sleeves.crypto.costs.slippage_bps", 11.0),
        ("scanners.us_trend.limit", 24),
        ("scanners.us_trend.exclude_symbols", ["NYSE:A"]),
        ("metas.meta.train", 61),
        ("execution.cash", 100_001.0),
        ("execution.gates.max_orders", 499),
        ("regimes.throttle.STRESSED", 0.1),
        ("regimes.model", "e2"),
        ("regimes.e2.weights.credit", 0.2),
        ("regimes.states.volatility.crisis", 2.0),
        ("regimes.others.crypto.scale", 4.0),
    ],
)
def test_what_can_change_a_result_is_inside(project: Path, key: str, value: object) -> None:
    assert config_hash(project, overrides={key: value}) != config_hash(project)


def test_another_process_computes_the_same(project: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from quant_platform.settings import load_settings;"
        "print(load_settings(Path(sys.argv[1]), environ={}).config_hash)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(project)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert run.stdout.strip() == config_hash(project)


def test_a_slice_is_a_part_of_the_settings() -> None:
    platform = PlatformSettings()
    other = PlatformSettings.model_validate({"checks": {"row_count": 0.6}})
    assert slice_hash(platform.embedded_market) == slice_hash(other.embedded_market)
    assert slice_hash(platform.checks) != slice_hash(other.checks)
    assert slice_hash(platform.ui) == slice_hash(
        PlatformSettings.model_validate({"ui": {"port": 1}}).ui
    )


def test_the_canonical_form_is_fixed() -> None:
    # Worked out by hand: sha256 of [{"a":"2023-01-03","b":[1,0.5,null,true]},"x"].
    assert (
        slice_hash({"b": (1, 0.5, None, True), "a": date(2023, 1, 3)}, "x")
        == "057032242e00f98e398c1f9e5501597dd92069878abc976e7e87394ccd150196"
    )


def test_values_that_differ_hash_differently() -> None:
    values: list[object] = [None, True, False, 0, 1, 0.5, "1", "", [], {}, [1], date(2023, 1, 3)]
    assert len({slice_hash(value) for value in values}) == len(values)
    assert slice_hash("a", "b") != slice_hash("b", "a")
    assert slice_hash(-0.0) == slice_hash(0.0)


@pytest.mark.parametrize("value", [Path("lakehouse"), b"bytes", {1: 2}, object(), {1, 2}])
def test_what_has_no_canonical_form_is_a_programming_error(value: object) -> None:
    with pytest.raises(TypeError):
        slice_hash(value)


@given(
    st.dictionaries(st.text(max_size=5), scalars, max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_order_of_keys_never_matters(values: dict[str, object], shuffler: Any) -> None:
    keys = list(values)
    shuffler.shuffle(keys)
    assert slice_hash({key: values[key] for key in keys}) == slice_hash(values)


def test_a_sleeve_hashes_the_same_whatever_order_its_lists_have() -> None:
    named = {"name": "a", "calendar": "XNYS"}
    one = {"asset_classes": ["stock", "etf"], "scanners": ["b", "c"]}
    two = {"asset_classes": ["etf", "stock"], "scanners": ["c", "b"]}
    hashes = {slice_hash(SleeveSettings.model_validate(named | lists)) for lists in (one, two)}
    assert len(hashes) == 1


@pytest.mark.parametrize("name", ["execution.yaml", "regimes.yaml", "meta/meta.yaml"])
def test_a_file_that_is_left_out_is_another_hash(project: Path, name: str) -> None:
    before = config_hash(project)
    (project / "assets_config" / "execution.yaml").unlink()
    without_account = config_hash(project)
    (project / "assets_config" / name).unlink(missing_ok=True)
    assert before != without_account
    assert (config_hash(project) == without_account) is (name == "execution.yaml")
