"""Loading the settings of a project: four layers, one tree, one model for each file, one hash.

1. Find the project folder and read the files of ``assets_config/`` with lines (``files``).
2. Lay model defaults, files, environment and overrides over one another; each path keeps the
   place it came from. Under each scanner its presets are laid (``presets``).
3. Validate each file by its model; then what no model can see alone (``checks``).
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
from quant_platform.settings.base import SettingsModel
from quant_platform.settings.checks import check_together
from quant_platform.settings.environment import lay_environment
from quant_platform.settings.execution import ExecutionSettings
from quant_platform.settings.files import lay_files
from quant_platform.settings.layers import LayeredTree, lay_overrides
from quant_platform.settings.platform import PlatformSettings
from quant_platform.settings.portfolio import MetaSettings
from quant_platform.settings.presets import lay_presets
from quant_platform.settings.problems import KeyPath, from_validation, raise_first
from quant_platform.settings.project import CONFIG_FOLDER, find_project_root, is_folder
from quant_platform.settings.regimes import RegimeSettings
from quant_platform.settings.resolved import Settings
from quant_platform.settings.scanner import PresetSettings, ScannerSettings
from quant_platform.settings.sleeve import SleeveSettings

Model = TypeVar("Model", bound=SettingsModel)


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
    tree = LayeredTree()
    readable = lay_files(tree, folder / CONFIG_FOLDER)
    lay_environment(tree, variables)
    lay_overrides(tree, overrides or {})
    lay_presets(tree)
    platform = _validated(PlatformSettings, tree, ("platform",), readable)
    sleeves = _each_validated(SleeveSettings, tree, "sleeves", readable)
    scanners = _each_validated(ScannerSettings, tree, "scanners", readable)
    presets = _each_validated(PresetSettings, tree, "presets", readable)
    metas = _each_validated(MetaSettings, tree, "metas", readable)
    execution = _validated(ExecutionSettings, tree, ("execution",), readable)
    regimes = _validated(RegimeSettings, tree, ("regimes",), readable)
    raise_first(tree.problems)
    assert platform is not None
    settings = Settings.resolve(
        folder.resolve(),
        tree.places,
        platform=platform,
        sleeves=sleeves,
        scanners=scanners,
        presets=presets,
        metas=metas,
        execution=execution,
        regimes=regimes,
    )
    raise_first(check_together(settings, tree))
    return settings


def _each_validated(
    model: type[Model], tree: LayeredTree, section: str, readable: set[KeyPath]
) -> dict[str, Model]:
    """Validate every file of a section; one that is wrong is left out and leaves a problem."""
    found = {
        name: _validated(model, tree, (section, name), readable)
        for name in sorted(tree.values[section])
    }
    return {name: settings for name, settings in found.items() if settings is not None}


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
