"""The generated reference of the settings: a JSON Schema for each kind of file, and one page.

All of it derives from the models, so no threshold is written twice; a test holds the committed
files to what these functions return, and ``quant config schema --write`` renews them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from quant_platform.errors import ConfigError
from quant_platform.settings.base import OUTSIDE_HASH
from quant_platform.settings.schemas import FROM_PLACE, Node, describe, schema_of
from quant_platform.settings.sections import SECTIONS

REFERENCE_FOLDER = "docs/reference"

_INTRODUCTION = """\
# Configuration

Generated from the models in `quant_platform/settings` by `quant config schema --write`; edit those.

A value comes from the last of four layers that gives it: the default of the model, the file in
`assets_config/`, the environment, the overrides of a caller. Mappings merge key by key, anything
else is replaced. `quant config show --origins` prints every value with the layer it came from.

The environment names a key in upper case, with two underscores between levels, and its value is
YAML: `QUANT_PLATFORM__HISTORY_START=2024-01-02`, `QUANT_PLATFORM__EMBEDDED_MARKET__SEED=3`,
`QUANT_SLEEVES__CRYPTO__SYMBOLS=20`, `QUANT_SCANNERS__US_TREND__LIMIT=10`,
`QUANT_PRESETS__STOCK_HYGIENE__PRICE__MIN=3`, `QUANT_METAS__META__TRAIN=120`,
`QUANT_EXECUTION__CASH=50000`,
`QUANT_REGIMES__SMOOTHING__WORSEN_AFTER=3`, `QUANT_PLATFORM__EXTRA_HOLIDAYS='{XNYS: [2025-01-09]}'`.
In a mapping with free keys every character besides letters and digits is `_`: `24/7` is `24_7`.
`QUANT_PROJECT` names the project folder itself.

`platform.yaml`, a sleeve and a scanner must be there. Without `execution.yaml` nothing is traded,
without `regimes.yaml` there is no regime, without a file in `meta/` no meta-portfolio. A sleeve, a
scanner, a preset or a meta more is a file more. A scanner stands on presets (`base_preset`): each
key that it does not say has the value of the nearest preset that does.

Keys marked *no* under "In hash" cannot change a result; they are left out of `config_hash` and of
the provenance of every table.
"""


def schemas() -> dict[str, Node]:
    """Return the JSON Schemas by the stem of their file."""
    return {section.noun: schema_of(section.model) for section in SECTIONS.values()}


def reference_files() -> dict[str, str]:
    """Return every generated file: its path below the project folder, and its text."""
    files = {
        f"{REFERENCE_FOLDER}/schemas/{stem}.json": json.dumps(schema, indent=2) + "\n"
        for stem, schema in schemas().items()
    }
    return files | {f"{REFERENCE_FOLDER}/configuration.md": configuration_page()}


def write_reference(root: Path) -> list[str]:
    """Write the generated files into a project and return their paths, relative to it."""
    files = reference_files()
    for relative, text in files.items():
        target = root / relative
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"{relative} cannot be written: {error.strerror}",
                mend="check the permissions of the folder",
            ) from None
    return list(files)


def configuration_page() -> str:
    """Return the reference page: a table of keys for each kind of file."""
    tables = [_table(section.pattern, schema_of(section.model)) for section in SECTIONS.values()]
    return "\n".join([_INTRODUCTION, *tables])


def _table(title: str, schema: Node) -> str:
    lines = [
        f"## `{title}`",
        "",
        "| Key | Value | Default | In hash | What it does |",
        "|---|---|---|---|---|",
    ]
    for key, node, required in _rows(schema, ""):
        cells = (
            f"`{key}`",
            describe(node),
            "required" if required else _default(key, node),
            "no" if node.get(OUTSIDE_HASH) else "yes",
            node["description"],
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _rows(schema: Node, prefix: str) -> Iterator[tuple[str, Node, bool]]:
    """Walk to the keys that hold a value; a free key is written ``<key>``, an item ``<item>``."""
    required = schema.get("required", [])
    for name, node in schema.get("properties", {}).items():
        key = f"{prefix}{name}"
        values, items = node.get("additionalProperties"), node.get("items", {})
        if "properties" in node:
            yield from _rows(node, f"{key}.")
            continue
        yield key, node, name in required
        if isinstance(values, dict) and "properties" in values:
            yield from _rows(values, f"{key}.<key>.")
        elif "properties" in items:
            yield from _rows(items, f"{key}.<item>.")


def _default(key: str, node: Node) -> str:
    if "default" not in node:
        return FROM_PLACE[key]
    default = node["default"]
    return f"`{default if isinstance(default, str) and default else json.dumps(default)}`"
