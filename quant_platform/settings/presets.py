"""What a scanner stands on: the chain of its presets, laid under its own values.

1. ``base_preset`` leads from a scanner to a preset, and from that to the next, down to one that
   stands on nothing. A name that leads nowhere, a circle, or a preset that stands on one of a
   higher layer, is a problem at the line of that ``base_preset``.
2. Of each link only what was *given* counts (file, environment, override), never a default.
3. Over the defaults of a scanner they are laid lowest first, the scanner itself last: mappings
   merge, everything else (a list too) replaces. Each value keeps the place that gave it, so that
   errors and ``Settings.origins`` name the preset's line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from quant_platform.settings.base import near_names
from quant_platform.settings.layers import LayeredTree
from quant_platform.settings.problems import DEFAULT_LAYER, KeyPath, Place, Problem, place_of
from quant_platform.settings.resolved import Settings
from quant_platform.settings.scanner import LAYERS, ManifestSettings, ScannerSettings
from quant_platform.settings.wording import plain

SCANNERS, PRESETS = "scanners", "presets"
BASE = "base_preset"
_OWN = frozenset({"name", "asset_class", "description", "layer", BASE})
"""Keys that a link says of itself alone."""


def unreferenced(settings: Settings) -> dict[str, list[str]]:
    """Name what nothing refers to: presets without a scanner on them, scanners without a sleeve.

    Parameters
    ----------
    settings
        The resolved settings. What is for research is referred to by whoever looks at it.

    Returns
    -------
    dict of str to list of str
        Sorted names by section.
    """
    # A preset that only an unused one stands on is not used either.
    used = [*settings.scanners.values(), *(p for p in settings.presets.values() if p.research)]
    bases = {base for manifest in used for base in stands_on(settings, manifest)}
    taken = {name for sleeve in settings.sleeves.values() for name in sleeve.scanners}
    return {
        SCANNERS: [n for n, s in settings.scanners.items() if n not in taken and not s.research],
        PRESETS: [n for n, p in settings.presets.items() if n not in bases and not p.research],
    }


def stands_on(settings: Settings, manifest: ManifestSettings) -> list[str]:
    """Names of the presets that a scanner or a preset stands on, nearest first."""
    found: list[str] = []
    base = manifest.base_preset
    while base is not None:
        found.append(base)
        base = settings.presets[base].base_preset
    return found


Given = tuple[list[tuple[KeyPath, Any]], dict[KeyPath, Place]]
"""What some layer gave below a path, by what follows the path; and its places, likewise."""


def lay_presets(tree: LayeredTree) -> None:
    """Lay under each scanner what its presets say.

    Parameters
    ----------
    tree
        The tree with every layer; scanners are changed in place.
    """
    places: dict[KeyPath, dict[KeyPath, Place]] = {}
    for known, place in tree.places.items():
        places.setdefault(known[:2], {})[known[2:]] = place
    links: dict[KeyPath, Given] = {
        (section, name): _given(tree.values[section][name], places[section, name])
        for section in (SCANNERS, PRESETS)
        for name in tree.values[section]
    }
    for name in list(tree.values[SCANNERS]):
        _lay_chain(tree, name, links)
    for name, values in tree.values[PRESETS].items():
        # A preset that no scanner stands on is held to the same rules.
        _chain(tree, (PRESETS, name), values)


def _lay_chain(tree: LayeredTree, name: str, given: Mapping[KeyPath, Given]) -> None:
    path: KeyPath = (SCANNERS, name)
    manifest = tree.values[SCANNERS][name]
    if not isinstance(manifest, dict) or manifest.get(BASE) is None:
        return
    chain = _chain(tree, path, manifest, report=False)
    links = [*(given[PRESETS, preset] for preset in reversed(chain)), given[path]]
    around = tree.places[path]
    tree.forget(path, given[path][1])
    tree.lay_defaults(ScannerSettings, path)
    tree.places[path] = around
    for link, (values, places) in enumerate(links, start=1):
        moved = {(*path, *rest): place for rest, place in places.items()}
        for rest, value in values:
            if link == len(links) or rest[0] not in _OWN:
                tree.lay(value, moved, (*path, *rest))


def _chain(tree: LayeredTree, path: KeyPath, values: Any, *, report: bool = True) -> list[str]:
    """Names of the presets that a manifest stands on, nearest first; stops where it breaks."""
    found: list[str] = []
    section, name = str(path[0]), str(path[1])
    where: KeyPath = (*path, BASE)
    known = tree.values[PRESETS]
    layer = LAYERS.index(values["layer"]) if values.get("layer") in LAYERS else len(LAYERS)
    base = values.get(BASE) if isinstance(values, dict) else None
    while base is not None:
        problem = None
        place = place_of(where, tree.places)
        if base not in known:
            near = near_names(str(base), list(known)) or sorted(known)
            problem = Problem(
                place,
                f"{BASE}: there is no preset {plain(str(base))!r}",
                " or ".join(near),
                f"correct it, or add its file to {PRESETS}/",
            )
        elif base in found or (section == PRESETS and base == name):
            problem = Problem(
                place,
                f"{BASE}: the presets {' → '.join([*found, str(base)])} go round in a circle",
                "a chain that ends",
                "take one base_preset out",
            )
        else:
            problem = _misfit(tree, place, str(base), layer, path)
        if problem is not None:
            if (report or section == SCANNERS) and problem not in tree.problems:
                tree.problems.append(problem)
            break
        found.append(str(base))
        below = known[base]
        layer = LAYERS.index(below["layer"])
        where, base = (PRESETS, str(base), BASE), below.get(BASE)
    return found


def _misfit(
    tree: LayeredTree, place: Place, base: str, layer: int, path: KeyPath
) -> Problem | None:
    """Say why a preset can not be stood on: of another class, or of a higher layer."""
    below = tree.values[PRESETS][base]
    # By their folders: a file that calls itself otherwise has its own problem.
    own, other = (tree.fixed[(*at, "asset_class")] for at in (path, (PRESETS, base)))
    if own != other:
        return Problem(
            place,
            f"{BASE}: {plain(base)} is a preset of {other}",
            f"a preset of {own}",
        )
    if below.get("layer") not in LAYERS:
        # The preset's own file has the problem.
        return Problem(
            place_of((PRESETS, base), tree.places),
            "layer is missing or unknown",
            " or ".join(LAYERS),
            "add the key",
        )
    if LAYERS.index(below["layer"]) > layer:
        return Problem(
            place,
            f"{BASE}: {plain(base)} is a {below['layer']}, above a {LAYERS[layer]}",
            f"a preset of {' or '.join(LAYERS[: layer + 1])}",
        )
    return None


def _given(manifest: Any, places: dict[KeyPath, Place]) -> Given:
    """Take what some layer gave of a manifest."""

    def walk(value: Any, rest: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                yield from walk(item, (*rest, key))
        elif rest and place_of(rest, places).layer != DEFAULT_LAYER:
            yield rest, value

    return list(walk(manifest, ())), places
