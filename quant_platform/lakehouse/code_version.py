"""The version of an asset's code: a hash of the modules that decide its numbers.

1. Start from the modules of the asset's domain functions.
2. Follow their imports inside ``quant_platform``, read from the source text and not by importing.
3. Hash the text of every module found, and the versions of the numeric libraries.

The commit of the checkout is left out on purpose: a change to a report must not recompute ten years
of features. ``git_sha`` records it beside, as information.
"""

from __future__ import annotations

import ast
import hashlib
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

NUMERIC_LIBRARIES = ("numpy", "polars", "dataframely", "exchange_calendars")
_PACKAGE = "quant_platform"


@cache
def code_version(modules: tuple[str, ...]) -> str:
    """Hash of modules, their first-party imports and the numeric libraries.

    Parameters
    ----------
    modules
        Full names of the modules that hold the asset's domain functions. A module outside the
        package (a user's own) counts itself and its first-party imports.
    """
    digest = hashlib.sha256()
    for name in import_closure(modules):
        digest.update(f"{name}\n".encode())
        digest.update(_source(name))
    for library in NUMERIC_LIBRARIES:
        digest.update(f"{library}=={_library_version(library)}\n".encode())
    return digest.hexdigest()[:16]


def import_closure(modules: Iterable[str]) -> list[str]:
    """Return the modules and everything first-party that they import, directly or not, sorted."""
    found: set[str] = set()
    queue = list(modules)
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue.extend(_first_party_imports(name))
    return sorted(found)


@cache
def git_sha(folder: Path) -> str:
    """Commit of the checkout that holds a folder; ``unknown`` outside one."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command without a shell
            ["git", "-C", str(folder), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


@cache
def _first_party_imports(name: str) -> tuple[str, ...]:
    """Modules of the package that one module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(_source(name))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(
        sorted(n for n in names if n.split(".")[0] == _PACKAGE and n != name and _is_module(n))
    )


@cache
def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@cache
def _source(name: str) -> bytes:
    """Text of a module; nothing for a folder without one and for what is typed into a notebook."""
    try:
        spec = find_spec(name)
    except ValueError:
        return b""
    if spec is None:
        raise ModuleNotFoundError(f"a stage names module '{name}', which is not there", name=name)
    return b"" if spec.origin is None else Path(spec.origin).read_bytes()


@cache
def _library_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
