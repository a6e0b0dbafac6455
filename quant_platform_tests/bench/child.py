"""A part of a benchmark in a process of its own: its memory is its own, and it starts cold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any


def measured(part: Callable[..., None], *arguments: str | int) -> dict[str, Any]:
    """Run a function of a benchmark in a fresh process and read what it measured.

    Parameters
    ----------
    part
        A function of a module; what it measured is the last line that it prints, as JSON.
    arguments
        Its arguments.
    """
    module, name = part.__module__, part.__name__
    told = ", ".join(repr(argument) for argument in arguments)
    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import {name}; {name}({told})"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures
