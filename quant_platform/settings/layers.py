"""The layered tree of values: defaults, files, environment, overrides, and who gave what.

Mappings merge key by key, everything else (a list too) replaces what a lower layer said. Each path
remembers the place it came from last, so an error names the layer that caused it and
``Settings.origins`` can say where every value is from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel

from quant_platform.settings.base import SettingsModel, near_names
from quant_platform.settings.problems import (
    DEFAULT_PLACE,
    OVERRIDE_LAYER,
    KeyPath,
    Place,
    Problem,
    dotted,
    place_of,
    shown,
    unknown_key,
)
from quant_platform.settings.project import CONFIG_FOLDER
from quant_platform.settings.sections import SECTIONS
from quant_platform.settings.wording import plain


class LayeredTree:
    """Values of all layers so far, the place of each path, and the problems met on the way.

    Attributes
    ----------
    values
        By section: what the layers say. A section that is one file is there if the file is.
    places
        The place that each path was given at last.
    fixed
        Values that follow from where a file lies; a layer may repeat them and not change them.
    problems
        What is wrong so far.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {key: {} for key, of in SECTIONS.items() if of.many}
        self.places: dict[KeyPath, Place] = {}
        self.fixed: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []

    def at(self, path: KeyPath) -> Any:
        """Return the value at a path, None where there is none."""
        node: Any = self.values
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
        return node

    def fix(self, value: str, place: Place, path: KeyPath) -> None:
        """Lay a value that follows from where a file lies."""
        self.fixed[path] = value
        self.lay(value, {path: place}, path)

    def lay_defaults(self, model: type[SettingsModel], path: KeyPath) -> None:
        """Put a model's defaults at ``path``, below everything that is laid later."""
        defaults = {
            name: to_plain(field.get_default(call_default_factory=True))
            for name, field in model.model_fields.items()
            if not field.is_required()
        }
        self.lay(defaults, {path: DEFAULT_PLACE}, path)

    def lay(self, value: Any, places: Mapping[KeyPath, Place], path: KeyPath) -> None:
        """Lay a value over what is at ``path``.

        Parameters
        ----------
        value
            A mapping to merge, or anything else to replace what is there.
        places
            Places by full path; a path without one has that of the mapping around it.
        path
            Where in the tree the value belongs.
        """
        place = place_of(path, places)
        parent = self._parent(path, place)
        key = str(path[-1])
        below = parent.get(key)
        if isinstance(below, dict) and not isinstance(value, dict):
            self.problems.append(
                Problem(
                    place,
                    f"{plain(dotted(path[1:]) or key)}: found {shown(value, path)}",
                    expected="a mapping",
                    mend="write {} for an empty one" if value is None else "",
                )
            )
            return
        self.places[path] = place
        if isinstance(value, dict):
            if not isinstance(below, dict):
                self._forget_items(path, below)
                parent[key] = {}
            for name, item in value.items():
                self.lay(item, places, (*path, name))
            return
        self._forget_items(path, below)
        parent[key] = value
        if isinstance(value, list):
            self.places.update({known: places[known] for known in _below(path, places)})

    def forget(self, path: KeyPath, below: Iterable[KeyPath]) -> None:
        """Take out what is at ``path``, with the places below it."""
        parent = self.at(path[:-1])
        parent.pop(str(path[-1]))
        for known in below:
            self.places.pop((*path, *known), None)

    def _parent(self, path: KeyPath, place: Place) -> dict[str, Any]:
        """Return the mapping that holds ``path``; what is missing on the way is made."""
        node = self.values
        for length, part in enumerate(path[:-1], start=1):
            if not isinstance(node.get(str(part)), dict):
                node[str(part)] = {}
                self.places[path[:length]] = place
            node = node[str(part)]
        return node

    def _forget_items(self, path: KeyPath, replaced: object) -> None:
        if isinstance(replaced, list) and replaced:
            for known in _below(path, self.places):
                del self.places[known]


def _below(path: KeyPath, places: Mapping[KeyPath, Place]) -> list[KeyPath]:
    return [known for known in places if len(known) > len(path) and known[: len(path)] == path]


def lay_overrides(tree: LayeredTree, overrides: Mapping[str, Any]) -> None:
    """Lay the overrides of a caller: nested mappings, dotted keys, or both."""
    for path, value in _undotted(overrides, ()):
        place = Place(OVERRIDE_LAYER, f"override {plain(dotted(path))}")
        if path[0] not in SECTIONS:
            tree.problems.append(unknown_key(place, path[:1], list(SECTIONS)))
        elif (problem := without_file(place, path, tree)) is not None:
            tree.problems.append(problem)
        else:
            tree.lay(value, {path: place}, path)


def without_file(place: Place, path: KeyPath, tree: LayeredTree) -> Problem | None:
    """Report a path of a file that the project does not have; upper layers add no files."""
    section = SECTIONS[str(path[0])]
    location = f"{CONFIG_FOLDER}/{section.location}"
    if not section.many:
        if section.key in tree.values:
            return None
        return Problem(place, f"there is no file {location}", mend="write the file or leave it out")
    known = list(tree.values[section.key])
    if len(path) == 1 or path[1] in known:
        return None
    name = str(path[1])
    return Problem(
        place,
        f"there is no {section.noun} {plain(name)!r}",
        expected=" or ".join(near_names(name, known) or known),
        mend=f"a {section.noun} is added by a file in {location}",
    )


def _undotted(values: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in values.items():
        below = (*path, *str(key).split("."))
        if isinstance(value, BaseModel):
            value = value.model_dump()  # noqa: PLW2901 - a model stands for its mapping
        if isinstance(value, Mapping) and value:
            yield from _undotted(value, below)
        else:
            yield below, to_plain(value)


def to_plain(value: Any) -> Any:
    """Return a default or override in the types a file would have given it."""
    if isinstance(value, BaseModel):
        return to_plain(value.model_dump())
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value.isoformat() if type(value) is date else value
