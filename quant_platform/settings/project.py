"""Where the project is: the folder that holds ``assets_config/``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from quant_platform.errors import ConfigError

CONFIG_FOLDER = "assets_config"
PROJECT_VARIABLE = "QUANT_PROJECT"


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder that can be seen; one that is barred is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def find_project_root(
    start: Path | None = None, *, environ: Mapping[str, str] | None = None
) -> Path:
    """Find the project folder.

    Parameters
    ----------
    start
        Where to begin; by default ``$QUANT_PROJECT`` if it is set, else the current folder.
    environ
        The environment; by default the process's own.

    Returns
    -------
    Path
        The absolute path of the first folder, from ``start`` upwards, that holds
        ``assets_config/``. ``$QUANT_PROJECT`` must be that folder itself.

    Raises
    ------
    ConfigError
        There is none.
    """
    variables = os.environ if environ is None else environ
    named = variables.get(PROJECT_VARIABLE, "")
    if start is None and named:
        root = Path(named)
        if not is_folder(root / CONFIG_FOLDER):
            raise ConfigError(
                f"environment {PROJECT_VARIABLE}: {named!r} holds no folder {CONFIG_FOLDER}",
                expected=f"the project folder, the one with {CONFIG_FOLDER} in it",
                mend="correct or unset it",
            )
        return root.resolve()
    try:
        first = (start or Path.cwd()).resolve()
    except (OSError, RuntimeError):
        raise ConfigError(
            "the current folder cannot be read", mend="change to the project folder"
        ) from None
    for folder in (first, *first.parents):
        if is_folder(folder / CONFIG_FOLDER):
            return folder
    raise ConfigError(
        f"no folder {CONFIG_FOLDER} in {first} or above it",
        expected="to be run inside a project",
        mend=f"change to the project folder or set {PROJECT_VARIABLE} to it",
    )
