"""Whatever a file or a variable holds, loading ends in settings or in a ``ConfigError``."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from yaml.error import YAMLError
from yaml.scanner import Scanner

from quant_platform.errors import ConfigError
from quant_platform.settings import load_settings
from quant_platform.settings.documents import _ConfigComposer
from quant_platform_tests.settings.conftest import REPOSITORY

# Without the lines of comments, which take the parser longer than all the rest.
SHIPPED = {
    name: re.sub(rb"(?m)^ *#.*\n", b"", (REPOSITORY / "assets_config" / name).read_bytes())
    for name in (
        "platform.yaml",
        "sleeves/crypto.yaml",
        "scanners/crypto/binance_spot_trend.yaml",
        "meta/meta.yaml",
        "execution.yaml",
        "regimes.yaml",
    )
}

YAML_CHARACTERS = "ab:-? \n\t[]{}&*!|>'\"%#,\\U0~"

# A load takes milliseconds, and more on a busy machine; the time of one example proves nothing.
unhurried = settings(max_examples=10)

KNOWN_KEYS = (
    "platform", "history_start", "ui", "port", "dirt", "late", "calendars", "XNYS", "24/7", "job",
    "embedded_market", "extra_holidays", "knowledge_lag_minutes", "sources", "bars",
    "asset_classes", "calendar", "name", "scanners", "portfolio", "profiles", "members", "filters",
    "left", "right", "bounds", "lower", "sleeves", "crypto", "opened", "throttle", "RISK_ON",
    "benchmark", "sleeve", "walk_forward_start",
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
    | st.sampled_from(
        ["XNYS", "24/7", "crypto", "future", "meta", "hrp", "RSI", "2023-01-03", "~x"]
    )
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
    # What is not spoilt is only read again and again.
    for name in ("etfs.yaml", "instruments.yaml"):
        text = "calendar: XNYS\nasset_classes: [crypto]\nscanners: [binance_spot_trend]\n"
        (root / "assets_config" / "sleeves" / name).write_text(text)
    for folder in ("etf", "stock"):
        shutil.rmtree(root / "assets_config" / "scanners" / folder)
    load_settings(root, environ={})
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


class _CommentsByCharacter(_ConfigComposer):
    """The reader with PyYAML's own way over comments."""

    scan_to_next_token = Scanner.scan_to_next_token


def tokens(reader: type[_ConfigComposer], text: str) -> list[tuple[str, int, int, int]]:
    found = []
    try:
        scanner = reader(text)
        while scanner.check_token():
            token = scanner.get_token()
            mark = token.start_mark
            found.append((repr(token), mark.index, mark.line, mark.column))
    except YAMLError as error:
        found.append((str(error), 0, 0, 0))
    return found


@unhurried
@given(
    st.text(alphabet=YAML_CHARACTERS + "\r\x85\u2028")
    | st.sampled_from(sorted((REPOSITORY / "assets_config").rglob("*.yaml"))).map(Path.read_text)
)
def test_comments_are_skipped_as_pyyaml_skips_them(text: str) -> None:
    assert tokens(_ConfigComposer, text) == tokens(_CommentsByCharacter, text)


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
        [
            *(
                "PLATFORM",
                "PLATFORM__UI",
                "PLATFORM__CALENDARS__24_7",
                "SLEEVES__CRYPTO",
                "SLEEVES",
            ),
            *("SCANNERS__BINANCE_SPOT_TREND", "METAS__META", "EXECUTION", "EXECUTION__SLEEVES"),
            *("REGIMES", "REGIMES__THROTTLE__RISK_ON"),
        ]
    )
    | st.text(alphabet="PLATFORMSLEEVES_UI", max_size=24),
    part=st.just("") | st.text(alphabet="ABPORT_24", max_size=8).map("__{}".format),
    value=st.text() | trees.map(lambda tree: yaml.safe_dump(tree, default_flow_style=True)),
)
def test_random_environment(fuzzed: Path, name: str, part: str, value: str) -> None:
    load(fuzzed, {"platform.yaml": b"{}"}, environ={f"QUANT_{name}{part}": value})


@unhurried
@given(
    st.dictionaries(keys | st.sampled_from(["platform.ui", "sleeves.crypto"]), trees),
    st.sampled_from(
        ["platform", "sleeves.crypto", "scanners.binance_spot_trend", "metas.meta", "execution"]
    ),
)
def test_random_overrides(fuzzed: Path, overrides: dict[str, object], section: str) -> None:
    for root in ({}, {section: overrides}):
        load(fuzzed, {"platform.yaml": b"{}"}, overrides={**overrides, **root})
