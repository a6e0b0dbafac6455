"""The JSON Schema of a settings file: what editors read, and what messages are worded from.

The schema is the single description of a key. The same node says in an error what was expected,
in the reference what the bounds are, and in an editor what to complete.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from quant_platform.settings.base import (
    EARLIEST_YEAR,
    LATEST_YEAR,
    UNIT,
    SettingsModel,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

FROM_PLACE = {
    "name": "the file's name",
    "asset_class": "the folder's name",
    "final_sort_by": "that of base_preset",
    "limit": "that of base_preset",
}
"""Keys that a file need not say: the loader takes them from where the file lies, or stands on."""

Node = dict[str, Any]


@cache
def schema_of(model: type[SettingsModel]) -> Node:
    """Return the JSON Schema (draft 2020-12) of a settings model, without references."""
    raw = model.model_json_schema(mode="validation")
    schema: Node = _with_defaults(_inlined(raw, raw.pop("$defs", {})))
    if "required" in schema:
        schema["required"] = [key for key in schema["required"] if key not in FROM_PLACE]
    return {"$schema": DIALECT} | schema


def _inlined(node: Any, definitions: Node) -> Any:
    """Replace references by what they refer to, drop titles, spell a constant as a choice of one.

    Settings are a tree, so inlining ends; it spares readers and editors the jumps.
    """
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
        return _inlined(target | {key: node[key] for key in node if key != "$ref"}, definitions)
    result: Node = {}
    for key, value in node.items():
        if key == "properties":
            result[key] = {name: _inlined(item, definitions) for name, item in value.items()}
        elif key == "const":
            result["enum"] = [value]
        elif key == "patternProperties":
            # Pydantic's form for keys with a pattern lets any other key pass.
            ((pattern, item),) = value.items()
            result["propertyNames"] = {"type": "string", "pattern": pattern}
            result["additionalProperties"] = _inlined(item, definitions)
        elif key in ("default", "enum"):
            result[key] = value
        elif key != "title":
            result[key] = _inlined(value, definitions)
    return result


def _with_defaults(node: Node) -> Node:
    """Give the keys of a mapping the defaults that the mapping has, which may not be their own."""
    given = node.get("default") or {}
    properties = {
        name: _with_defaults(child | ({"default": given[name]} if name in given else {}))
        for name, child in node.get("properties", {}).items()
    }
    return node | ({"properties": properties} if properties else {})


def node_at(schema: Node, path: tuple[str | int, ...]) -> Node:
    """Return the schema node of a path, or an empty node where the schema says nothing."""
    node = _without_null(schema)
    for part in path:
        if isinstance(part, int):
            fixed = node.get("prefixItems", [])
            child = fixed[part] if part < len(fixed) else node.get("items", {})
        else:
            child = node.get("properties", {}).get(part, node.get("additionalProperties", {}))
        node = _without_null(child) if isinstance(child, dict) else {}
    return node


def _without_null(node: Node) -> Node:
    """Return the one choice besides null of a nullable node, with the node's own words."""
    choices = [choice for choice in node.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) != 1:
        return node
    choice: Node = choices[0]
    return {key: value for key, value in node.items() if key != "anyOf"} | choice


def describe(node: Node) -> str:
    """Say in words which values a node accepts, with bounds and unit."""
    forms = [form for form in node.get("anyOf", []) if form.get("type") != "null"]
    nullable = len(forms) < len(node.get("anyOf", []))
    node = _without_null(node)
    kind = node.get("type")
    if len(forms) > 1:
        words = " or ".join(describe(form) for form in forms)
    elif "enum" in node:
        words = " or ".join(str(choice) for choice in node["enum"])
    elif kind == "boolean":
        words = "true or false"
    elif kind in ("integer", "number"):
        words = ("a whole number" if kind == "integer" else "a number") + bounds(node)
    elif "prefixItems" in node:
        parts = ", then ".join(describe(part) for part in node["prefixItems"])
        words = f"a list{_length(node)}: {parts}"
    elif kind == "array":
        words = f"a list{_length(node)}, each {describe(node['items'])}"
    elif kind == "string":
        words = _describe_text(node)
    elif isinstance(node.get("additionalProperties"), dict):
        words = f"a mapping to {describe(node['additionalProperties'])}"
    else:
        words = "a mapping"
    if UNIT in node:
        words = f"{words} ({node[UNIT]})"
    return f"{words} or null" if nullable else words


def _describe_text(node: Node) -> str:
    if node.get("format") == "date":
        return f"a date written YYYY-MM-DD from {EARLIEST_YEAR} to {LATEST_YEAR}"
    if "pattern" in node:
        return f"text that matches {node['pattern']}"
    least = node.get("minLength", 0)
    if least > 1:
        return f"text of at least {least} characters"
    return "text that is not empty" if least else "text"


def _length(node: Node) -> str:
    least, most = node.get("minItems", 0), node.get("maxItems")
    if least and least == most:
        return f" of {least}"
    return f" of at least {'one' if least == 1 else least}" if least else ""


def bounds(node: Node) -> str:
    """Say the bounds of a number, empty where it has none."""
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    limits = [f"{words} {node[key]}" for key, words in _LIMITS.items() if key in node]
    return f" {' and '.join(limits)}" if limits else ""


_LIMITS = {
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "of at most",
    "exclusiveMaximum": "below",
}
