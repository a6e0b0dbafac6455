"""The committed schemas and page are the generated ones, and they agree with the loader."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from quant_platform.errors import ConfigError
from quant_platform.settings.reference import reference_files, schemas, write_reference
from quant_platform.settings.schemas import describe
from quant_platform_tests.settings.conftest import REPOSITORY

CONFIG = REPOSITORY / "assets_config"
SHIPPED = sorted(CONFIG.rglob("*.yaml"))


def kind_of(file: Path) -> str:
    folder = file.relative_to(CONFIG).parts[0]
    return {"sleeves": "sleeve", "scanners": "scanner", "presets": "preset"}.get(
        folder, Path(folder).stem
    )


@pytest.mark.parametrize("path", reference_files())
def test_the_committed_reference_is_current(path: str) -> None:
    committed = (REPOSITORY / path).read_text(encoding="utf-8")
    assert committed == reference_files()[path], "run `quant config schema --write`"


def test_writing_the_reference(tmp_path: Path) -> None:
    assert write_reference(tmp_path) == list(reference_files())
    for path, text in reference_files().items():
        assert (tmp_path / path).read_text(encoding="utf-8") == text
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_reference(blocked)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_the_schema_accepts_the_shipped_files_and_nothing_unknown(file: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(schemas()[kind_of(file)])
    jsonschema.Draft202012Validator.check_schema(validator.schema)
    values = yaml.load(file.read_text(), Loader=_EditorLoader)
    assert list(validator.iter_errors(values)) == []
    assert list(validator.iter_errors(values | {"unknown": 1})) != []


class _EditorLoader(yaml.SafeLoader):
    """YAML as editors read it: a date is text."""

    yaml_implicit_resolvers: ClassVar = {
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("platform", {"rebalance": {"step": 0}}),
        ("platform", {"rebalance": {"step": "3"}}),
        ("platform", {"knowledge_lag_minutes": {"Bars": 3}}),
        ("platform", {"knowledge_lag_minutes": {"bars": -3}}),
        ("platform", {"calendars": {"XNYS": {"job": "a"}}}),
        ("sleeve", {"calendar": "XNYS", "asset_classes": ["future"]}),
        ("sleeve", {"calendar": "XNYS", "asset_classes": ["stock"], "sources": {"bras": "x"}}),
        ("sleeve", {"asset_classes": ["stock"]}),
        ("sleeve", {"calendar": "XNYS", "asset_classes": ["stock"], "scanners": []}),
        ("scanner", {"filters": [], "final_sort_by": "Perf.2M", "limit": 3}),
        ("scanner", {"filters": [{"left": "RSI"}], "final_sort_by": "RSI", "limit": 3}),
        ("meta", {"members": ["crypto"], "profiles": ["kelly"]}),
        ("meta", {"profiles": ["hrp"]}),
        ("execution", {"gates": {"kill_switch": True}}),
        ("execution", {"risk": {"name_cap": 0.0}}),
        ("regimes", {"breadth_sleeve": "instruments"}),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(kind: str, values: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert list(jsonschema.Draft202012Validator(schemas()[kind]).iter_errors(values)) != []


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_shipped_file_points_an_editor_to_its_schema(file: Path) -> None:
    first = file.read_text().splitlines()[0]
    pointed = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert pointed
    schema = (file.parent / pointed[1]).resolve()
    assert schema == REPOSITORY / "docs" / "reference" / "schemas" / f"{kind_of(file)}.json"
    assert schema.is_file()


def test_every_key_is_described() -> None:
    def undescribed(node: dict[str, Any], prefix: str) -> list[str]:
        found = []
        for name, child in node.get("properties", {}).items():
            if not child.get("description"):
                found.append(f"{prefix}{name}")
            found += undescribed(child, f"{prefix}{name}.")
            for values in (child.get("additionalProperties"), child.get("items")):
                if isinstance(values, dict):
                    found += undescribed(values, f"{prefix}{name}.*.")
        return found

    for stem, schema in schemas().items():
        assert undescribed(schema, f"{stem}.") == []


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_key_of_a_shipped_file_is_on_the_page(file: Path) -> None:
    page = reference_files()["docs/reference/configuration.md"]
    for key in yaml.safe_load(file.read_text()):
        assert f"| `{key}" in page


def test_the_page_says_the_default_that_holds() -> None:
    # The terms around the clock have other defaults than terms in general.
    page = reference_files()["docs/reference/configuration.md"]
    for key, default in {
        "exchange.half_spread_bps": "3.0",
        "around_the_clock.half_spread_bps": "6.0",
        "margin_minutes": "60",
        "asset_class": "the folder's name",
    }.items():
        rows = [line for line in page.splitlines() if line.startswith(f"| `{key}` ")]
        assert {row.split(" | ")[2].strip("`") for row in rows} == {default}


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"type": "boolean"}, "true or false"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "above 0 and of at most 1"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "of at least 0 and below 1"),
        ({"type": "number", "minimum": 0, "maximum": 1}, "a number from 0 to 1"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "a whole number or null"),
        (
            {
                "anyOf": [
                    {"type": "number"},
                    {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}},
                ]
            },
            "a number or a list of 2, each a number",
        ),
        ({"type": "string", "minLength": 3}, "text of at least 3 characters"),
    ],
)
def test_values_in_words(node: dict[str, Any], words: str) -> None:
    assert describe(node).endswith(words)
