"""From what went wrong to one sentence: where it stands, what was found, what was expected.

A ``Problem`` is collected rather than raised, so that the first one can be reported together with
how many more there are. Values are echoed as they were written, except that nothing under a key
that smells of a secret, and no text that does, is ever shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from quant_platform.errors import ConfigError
from quant_platform.settings.base import REFUSED, SettingsModel, near_names
from quant_platform.settings.schemas import describe, node_at, schema_of
from quant_platform.settings.wording import MASK, plain, quoted, smells_of_secret

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, order=True)
class Place:
    """Where a value was given: a layer (0 default, 1 file, 2 environment, 3 override), and a line.

    The order of places is the order in which problems are reported.
    """

    layer: int
    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source

    @property
    def origin(self) -> str:
        """The place as ``Settings.origins`` names it."""
        if self.layer == OVERRIDE_LAYER:
            return "override"
        return f"file {self}" if self.layer == FILE_LAYER else str(self)


DEFAULT_LAYER, FILE_LAYER, ENVIRONMENT_LAYER, OVERRIDE_LAYER = range(4)
DEFAULT_PLACE = Place(DEFAULT_LAYER, "default")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the settings."""

    place: Place
    found: str
    expected: str = ""
    mend: str = ""


def raise_first(problems: Sequence[Problem]) -> None:
    """Raise the first problem as a ``ConfigError`` that counts the others; none, no error."""
    if not problems:
        return
    first = min(problems, key=lambda problem: problem.place)
    others = len(problems) - 1
    mend = first.mend
    if others:
        more = f"{others} more problem{'s' if others > 1 else ''} after this one"
        mend = f"{mend}; {more}" if mend else more
    raise ConfigError(f"{first.place}: {first.found}", expected=first.expected, mend=mend)


def dotted(path: KeyPath) -> str:
    """Write a path as ``calendars.XNYS.job``."""
    return ".".join(str(part) for part in path)


def shown(value: object, path: KeyPath) -> str:
    """Say what was found without giving a secret away."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    if isinstance(value, bool):
        kind, text = "the truth value", str(value).lower()
    elif isinstance(value, (int, float)):
        kind, text = "the number", plain(str(value))
    else:
        kind, text = "the text", quoted(str(value))
    return f"{kind} {MASK if smells_of_secret(dotted(path)) else text}"


def unknown_key(place: Place, path: KeyPath, known: list[str]) -> Problem:
    """Report a key that the schema does not know, with the near names."""
    key = str(path[-1])
    near = near_names(key, known)
    section = f" in {plain(dotted(path[:-1]))}" if path[:-1] else ""
    return Problem(
        place,
        f"unknown key {plain(key)!r}{section}",
        expected=" or ".join(near) if near else f"one of {', '.join(known)}",
        mend="correct or remove the key",
    )


def from_validation(
    error: ValidationError,
    model: type[SettingsModel],
    prefix: KeyPath,
    places: Mapping[KeyPath, Place],
) -> list[Problem]:
    """Translate what pydantic refused into problems with their places.

    Parameters
    ----------
    error
        What pydantic raised for one section of the layered tree.
    model
        The model of that section.
    prefix
        Where the section lies in the tree, for instance ``("sleeves", "crypto")``.
    places
        The place of each path of the tree.
    """
    details = error.errors(include_url=False)
    # Pydantic counts an item that it refused as absent: a list of one bad item is "too short" too.
    refused = {detail["loc"][:-1] for detail in details}
    return [
        _from_detail(detail, model, prefix, places)
        for detail in details
        if not (detail["type"] == "too_short" and detail["loc"] in refused)
    ]


def place_of(path: KeyPath, places: Mapping[KeyPath, Place]) -> Place:
    """Return the place of a path, or of the nearest mapping around it that has one."""
    for length in range(len(path), -1, -1):
        if path[:length] in places:
            return places[path[:length]]
    return DEFAULT_PLACE


def _from_detail(
    detail: ErrorDetails,
    model: type[SettingsModel],
    prefix: KeyPath,
    places: Mapping[KeyPath, Place],
) -> Problem:
    path: KeyPath = detail["loc"]
    of_key = detail["type"] != "extra_forbidden" and path[-1:] == ("[key]",)
    if of_key:
        path = path[:-1]
    place = place_of(prefix + path, places)
    key = plain(dotted(path))
    schema = schema_of(model)
    if detail["type"] == "extra_forbidden":
        return unknown_key(place, path, list(node_at(schema, path[:-1]).get("properties", {})))
    if detail["type"] == "missing":
        wanted = describe(node_at(schema, path))
        return Problem(place, f"{key} is missing", expected=wanted, mend="add the key")
    if detail["type"] == REFUSED:
        context = detail["ctx"]
        found = f"{key}: {context['found']}" if key else context["found"]
        return Problem(place, found, expected=context["expected"], mend=context["mend"])
    if of_key:
        names = node_at(schema, path[:-1]).get("propertyNames", {})
        if "enum" in names:
            return unknown_key(place, path, names["enum"])
        return Problem(
            place, f"{plain(dotted(path[:-1]))}: key {plain(str(path[-1]))!r}", describe(names)
        )
    node = node_at(schema, path)
    value = detail["input"]
    mend = ""
    if isinstance(value, str):
        near = near_names(value, [str(name) for name in node.get("enum", [])])
        mend = f"write {' or '.join(near)}" if near else ""
    elif value is None and node.get("type") == "object":
        mend = "write {} for an empty one"
    return Problem(place, f"{key}: found {shown(value, path)}", expected=describe(node), mend=mend)
