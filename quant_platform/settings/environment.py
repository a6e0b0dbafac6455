"""The environment as a layer of settings.

``QUANT_PLATFORM__UI__PORT=3001`` says the same as ``ui: {port: 3001}`` in ``platform.yaml``.
The value is read as YAML, so ``[2024-05-01]`` is a list and ``{XNYS: [2024-05-01]}`` a mapping.
Upper case stands for the lower case of the schema; in a mapping with free keys (calendars, tables)
a key that exists already is found whatever its case, with ``_`` for any other character
(``24_7`` is ``24/7``), and a new one is taken as it is written, in lower case where a name is due.

A variable that looks like ours and is not understood is an error, since it would otherwise be a
setting that silently does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from quant_platform.settings.base import near_names
from quant_platform.settings.documents import read_value
from quant_platform.settings.layers import LayeredTree, without_file
from quant_platform.settings.problems import ENVIRONMENT_LAYER, KeyPath, Place, Problem
from quant_platform.settings.schemas import Node, node_at, schema_of
from quant_platform.settings.sections import SECTIONS
from quant_platform.settings.wording import plain

_SECTIONS = "|".join(SECTIONS).upper()
_OURS = re.compile(rf"QUANT_(?:[A-Za-z0-9]+__|(?:{_SECTIONS})(?:_|$)).*", re.DOTALL)


def lay_environment(tree: LayeredTree, environ: Mapping[str, str]) -> None:
    """Lay every variable of the environment that names a setting over the tree.

    Variables that name a whole section come before those that name a part of it, whatever order
    the environment has them in.
    """
    names = [name for name in environ if _OURS.fullmatch(name)]
    for name in sorted(names, key=lambda name: (name.count("__"), name)):
        place = Place(ENVIRONMENT_LAYER, f"environment {plain(name)}")
        section, *segments = name.removeprefix("QUANT_").split("__")
        if section.lower() not in SECTIONS or not segments or not all(segments):
            tree.problems.append(_misnamed(place, name, tree))
            continue
        path = _path(section.lower(), segments, tree)
        problem = without_file(place, path, tree)
        if problem is not None:
            tree.problems.append(problem)
            continue
        if not environ[name].strip():
            tree.problems.append(
                Problem(place, "it is set but empty", "a value", "unset it or give it a value")
            )
            continue
        document = read_value(environ[name], place)
        tree.problems.extend(document.problems)
        if not document.problems:
            tree.lay(document.value, {path: place}, path)


def _path(section: str, segments: list[str], tree: LayeredTree) -> KeyPath:
    """Find the keys that the segments of a variable's name stand for."""
    path: KeyPath = (section,)
    values: Any = tree.values.get(section)
    node: Node = schema_of(SECTIONS[section].model)
    if SECTIONS[section].many:
        node = {"additionalProperties": node, "propertyNames": {"pattern": "of a file"}}
    for segment in segments:
        free = "additionalProperties" in node and "properties" not in node
        existing = list(values) if isinstance(values, dict) else []
        known = existing if free else [*node.get("properties", {}), *existing]
        # Keys with a pattern are names, which are in lower case; others may be in any.
        named = "pattern" in node.get("propertyNames", {})
        unmatched = segment if free and not named else segment.lower()
        key = next((name for name in known if _folded(name) == _folded(segment)), unmatched)
        path = (*path, key)
        values = values.get(key) if isinstance(values, dict) else None
        node = node_at(node, (key,))
    return path


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def _misnamed(place: Place, name: str, tree: LayeredTree) -> Problem:
    known = list(_variables(tree.values, "QUANT"))
    near = near_names(name, known)
    return Problem(
        place,
        "no setting has this name",
        expected=" or ".join(near) if near else "QUANT_PLATFORM__KEY or QUANT_SLEEVES__NAME__KEY",
        mend="correct or unset it",
    )


def _variables(values: Mapping[str, Any], prefix: str) -> Iterable[str]:
    separator = "_" if prefix == "QUANT" else "__"
    for key, value in values.items():
        name = f"{prefix}{separator}{_folded(key).upper()}"
        if isinstance(value, Mapping) and value:
            yield from _variables(value, name)
        else:
            yield name
