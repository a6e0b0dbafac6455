"""Whatever a file or a variable holds, loading ends in settings or in a ``ConfigError``."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.errors import ConfigError
from quant_platform.settings import load_settings
from quant_platform_tests.settings.conftest import REPOSITORY

SHIPPED = {
    name: (REPOSITORY / "assets_config" / name).read_bytes()
    for name in ("platform.yaml", "sleeves/crypto.yaml")
}

YAML_CHARACTERS = "ab:-? \n\t[]{}&*!|>'\"%#,\\U0~"

# A load takes milliseconds, and more on a busy machine; the time of one example proves nothing.
unhurried = settings(deadline=None, max_examples=30)

KNOWN_KEYS = (
    "platform", "history_start", "ui", "port", "dirt", "late", "calendars", "XNYS", "24/7", "job",
    "embedded_market", "extra_holidays", "knowledge_lag_minutes", "sources", "bars",
    "asset_classes", "calendar", "name",
)  # fmt: skip

keys = st.sampled_from(KNOWN_KEYS) | st.text(max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.datetimes()
    | st.binary(max_size=8)
    | st.text(max_size=12)
    | st.sampled_from(["XNYS", "24/7", "crypto", "future", "simulated", "2023-01-03", "~x"])
)
trees = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(keys, below, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fuzzed")
    shutil.copytree(REPOSITORY / "assets_config", root / "assets_config")
    return root


def load(root: Path, files: Mapping[str, bytes], **arguments: Any) -> None:
    for name, shipped in SHIPPED.items():
        (root / "assets_config" / name).write_bytes(files.get(name, shipped))
    try:
        load_settings(root, **{"environ": {}, **arguments})
    except ConfigError as error:
        sentence = str(error)
    else:
        return
    assert sentence
    assert sentence.isprintable()
    assert len(sentence) < 1000


@unhurried
@given(name=st.sampled_from(sorted(SHIPPED)), text=st.text())
def test_random_text(fuzzed: Path, name: str, text: str) -> None:
    load(fuzzed, {name: text.encode("utf-8", "surrogatepass")})


@unhurried
@given(name=st.sampled_from(sorted(SHIPPED)), text=st.text(alphabet=YAML_CHARACTERS))
def test_random_text_of_yaml_characters(fuzzed: Path, name: str, text: str) -> None:
    load(fuzzed, {name: text.encode()})


@unhurried
@given(name=st.sampled_from(sorted(SHIPPED)), data=st.binary())
def test_random_bytes(fuzzed: Path, name: str, data: bytes) -> None:
    load(fuzzed, {name: data})


@unhurried
@given(name=st.sampled_from(sorted(SHIPPED)), tree=trees)
def test_random_trees(fuzzed: Path, name: str, tree: object) -> None:
    load(fuzzed, {name: yaml.safe_dump(tree, allow_unicode=True).encode()})


@unhurried
@given(tree=st.dictionaries(keys, trees, max_size=5), flow=st.booleans())
def test_random_trees_under_known_keys(fuzzed: Path, tree: dict[str, object], flow: bool) -> None:
    load(fuzzed, {"platform.yaml": yaml.safe_dump(tree, default_flow_style=flow).encode()})


@unhurried
@given(data=st.data(), name=st.sampled_from(sorted(SHIPPED)))
def test_truncated_and_spoilt_files(fuzzed: Path, data: st.DataObject, name: str) -> None:
    shipped = SHIPPED[name]
    end = data.draw(st.integers(0, len(shipped)))
    load(fuzzed, {name: shipped[:end]})
    spoilt = bytearray(shipped)
    for _ in range(data.draw(st.integers(1, 5))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    load(fuzzed, {name: bytes(spoilt)})


@unhurried
@given(
    name=st.sampled_from(
        ["PLATFORM", "PLATFORM__UI", "PLATFORM__CALENDARS__24_7", "SLEEVES__CRYPTO", "SLEEVES"]
    )
    | st.text(alphabet="PLATFORMSLEEVES_UI", max_size=24),
    part=st.just("") | st.text(alphabet="ABPORT_24", max_size=8).map("__{}".format),
    value=st.text() | trees.map(lambda tree: yaml.safe_dump(tree, default_flow_style=True)),
)
def test_random_environment(fuzzed: Path, name: str, part: str, value: str) -> None:
    load(fuzzed, {"platform.yaml": b"{}"}, environ={f"QUANT_{name}{part}": value})


@unhurried
@given(st.dictionaries(keys | st.sampled_from(["platform.ui", "sleeves.crypto"]), trees))
def test_random_overrides(fuzzed: Path, overrides: dict[str, object]) -> None:
    for root in ({}, {"platform": overrides, "sleeves.crypto": overrides}):
        load(fuzzed, {"platform.yaml": b"{}"}, overrides={**overrides, **root})
