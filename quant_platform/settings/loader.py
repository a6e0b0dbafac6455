"""Loading the settings of a project: four layers, one tree, two models, one hash.

1. Find the project folder and read ``platform.yaml`` and every ``sleeves/*.yaml`` with lines.
2. Lay model defaults, files, environment and overrides over one another; each path keeps the
   place it came from.
3. Validate the platform and each sleeve; then what no model can see alone (a sleeve's calendar
   is one of the platform's, the simulated market is as old as the history).
4. Collect every problem on the way and raise the first with its file and line.

Nothing here reads a clock or the network, and nothing is cached: two loads of the same files and
environment are equal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from quant_platform.errors import ConfigError
from quant_platform.settings.base import SettingsModel, near_names
from quant_platform.settings.documents import read_document
from quant_platform.settings.environment import lay_environment
from quant_platform.settings.layers import LayeredTree, lay_overrides
from quant_platform.settings.platform import PlatformSettings
from quant_platform.settings.problems import (
    FILE_LAYER,
    KeyPath,
    Place,
    Problem,
    from_validation,
    place_of,
    raise_first,
)
from quant_platform.settings.project import CONFIG_FOLDER, find_project_root, is_folder
from quant_platform.settings.resolved import Settings
from quant_platform.settings.sleeve import SleeveSettings
from quant_platform.settings.wording import plain

Model = TypeVar("Model", bound=SettingsModel)

PLATFORM_FILE = "platform.yaml"
SLEEVE_FOLDER = "sleeves"


def load_settings(
    root: Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Load, resolve and validate the settings of a project.

    Parameters
    ----------
    root
        The folder that holds ``assets_config/``; by default ``$QUANT_PROJECT``, else the current
        folder or the nearest one above it.
    overrides
        The top layer, dotted or nested: ``{"platform.ui.port": 3001}``.
    environ
        The environment layer; by default the process's own.

    Returns
    -------
    Settings
        The frozen, fully resolved settings.

    Raises
    ------
    ConfigError
        The first thing that is wrong, with its place, and how many more there are.
    """
    variables = os.environ if environ is None else environ
    folder = find_project_root(environ=variables) if root is None else Path(root)
    if root is not None and not is_folder(folder / CONFIG_FOLDER):
        raise ConfigError(
            f"no folder {CONFIG_FOLDER} in {folder}",
            expected="the project folder",
            mend=f"restore {CONFIG_FOLDER} or name another folder",
        )
    config = folder / CONFIG_FOLDER
    tree = LayeredTree()
    readable = _lay_files(tree, config)
    lay_environment(tree, variables, PlatformSettings, SleeveSettings)
    lay_overrides(tree, overrides or {})
    platform = _validated(PlatformSettings, tree, ("platform",), readable)
    sleeves = {
        name: _validated(SleeveSettings, tree, ("sleeves", name), readable)
        for name in sorted(tree.values["sleeves"])
    }
    raise_first(tree.problems)
    assert platform is not None
    valid = {name: sleeve for name, sleeve in sleeves.items() if sleeve is not None}
    _check_together(platform, valid, tree)
    raise_first(tree.problems)
    settings = Settings.resolve(folder.resolve(), platform, valid, tree.places)
    raise_first(_misplaced_lake(settings, tree))
    return settings


def _lay_files(tree: LayeredTree, config: Path) -> set[KeyPath]:
    """Lay the models' defaults and every file over them; return the sections that could be read."""
    names = _names(config, CONFIG_FOLDER)
    if PLATFORM_FILE not in names:
        near = near_names(PLATFORM_FILE, names)
        raise ConfigError(
            f"no file {CONFIG_FOLDER}/{PLATFORM_FILE}",
            expected="the settings that hold for every sleeve",
            mend=f"rename {plain(near[0])}" if near else "restore it from the repository",
        )
    if not is_folder(config / SLEEVE_FOLDER):
        near = near_names(SLEEVE_FOLDER, names)
        raise ConfigError(
            f"no folder {CONFIG_FOLDER}/{SLEEVE_FOLDER}",
            expected="one YAML file for each sleeve in it",
            mend=f"rename {plain(near[0])}" if near else "restore it from the repository",
        )
    readable: set[KeyPath] = set()
    tree.lay_defaults(PlatformSettings, ("platform",))
    _lay_file(tree, config, PLATFORM_FILE, ("platform",), readable)
    for name in _sleeve_files(config):
        file = f"{SLEEVE_FOLDER}/{name}"
        stem, suffix = Path(name).stem, Path(name).suffix
        place = Place(FILE_LAYER, f"{CONFIG_FOLDER}/{plain(file)}", 1)
        if suffix != ".yaml":
            mend = f"rename it {plain(stem)}.yaml"
            tree.problems.append(Problem(place, f"its suffix is {suffix}", ".yaml", mend))
            continue
        path = ("sleeves", stem)
        tree.lay_defaults(SleeveSettings, path)
        tree.lay(stem, {path: place}, (*path, "name"))
        _lay_file(tree, config, file, path, readable)
    return readable


def _names(folder: Path, label: str) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise ConfigError(
            f"the folder {label} cannot be read: {error.strerror}", mend="check its permissions"
        ) from None


def _sleeve_files(config: Path) -> list[str]:
    names = [
        name
        for name in _names(config / SLEEVE_FOLDER, f"{CONFIG_FOLDER}/{SLEEVE_FOLDER}")
        if Path(name).suffix.lower() in (".yaml", ".yml") and not name.startswith(".")
    ]
    if not names:
        raise ConfigError(
            f"no sleeve in {CONFIG_FOLDER}/{SLEEVE_FOLDER}",
            expected="at least one file NAME.yaml",
            mend="restore one from the repository",
        )
    return names


def _lay_file(
    tree: LayeredTree, config: Path, file: str, path: KeyPath, readable: set[KeyPath]
) -> None:
    place = Place(FILE_LAYER, f"{CONFIG_FOLDER}/{plain(file)}", 1)
    try:
        data = (config / file).read_bytes()
    except OSError as error:
        found = f"the file cannot be read: {error.strerror}"
        tree.problems.append(Problem(place, found, mend="check its permissions"))
        return
    document = read_document(data, place)
    tree.problems.extend(document.problems)
    if isinstance(document.value, dict):
        places = {(*path, *below): found for below, found in document.places.items()}
        tree.lay(document.value, places, path)
        readable.add(path)


def _validated(
    model: type[Model], tree: LayeredTree, path: KeyPath, readable: set[KeyPath]
) -> Model | None:
    if path not in readable:
        return None
    values: Any = tree.values
    for part in path:
        values = values[str(part)]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        tree.problems.extend(from_validation(error, model, path, tree.places))
        return None


def _check_together(
    platform: PlatformSettings, sleeves: Mapping[str, SleeveSettings], tree: LayeredTree
) -> None:
    """Check what only the platform and the sleeves together can show to be wrong."""
    for name, sleeve in sleeves.items():
        if sleeve.name != name:
            tree.problems.append(
                Problem(
                    place_of(("sleeves", name, "name"), tree.places),
                    f"name: found {plain(sleeve.name)!r}",
                    expected=f"{name}, as the file's name says",
                    mend="remove the key or rename the file",
                )
            )
        if sleeve.calendar not in platform.calendars:
            tree.problems.append(
                Problem(
                    place_of(("sleeves", name, "calendar"), tree.places),
                    f"calendar: {sleeve.calendar} has no job",
                    expected=" or ".join(platform.calendars),
                    mend=f"add {sleeve.calendar} to calendars in {PLATFORM_FILE}",
                )
            )
    simulated = any("simulated" in sleeve.sources.values() for sleeve in sleeves.values())
    if simulated and platform.history_start < platform.embedded_market.start:
        tree.problems.append(
            Problem(
                place_of(("platform", "history_start"), tree.places),
                f"history_start: {platform.history_start} is before the simulated market begins",
                expected=f"{platform.embedded_market.start} (embedded_market.start) or later",
            )
        )


def _misplaced_lake(settings: Settings, tree: LayeredTree) -> list[Problem]:
    """Refuse a lake that would hold the project itself, with its code and its settings."""
    if not settings.project_root.is_relative_to(settings.lake_root):
        return []
    place = place_of(("platform", "lake_root"), tree.places)
    found = "lake_root: this folder holds the project itself"
    return [Problem(place, found, "a folder of its own", "write lakehouse, for instance")]
