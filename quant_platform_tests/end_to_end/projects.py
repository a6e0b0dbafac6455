"""A project on disk as a user has it, and the ``quant`` processes that work on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from quant_platform_tests.small_project import REPOSITORY

SYMBOLS = 8
"""Of each sleeve, whose file may say another number."""


def lay_out(folder: Path, *, sleeves: tuple[str, ...] = ("instruments",)) -> None:
    """Copy the shipped settings and instance into a folder, with only the named sleeves.

    What stands on all of them (regime, meta, account) is left out when one of them is.
    """
    config = folder / "assets_config"
    shutil.copytree(REPOSITORY / "assets_config", config)
    left_out = [file for file in (config / "sleeves").glob("*.yaml") if file.stem not in sleeves]
    if left_out:
        left_out += [*(config / "meta").glob("*.yaml"), *config.glob("execution.yaml")]
        left_out += config.glob("regimes.yaml")
    for file in left_out:
        file.unlink()
    (folder / "dagster_home").mkdir()
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", folder / "dagster_home")


def environment(folder: Path, symbols: int = SYMBOLS) -> dict[str, str]:
    """Environment of a process that works on the project: few symbols, this project's home."""
    sized = [
        f"QUANT_SLEEVES__{sleeve.upper()}__SYMBOLS"
        for sleeve in ("etfs", "instruments")
        if (folder / "assets_config" / "sleeves" / f"{sleeve}.yaml").exists()
    ]
    return {
        **dict.fromkeys(sized, str(symbols)),
        **os.environ,
        "QUANT_PLATFORM__EMBEDDED_MARKET__SYMBOLS_PER_SLEEVE": str(symbols),
        "QUANT_PROJECT": str(folder),
        "DAGSTER_HOME": str(folder / "dagster_home"),
        "PYTHONPATH": str(REPOSITORY),
    }


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    """Start a module of this Python, such as ``quant_platform.cli``, on the project."""
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env=environment(folder),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
